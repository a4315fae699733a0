"""Where model folders are, how a model is found by name, and its files: what is hashed is what is used.

Packaged models come first, then the user's: the folder named by the environment variable ``OSTEON_MODELS``, else
``models`` in the user's data folder. Nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path

from osteon.errors import UnknownLabelError, WeightsError, nearest_names
from osteon.weights.card import CARD_NAME, ModelCard, read_card

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from osteon.weights.card import CardFile

__all__ = [
    "MODELS_VARIABLE",
    "CardProblem",
    "card_problems",
    "find_card",
    "list_cards",
    "load_arrays",
    "model_folders",
    "read_verified",
    "verify_files",
]

MODELS_VARIABLE = "OSTEON_MODELS"
"""Environment variable that names the folder of the user's own models."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CardProblem:
    """A model folder that cannot be used, and why."""

    folder: Path
    reason: str


def model_folders() -> tuple[Path, ...]:
    """Folders that are searched for models, in order; they need not exist."""
    packaged = Path(str(files("osteon.weights"))) / "cards"
    named = os.environ.get(MODELS_VARIABLE)
    return packaged, Path(named) if named else user_data_path("osteon", appauthor=False) / "models"


def list_cards(*, folders: tuple[Path, ...] | None = None) -> tuple[ModelCard, ...]:
    """Cards of all models that can be read, sorted by name. Weights are not opened, torch is not imported.

    A folder whose card is broken is left out and logged; ``card_problems`` says why.
    """
    cards, problems = _scan(model_folders() if folders is None else folders)
    for problem in problems:
        _LOG.warning("model folder left out: %s", problem.reason)
    return cards


def card_problems(*, folders: tuple[Path, ...] | None = None) -> tuple[CardProblem, ...]:
    """Model folders whose card is broken, or whose name an earlier folder has taken."""
    return _scan(model_folders() if folders is None else folders)[1]


def find_card(name: str | Path, *, folders: tuple[Path, ...] | None = None) -> ModelCard:
    """The card of one model.

    Args:
        name: ``architecture.tag``, or the path of a model folder or of its card.json. Anything with a path
            separator, and any ``Path``, is taken as a path; so is a name that no model has, when a model folder of
            that name is in the working folder.
        folders: searched instead of ``model_folders()``.

    Raises:
        UnknownLabelError: no model of that name; the message names the closest and the folders searched.
        WeightsError: the path holds no valid card.
    """
    if isinstance(name, Path) or "/" in name or os.sep in name:
        return read_card(Path(name))
    searched = model_folders() if folders is None else folders
    cards, problems = _scan(searched)
    by_name = {card.name: card for card in cards}
    if name in by_name:
        return by_name[name]
    for problem in problems:
        if problem.folder.name == name:
            raise WeightsError(problem.reason)
    if (Path(name) / CARD_NAME).is_file():
        return read_card(Path(name))
    places = ", ".join(str(folder) for folder in searched)
    raise UnknownLabelError(f"no model {name!r} in {places}: {nearest_names(name, by_name)}")


def _scan(folders: tuple[Path, ...]) -> tuple[tuple[ModelCard, ...], tuple[CardProblem, ...]]:
    cards: dict[str, ModelCard] = {}
    problems: list[CardProblem] = []
    for folder in folders:
        for file in sorted(folder.glob(f"*/{CARD_NAME}")):
            try:
                card = read_card(file)
            except WeightsError as error:
                problems.append(CardProblem(file.parent, str(error)))
                continue
            if card.name in cards:
                taken = f"{file.parent}: the name {card.name!r} belongs to {cards[card.name].folder}; rename one"
                problems.append(CardProblem(file.parent, taken))
            else:
                cards[card.name] = card
    return tuple(cards[name] for name in sorted(cards)), tuple(problems)


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
        WeightsError: the file is missing, was changed, or is not a valid safetensors file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_verified(card, file)
    try:
        found: dict[str, NDArray[np.generic]] = load(data)
    except SafetensorError as error:
        raise WeightsError(
            f"{card.folder / file.path} is not a valid safetensors file ({error}): fetch the model again"
        ) from error
    return found


def verify_files(card: ModelCard) -> None:
    """Check size and SHA-256 of every file of a model.

    Raises:
        WeightsError: a file is missing or was changed.
    """
    for file in card.files:
        read_verified(card, file)
