"""Model cards: what a set of weights is, takes, gives, was trained on, and how well it did.

A model is a folder ``architecture.tag`` with ``card.json``, the weights of its members, a graph of them that runs
without torch, and a golden case (safetensors, all of them). The card is the contract: whoever runs the model derives
size, value range and calibration from it. The values here are the format: msgspec reads, checks and writes them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from osteon.errors import ThirdParty, WeightsError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "CARD_NAME",
    "CardFile",
    "Classes",
    "Embedding",
    "FieldsInput",
    "Golden",
    "ImageInput",
    "Input",
    "MapOutput",
    "Maps",
    "MeasuredResult",
    "ModelCard",
    "OperatingPoint",
    "OutOfDistribution",
    "Output",
    "Precision",
    "PredictionSets",
    "Preprocessing",
    "Training",
    "card_bytes",
    "read_card",
]

CARD_NAME = "card.json"
"""Name of the card in a model's folder."""

Precision: TypeAlias = Literal["float32", "bfloat16"]
Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Sha256: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Count: TypeAlias = Annotated[int, Meta(ge=1)]
Whole: TypeAlias = Annotated[int, Meta(ge=0)]
AboveZero: TypeAlias = Annotated[float, Meta(gt=0)]
Share: TypeAlias = Annotated[float, Meta(gt=0, lt=1)]
Tolerance: TypeAlias = Annotated[float, Meta(gt=0, le=0.1)]

_T = TypeVar("_T")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a card; names that it does not know are refused."""


class CardFile(_Entry, frozen=True):
    """A file beside the card: its name (never a pickle), SHA-256 in hexadecimal and length."""

    path: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]+\.safetensors$")]
    sha256: Sha256
    bytes: Count


class Preprocessing(_Entry, frozen=True):
    """How an image becomes what the model takes.

    Attributes:
        function: of osteon that makes it, as "osteon.ops.crops.leg_crops".
        parameters: of that function; ``ImageInput.parameters_of`` reads them.
    """

    function: Annotated[str, Meta(pattern=r"^osteon(\.[a-z_]+)+$")]
    parameters: dict[str, Any]
    description: Text


class ImageInput(_Entry, frozen=True, tag_field="kind", tag="image"):
    """Images that a model takes: (n, row, column), (n, row, column, 3) in colour, or (n, slice, row, column).

    Attributes:
        channels: of the network; a grey image is given to each (1 or 3), of ``neighbours`` each slice to its own.
        rows: of every image; 0 takes any multiple of ``size_step``.
        size_step: rows and columns are multiples of this.
        colour: "grey" or "rgb".
        values: "unit" is float32 from ``minimum`` to ``maximum``, "byte" is uint8 that stands for that range.
        minimum: what the network sees of the darkest value.
        maximum: of the brightest.
        neighbours: slices of the series on either side that the model sees of an image; an image is then 2 * neighbours
            + 1 slices, from the lowest to the highest, as ``osteon.ops.series_images.with_neighbours`` makes them.
    """

    channels: Count
    orientation: Text
    preprocessing: Preprocessing
    rows: Whole = 0
    columns: Whole = 0
    size_step: Count = 1
    colour: Literal["grey", "rgb"] = "grey"
    values: Literal["unit", "byte"] = "unit"
    minimum: float = 0.0
    maximum: float = 1.0
    neighbours: Whole = 0

    @property
    def rank(self) -> int:
        """How many axes an array of images has."""
        return 4 if self.colour == "rgb" or self.neighbours else 3

    @property
    def axes(self) -> str:
        """Of such an array, in words.

        Example:
            >>> ImageInput(1, "axial", Preprocessing("osteon.ops.crops", {}, "crops"), rows=64, columns=64).axes
            '(n, 64, 64)'
        """
        size = f"{self.rows}, {self.columns}" if self.rows else "row, column"
        if self.colour == "rgb":
            return f"(n, {size}, 3)"
        return f"(n, {2 * self.neighbours + 1}, {size})" if self.neighbours else f"(n, {size})"

    def shape_of(self, count: int, rows: int, columns: int) -> tuple[int, ...]:
        """Of an array of this many images.

        Example:
            >>> made = Preprocessing("osteon.ops.series_images", {}, "slices in a window")
            >>> ImageInput(3, "axial", made, values="byte", neighbours=1).shape_of(5, 64, 32)
            (5, 3, 64, 32)
        """
        if self.colour == "rgb":
            return count, rows, columns, 3
        return (count, 2 * self.neighbours + 1, rows, columns) if self.neighbours else (count, rows, columns)

    def size_of(self, shape: tuple[int, ...]) -> tuple[int, int] | None:
        """Rows and columns of an array of images of this shape; None where no such array has it."""
        if len(shape) != self.rank:
            return None
        rows, columns = shape[-2:] if self.neighbours else shape[1:3]
        return (rows, columns) if shape == self.shape_of(shape[0], rows, columns) else None

    @property
    def dtype(self) -> type[np.float32 | np.uint8]:
        """Of the pixels."""
        return np.uint8 if self.values == "byte" else np.float32

    def parameters_of(self, kind: type[_T], *, name: str) -> _T:
        """The preprocessing's parameters as a typed value.

        Args:
            kind: a frozen dataclass or msgspec Struct of those parameters.
            name: of the model, for the error.

        Raises:
            WeightsError: they are not as that value needs them.
        """
        try:
            return msgspec.convert(self.preprocessing.parameters, kind)
        except (msgspec.ValidationError, ValueError) as error:
            raise WeightsError(
                f"{name}: the parameters of {self.preprocessing.function} in its card cannot be used: {error}"
            ) from error


class FieldsInput(_Entry, frozen=True, tag_field="kind", tag="fields"):
    """Clinical fields that a model takes: (n, field) float32.

    Attributes:
        names: of the fields, in the order of the columns, as "age_years".
    """

    names: Annotated[tuple[Text, ...], Meta(min_length=1)]
    description: Text


Input: TypeAlias = ImageInput | FieldsInput


class Classes(_Entry, frozen=True, tag_field="kind", tag="classes"):
    """A probability for each class.

    Attributes:
        positive: the class whose probability a yes-or-no question is about; "" where there is none.
        temperatures: one a member: its logits are divided by it before the softmax.
    """

    names: Annotated[tuple[Text, ...], Meta(min_length=2)]
    positive: str = ""
    temperatures: tuple[AboveZero, ...] = (1.0,)
    calibration: Text = "none: the softmax as trained"

    @property
    def positive_column(self) -> int:
        """Which column is that of the positive class.

        Raises:
            WeightsError: the model has none.
        """
        if self.positive not in self.names:
            raise WeightsError(f"a model of the classes {', '.join(self.names)} was asked for a positive one: none is")
        return self.names.index(self.positive)

    def probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated probabilities of every member, of logits (member, n, class).

        Returns:
            The same shape, rows sum to 1: the softmax of ``logits / temperature``. Empty when n is 0.

        Example:
            >>> import numpy as np
            >>> Classes(("healthy", "tumour"), "tumour").probability(np.zeros((1, 1, 2), np.float32)).tolist()
            [[[0.5, 0.5]]]
        """
        from scipy.special import softmax

        temperatures = np.asarray(self.temperatures, dtype=np.float64)[:, None, None]
        return np.asarray(softmax(np.asarray(logits, dtype=np.float64) / temperatures, axis=2), dtype=np.float32)


class MapOutput(_Entry, frozen=True):
    """One map of a segmenter.

    Attributes:
        threshold: a pixel belongs to the mask from this probability on.
        temperature: logits are divided by it before the sigmoid.
        least_mm3: connected pieces of less are not reported; None leaves that to who reads the map.
    """

    name: Text
    threshold: Share = 0.5
    source: Text = "0.5, not chosen on data"
    temperature: AboveZero = 1.0
    least_mm3: AboveZero | None = None


class Maps(_Entry, frozen=True, tag_field="kind", tag="maps"):
    """Maps of probabilities.

    Attributes:
        maps: in the order of the output channels of the network.
    """

    maps: Annotated[tuple[MapOutput, ...], Meta(min_length=1)]
    calibration: Text = "none: the sigmoid as trained"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the maps, in the order of the output channels."""
        return tuple(each.name for each in self.maps)

    @property
    def thresholds(self) -> dict[str, float]:
        """Threshold by map."""
        return {each.name: each.threshold for each in self.maps}

    def probability(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (..., map, row, column) of logits of that shape: the sigmoid of logits over temperature."""
        from scipy.special import expit

        temperatures = np.array([each.temperature for each in self.maps], dtype=np.float32)
        return np.asarray(expit(logits / temperatures[:, None, None]), dtype=np.float32)


class Embedding(_Entry, frozen=True, tag_field="kind", tag="embedding"):
    """A vector that stands for the image.

    Attributes:
        head: length of the output of the head that is stored with the weights and not run.
    """

    size: Count
    head: Count = 1


Output: TypeAlias = Classes | Maps | Embedding


class Golden(_Entry, frozen=True):
    """An input and what every engine must give for it.

    Attributes:
        tolerance: largest difference of a probability (of an embedding, as a part of its largest value), by the
            precision it is computed in; a precision that is absent may not be used.
        mask_tolerance: of maps, for precisions that ``tolerance`` does not name: largest 1 - Dice of a mask.
        file: with ``input.NAME`` and ``output.NAME``; None while a card is being made.
    """

    description: Text
    tolerance: dict[Precision, Tolerance] = msgspec.field(default_factory=lambda: {"float32": 1e-4})
    mask_tolerance: dict[Precision, Tolerance] = {}
    file: CardFile | None = None


class OperatingPoint(_Entry, frozen=True):
    """From which smoothed probability on a slice is predicted positive, and how it is smoothed.

    Attributes:
        gaussian_sigma_slices: of the Gaussian along the slices; 0 for none.
        median_slices: width of the median after it.
    """

    threshold: Annotated[float, Meta(ge=0, le=1)]
    gaussian_sigma_slices: Annotated[float, Meta(ge=0)]
    median_slices: Count
    source: Text


class OutOfDistribution(_Entry, frozen=True):
    """Which images are out of distribution: the numbers; vectors are in the file.

    Attributes:
        units: of each member, of each of its spaces: distance of the median image that it was not trained on.
        slice_threshold: an image above it is out of distribution.
        region_threshold: for the median over the images of a region.
        false_alarm_rate: expected share of patients like those of training who have a region above it.
        training_images: behind the vectors, all members together; the validation counts stand behind the thresholds.
        file: with the vectors; None while a card is being made.
    """

    method: Text
    units: Annotated[tuple[Annotated[tuple[AboveZero, ...], Meta(min_length=1)], ...], Meta(min_length=1)]
    slice_threshold: AboveZero
    region_threshold: AboveZero
    false_alarm_rate: Share
    training_images: Count
    validation_images: Count
    validation_regions: Count
    validation_patients: Count
    file: CardFile | None = None


class PredictionSets(_Entry, frozen=True):
    """Conformal thresholds of the prediction sets.

    Attributes:
        error_rate: largest expected share of sets that leave the truth out.
        score: "lac": 1 - probability; "aps": probability mass down to the class.
        thresholds: a class is in the set when its score is at most this; None: always. In the order of the classes.
        units: calibration units behind each threshold.
        unit: "draw": one image of each patient; "worst": the worst of each patient.
        class_conditional: whether the rate holds within each class.
        note: where too few units forced a class into every set.
    """

    error_rate: Share
    score: Literal["lac", "aps"]
    thresholds: Annotated[tuple[float | None, ...], Meta(min_length=2)]
    units: Annotated[tuple[int, ...], Meta(min_length=2)]
    unit: Literal["image", "draw", "worst"]
    class_conditional: bool
    note: str = ""


class Training(_Entry, frozen=True):
    """What a model was trained on, and how.

    Attributes:
        patients: identifiers of the patients of public data sets; nothing of anybody else.
        details: whatever else the one who trained it wants to keep.
    """

    data: Text
    is_synthetic: bool
    split: Text
    split_sha256: Sha256
    script: Text
    date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    seed: int
    patients: tuple[Text, ...] = ()
    details: dict[str, Any] = {}


class MeasuredResult(_Entry, frozen=True):
    """A number that was measured with the model, on this many patients and images.

    Attributes:
        metric: as "ROC AUC, slices".
        value: the number; None where it is not defined.
        interval: 95 %, or None.
        interval_method: how the interval was found, "" without one.
    """

    metric: Text
    value: float | None
    interval: tuple[float, float] | None
    interval_method: str
    data: Text
    patients: Whole
    images: Whole
    is_synthetic: bool


class ClaimItem(_Entry, frozen=True):
    """One reporting item, filled from the run or left open for a person.

    Attributes:
        sure: whether number and scope were checked against the published checklist.
    """

    number: Count
    section: Text
    topic: Text
    status: Literal["from run", "open"]
    answer: Text
    sure: bool


class Claim(_Entry, frozen=True):
    """Reporting items of CLAIM 2024, in our words, and where the checklist stands."""

    about: Text
    reference: Text
    items: tuple[ClaimItem, ...]


class ModelCard(_Entry, frozen=True, kw_only=True):
    """The card of a model; without its files while it is being made (``osteon.weights.write_model`` adds them).

    Attributes:
        name: ``architecture.tag``, also the name of the folder.
        task: stem of the system it belongs to, or what else it is for.
        architecture: name in ``osteon.nets``.
        storage: precision of the weights files; they are widened to float32 when loaded.
        licence: SPDX identifier.
        is_demo: shipped to show and test osteon, as trained on synthetic data only; every output must say so.
        statement: one line on what it was trained on, shown beside every result.
        members: safetensors files of its networks; what the model gives is the mean of theirs.
        graph: what runs without torch (``osteon.weights.graph``); None where OpenVINO cannot express the networks.
        operating_point: fixed before the test; None when the card has none.
        out_of_distribution: which images are out of distribution; None when the model does not know.
        folder: where card.json is; not part of the file.
    """

    schema_version: Literal[2] = 2
    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]+\.[a-z0-9_]+$")]
    version: Annotated[str, Meta(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    task: Text
    architecture: Text
    storage: Literal["float16", "float32"]
    inputs: dict[str, Input]
    output: Output
    golden: Golden
    training: Training
    results: tuple[MeasuredResult, ...] = ()
    licence: Text
    intended_use: Text
    exclusions: Annotated[tuple[Text, ...], Meta(min_length=1)]
    is_demo: bool
    statement: Text
    members: tuple[CardFile, ...] = ()
    graph: CardFile | None = None
    operating_point: OperatingPoint | None = None
    out_of_distribution: OutOfDistribution | None = None
    prediction_sets: PredictionSets | None = None
    claim_2024: Claim | None = None
    folder: Path = Path()

    def __repr__(self) -> str:
        """Short: a card is long."""
        return f"ModelCard({self.name!r}, version={self.version!r}, task={self.task!r}, is_demo={self.is_demo})"

    @property
    def knows_phantoms_only(self) -> bool:
        """Whether it is a demo model: it marks itself so, or was trained on synthetic images only."""
        return self.is_demo or self.training.is_synthetic

    @property
    def image(self) -> ImageInput:
        """The input called "image"."""
        found = self.inputs["image"]
        if not isinstance(found, ImageInput):
            raise WeightsError(f"{self.name}: the input 'image' is not an image")
        return found

    @property
    def weights(self) -> CardFile:
        """Of the first member."""
        return self.members[0]

    def _given(self, kind: type[_T], what: str, choose: str, *, gives: str = "") -> _T:
        """The output, which must be of a kind.

        Raises:
            WeightsError: the model gives something else.
        """
        if isinstance(self.output, kind):
            return self.output
        gives = gives or _gives(self.output)
        raise WeightsError(f"{self.name} (task {self.task}) was asked for {what}; it gives {gives}: choose {choose}")

    @property
    def classes(self) -> Classes:
        """The output of a classifier; a WeightsError where the model gives something else."""
        return self._given(Classes, "classes", "a classification model (osteon models list)")

    @property
    def maps(self) -> Maps:
        """The output of a segmenter; a WeightsError where the model gives something else."""
        return self._given(Maps, "maps", "a segmentation model (osteon models list)")

    @property
    def embedding(self) -> Embedding:
        """The output of a backbone; a WeightsError where the model gives something else."""
        choose = "one of osteon.weights.backbone.backbone_names()"
        return self._given(Embedding, "an embedding", choose, gives="others")

    @property
    def files(self) -> tuple[CardFile, ...]:
        """All files that the card lists."""
        known = self.out_of_distribution
        others = (self.golden.file, self.graph, known.file if known else None)
        return (*self.members, *(file for file in others if file is not None))


def _gives(output: Output) -> str:
    if isinstance(output, Classes):
        return f"the classes {', '.join(output.names)}"
    return f"the maps {', '.join(output.names)}" if isinstance(output, Maps) else "an embedding"


def read_card(path: Path) -> ModelCard:
    """Read and check a card. The weights themselves are not touched; see ``osteon.weights.load``.

    Raises:
        WeightsError: the card is missing, is not a valid JSON, or is not valid.
    """
    file = path / CARD_NAME if path.is_dir() else path
    if file.exists() and not file.is_file():
        raise WeightsError(f"{file} is a pipe, a socket or a device: give a folder that holds card.json")
    advice = "give a folder that holds card.json and its safetensors files"
    with ThirdParty(f"a model card was asked for at {file}; it cannot be read: {advice}", WeightsError):
        document = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    if document.get("schema_version") == 1:
        raise WeightsError(
            f"{file} is a card of an earlier osteon (schema_version 1): export the model again, or rewrite its folder "
            "with scripts/upgrade_model.py"
        )
    card = _converted(document, file)
    problem = next(_problems(card), None)
    if problem is not None:
        raise WeightsError(f"{file} is not a valid model card: {problem}")
    return msgspec.structs.replace(card, folder=file.parent)


def card_bytes(card: ModelCard) -> bytes:
    """The card as its file holds it.

    Raises:
        WeightsError: a value is not as the format wants it.
    """
    document = msgspec.to_builtins(card, enc_hook=str)
    document.pop("folder", None)
    _converted(document, Path(card.name) / CARD_NAME)
    return msgspec.json.format(msgspec.json.encode({"schema_version": card.schema_version, **document}), indent=1)


def _converted(document: dict[str, Any], file: Path) -> ModelCard:
    """A checked value; everything msgspec says comes with the place, and an unknown name with the nearest ones."""
    try:
        return msgspec.convert(document, ModelCard)
    except msgspec.ValidationError as error:
        reason = str(error)
        unknown = re.match(r"Object contains unknown field `(.+?)`", reason)
        near = f"; {nearest_names(unknown[1], _known_names())}" if unknown else ""
        raise WeightsError(f"{file} is not a valid model card: {reason}{near}") from error


def _known_names() -> set[str]:
    """Names that occur in a card."""
    waiting: list[type[_Entry]] = [_Entry]
    names: set[str] = set()
    while waiting:
        for kind in waiting.pop().__subclasses__():
            waiting.append(kind)
            names.update(kind.__struct_fields__)
    return names - {"folder"}


def _class_problems(card: ModelCard, output: Classes) -> Iterator[str]:
    if output.positive and output.positive not in output.names:
        yield f"the positive class {output.positive!r} is none of {', '.join(output.names)}"
    if len(output.temperatures) != len(card.members):
        yield f"{len(output.temperatures)} temperatures for {len(card.members)} members: one each is needed"
    if card.prediction_sets is not None and len(card.prediction_sets.thresholds) != len(output.names):
        yield f"the prediction sets are not for its {len(output.names)} classes"


def _image_problems(image: ImageInput, output: Output) -> Iterator[str]:
    if not image.neighbours and image.channels not in (1, 3):
        yield f"its image has {image.channels} channels; a network of single images has 1 or 3"
    if image.neighbours and (image.channels != 2 * image.neighbours + 1 or image.colour != "grey"):
        yield (
            f"its image has neighbours {image.neighbours} and {image.channels} channels in {image.colour}; such images "
            f"are grey, and a network has {2 * image.neighbours + 1} channels for them"
        )
    if image.neighbours and not isinstance(output, Maps):
        yield "neighbours belong to maps"


def _problems(card: ModelCard) -> Iterator[str]:
    """What contradicts itself in a card."""
    output, members, known = card.output, len(card.members), card.out_of_distribution
    if card.architecture != card.name.partition(".")[0]:
        yield f"the name {card.name!r} does not begin with its architecture {card.architecture!r}"
    image = card.inputs.get("image")
    if isinstance(image, ImageInput):
        yield from _image_problems(image, output)
    else:
        yield f"its inputs are {', '.join(card.inputs) or 'none'}; an image called 'image' must be one of them"
    if not members or card.golden.file is None or (known is not None and known.file is None):
        yield "it lists no file of weights, of the golden case, or of the features that out_of_distribution needs"
    if not isinstance(output, Embedding) and len(set(output.names)) != len(output.names):
        yield f"the outputs {', '.join(output.names)} do not have a name each"
    if isinstance(output, Classes):
        yield from _class_problems(card, output)
    elif card.operating_point or card.prediction_sets or (known and isinstance(output, Embedding)):
        yield "an operating_point and prediction_sets belong to classes, out_of_distribution to classes or maps"
    if isinstance(output, Maps) and {"layers", "distance"} & set(output.names):
        yield "a map is called 'layers' or 'distance', as what a model with limits gives beside its maps"
    if known is not None and len(known.units) != members:
        yield f"out_of_distribution is for {len(known.units)} members; there are {members}"
    if card.golden.mask_tolerance and not isinstance(output, Maps):
        yield "golden.mask_tolerance belongs to maps"
    if "float32" not in card.golden.tolerance:
        yield "golden.tolerance must name float32"
