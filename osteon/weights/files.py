"""Files of a model folder, read once: what is hashed is what is used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from osteon.errors import WeightsError

if TYPE_CHECKING:
    from osteon.weights.card import CardFile, ModelCard

__all__ = ["read_verified"]


def read_verified(card: ModelCard, file: CardFile) -> bytes:
    """The bytes of a file of a model, of the length and SHA-256 that its card says.

    Raises:
        WeightsError: the file is missing or was changed.
    """
    try:
        size = file.path.stat().st_size
        data = file.path.read_bytes() if size == file.size_bytes else b""
    except OSError as error:
        raise WeightsError(
            f"{card.name} needs {file.path}; it cannot be read ({type(error).__name__}): fetch the model again"
        ) from error
    if size != file.size_bytes:
        raise WeightsError(f"{file.path} has {size} bytes, the card says {file.size_bytes}: fetch the model again")
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise WeightsError(
            f"{file.path} was changed: SHA-256 is {found[:12]}..., the card says {file.sha256[:12]}...; "
            "fetch the model again"
        )
    return data
