"""Files of a model folder, read once: what is hashed is what is used."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from osteon.errors import WeightsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.weights.card import CardFile, ModelCard

__all__ = ["load_arrays", "read_verified", "verify_files"]


def read_verified(card: ModelCard, file: CardFile) -> bytes:
    """The bytes of a file, of the length and SHA-256 that its card says.

    Raises:
        WeightsError: the file is missing or was changed.
    """
    path = card.folder / file.path
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == file.bytes else b""
    except OSError as error:
        raise WeightsError(
            f"{card.name} needs {path}; it cannot be read ({type(error).__name__}): fetch the model again"
        ) from error
    if size != file.bytes:
        raise WeightsError(f"{path} has {size} bytes, the card says {file.bytes}: fetch the model again")
    found = hashlib.sha256(data).hexdigest()
    if found != file.sha256:
        raise WeightsError(
            f"{path} was changed: SHA-256 is {found[:12]}..., the card says {file.sha256[:12]}...; "
            "fetch the model again"
        )
    return data


def load_arrays(card: ModelCard, file: CardFile) -> dict[str, NDArray[np.generic]]:
    """The arrays of a safetensors file by name; the file is verified first.

    Raises:
        WeightsError: the file is missing, was changed, or is no safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_verified(card, file)
    try:
        found: dict[str, NDArray[np.generic]] = load(data)
    except SafetensorError as error:
        raise WeightsError(
            f"{card.folder / file.path} is no safetensors file ({error}): fetch the model again"
        ) from error
    return found


def verify_files(card: ModelCard) -> None:
    """Check size and SHA-256 of every file of a model.

    Raises:
        WeightsError: a file is missing or was changed.
    """
    for file in card.files:
        read_verified(card, file)
