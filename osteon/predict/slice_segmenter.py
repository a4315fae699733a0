"""Running a slice segmenter: windowed images in, a map of probabilities for each name out, in bounded memory.

The engine is chosen as for classifiers (``osteon.predict.runtime_choice``); bfloat16 is used only where the card
bounds what it does to the masks. Whatever runs a model first reproduces the golden maps of its card.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np

from osteon.data.options import silent
from osteon.errors import BackendError, InputError, WeightsError
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.predict.model_use import model_use
from osteon.predict.runtime_choice import PRECISIONS, choose_device, choose_runtime, require_known
from osteon.predict.runtime_maps import OpenVinoMaps, OpenVinoPartMaps, TorchMaps
from osteon.predict.runtime_openvino import convert_module, converted_model, source_digest
from osteon.weights import MapContract, check_golden_maps, load_network, require_segmenter, verify_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from openvino import Model
    from torch import nn

    from osteon.data import ModelUse
    from osteon.data.options import Progress
    from osteon.predict.runtime_maps import MapRuntime
    from osteon.weights import ModelCard

__all__ = ["SliceSegmenter"]

_LOG = logging.getLogger(__name__)
_BLOCK = 32  # images given to the engines at a time: 12 MiB of maps at 224 x 224
_EXAMPLE = 64  # rows and columns that a network is converted with; any other size is a reshape
# their source decides what is kept in the cache beside the weights: no old entry outlives a change of them
_DECIDING_MODULES = ("osteon.predict.deployed_segmenter", "osteon.predict.slice_segmenter", "osteon.nets.segmenter")
_WHOLE, _PARTS = "whole", ("first", "middle", "last")


class SliceSegmenter:
    """A network that gives each slice a map of probabilities for each name; or several, whose mean they are.

    Attributes:
        name: of the model, or what the networks are called.
        maps: names of the maps.
        contracts: thresholds and temperatures of the maps, in the same order.
        size_step: rows and columns of an image are multiples of this.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
        card: of the model; None when the weights are not described.
    """

    def __init__(
        self,
        engines: Sequence[MapRuntime],
        *,
        name: str,
        contracts: Sequence[MapContract],
        size_step: int,
        card: ModelCard | None = None,
    ) -> None:
        """Join engines, one a member; see ``load`` and ``from_networks``."""
        self._engines = tuple(engines)
        self._black: dict[tuple[int, int], NDArray[np.float32]] = {}
        self.name = name
        self.contracts = tuple(contracts)
        self.maps = tuple(each.name for each in contracts)
        self.size_step = size_step
        self.runtime = self._engines[0].description
        self.device = self._engines[0].device
        self.card = card

    @property
    def thresholds(self) -> dict[str, float]:
        """Threshold by map: a pixel belongs to the mask from this probability on."""
        return {each.name: each.threshold for each in self.contracts}

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
        """The segmenter of a card, proven by its golden maps on the engine that will run it.

        Args:
            card: of a segmentation model.
            device: "auto" (a GPU when torch sees one), "cpu", "cuda" or "cuda:N".
            runtime: "auto" (OpenVINO on a CPU where it is installed, else torch), "openvino" or "torch".
            precision: "auto" (bfloat16 by OpenVINO where the card bounds its effect on the masks and the CPU computes
                in it, else float32), "float32" or "bfloat16".
            threads: CPU cores for OpenVINO; all that this process may use by default.

        Raises:
            WeightsError: the card is a classifier's, a member is missing, changed or of another architecture, or the
                golden maps are not reproduced.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine, precision or architecture.
        """
        contract = require_segmenter(card)
        require_known("precision", precision, PRECISIONS)
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        verify_files(card)

        joined = partial(cls, name=card.name, contracts=contract.maps, size_step=contract.size_step, card=card)
        *earlier, last = _attempts(card, kind, precision, may_change=runtime == "auto")
        for engine, attempt in earlier:
            try:
                return joined(_proven_engines(card, engine, place, attempt, threads))
            except BackendError as error:
                _LOG.info("%s does not run by %s in %s here: %s", card.name, engine, attempt, error)
            except WeightsError as error:
                if attempt == last[1]:  # another engine would only hide what is wrong with this one
                    raise
                _LOG.info("%s is not run in %s: %s", card.name, attempt, error)
        return joined(_proven_engines(card, last[0], place, last[1], threads))

    @classmethod
    def from_networks(
        cls,
        networks: nn.Module | Sequence[nn.Module],
        *,
        name: str,
        contracts: Sequence[MapContract] = (),
        size_step: int = 16,
        device: str = "cpu",
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Self:
        """A segmenter from networks in memory, for training and tests; no golden maps prove it.

        Args:
            networks: a ``Segmenter`` or ``SegmenterPair`` of osteon.nets, or several of the same outputs; they are
                copied.
            name: to call them by.
            contracts: thresholds and temperatures in the order of the outputs; 0.5 and 1 by default.
            size_step: of the networks.
            device: as for ``load``.
            runtime: as for ``load``.
            precision: "float32" or "bfloat16".
            threads: as for ``load``.

        Raises:
            InputError: no network, networks of different outputs, or contracts for others.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine or precision.
        """
        from torch import nn

        members = [networks] if isinstance(networks, nn.Module) else list(networks)
        outputs = {getattr(each, "outputs", ()) for each in members}
        if len(outputs) != 1:
            raise InputError(f"{name} was to be run from {len(members)} networks with the outputs {sorted(outputs)}")
        chosen = tuple(contracts) or tuple(MapContract(each) for each in outputs.pop())
        if outputs and outputs != {tuple(each.name for each in chosen)}:
            raise InputError(f"contracts for {[each.name for each in chosen]}; the networks give {sorted(outputs)}")
        require_known("precision", precision, PRECISIONS[1:])
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        temperatures = [each.temperature for each in chosen]
        engines = [_engine_of(each, temperatures, kind, place, precision, threads) for each in members]
        return cls(engines, name=name, contracts=chosen, size_step=size_step)

    def probabilities(
        self, images: NDArray[np.uint8], *, progress: Progress = silent
    ) -> Mapping[str, NDArray[np.float32]]:
        """Maps of all images at once; ``blocks`` needs less memory.

        Args:
            images: (n, row, column) uint8, of ``osteon.ops.series_images``.
            progress: called with ("segmenting slices", done, total).

        Returns:
            By name, (n, row, column) float32, 0 to 1: the mean over members.

        Raises:
            InputError: images of another kind, or rows or columns that are no multiples of ``size_step``.
        """
        self._check(images)
        answer = {name: np.empty(images.shape, dtype=np.float32) for name in self.maps}
        for start in range(0, len(images), _BLOCK):
            block = images[start : start + _BLOCK]
            for index, found in enumerate(self._means(block).swapaxes(0, 1)):
                answer[self.maps[index]][start : start + len(block)] = found
            progress("segmenting slices", start + len(block), len(images))
        return answer

    def blocks(
        self, images: Iterable[NDArray[np.uint8]], *, progress: Progress = silent, total: int | None = None
    ) -> Iterator[Mapping[str, NDArray[np.float32]]]:
        """Maps slab by slab; one slab is held at a time.

        Args:
            images: slabs, each (n, row, column) uint8.
            progress: called with ("segmenting slices", done, total) after every slab.
            total: number of images, for ``progress``.

        Yields:
            For each slab its maps as ``probabilities`` gives them; empty ones for an empty slab.

        Raises:
            InputError: as ``probabilities``.
        """
        done = 0
        for slab in images:
            yield self.probabilities(slab)
            done += len(slab)
            progress("segmenting slices", done, done if total is None else total)

    def use(self) -> ModelUse:
        """The record of this model for a result.

        Raises:
            WeightsError: the segmenter has no card, so nobody knows what it was trained on.
        """
        temperatures = {each.temperature for each in self.contracts}
        return model_use(
            self.card,
            self.name,
            runtime=self.runtime,
            device=self.device,
            members=len(self._engines),
            # a record has one a member: where maps differ, the card tells
            temperatures=tuple(temperatures) * len(self._engines) if len(temperatures) == 1 else (),
            operating_point="; ".join(f"{each.name} from {each.threshold:g}: {each.source}" for each in self.contracts),
        )

    def _check(self, images: NDArray[np.uint8]) -> None:
        if images.dtype != np.uint8 or images.ndim != 3:
            raise InputError(
                f"{self.name} takes uint8 images of shape (n, row, column); found {images.dtype} {images.shape}: make "
                "them with osteon.ops.series_images"
            )
        rows, columns = images.shape[1:]
        if not rows or not columns or rows % self.size_step or columns % self.size_step:
            raise InputError(
                f"{self.name} takes images whose rows and columns are multiples of {self.size_step}; found "
                f"{rows} x {columns}: make them with osteon.ops.series_images"
            )

    def _means(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Mean over members, (n, map, row, column). Black images of a size have the same maps: they are found once."""
        shown = images.any(axis=(1, 2))
        answer = np.empty((len(images), len(self.maps), *images.shape[1:]), dtype=np.float32)
        if shown.any():
            answer[shown] = self._asked(images if shown.all() else images[shown])
        if not shown.all():
            size = (images.shape[1], images.shape[2])
            if size not in self._black:
                self._black = {size: self._asked(np.zeros((1, *size), dtype=np.uint8))[0]}
            answer[~shown] = self._black[size]
        return answer

    def _asked(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        first, *others = self._engines
        total = first.maps(images)
        for engine in others:
            total += engine.maps(images)
        if others:
            total /= len(self._engines)
        return total


def _attempts(card: ModelCard, kind: str, precision: str, *, may_change: bool) -> list[tuple[str, str]]:
    """Engine and precision to try, in order."""
    if precision != "auto":
        found = [(kind, precision)]
    elif kind == "openvino" and "bfloat16" in card.mask_tolerance:
        found = [(kind, "bfloat16"), (kind, "float32")]
    else:
        found = [(kind, "float32")]
    if kind == "openvino" and may_change:
        found.append(("torch", found[-1][1]))
    return found


def _proven_engines(
    card: ModelCard, kind: str, device: str, precision: str, threads: int | None
) -> tuple[MapRuntime, ...]:
    """An engine for every member, each of which reproduced its golden maps."""
    return tuple(_proven(card, member, kind, device, precision, threads) for member in range(len(card.members)))


def _proven(card: ModelCard, member: int, kind: str, device: str, precision: str, threads: int | None) -> MapRuntime:
    if kind == "torch":
        temperatures = [each.temperature for each in require_segmenter(card).maps]
        engine = _engine_of(load_network(card, member=member), temperatures, kind, device, precision, threads)
        check_golden_maps(card, engine.maps, precision=precision, member=member)
        return engine
    engine, was_cached = _compiled(card, member, precision, threads)
    try:
        check_golden_maps(card, engine.maps, precision=precision, member=member)
    except WeightsError:
        if not was_cached:
            raise
        engine, _ = _compiled(card, member, precision, threads, renew=True)
        check_golden_maps(card, engine.maps, precision=precision, member=member)
    return engine


def _compiled(
    card: ModelCard, member: int, precision: str, threads: int | None, *, renew: bool = False
) -> tuple[MapRuntime, bool]:
    """OpenVINO's engine for one member, and whether anything of it came from the cache."""
    temperatures = [each.temperature for each in require_segmenter(card).maps]
    form = f"segmenter {source_digest(*_DECIDING_MODULES)}, {precision}, temperatures {temperatures}"
    parts = []
    for name in _part_names(precision, is_single=card.architecture in SEGMENTERS):
        build = partial(_converted, card, member, temperatures, precision, name)
        parts.append(converted_model(card.members[member].sha256, build, renew=renew, form=f"{form}, {name}"))
    engine = _engine_of_parts([model for model, _ in parts], precision, threads)
    return engine, any(was_cached for _, was_cached in parts)


def _converted(card: ModelCard, member: int, temperatures: list[float], precision: str, name: str) -> Model:
    return _convert(load_network(card, member=member), temperatures, precision, name)


def _part_names(precision: str, *, is_single: bool) -> tuple[str, ...]:
    """What is compiled on its own; a pair stays whole."""
    return _PARTS if precision == "bfloat16" and is_single else (_WHOLE,)


def _engine_of_parts(parts: list[Model], precision: str, threads: int | None) -> MapRuntime:
    if len(parts) == 1:
        return OpenVinoMaps(parts[0], precision=precision, threads=threads)
    return OpenVinoPartMaps(parts, threads=threads)


def _engine_of(
    network: nn.Module, temperatures: list[float], kind: str, device: str, precision: str, threads: int | None
) -> MapRuntime:
    from osteon.nets.segmenter import Segmenter
    from osteon.predict.deployed_segmenter import DeployedSegmenter

    if kind != "openvino":
        deployed = DeployedSegmenter(network, temperatures=temperatures, precision=precision)
        return TorchMaps(deployed, precision=precision, device=device)
    names = _part_names(precision, is_single=isinstance(network, Segmenter))
    return _engine_of_parts([_convert(network, temperatures, precision, name) for name in names], precision, threads)


def _convert(network: nn.Module, temperatures: list[float], precision: str, name: str) -> Model:
    """A network, or the part of it that the name says, with the inputs that the parts before it give."""
    import torch

    from osteon.predict.deployed_segmenter import DeployedSegmenter, FirstBlock, LastNodes, MiddleNodes

    image = torch.zeros(1, 1, _EXAMPLE, _EXAMPLE, dtype=torch.uint8)
    deployed = DeployedSegmenter(network, temperatures=temperatures, precision=precision)
    if name == _WHOLE:
        return convert_module(deployed, image)
    first, middle, image = FirstBlock(deployed), MiddleNodes(deployed), image.movedim(1, 3)
    if name == "first":
        return convert_module(first, image)
    with torch.inference_mode():
        beginning = first(image)
        given = middle(beginning)
    if name == "middle":
        return convert_module(middle, beginning)
    return convert_module(LastNodes(deployed), *(given if middle.network.inner else (beginning, *given)))
