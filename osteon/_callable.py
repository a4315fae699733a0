"""Packages that are also a function of the API: ``osteon.train(...)`` is called, ``osteon.train.run`` is imported.

Python binds a subpackage over a name of its parent as soon as anything imports it. So the package itself can be called,
and the call goes to ``osteon.api``, which is above it and is imported only then.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

__all__ = ["make_callable"]


class _Callable(ModuleType):
    """A module whose call is that of the function of its name in ``osteon.api``."""

    def __call__(self, *arguments: object, **options: object) -> object:
        """Call the function."""
        function = getattr(import_module("osteon.api"), self.__name__.rpartition(".")[2])
        return function(*arguments, **options)


def make_callable(name: str) -> None:
    """Let a package be called.

    Args:
        name: ``__name__`` of the package.
    """
    sys.modules[name].__class__ = _Callable
