"""Where a model that is made from a run comes to lie: its name, and a folder that is there whole and proven or not."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import InputError, OutputError
from osteon.train.claim import claim_markdown
from osteon.weights import read_card
from osteon.weights.card import CARD_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from osteon.weights import ModelCard

__all__ = ["CLAIM_NAME", "check_target", "model_name", "place_model", "smooth_patterns"]

CLAIM_NAME = "claim.md"
_PATTERN_SEED = 20240300
_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")


def model_name(wanted: str, architecture: str, out: Path) -> str:
    """``architecture.tag``; without a wish the tag is the name of the folder.

    Raises:
        InputError: a name that cannot be.
    """
    tag = re.sub(r"[^a-z0-9]+", "_", out.absolute().name.lower().removeprefix(f"{architecture}.")).strip("_")
    name = wanted or f"{architecture}.{tag or 'model'}"
    if _NAME.fullmatch(name) is None or name.partition(".")[0] != architecture:
        raise InputError(
            f"the name {name!r} cannot be: it is {architecture}.TAG with small letters, digits and underscores, as "
            f"{architecture}.mine"
        )
    return name


def check_target(out: Path) -> None:
    """Refuse a folder that holds other things than a model, before anything is measured.

    Raises:
        InputError: it is a file, or such a folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out.name} is a file: name a folder for the model")
    if out.is_dir() and any(out.iterdir()) and not (out / CARD_NAME).exists():
        raise InputError(f"{out.name} holds other things than a model: name an empty or a new folder")


def place_model(out: Path, write: Callable[[Path], ModelCard]) -> ModelCard:
    """Write and prove a model aside, with its reporting items as a page, then move it to its place.

    Args:
        out: the model folder itself; a model that lies there is replaced.
        write: writes the model into a folder of the folder that it is given, as ``osteon.weights.write_model``.

    Returns:
        The card as read back.

    Raises:
        OutputError: the folder cannot be written.
    """
    parent = out.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".exporting-") as temporary:
            card = write(Path(temporary))
            if card.claim_2024 is not None:
                words = claim_markdown(card.name, card.claim_2024)
                (card.folder / CLAIM_NAME).write_text(words, encoding="utf-8")
            if out.exists():
                shutil.move(out, Path(temporary) / "replaced")
            shutil.move(card.folder, out)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the model could not be written to {out.name} ({reason})") from error
    return read_card(out)


def smooth_patterns(size: int, *, colours: int = 0) -> NDArray[np.float32]:
    """Four smooth random pictures in 0..1, for models that must not carry images of patients.

    Returns:
        (4, size, size), or with colours (4, size, size, colours).
    """
    from scipy import ndimage

    generator = np.random.default_rng(_PATTERN_SEED)
    shape, rest = ((size, size), ()) if not colours else ((size, size, colours), (0.0,))
    blurred = [ndimage.gaussian_filter(generator.random(shape), (*[size / 2 ** (2 + k)] * 2, *rest)) for k in range(4)]
    return np.stack([(one - one.min()) / (one.max() - one.min()) for one in blurred]).astype(np.float32)
