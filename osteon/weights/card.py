"""Model cards: what a set of weights is, takes, gives, was trained on, and how well it did.

A model is a folder ``architecture.tag`` with ``card.json``, its weights and a golden case (safetensors, both).
The card is the contract: whoever runs the model derives crop size, value range and calibration from it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jsonschema import Draft202012Validator

from osteon.errors import WeightsError
from osteon.weights.maps import MapContract, SegmenterContract
from osteon.weights.tiles import TileContract

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = [
    "CARD_NAME",
    "CardFile",
    "InputContract",
    "MeasuredResult",
    "ModelCard",
    "OperatingPoint",
    "OutputContract",
    "read_card",
]

CARD_NAME = "card.json"
"""Name of the card in a model's folder."""


@dataclass(frozen=True, slots=True)
class CardFile:
    """A file beside the card.

    Attributes:
        path: where it lies.
        sha256: of its bytes, hexadecimal.
        size_bytes: its length.
    """

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class InputContract:
    """What the network must be given.

    Attributes:
        rows: of a crop; 0 of a segmenter, which takes many sizes (``ModelCard.segmenter``).
        columns: of a crop; 0 likewise.
        channels: 1, or 3 for the grey crop three times; of a tile classifier 3 for red, green and blue.
        minimum: smallest value of a crop.
        maximum: largest value of a crop.
        orientation: of the crop, in words.
        function: the function that makes the crops, as "osteon.ops.crops.leg_crops".
        parameters: its parameters.
    """

    rows: int
    columns: int
    channels: int
    minimum: float
    maximum: float
    orientation: str
    function: str
    parameters: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OutputContract:
    """What the network gives.

    Attributes:
        classes: in the order of the logits; of a segmenter, the names of its maps.
        positive: the class whose probability is reported.
        temperature: logits are divided by it before the softmax.
        temperatures: one a member, where a model has several; empty when ``temperature`` is that of all.
    """

    classes: tuple[str, ...]
    positive: str
    temperature: float = 1.0
    temperatures: tuple[float, ...] = ()

    def probability(self, logits: NDArray[np.float32], *, member: int = 0) -> NDArray[np.float32]:
        """Probability of the positive class, of one member.

        Args:
            logits: (n, len(classes)).
            member: whose temperature.

        Returns:
            (n,), 0 to 1: the softmax of ``logits / temperature``. Empty when n is 0.

        Example:
            >>> import numpy as np
            >>> OutputContract(("healthy", "tumour"), "tumour").probability(np.zeros((1, 2), np.float32)).tolist()
            [0.5]
        """
        return np.ascontiguousarray(self.probabilities(logits, member=member)[:, self.classes.index(self.positive)])

    def probabilities(self, logits: NDArray[np.float32], *, member: int = 0) -> NDArray[np.float32]:
        """Probability of every class, of one member.

        Args:
            logits: (n, len(classes)).
            member: whose temperature.

        Returns:
            (n, len(classes)), rows sum to 1: the softmax of ``logits / temperature``. Empty when n is 0.
        """
        from scipy.special import softmax

        temperature = self.temperatures[member] if self.temperatures else self.temperature
        return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """From which smoothed probability on a slice is called positive, and how it is smoothed.

    Attributes:
        threshold: 0 to 1.
        gaussian_sigma_slices: of the Gaussian along the slices; 0 for none.
        median_slices: width of the median after it.
        source: how the threshold was chosen.
    """

    threshold: float
    gaussian_sigma_slices: float
    median_slices: int
    source: str


@dataclass(frozen=True, slots=True)
class MeasuredResult:
    """A number that was measured with the model.

    Attributes:
        metric: as "ROC AUC, slices".
        value: the number; None where it is not defined.
        interval: 95 %, or None.
        interval_method: how the interval was found, "" without one.
        data: what it was measured on.
        patients: how many.
        images: how many.
        is_synthetic: whether the data were.
    """

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    interval_method: str
    data: str
    patients: int
    images: int
    is_synthetic: bool


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model's card, checked against the schema.

    Attributes:
        name: ``architecture.tag``.
        version: of the weights, as "1.0.0".
        task: stem of the system it belongs to.
        architecture: name in ``osteon.nets``.
        folder: where card.json lies.
        weights: safetensors file; of the first member where there are several.
        golden: safetensors file with ``crops`` and the ``logits`` they must give; of a segmenter with ``images`` and
            ``maps``, of a tile classifier with ``tiles`` and ``logits``.
        input: contract of the input.
        output: contract of the output.
        tolerance: largest difference of a golden probability by precision; a precision that is absent is not allowed.
        results: measured with it.
        licence: SPDX identifier.
        intended_use: one sentence.
        exclusions: what it must not be used for.
        is_demo: trained on synthetic data only; every output must say so.
        statement: one line on what it was trained on.
        document: the whole card.
        members: safetensors files of all networks of the model, ``weights`` first; the model's probability is the
            mean of theirs.
        operating_point: fixed before the test; None when the card has none.
        trust_file: safetensors file with what ``osteon.weights.trust`` needs; None when the model has none.
        segmenter: what goes in and comes out where the model segments; None of a classifier.
        tiles: of a classifier of histology tiles, what they are; None of all others.
        mask_tolerance: of a segmenter, largest 1 - Dice of a golden mask, for precisions that ``tolerance`` does not
            name.
    """

    name: str
    version: str
    task: str
    architecture: str
    folder: Path = field(repr=False)
    weights: CardFile = field(repr=False)
    golden: CardFile = field(repr=False)
    input: InputContract = field(repr=False)
    output: OutputContract = field(repr=False)
    tolerance: Mapping[str, float] = field(repr=False)
    results: tuple[MeasuredResult, ...] = field(repr=False)
    licence: str = field(repr=False)
    intended_use: str = field(repr=False)
    exclusions: tuple[str, ...] = field(repr=False)
    is_demo: bool
    statement: str
    document: Mapping[str, Any] = field(repr=False)
    members: tuple[CardFile, ...] = field(default=(), repr=False)
    operating_point: OperatingPoint | None = field(default=None, repr=False)
    trust_file: CardFile | None = field(default=None, repr=False)
    segmenter: SegmenterContract | None = field(default=None, repr=False)
    mask_tolerance: Mapping[str, float] = field(default_factory=dict, repr=False)
    tiles: TileContract | None = field(default=None, repr=False)


def read_card(path: Path) -> ModelCard:
    """Read and check a card. The weights themselves are not touched; see ``osteon.weights.load``.

    Args:
        path: a model folder, or its card.json.

    Raises:
        WeightsError: the card is missing, is no JSON, or breaks the schema.
    """
    file = path / CARD_NAME if path.is_dir() else path
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"a model card was asked for at {file}; it cannot be read ({type(error).__name__}): "
            "give a folder that holds card.json and its safetensors files"
        ) from error
    _check(document, file)
    card = _from_document(document, file.parent)
    if card.output.positive not in card.output.classes:
        raise WeightsError(f"{file}: the positive class {card.output.positive!r} is none of {card.output.classes}")
    if card.architecture != card.name.partition(".")[0]:
        raise WeightsError(f"{file}: the name {card.name!r} does not begin with its architecture {card.architecture!r}")
    if card.output.temperatures and len(card.output.temperatures) != len(card.members):
        raise WeightsError(
            f"{file}: {len(card.output.temperatures)} temperatures for {len(card.members)} members: one each is needed"
        )
    if (card.trust_file is None) != ("trust" not in document):
        raise WeightsError(f"{file}: the entry trust and the file files.trust belong together; one of them is missing")
    if card.segmenter is not None and len(set(card.segmenter.names)) != len(card.segmenter.names):
        raise WeightsError(f"{file}: the maps {card.segmenter.names} do not have a name each")
    if card.segmenter is not None and card.segmenter.window_hu[0] >= card.segmenter.window_hu[1]:
        raise WeightsError(f"{file}: the window {card.segmenter.window_hu} HU has no width")
    return card


@cache
def _validator() -> Draft202012Validator:
    text = files("osteon.weights").joinpath("schema", "card-1.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def _check(document: object, file: Path) -> None:
    errors = sorted(_validator().iter_errors(document), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        first = errors[0]
        where = ".".join(str(part) for part in first.absolute_path) or "the card"
        raise WeightsError(
            f"{file} is not a valid model card: {where}: {first.message} ({len(errors)} problem(s) in all); "
            "see osteon/weights/schema/card-1.json"
        )


def _from_document(document: Mapping[str, Any], folder: Path) -> ModelCard:
    listed, golden = document["files"], document["golden"]
    point = document.get("operating_point")
    weights = _file(listed["weights"], folder)
    segmenter = _segmenter(document) if "maps" in document["output"] else None
    given, wanted = _slices_in_maps_out(segmenter) if segmenter else _crops_in_classes_out(document)
    return ModelCard(
        name=document["name"],
        version=document["version"],
        task=document["task"],
        architecture=document["architecture"],
        folder=folder,
        weights=weights,
        golden=_file(listed["golden"], folder),
        input=given,
        output=wanted,
        tolerance=golden["tolerance"],
        results=tuple(_result(entry) for entry in document["results"]),
        licence=document["licence"],
        intended_use=document["intended_use"],
        exclusions=tuple(document["exclusions"]),
        is_demo=document["is_demo"],
        statement=document["statement"],
        document=document,
        members=(weights, *(_file(entry, folder) for entry in listed.get("members", ()))),
        operating_point=None if point is None else OperatingPoint(**point),
        trust_file=_file(listed["trust"], folder) if "trust" in listed else None,
        segmenter=segmenter,
        mask_tolerance=golden.get("mask_tolerance", {}),
        tiles=_tiles(document["input"]) if "tile_um" in document["input"] else None,
    )


def _crops_in_classes_out(document: Mapping[str, Any]) -> tuple[InputContract, OutputContract]:
    given, wanted = document["input"], document["output"]
    return InputContract(
        rows=given["rows"],
        columns=given["columns"],
        channels=given["channels"],
        minimum=given["minimum"],
        maximum=given["maximum"],
        orientation=given["orientation"],
        function=given["preprocessing"]["function"],
        parameters=given["preprocessing"]["parameters"],
    ), OutputContract(
        tuple(wanted["classes"]), wanted["positive"], wanted["temperature"], tuple(wanted.get("temperatures", ()))
    )


def _slices_in_maps_out(segmenter: SegmenterContract) -> tuple[InputContract, OutputContract]:
    """What of a segmenter fits into the contracts of a classifier."""
    parameters = {"window_hu": segmenter.window_hu, "pixel_mm": segmenter.pixel_mm, "step": segmenter.size_step}
    given = InputContract(0, 0, segmenter.channels, 0.0, 1.0, "axial", segmenter.function, parameters)
    return given, OutputContract(segmenter.names, segmenter.names[0])


def _segmenter(document: Mapping[str, Any]) -> SegmenterContract:
    given = document["input"]
    return SegmenterContract(
        maps=tuple(MapContract(**entry) for entry in document["output"]["maps"]),
        channels=given["channels"],
        window_hu=(given["window_hu"][0], given["window_hu"][1]),
        pixel_mm=given["pixel_mm"],
        size_step=given["size_step"],
        function=given["preprocessing"]["function"],
    )


def _tiles(given: Mapping[str, Any]) -> TileContract:
    parameters = given["preprocessing"]["parameters"]
    return TileContract(
        tile_um=given["tile_um"],
        pixels=given["rows"],
        stain=parameters.get("stain", "none"),
        stain_target=parameters.get("stain_target", {}),
    )


def _file(entry: Mapping[str, Any], folder: Path) -> CardFile:
    return CardFile(path=folder / entry["path"], sha256=entry["sha256"], size_bytes=entry["bytes"])


def _result(entry: Mapping[str, Any]) -> MeasuredResult:
    interval = entry["interval"]
    return MeasuredResult(**{**entry, "interval": None if interval is None else (interval[0], interval[1])})
