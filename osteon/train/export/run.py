"""From a run to a model folder that is there whole and proven, or not at all."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.train.export.card import ExportOptions, claim_markdown, complete_text, model_card
from osteon.train.run import is_synthetic
from osteon.weights import read_card, write_model
from osteon.weights.card import CARD_NAME

if TYPE_CHECKING:
    from osteon.train.export.card import Shipped
    from osteon.train.run import RunData
    from osteon.train.settings import Recipe
    from osteon.weights import ImageInput, ModelCard

__all__ = ["CLAIM_NAME", "export_run"]

CLAIM_NAME = "claim.md"
_NAME = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")


def export_run(
    data: RunData, out: Path, recipe: Recipe[Any], *, options: ExportOptions | None = None, progress: Progress = silent
) -> ModelCard:
    """Make a model folder ``out`` of a run of any objective; a model that is there is replaced.

    Raises:
        InputError: no fold is done, a name or an option cannot be, an image is unreadable, or ``out`` holds other
            things than a model.
        UnknownLabelError: no such operating point.
        WeightsError: weights are missing or damaged, or the model does not reproduce itself.
        OutputError: the folder cannot be written.
        BackendError: the device is not at hand.
    """
    from osteon.train.export.classes import ship_classifiers
    from osteon.train.export.maps import ship_segmenters

    chosen, settings = options or ExportOptions(), data.run.settings
    name = _model_name(chosen.name, settings.architecture, out)
    _check_target(out)
    inputs = {"image": _card_input(recipe, settings, data)}
    folds = data.run.members(chosen.folds)
    ship = ship_segmenters if settings.objective == "segment" else ship_classifiers
    shipped = ship(data, folds, inputs=inputs, options=chosen, progress=progress)
    if recipe.measured is not None:
        further = recipe.measured(data, {each.fold.fold: each.network for each in shipped.members}, chosen)
        shipped = replace(shipped, results=(*further, *shipped.results))
    is_demo = is_synthetic(data.manifest)
    words = complete_text(chosen.words, data.manifest, is_demo=is_demo, elsewhere=recipe.elsewhere)
    return _place(out, model_card(name, data, shipped, words=words, half=chosen.half, inputs=inputs), shipped)


def _card_input(recipe: Recipe[Any], settings: Any, data: RunData) -> ImageInput:  # noqa: ANN401 - of any objective
    """What the recipe says of the image; how many slices a network sees of it follows from the settings alone."""
    image, neighbours = recipe.card_input(settings, data.manifest), getattr(settings, "neighbours", 0)
    if not neighbours:
        return image
    return msgspec.structs.replace(image, channels=settings.input_channels, neighbours=neighbours)


def _model_name(wanted: str, architecture: str, out: Path) -> str:
    """``architecture.tag``; without a wish the tag is the name of the folder."""
    tag = re.sub(r"[^a-z0-9]+", "_", out.absolute().name.lower().removeprefix(f"{architecture}.")).strip("_")
    name = wanted or f"{architecture}.{tag or 'model'}"
    if _NAME.fullmatch(name) is None or name.partition(".")[0] != architecture:
        raise InputError(
            f"the name {name!r} cannot be: it is {architecture}.TAG with small letters, digits and underscores, as "
            f"{architecture}.mine"
        )
    return name


def _check_target(out: Path) -> None:
    """Refuse a folder that holds other things than a model, before anything is measured."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out.name} is a file: name a folder for the model")
    if out.is_dir() and any(out.iterdir()) and not (out / CARD_NAME).exists():
        raise InputError(f"{out.name} holds other things than a model: name an empty or a new folder")


def _place(out: Path, card: ModelCard, shipped: Shipped) -> ModelCard:
    """Write and prove the model aside, with its reporting items as a page, then move it to its place."""
    parent, networks = out.absolute().parent, [member.network for member in shipped.members]
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".exporting-") as temporary:
            golden = {"image": shipped.images}
            made = write_model(Path(temporary), card, networks, golden=golden, limits=shipped.limits)
            if made.claim_2024 is not None:
                words = claim_markdown(made.name, made.claim_2024)
                (made.folder / CLAIM_NAME).write_text(words, encoding="utf-8")
            if out.exists():
                shutil.move(out, Path(temporary) / "replaced")
            shutil.move(made.folder, out)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the model could not be written to {out.name} ({reason})") from error
    return read_card(out)
