"""Running a slice classifier: crops in, probabilities out, on the best engine at hand.

On a CPU that is OpenVINO, chosen by measurement (bench.ct_pipeline: DenseNet121, 600 crops 256x256, against torch
eager, ONNX Runtime and OpenVINO); on a GPU, and where OpenVINO is not installed, torch. Whatever runs the model first
reproduces the golden case of its card.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from osteon.data.options import silent
from osteon.errors import BackendError, InputError, WeightsError
from osteon.nets import build_network
from osteon.predict.ensemble import combine, join
from osteon.predict.model_use import model_use
from osteon.predict.runtime_choice import PRECISIONS, choose_device, choose_runtime, require_known
from osteon.predict.runtime_openvino import OpenVinoRuntime, convert_network, converted_model
from osteon.predict.runtime_torch import TorchRuntime
from osteon.weights import (
    InputContract,
    ModelCard,
    OutputContract,
    check_golden,
    load_network,
    read_trust,
    require_classifier,
    verify_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from openvino import Model
    from torch import nn

    from osteon.data import ModelUse
    from osteon.data.options import Progress
    from osteon.predict.ensemble import CropScores
    from osteon.weights import Trust

__all__ = ["AUTO_BFLOAT16_TOLERANCE", "Runtime", "SliceClassifier"]

AUTO_BFLOAT16_TOLERANCE = 0.005
"""Precision "auto" takes bfloat16 only for models whose card bounds its effect on a probability by this."""

_LOG = logging.getLogger(__name__)
_BLOCK = 64  # crops looked at at a time: 16 MB of 256x256 float32
_RANGE_SLACK = 1e-3  # a crop may leave its range by rounding, not more


class Runtime(Protocol):
    """An engine that runs one network.

    Attributes:
        description: engine and precision, as "openvino float32".
        device: as "cpu" or "cuda:0".
    """

    description: str
    device: str

    def logits(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, class) of crops (n, row, column); n is at least 1."""

    def scores(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits, and pooled features (n, d) from the same pass where the network gives them."""


class SliceClassifier:
    """A network that gives each crop a probability; or several, whose mean it is.

    Attributes:
        name: of the model, or of the architecture when the weights are random.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
        card: of the model; None when the weights are random or not described.
        trust: what the model knows of its limits; None when its card says nothing of it.
    """

    def __init__(
        self,
        engine: Runtime | Sequence[Runtime],
        *,
        name: str,
        output: OutputContract,
        expects: InputContract,
        card: ModelCard | None = None,
        trust: Trust | None = None,
    ) -> None:
        """Join engines, one a member, with their contracts; see ``load``, ``from_network`` and ``from_module``."""
        self._engines = tuple(engine) if isinstance(engine, Sequence) else (engine,)
        self._output = output
        self._expects = expects
        self.name = name
        self.runtime = self._engines[0].description
        self.device = self._engines[0].device
        self.card = card
        self.trust = trust

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of a crop."""
        return self._expects.rows, self._expects.columns

    @property
    def positive_column(self) -> int:
        """Which logit is that of the positive class."""
        return self._output.classes.index(self._output.positive)

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
            card: of the model.
            device: "auto" (a GPU when torch sees one), "cpu", "cuda" or "cuda:N".
            runtime: "auto" (OpenVINO on a CPU where it is installed, else torch), "openvino" or "torch".
            precision: "auto" (float32, unless the card bounds the effect of bfloat16 by
                ``AUTO_BFLOAT16_TOLERANCE`` and the CPU computes in it), "float32" or "bfloat16".
            threads: CPU cores for OpenVINO; all that this process may use by default.

        Raises:
            WeightsError: files are missing or changed, or the golden case is not reproduced.
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such device, engine, precision or architecture.
        """
        require_classifier(card)
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        trust = read_trust(card)
        joined = partial(cls, name=card.name, output=card.output, expects=card.input, card=card, trust=trust)
        *reduced, last = _precisions(card, precision, kind)
        for attempt in reduced:
            try:
                return joined(_engines(card, kind, place, attempt, threads))
            except (BackendError, WeightsError) as error:
                _LOG.info("%s does not run in %s here: %s", card.name, attempt, error)
        try:
            return joined(_engines(card, kind, place, last, threads))
        except BackendError as error:
            if runtime != "auto" or kind == "torch":
                raise
            _LOG.warning("OpenVINO cannot run %s, torch does: %s", card.name, error)
            return joined(_engines(card, "torch", place, last, threads))

    @classmethod
    def from_network(
        cls,
        name: str,
        *,
        seed: int = 0,
        size: int = 256,
        device: str = "auto",
        runtime: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Self:
        """A classifier with random weights, for measuring speed; its probabilities mean nothing.

        Args:
            name: in ``osteon.nets``.
            seed: of the weights.
            size: rows and columns of a crop.
            device: as for ``load``.
            runtime: as for ``load``.
            precision: "float32" or "bfloat16".
            threads: as for ``load``.

        Raises:
            UnknownLabelError: no such network, device, engine or precision.
            BackendError: the device, engine or precision is not at hand.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(name)
        place = choose_device(device)
        kind = choose_runtime(runtime, place)
        return cls.from_module(
            network, name=name, size=size, device=place, runtime=kind, precision=precision, threads=threads
        )

    @classmethod
    def from_module(
        cls,
        network: nn.Module,
        *,
        name: str,
        size: int = 256,
        device: str = "cpu",
        runtime: str = "openvino",
        precision: str = "float32",
        threads: int | None = None,
    ) -> Self:
        """A classifier from a network in memory: one grey channel in, (healthy, tumour) logits out.

        The network is put into evaluation mode and used as it is; no golden case proves it.

        Args:
            network: takes (n, 1, size, size), gives (n, 2).
            name: to call it by.
            size: rows and columns of a crop.
            device: "cpu" or "cuda:N".
            runtime: "openvino" or "torch".
            precision: "float32" or "bfloat16".
            threads: as for ``load``.

        Raises:
            BackendError: the device, engine or precision is not at hand.
            UnknownLabelError: no such precision.
        """
        require_known("precision", precision, PRECISIONS[1:])
        network.eval()
        engine: Runtime
        if runtime == "openvino":
            model = convert_network(network, channels=1, rows=size, columns=size)
            engine = OpenVinoRuntime(model, precision=precision, threads=threads)
        else:
            engine = TorchRuntime(network, channels=1, precision=precision, device=device)
        expects = InputContract(size, size, 1, 0.0, 1.0, "any", "", {})
        return cls(engine, name=name, output=OutputContract(("healthy", "tumour"), "tumour"), expects=expects)

    def predict(
        self,
        crops: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        progress: Progress = silent,
        total: int | None = None,
    ) -> NDArray[np.float32]:
        """Probability of the positive class for every crop; the mean over members.

        Args:
            crops: (n, row, column) in the range of the input contract; or an iterable of such blocks, of which one
                is held at a time.
            progress: called with ("classifying slices", done, total) after every block.
            total: number of crops, for ``progress``, where ``crops`` is an iterable.

        Returns:
            (n,) float32; empty for no crops.

        Raises:
            InputError: a block has another shape, leaves its range or holds a value that is no number.
        """
        return self.read(crops, progress=progress, total=total).probability

    def read(
        self,
        crops: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        progress: Progress = silent,
        total: int | None = None,
    ) -> CropScores:
        """All that the members say of every crop; each block of crops goes through all of them.

        Args:
            crops: as for ``predict``.
            progress: as for ``predict``.
            total: as for ``predict``.

        Raises:
            InputError: as for ``predict``.
            WeightsError: the model knows its limits, but its engine gives no features.
        """
        parts = [
            combine(members, output=self._output, trust=self.trust)
            for members in self._asked(crops, self._engines, progress, total)
        ]
        return join(parts, members=len(self._engines), has_distance=self.trust is not None)

    def logits(
        self,
        crops: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        progress: Progress = silent,
        total: int | None = None,
        member: int = 0,
    ) -> NDArray[np.float32]:
        """Logits (n, class) as one network gives them, without temperature; arguments and errors as ``predict``."""
        asked = self._asked(crops, self._engines[member : member + 1], progress, total)
        answers = [logits for ((logits, _),) in asked]
        return np.concatenate(answers) if answers else np.empty((0, len(self._output.classes)), dtype=np.float32)

    def use(self) -> ModelUse:
        """The record of this model for a result.

        Raises:
            WeightsError: the classifier has no card, so nobody knows what it was trained on.
        """
        count, output = len(self._engines), self._output
        point = self.card.operating_point if self.card else None
        return model_use(
            self.card,
            self.name,
            runtime=self.runtime,
            device=self.device,
            members=count,
            temperatures=output.temperatures or (output.temperature,) * count,
            operating_point=point.source if point else "",
        )

    def _asked(
        self,
        crops: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        engines: Sequence[Runtime],
        progress: Progress,
        total: int | None,
    ) -> Iterator[list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]]:
        """What engines say, block by block; a block is asked of all of them before the next one is made."""
        whole = len(crops) if isinstance(crops, np.ndarray) else total
        done = 0
        for block in _blocks(crops):
            checked = self._checked(block)
            yield [engine.scores(checked) for engine in engines]
            done += len(block)
            progress("classifying slices", done, done if whole is None else whole)

    def _checked(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        wanted = (self._expects.rows, self._expects.columns)
        if block.ndim != 3 or block.shape[1:] != wanted:
            raise InputError(f"{self.name} takes crops of shape (n, {wanted[0]}, {wanted[1]}); found {block.shape}")
        low, high = float(block.min()), float(block.max())
        least, most = self._expects.minimum - _RANGE_SLACK, self._expects.maximum + _RANGE_SLACK
        if not (least <= low and high <= most):  # also when a value is not a number
            raise InputError(
                f"{self.name} takes values from {self._expects.minimum:g} to {self._expects.maximum:g}; found {low:g} "
                f"to {high:g}: make crops with {self._expects.function or 'values in that range'}"
            )
        return np.asarray(block, dtype=np.float32)


def _blocks(crops: NDArray[np.float32] | Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Parts of at most ``_BLOCK`` crops, without empty ones; views, not copies."""
    for part in [crops] if isinstance(crops, np.ndarray) else crops:
        for start in range(0, len(part), _BLOCK):
            yield part[start : start + _BLOCK]


def _precisions(card: ModelCard, precision: str, kind: str) -> tuple[str, ...]:
    """Precisions to try, in order."""
    require_known("precision", precision, PRECISIONS)
    if precision != "auto":
        return (precision,)
    bounded = card.tolerance.get("bfloat16", 1.0) <= AUTO_BFLOAT16_TOLERANCE
    return ("bfloat16", "float32") if bounded and kind == "openvino" else ("float32",)


def _engines(card: ModelCard, kind: str, device: str, precision: str, threads: int | None) -> tuple[Runtime, ...]:
    """An engine for every member, each of which reproduced its golden case."""
    return tuple(_engine(card, member, kind, device, precision, threads) for member in range(len(card.members)))


def _engine(card: ModelCard, member: int, kind: str, device: str, precision: str, threads: int | None) -> Runtime:
    engine: Runtime
    if kind == "torch":
        network = load_network(card, member=member)
        engine = TorchRuntime(network, channels=card.input.channels, precision=precision, device=device)
        _prove(card, member, engine, precision)
        return engine
    verify_files(card)
    sha256 = card.members[member].sha256
    model, was_cached = converted_model(sha256, lambda: _converted(card, member))
    engine = OpenVinoRuntime(model, precision=precision, threads=threads)
    try:
        _prove(card, member, engine, precision)
    except WeightsError:
        if not was_cached:
            raise
        model, _ = converted_model(sha256, lambda: _converted(card, member), renew=True)
        engine = OpenVinoRuntime(model, precision=precision, threads=threads)
        _prove(card, member, engine, precision)
    return engine


def _converted(card: ModelCard, member: int) -> Model:
    expects = card.input
    network = load_network(card, member=member)
    return convert_network(network, channels=expects.channels, rows=expects.rows, columns=expects.columns)


def _prove(card: ModelCard, member: int, engine: Runtime, precision: str) -> None:
    def predict(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        return card.output.probability(engine.logits(crops), member=member)

    check_golden(card, predict, precision=precision, member=member)
