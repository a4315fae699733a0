"""Running a model: named inputs in, classes, maps or embeddings out, on the best engine at hand.

On a CPU that is OpenVINO with the graph that the model carries, without torch; on a GPU, and where OpenVINO is not
installed, torch. Whatever runs a model first reproduces the golden case of its card.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from osteon.data import ModelUse, Notice, RegionOod
from osteon.data.options import silent
from osteon.data.phantom_mark import is_phantom
from osteon.errors import BackendError, InputError, WeightsError
from osteon.metrics.conformal import predict_sets
from osteon.predict.engines import PRECISIONS, choose_device, choose_runtime, require_known
from osteon.predict.heat_maps import activation_maps, torch_heat_maps
from osteon.weights import (
    Classes,
    Embedding,
    FieldsInput,
    ImageInput,
    Limits,
    MapOutput,
    Maps,
    OperatingPoint,
    Preprocessing,
    check_golden,
    load_networks,
    read_limits,
    verify_files,
)
from osteon.weights.graph import chains_of, modules_of
from osteon.weights.load import promised, read_graph

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data import Image, Radiograph, Volume
    from osteon.data.options import Progress
    from osteon.predict.engines import Arrays, Batch, Engine
    from osteon.weights import Input, ModelCard, Output, Precision
    from osteon.weights.graph import GraphPart

    Images = NDArray[Any] | Batch
    Blocks = Images | Iterable[Images]

__all__ = [
    "AUTO_BFLOAT16_TOLERANCE",
    "PAPER_POINT",
    "Predictor",
    "Scores",
    "combined",
    "grey_crops",
    "has_learnt",
    "may_speak",
    "set_names",
]


AUTO_BFLOAT16_TOLERANCE: Final = 0.005
"""Precision "auto" takes bfloat16 for classes only where the card bounds its effect on a probability by this."""
PAPER_POINT: Final = OperatingPoint(0.95, 2.0, 3, "CT osteosarcoma paper")
"""For a card that names none."""

_LOG = logging.getLogger(__name__)
_BLOCK = 64  # images looked at at a time: 16 MB of 256x256 float32
_MAPS_BLOCK = 32  # 12 MiB of maps at 224 x 224
_MAP_PIXELS = 2 * 512 * 512  # of all images in work: Hybrid-AttUNet++ holds about 2 kB a pixel in float32
_RANGE_SLACK = 1e-3  # an image may leave its range by rounding, not more
_STEPS = {Classes: "classifying slices", Maps: "segmenting slices", Embedding: "embedding images"}


def may_speak(card: ModelCard | None, image: Image, *, demo_on_patient: bool) -> bool:
    """Whether a model may say anything about an image: a demo model only of osteon's own phantoms, unless asked to."""
    return card is None or demo_on_patient or not card.knows_phantoms_only or is_phantom(image)


def has_learnt(card: ModelCard | None, image: Volume | Radiograph) -> bool:
    """Whether an image is of a patient whom a model was trained on, as far as its card names them.

    A patient is known by the identifier in the image, or, where there is none, by the name of a file that begins with
    it.
    """
    known = {name.casefold() for name in card.training.patients} if card else set()
    source = image.source
    if not known or source is None:
        return False
    said = source.patient.identifier.strip().casefold()
    name = source.location.name.casefold()
    return said in known if said else any(re.match(rf"{re.escape(one)}(?![a-z0-9])", name) for one in known)


def grey_crops(size: int, *, channels: Any = 1) -> dict[str, Input]:  # noqa: ANN401 - 1 or 3
    """The inputs of a network in memory that takes square grey crops in 0..1."""
    made = Preprocessing("osteon.ops.crops", {}, "grey crops in 0..1")
    return {"image": ImageInput(channels, "any", made, rows=size, columns=size)}


class Predictor:
    """A model that runs; where it has several members, what it gives is their mean.

    Attributes:
        name: of the model, or what the networks are called.
        inputs: by name, as the card describes them.
        output: classes, maps or an embedding.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
        card: of the model; None when the weights are random or not described.
        limits: what the model knows of its limits; None when its card says nothing of it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        inputs: Mapping[str, Input],
        output: Output,
        card: ModelCard | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Join an engine, which runs all members, with its contract; see ``load`` and ``from_networks``."""
        self._engine = engine
        self._black: dict[tuple[int, ...], Arrays] = {}
        self.name = name
        self.inputs = dict(inputs)
        self.output = output
        self.runtime = engine.description
        self.device = engine.device
        self.card = card
        self.limits = limits

    @property
    def image(self) -> ImageInput:
        """How images must be."""
        found = self.inputs["image"]
        if not isinstance(found, ImageInput):
            raise WeightsError(f"{self.name}: the input 'image' is not an image")
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of an image; 0 where any multiple of a step will do."""
        return self.image.rows, self.image.columns

    @classmethod
    def load(
        cls,
        card: ModelCard,
        *,
        device: str = "auto",
        runtime: str = "auto",
        precision: str = "auto",
        threads: int | None = None,
    ) -> Self:
        """The model of a card, proven by its golden case on the engine that will run it.

        Args:
            card: of the model.
            device: "auto" (a GPU when torch sees one), "cpu", "cuda" or "cuda:N".
            runtime: "auto" (OpenVINO on a CPU where it is installed and the model has a graph, else torch), "openvino"
                or "torch".
            precision: "auto" (float32; bfloat16 by OpenVINO where the CPU computes in it and the card bounds its effect
                on a probability by ``AUTO_BFLOAT16_TOLERANCE``, or on masks), "float32" or "bfloat16".
            threads: CPU cores for OpenVINO; all that this process may use by default.

        Raises:
            WeightsError: files are missing or changed, or the golden case is not reproduced.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine, precision or architecture.
        """
        require_known("precision", precision, PRECISIONS)
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        if kind == "openvino" and card.graph is None and runtime == "auto":
            kind = "torch"
        verify_files(card)
        limits = read_limits(card)
        *earlier, last = _attempts(card, kind, precision, may_change=runtime == "auto")
        for engine, attempt in earlier:
            try:
                return cls._proven(card, limits, _engine(card, engine, place, attempt, threads), attempt)
            except BackendError as error:
                level = logging.INFO if attempt == "bfloat16" else logging.WARNING
                _LOG.log(level, "%s does not run by %s in %s here: %s", card.name, engine, attempt, error)
            except WeightsError as error:
                if attempt == last[1]:  # another engine would only hide what is wrong with this one
                    raise
                _LOG.info("%s is not run in %s: %s", card.name, attempt, error)
        return cls._proven(card, limits, _engine(card, last[0], place, last[1], threads), last[1])

    @classmethod
    def _proven(cls, card: ModelCard, limits: Limits | None, engine: Engine, precision: str) -> Self:
        predictor = cls(engine, name=card.name, inputs=card.inputs, output=card.output, card=card, limits=limits)

        def predict(inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
            (given,) = engine.run([inputs])
            return promised(card, given)

        check_golden(card, predict, precision=precision)
        return predictor

    @classmethod
    def from_networks(
        cls,
        networks: nn.Module | Sequence[nn.Module],
        *,
        name: str,
        inputs: Mapping[str, Input],
        output: Output | None = None,
        device: str = "cpu",
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Self:
        """A model from networks in memory, for training, tests and benches; no golden case proves it.

        Args:
            networks: the network, or members; put into evaluation mode. Segmenters are copied.
            name: to call it by.
            inputs: as a card describes them; ``grey_crops`` makes the plainest.
            output: as a card describes it; by default the maps of a segmenter, else healthy and tumour.
            device: as for ``load``.
            runtime: as for ``load``.
            precision: "float32" or "bfloat16".
            threads: as for ``load``.

        Raises:
            InputError: no network, or networks that give something else.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine or precision.
        """
        members = list(networks) if isinstance(networks, Sequence) else [networks]
        require_known("precision", precision, PRECISIONS[1:])
        wanted: Precision = "bfloat16" if precision == "bfloat16" else "float32"
        place = choose_device(device)
        given = _output_of(members, name, output)
        for network in members:
            network.eval()
        if choose_runtime(runtime, place) == "torch":
            engine = _torch_engine(members, inputs, given, wanted, place)
        else:
            chains = chains_of(members, inputs, given, precisions=[wanted])
            engine = _openvino_engine(chains, given, wanted, threads)
        return cls(engine, name=name, inputs=inputs, output=given)

    def run(
        self, blocks: Blocks, *, progress: Progress = silent, total: int | None = None
    ) -> Generator[dict[str, NDArray[Any]]]:
        """What the model gives, block by block, while the next blocks are made.

        The iterable is asked for the next block while the engine works on the last one: two blocks are held at most.

        Args:
            blocks: images, or inputs by name; or an iterable of such blocks, of any number of images.
            progress: called with ("classifying slices", done, total), or what the model does, after every block.
            total: number of images, for ``progress``, where ``blocks`` is an iterable.

        Yields:
            Of classes the fields of ``Scores``; of maps each map (n, row, column) by its name, "layers" and "distance"
            as of ``Scores`` (layers by torch always, by OpenVINO where the card has limits); or the "embedding" (n, d).

        Raises:
            InputError: a block has another shape, leaves its range or holds a value that is not a number.
            WeightsError: the model knows its limits, but its networks give no layers.
        """
        waiting: deque[tuple[int, NDArray[np.bool_] | None, tuple[int, ...]]] = deque()

        def batches() -> Generator[Batch]:
            for batch in self._blocks(blocks):
                image = batch["image"]
                pixels = tuple(range(1, image.ndim))
                shown = np.asarray(image.any(axis=pixels)) if isinstance(self.output, Maps) else None
                waiting.append((len(image), shown, image.shape))
                yield batch if shown is None or shown.all() else {**batch, "image": image[shown]}

        whole = _count(blocks) if total is None else total
        done = 0
        # an engine's generator, closed with this one
        with closing(self._engine.run(batches())) as answers:  # type: ignore[type-var]
            for given in answers:
                count, shown, shape = waiting.popleft()
                done += count
                found = self._outputs(given, shown, shape)
                progress(_STEPS[type(self.output)], done, done if whole is None else whole)
                yield found

    def scores(
        self, images: Blocks, *, progress: Progress = silent, total: int | None = None, keeps_layers: bool = False
    ) -> Scores:
        """All that a classifier says of images, the arguments as for ``run``.

        What the layers give, much for many images, is in it only where it is to be kept.

        Raises:
            InputError: as for ``run``.
            WeightsError: the model gives something else, or as for ``run``.
        """
        if not isinstance(self.output, Classes):
            raise WeightsError(f"{self.name} was asked for classes; it gives {', '.join(self._engine.gives)}")
        parts = list(self.run(images, progress=progress, total=total)) or list(self.run(self._none()))
        return joined(parts, self.output, keeps_layers=keeps_layers)

    def maps(self, images: Blocks) -> dict[str, NDArray[np.float32]]:
        """Maps of all images at once; ``run`` needs less memory.

        Returns:
            By name, (n, row, column) float32, 0 to 1: the mean over members.

        Raises:
            InputError: as for ``run``.
            WeightsError: the model gives something else.
        """
        if not isinstance(self.output, Maps):
            raise WeightsError(f"{self.name} was asked for maps; it gives {', '.join(self._engine.gives)}")
        parts = list(self.run(images))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.output.names}

    def embed(self, images: Blocks, *, progress: Progress = silent, total: int | None = None) -> NDArray[np.float32]:
        """Embeddings (n, d) of images, not normalised; sizes may differ between blocks.

        Raises:
            InputError: as for ``run``.
            WeightsError: the model gives something else.
        """
        if not isinstance(self.output, Embedding):
            raise WeightsError(f"{self.name} was asked for embeddings; it gives {', '.join(self._engine.gives)}")
        parts = [part["embedding"] for part in self.run(images, progress=progress, total=total)]
        return np.concatenate(parts) if parts else np.empty((0, self.output.size), dtype=np.float32)

    def heat_maps(
        self, images: NDArray[Any], *, target: str = ""
    ) -> tuple[NDArray[np.float32] | None, tuple[Notice, ...]]:
        """Where in images a classifier looked, the mean over members.

        Where the head is linear and behind a mean over places, as in most networks, Grad-CAM is the class activation
        map, which the graph gives. Other networks need torch.

        Args:
            images: as for ``run``, few of them.
            target: class whose logit is explained; "" for the positive one.

        Returns:
            (n, row, column) float32, 0 to 1, and nothing; or None, and a notice that says why.

        Raises:
            WeightsError: the model gives something else, or has no such class.

        References:
            Zhou et al.: Learning deep features for discriminative localization. CVPR 2016, doi:10.1109/CVPR.2016.319.
            Selvaraju et al.: Grad-CAM. ICCV 2017, doi:10.1109/ICCV.2017.74 (section 3: it generalises the former).
        """
        if not isinstance(self.output, Classes):
            raise WeightsError(f"{self.name} was asked where it saw a class; it gives {', '.join(self._engine.gives)}")
        column = self.output.names.index(target) if target else self.output.positive_column
        if "activation" not in self._engine.gives:
            return torch_heat_maps(self.card, images, target=column)
        found = [given["activation"][:, :, column] for given in self._engine.run(self._blocks(images))]
        return activation_maps(np.concatenate(found), size=(images.shape[1], images.shape[2])), ()

    def operating_point(
        self, threshold: float | None = None, *, default: OperatingPoint = PAPER_POINT
    ) -> OperatingPoint:
        """The operating point of the card, else a default; a threshold that is given takes precedence."""
        point = self.card.operating_point if self.card and self.card.operating_point else default
        if threshold is None or threshold == point.threshold:
            return point
        return OperatingPoint(threshold, point.gaussian_sigma_slices, point.median_slices, "chosen for this reading")

    def ood(self, distance: NDArray[np.float32] | None) -> RegionOod | None:
        """Whether a region of these images is out of distribution: the median of their distances; None of no image."""
        if self.limits is None or distance is None or not distance.size:
            return None
        known = self.limits.known
        return RegionOod(
            score=float(np.median(distance)),
            threshold=known.region_threshold,
            slice_threshold=known.slice_threshold,
            false_alarm_rate=known.false_alarm_rate,
        )

    def use(self) -> ModelUse:
        """The record of this model for a result.

        Raises:
            WeightsError: it has no card, so nobody knows what it was trained on.
        """
        card, output = self.card, self.output
        if card is None:
            raise WeightsError(f"{self.name} has no model card: results are made with described models only")
        count = len(card.members)
        temperatures: tuple[float, ...] = ()
        point = card.operating_point.source if card.operating_point else ""
        if isinstance(output, Classes):
            temperatures = output.temperatures
        elif isinstance(output, Maps):
            each = {one.temperature for one in output.maps}
            temperatures = tuple(each) * count if len(each) == 1 else ()  # a record has one a member
            point = "; ".join(f"{one.name} from {one.threshold:g}: {one.source}" for one in output.maps)
        return ModelUse(
            name=card.name,
            version=card.version,
            sha256=card.weights.sha256,
            runtime=self.runtime,
            device=self.device,
            is_demo=card.is_demo,
            statement=card.statement,
            members=count,
            temperatures=temperatures,
            calibration="" if isinstance(output, Embedding) else output.calibration,
            operating_point=point,
        )

    def _none(self) -> Batch:
        """A block without an image."""
        image = self.image
        shape = image.shape_of(0, image.rows or image.size_step, image.columns or image.size_step)
        none: dict[str, NDArray[Any]] = {
            name: np.empty((0, len(each.names)), dtype=np.float32)
            for name, each in self.inputs.items()
            if isinstance(each, FieldsInput)
        }
        return {"image": np.empty(shape, dtype=image.dtype), **none}

    def _blocks(self, blocks: Blocks) -> Generator[Batch]:
        """Checked parts of a bounded number of images; views, not copies."""
        step = _MAPS_BLOCK if isinstance(self.output, Maps) else _BLOCK
        for part in [blocks] if isinstance(blocks, np.ndarray | Mapping) else blocks:
            batch = self._checked(part if isinstance(part, Mapping) else {"image": part})
            count = len(batch["image"])
            for start in range(0, max(count, 1), step):
                yield batch if count <= step else {n: each[start : start + step] for n, each in batch.items()}

    def _checked(self, batch: Batch) -> Batch:
        if set(batch) != set(self.inputs):
            raise InputError(
                f"{self.name} takes {', '.join(self.inputs)}; found {', '.join(batch) or 'nothing'}: give each of them"
            )
        found: dict[str, NDArray[Any]] = {"image": _checked_image(batch["image"], self.image, self.name)}
        for name, each in self.inputs.items():
            if isinstance(each, FieldsInput):
                found[name] = _checked_fields(batch[name], each, len(found["image"]), self.name)
        return {name: found[name] for name in self.inputs}

    def _outputs(
        self, given: Arrays, shown: NDArray[np.bool_] | None, shape: tuple[int, ...]
    ) -> dict[str, NDArray[Any]]:
        """What an engine gave as this model promises it."""
        if isinstance(self.output, Classes):
            return combined(given, self.output, self.limits)
        if isinstance(self.output, Embedding):
            return {"embedding": given["embedding"]}
        if shown is not None and not shown.all():  # black images of a size have the same maps: they are found once
            whole = {name: np.empty((shape[0], *rows.shape[1:]), dtype=np.float32) for name, rows in given.items()}
            for name, black in self._of_black(shape[1:]).items():
                whole[name][shown], whole[name][~shown] = given[name], black
            given = whole
        maps = {name: np.ascontiguousarray(given["maps"][:, place]) for place, name in enumerate(self.output.names)}
        return {**maps, **_looks(given, self.limits)}

    def _of_black(self, size: tuple[int, ...]) -> Arrays:
        if size not in self._black:
            (given,) = self._engine.run([{"image": np.zeros((1, *size), dtype=np.uint8)}])
            self._black = {size: {name: rows[0] for name, rows in given.items()}}
        return self._black[size]


def _count(blocks: object) -> int | None:
    """Number of images, where it can be told."""
    if isinstance(blocks, Mapping):
        return len(blocks["image"]) if "image" in blocks else 0
    return len(blocks) if isinstance(blocks, np.ndarray) else None


def _checked_image(images: NDArray[Any], wanted: ImageInput, name: str) -> NDArray[Any]:
    """Images as the model takes them; refuses another shape or kind, and values out of range."""
    function = wanted.preprocessing.function
    size, is_byte = wanted.size_of(images.shape), wanted.values == "byte"
    if size is None or (wanted.rows and size != (wanted.rows, wanted.columns)) or is_byte != (images.dtype == np.uint8):
        more = ", and of a whole series osteon.ops.series_images.with_neighbours" if wanted.neighbours else ""
        raise InputError(
            f"{name} takes {np.dtype(wanted.dtype)} images of shape {wanted.axes}; found {images.dtype} "
            f"{images.shape}: make them with {function}{more}"
        )
    (rows, columns), step = size, wanted.size_step
    if not wanted.rows and (not rows or not columns or rows % step or columns % step):
        raise InputError(
            f"{name} takes images whose rows and columns are multiples of {step}; found {rows} x {columns}: make them "
            f"with {function}"
        )
    if is_byte or not len(images):
        return images
    low, high = float(images.min()), float(images.max())
    if not (wanted.minimum - _RANGE_SLACK <= low and high <= wanted.maximum + _RANGE_SLACK):  # also not a number
        raise InputError(
            f"{name} takes values from {wanted.minimum:g} to {wanted.maximum:g}; found {low:g} to {high:g}: make "
            f"images with {function}"
        )
    return np.asarray(images, dtype=np.float32)


def _checked_fields(values: NDArray[Any], wanted: FieldsInput, count: int, name: str) -> NDArray[np.float32]:
    """Clinical fields as the model takes them; refuses another number of them, and what is not a number."""
    if values.shape != (count, len(wanted.names)):
        raise InputError(
            f"{name} takes the fields {', '.join(wanted.names)} of {count} images; found shape {values.shape}"
        )
    found = np.asarray(values, dtype=np.float32)
    if not np.isfinite(found).all():
        raise InputError(f"{name}: a field is not a number; the fields are {', '.join(wanted.names)}")
    return found


def _attempts(card: ModelCard, kind: str, precision: str, *, may_change: bool) -> list[tuple[str, Precision]]:
    """Engine and precision to try, in order."""
    golden = card.golden
    is_bounded = "bfloat16" in golden.mask_tolerance or golden.tolerance.get("bfloat16", 1.0) <= AUTO_BFLOAT16_TOLERANCE
    found: list[tuple[str, Precision]] = [(kind, "float32")]
    if precision != "auto":
        found = [(kind, "bfloat16" if precision == "bfloat16" else "float32")]
    elif kind == "openvino" and is_bounded:
        found = [(kind, "bfloat16"), (kind, "float32")]
    if kind == "openvino" and may_change:
        found.append(("torch", found[-1][1]))
    return found


def _engine(card: ModelCard, kind: str, device: str, precision: Precision, threads: int | None) -> Engine:
    if kind == "torch":
        return _torch_engine(load_networks(card), card.inputs, card.output, precision, device)
    return _openvino_engine(read_graph(card), card.output, precision, threads)


def _torch_engine(
    networks: Sequence[nn.Module], inputs: Mapping[str, Input], output: Output, precision: Precision, device: str
) -> Engine:
    from osteon.predict.engines.torch import TorchEngine

    (module,) = modules_of(networks, inputs, output, precision=precision)
    return TorchEngine(module, precision=precision, device=device)


def _openvino_engine(
    chains: Mapping[Precision, tuple[GraphPart, ...]], output: Output, precision: Precision, threads: int | None
) -> Engine:
    from osteon.predict.engines.openvino import OpenVinoEngine

    chain = chains.get(precision) or next(iter(chains.values()))
    bound = _MAP_PIXELS if isinstance(output, Maps) else None
    return OpenVinoEngine(chain, precision=precision, threads=threads, pixels_at_once=bound)


def _output_of(networks: Sequence[nn.Module], name: str, wanted: Output | None) -> Output:
    """What is wanted, else the maps of segmenters, else healthy and tumour."""
    outputs: set[tuple[str, ...]] = {getattr(each, "outputs", ()) for each in networks}
    if len(outputs) != 1:
        raise InputError(f"{name} was to be run from {len(networks)} networks with the outputs {sorted(outputs)}")
    (maps,) = outputs
    if isinstance(wanted, Maps) and wanted.names != maps:
        raise InputError(
            f"the maps {', '.join(wanted.names)} were asked of {name}; it gives {', '.join(maps) or 'none'}"
        )
    if wanted is not None:
        return wanted
    if maps:
        return Maps(tuple(MapOutput(each) for each in maps))
    return Classes(("healthy", "tumour"), "tumour", (1.0,) * len(networks))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a classifier says of n images.

    Attributes:
        output: names of the classes, and which is the positive one.
        probability: (n, class) float32: the mean over members, each at its own temperature.
        logits: (n, member, class) float32, as the networks give them.
        spread: (n, class) float32, standard deviation over members; None of one member.
        layers: (n, member, d) float32, what the images look like in the middle of the networks; None where nobody asked
            for it or the networks give none.
        distance: (n,) float32, from the training images, 1 for the median validation image; None where the model does
            not know its limits.
        sets: (n, class) bool, whether the class belongs to the prediction set; None likewise.
    """

    output: Classes
    probability: NDArray[np.float32] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] | None = field(default=None, repr=False)
    layers: NDArray[np.float32] | None = field(default=None, repr=False)
    distance: NDArray[np.float32] | None = field(default=None, repr=False)
    sets: NDArray[np.bool_] | None = field(default=None, repr=False)

    @property
    def positive(self) -> NDArray[np.float32]:
        """(n,) probability of the positive class.

        Raises:
            WeightsError: the model has none.
        """
        return np.ascontiguousarray(self.probability[:, self.output.positive_column])

    @property
    def positive_spread(self) -> NDArray[np.float32] | None:
        """(n,) standard deviation over members of the positive class's probability; None of one member."""
        return None if self.spread is None else np.ascontiguousarray(self.spread[:, self.output.positive_column])

    @property
    def pair_sets(self) -> NDArray[np.bool_] | None:
        """(n, 2) of a model with two classes: whether the other class and the positive one belong to the set."""
        column = self.output.positive_column
        return None if self.sets is None else self.sets[:, [1 - column, column]]


def combined(given: Arrays, output: Classes, limits: Limits | None) -> dict[str, NDArray[Any]]:
    """What the networks gave for the same images as the fields of ``Scores``.

    Raises:
        WeightsError: the model knows its limits, but its networks give no layers.
    """
    each = output.probability(np.moveaxis(given["logits"], 1, 0))
    probability = each.mean(axis=0, dtype=np.float64)
    found: dict[str, NDArray[Any]] = {"probability": probability.astype(np.float32), "logits": given["logits"]}
    if len(each) > 1:
        found["spread"] = each.std(axis=0, dtype=np.float64).astype(np.float32)
    found |= _looks(given, limits)
    if limits is not None and limits.sets is not None:
        found["sets"] = predict_sets(limits.sets, probability)
    return found


def _looks(given: Arrays, limits: Limits | None) -> dict[str, NDArray[Any]]:
    """What the images look like in the layers, where they are given, and how far from training that is."""
    found: dict[str, NDArray[Any]] = {"layers": given["layers"]} if "layers" in given else {}
    if limits is not None:
        if not found:
            raise WeightsError(
                "how out of distribution an image is shows in the layers of a network; this one gives none: build it "
                "with osteon.nets"
            )
        found["distance"] = limits.distance(np.moveaxis(given["layers"], 1, 0))  # type: ignore[arg-type]  # members first
    return found


def joined(parts: Sequence[Mapping[str, NDArray[Any]]], output: Classes, *, keeps_layers: bool) -> Scores:
    """Parts one after the other; there must be one."""
    names = [each.name for each in fields(Scores) if each.name in parts[0] and (keeps_layers or each.name != "layers")]
    return Scores(output, **{name: np.concatenate([part[name] for part in parts]) for name in names})


def set_names(sets: NDArray[np.bool_], *, negative: str, positive: str) -> tuple[str, ...]:
    """Each prediction set of two classes as a word: one class, "either" or "neither".

    Example:
        >>> set_names(np.array([[True, False], [True, True], [False, False]]), negative="healthy", positive="tumour")
        ('healthy', 'either', 'neither')
    """
    words = {(True, False): negative, (False, True): positive, (True, True): "either", (False, False): "neither"}
    return tuple(words[bool(low), bool(high)] for low, high in sets)
