"""osteon: open software for bone-tumour imaging. Decision support for research.

The names below are what a program may use (`osteon.api`); each is imported when it is first asked for, so that
``import osteon`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon._version import __version__

if TYPE_CHECKING:
    from osteon.api import Case, evaluate, load_model, open, read, systems, train  # noqa: A004 - as the builtin, for images

__all__ = ["Case", "__version__", "evaluate", "load_model", "open", "read", "systems", "train"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'osteon' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module("osteon.api"), name)
    globals().setdefault(name, value)  # a package of this name that was imported meanwhile can be called, too
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
