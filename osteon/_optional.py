"""Packages of the extras, imported only where they are used."""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["MissingPackageError", "has_package", "require"]


class MissingPackageError(ModuleNotFoundError):
    """A package of an extra is not installed; the message says what to install."""


def has_package(name: str) -> bool:
    """Whether a package can be imported, without importing it.

    Example:
        >>> has_package("json")
        True
    """
    return importlib.util.find_spec(name) is not None


def require(name: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional package, or say what to install.

    Args:
        name: the module to import.
        extra: the extra of osteon that brings it.
        purpose: what it is needed for, as in "to run a classifier".

    Raises:
        MissingPackageError: the package is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != name.split(".", maxsplit=1)[0]:
            raise
        message = f"{name} is needed {purpose}, but is not installed: pip install 'osteon[{extra}]'"
        raise MissingPackageError(message, name=name) from error
