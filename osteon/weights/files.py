"""Files of a model folder, read once: what is hashed is what is used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from osteon.errors import WeightsError

if TYPE_CHECKING:
    from osteon.weights.card import CardFile

__all__ = ["read_verified"]


def read_verified(name: str, file: CardFile, *, remedy: str = "fetch the model again") -> bytes:
    """The bytes of a file, of the length and SHA-256 that its card says.

    Args:
        name: of the model or backbone it belongs to, for messages.
        file: as its card lists it.
        remedy: what to do when it is not there or not the same, for messages.

    Raises:
        WeightsError: the file is missing or was changed.
    """
    try:
        size = file.path.stat().st_size
        data = file.path.read_bytes() if size == file.size_bytes else b""
    except OSError as error:
        raise WeightsError(f"{name} needs {file.path}; it cannot be read ({type(error).__name__}): {remedy}") from error
    if size != file.size_bytes:
        raise WeightsError(f"{file.path} has {size} bytes, the card says {file.size_bytes}: {remedy}")
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise WeightsError(
            f"{file.path} was changed: SHA-256 is {found[:12]}..., the card says {file.sha256[:12]}...; {remedy}"
        )
    return data
