"""Classifying tiles of a slide: 8-bit RGB in, calibrated probabilities and the distance from the training tiles out.

The engine is chosen as for slices (``osteon.predict.runtime_choice``); whatever runs a model first reproduces the
golden case of its card.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from osteon.data import TILE_CLASSES, ModelUse
from osteon.errors import BackendError, InputError, WeightsError
from osteon.predict.model_use import model_use
from osteon.predict.runtime import AUTO_BFLOAT16_TOLERANCE
from osteon.predict.runtime_choice import PRECISIONS, choose_device, choose_runtime, require_known
from osteon.predict.runtime_openvino import convert_module, converted_model, source_digest
from osteon.predict.tile_runtime import OpenVinoTiles, TorchTiles
from osteon.weights import (
    OutputContract,
    check_golden_tiles,
    load_networks,
    read_trust,
    require_tiles,
    verify_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from numpy.typing import NDArray
    from openvino import Model
    from torch import nn

    from osteon.predict.tile_module import TileModule
    from osteon.predict.tile_runtime import Numbers, TileRuntime
    from osteon.weights import ModelCard, TileContract, Trust

__all__ = ["TileClassifier", "TileScores"]

_LOG = logging.getLogger(__name__)
_BLOCK = 64  # tiles of a whole array given to the engine at a time: 10 MB
_DECIDING_MODULES = ("osteon.predict.tile_module", "osteon.nets.tile_classifier", "osteon.nets.mobilenet_v2")


@dataclass(frozen=True, slots=True, eq=False)
class TileScores:
    """What a model says of n tiles.

    Attributes:
        probability: (n, 3) float32 in the order of ``TILE_CLASSES``, calibrated: the mean over members, each at its
            own temperature.
        features: of each member, (n, d) float32, pooled: what its head sees.
        distance: (n,) float32, from the training tiles, 1 for the middle validation tile; None where the model does
            not know its limits.
    """

    probability: NDArray[np.float32] = field(repr=False)
    features: tuple[NDArray[np.float32], ...] = field(repr=False)
    distance: NDArray[np.float32] | None = field(default=None, repr=False)


class TileClassifier:
    """A network that gives each tile a probability of every class; or several, whose mean it is.

    Attributes:
        name: of the model, or what the networks are called.
        size: rows and columns of a tile.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
        card: of the model; None when the weights are not described.
        trust: what the model knows of its limits; None when its card says nothing of it.
    """

    def __init__(
        self,
        engine: TileRuntime,
        *,
        name: str,
        output: OutputContract,
        members: int = 1,
        size: tuple[int, int] = (224, 224),
        card: ModelCard | None = None,
        trust: Trust | None = None,
    ) -> None:
        """Join an engine, which runs all members, with its contract; see ``load`` and ``from_networks``."""
        self._engine = engine
        self._output = output
        self._members = members
        self.name = name
        self.size = size
        self.runtime = engine.description
        self.device = engine.device
        self.card = card
        self.trust = trust

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
        """The classifier of a card, proven by its golden case on the engine that will run it.

        Args:
            card: of a model whose classes are ``TILE_CLASSES``.
            device: "auto" (a GPU when torch sees one), "cpu", "cuda" or "cuda:N".
            runtime: "auto" (OpenVINO on a CPU where it is installed, else torch), "openvino" or "torch".
            precision: "auto" (float32, unless the card bounds the effect of bfloat16 by
                ``AUTO_BFLOAT16_TOLERANCE`` and the CPU computes in it), "float32" or "bfloat16".
            threads: CPU cores for OpenVINO; all that this process may use by default.

        Raises:
            WeightsError: the card is none of tiles, files are missing or changed, or the golden case is not
                reproduced.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine, precision or architecture.
        """
        _require_classes(card)
        require_known("precision", precision, PRECISIONS)
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        verify_files(card)
        joined = partial(
            cls,
            name=card.name,
            output=card.output,
            members=len(card.members),
            size=(card.input.rows, card.input.columns),
            card=card,
            trust=read_trust(card),
        )
        *earlier, last = _attempts(card, kind, precision, may_change=runtime == "auto")
        for engine, attempt in earlier:
            try:
                return _proven(joined, card, kind=engine, device=place, precision=attempt, threads=threads)
            except BackendError as error:
                _LOG.info("%s does not run by %s in %s here: %s", card.name, engine, attempt, error)
            except WeightsError as error:
                if attempt == last[1]:  # another engine would only hide what is wrong with this one
                    raise
                _LOG.info("%s is not run in %s: %s", card.name, attempt, error)
        return _proven(joined, card, kind=last[0], device=place, precision=last[1], threads=threads)

    @classmethod
    def from_networks(
        cls,
        networks: nn.Module | Sequence[nn.Module],
        *,
        name: str,
        size: int = 224,
        trust: Trust | None = None,
        device: str = "cpu",
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Self:
        """A classifier from networks in memory, for training, tests and the bench; no golden case proves it.

        Args:
            networks: as ``osteon.nets.build_network`` makes them, for the classes ``TILE_CLASSES``.
            name: to call it by.
            size: rows and columns of a tile.
            trust: of the model.
            device: as for ``load``.
            runtime: as for ``load``.
            precision: "float32" or "bfloat16".
            threads: as for ``load``.

        Raises:
            InputError: no network, or one that is no tile classifier.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine or precision.
        """
        from torch import nn

        from osteon.predict.tile_module import TileModule

        require_known("precision", precision, PRECISIONS[1:])
        members = [networks] if isinstance(networks, nn.Module) else list(networks)
        place = choose_device(device)
        module = TileModule(members)
        engine: TileRuntime
        if choose_runtime(runtime, place) == "torch":
            engine = TorchTiles(module, precision=precision, device=place)
        else:
            engine = OpenVinoTiles(_converted(module, size, size), precision=precision, threads=threads)
        output = OutputContract(TILE_CLASSES, TILE_CLASSES[1])
        return cls(engine, name=name, output=output, members=len(members), size=(size, size), trust=trust)

    def probabilities(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities (n, 3) of tiles (n, row, column, 3) uint8, in the order of ``TILE_CLASSES``.

        Raises:
            InputError: tiles of another shape or kind.
        """
        return self.read(tiles).probability

    def read(self, tiles: NDArray[np.uint8]) -> TileScores:
        """All that the model says of tiles (n, row, column, 3) uint8; empty arrays for no tile.

        Raises:
            InputError: as ``probabilities``.
        """
        self._check(tiles)
        blocks = [tiles[start : start + _BLOCK] for start in range(0, max(len(tiles), 1), _BLOCK)]
        parts = list(self.run(blocks))
        distances = [part.distance for part in parts if part.distance is not None]
        return TileScores(
            probability=np.concatenate([part.probability for part in parts]),
            features=tuple(np.concatenate(rows) for rows in zip(*(part.features for part in parts), strict=True)),
            distance=np.concatenate(distances) if distances else None,
        )

    def run(self, blocks: Iterable[NDArray[np.uint8]]) -> Generator[TileScores]:
        """What the model says, block by block, while the next blocks are made.

        The iterable is asked for the next block while the engine works on the last one: give it blocks that other
        threads read. Two blocks are held at most.

        Args:
            blocks: each (n, row, column, 3) uint8, of any n.

        Yields:
            For each block what ``read`` gives.

        Raises:
            InputError: as ``probabilities``.
        """
        checked = (self._check(tiles) for tiles in blocks)
        for numbers in self._engine.run(checked):
            yield self._scores(numbers)

    @property
    def contract(self) -> TileContract:
        """Size of a tile on the slide, and what is done to its colours.

        Raises:
            WeightsError: the classifier has no card.
        """
        if self.card is None:
            raise WeightsError(f"{self.name} has no model card: how large its tiles are is not known")
        return require_tiles(self.card)

    def use(self) -> ModelUse:
        """The record of this model for a result.

        Raises:
            WeightsError: the classifier has no card, so nobody knows what it was trained on.
        """
        return model_use(
            self.card,
            self.name,
            runtime=self.runtime,
            device=self.device,
            members=self._members,
            temperatures=self._output.temperatures or (self._output.temperature,) * self._members,
        )

    def _check(self, tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if tiles.dtype != np.uint8 or tiles.ndim != 4 or tiles.shape[1:] != (*self.size, 3):
            raise InputError(
                f"{self.name} takes uint8 tiles of shape (n, {self.size[0]}, {self.size[1]}, 3); found {tiles.dtype} "
                f"{tiles.shape}: make them with osteon.ops.tile_plan"
            )
        return tiles

    def _scores(self, numbers: Numbers) -> TileScores:
        logits, pooled = numbers
        rows = np.split(logits, self._members, axis=1)
        each = [self._output.probabilities(own, member=member) for member, own in enumerate(rows)]
        features = tuple(np.split(pooled, self._members, axis=1))
        distance = None if self.trust is None else self.trust.novelty.slice_distance(features)
        probability = np.asarray(np.mean(each, axis=0, dtype=np.float64), dtype=np.float32)
        return TileScores(probability, features, distance)


_Classifier = TypeVar("_Classifier", bound=TileClassifier)


def _require_classes(card: ModelCard) -> None:
    """Refuse the card of another kind of model.

    Raises:
        WeightsError: so it is.
    """
    require_tiles(card)
    if card.output.classes != TILE_CLASSES:
        raise WeightsError(
            f"{card.name} was asked for the classes {', '.join(TILE_CLASSES)}; it gives "
            f"{', '.join(card.output.classes)}: choose a model of the task histology (osteon models list)"
        )


def _attempts(card: ModelCard, kind: str, precision: str, *, may_change: bool) -> list[tuple[str, str]]:
    """Engine and precision to try, in order."""
    if precision != "auto":
        found = [(kind, precision)]
    elif kind == "openvino" and card.tolerance.get("bfloat16", 1.0) <= AUTO_BFLOAT16_TOLERANCE:
        found = [(kind, "bfloat16"), (kind, "float32")]
    else:
        found = [(kind, "float32")]
    if kind == "openvino" and may_change:
        found.append(("torch", found[-1][1]))
    return found


def _proven(
    joined: Callable[[TileRuntime], _Classifier],
    card: ModelCard,
    *,
    kind: str,
    device: str,
    precision: str,
    threads: int | None,
) -> _Classifier:
    """A classifier by one engine in one precision that reproduced the golden tiles of its card."""
    if kind == "torch":
        classifier = joined(TorchTiles(_module(card), precision=precision, device=device))
        check_golden_tiles(card, classifier.probabilities, precision=precision)
        return classifier
    model, was_cached = _cached(card, renew=False)
    classifier = joined(OpenVinoTiles(model, precision=precision, threads=threads))
    try:
        check_golden_tiles(card, classifier.probabilities, precision=precision)
    except WeightsError:
        if not was_cached:
            raise
        model, _ = _cached(card, renew=True)
        classifier = joined(OpenVinoTiles(model, precision=precision, threads=threads))
        check_golden_tiles(card, classifier.probabilities, precision=precision)
    return classifier


def _module(card: ModelCard) -> TileModule:
    from osteon.predict.tile_module import TileModule

    return TileModule(load_networks(card), minimum=card.input.minimum, maximum=card.input.maximum)


def _cached(card: ModelCard, *, renew: bool) -> tuple[Model, bool]:
    weights = "+".join(member.sha256 for member in card.members)
    form = f"tiles {source_digest(*_DECIDING_MODULES)}, {card.architecture}"
    return converted_model(
        weights, lambda: _converted(_module(card), card.input.rows, card.input.columns), renew=renew, form=form
    )


def _converted(module: TileModule, rows: int, columns: int) -> Model:
    import torch

    return convert_module(module, torch.zeros(1, rows, columns, 3, dtype=torch.uint8))
