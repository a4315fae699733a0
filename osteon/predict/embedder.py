"""Crops in, embeddings out: the pooled feature of a pretrained network, to compare images with.

On a CPU OpenVINO runs the network where it is installed, else torch; a GPU is torch's. A compiled network has one
size of image: the first crops of a size wait for its conversion, and a few sizes are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from osteon._optional import has_package
from osteon.data.options import silent
from osteon.errors import BackendError, InputError, UnknownLabelError, nearest_names
from osteon.predict.runtime_openvino import OpenVinoRuntime, convert_network
from osteon.predict.runtime_torch import TorchRuntime, require_cuda

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.options import Progress

__all__ = ["Embedder"]

_RUNTIMES = ("auto", "openvino", "torch")
_BLOCK = 64
_LEAST_SIZE = 32
_MOST_SIZES = 4  # compiled networks kept at a time
_RANGE_SLACK = 1e-3  # a crop may leave 0..1 by rounding, not more


class Embedder:
    """A network without its head.

    Attributes:
        name: of the weights.
        sha256: of the weights file; "" for a network in memory.
        dimensions: length of an embedding.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        sha256: str = "",
        channels: int = 1,
        device: str = "cpu",
        runtime: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Take a network in memory: it is put into evaluation mode, and its head is not used.

        Args:
            network: as ``osteon.nets.build_network`` makes it, trained or not.
            name: to call it by.
            sha256: of its weights, for the record.
            channels: of its input; grey crops are repeated.
            device: "cpu", or "cuda:N".
            runtime: "auto" (OpenVINO on a CPU where it is installed, else torch), "openvino" or "torch".
            threads: CPU cores for OpenVINO; all that this process may use by default.

        Raises:
            UnknownLabelError: no such engine.
            BackendError: the device or engine is not at hand.
            InputError: the network has no pooled feature.
        """
        from osteon.nets.anatomy import feature_dimensions, split_head

        if runtime not in _RUNTIMES:
            raise UnknownLabelError(f"no runtime {runtime!r}: {nearest_names(runtime, _RUNTIMES)}")
        if runtime == "openvino" and device != "cpu":
            raise BackendError(f"openvino on {device} was asked for; osteon runs it on the CPU: use runtime torch")
        if device != "cpu":
            device = require_cuda(int(device.partition(":")[2] or 0))
        compiles = device == "cpu" and (runtime == "openvino" or (runtime == "auto" and has_package("openvino")))
        self._body, _ = split_head(network.eval())
        self._channels = channels
        self._threads = threads
        self._torch = None if compiles else TorchRuntime(self._body, channels=channels, device=device)
        self._compiled: dict[tuple[int, int], OpenVinoRuntime] = {}
        self.name = name
        self.sha256 = sha256
        self.dimensions = feature_dimensions(network)
        self.runtime = "openvino float32" if compiles else "torch float32"
        self.device = device

    @classmethod
    def load(
        cls,
        name: str = "mobilenet_v2.imagenet",
        *,
        device: str = "cpu",
        runtime: str = "auto",
        threads: int | None = None,
    ) -> Self:
        """The embedder of a shipped backbone, proven by its golden features.

        Args:
            name: one of ``osteon.weights.backbone.backbone_names()``, or its architecture.
            device: "cpu" or "cuda:N".
            runtime: as for the class.
            threads: as for the class.

        Raises:
            UnknownLabelError: no such backbone or engine.
            WeightsError: its files were changed, or the golden features are not reproduced.
            BackendError: the device or engine is not at hand.
        """
        from osteon.weights.backbone import pretrained_network, read_backbone, verify_backbone

        card = read_backbone(name)
        verify_backbone(card)
        network = pretrained_network(card.architecture, classes=1)
        return cls(network, name=card.name, sha256=card.weights.sha256, device=device, runtime=runtime, threads=threads)

    def embed(
        self,
        crops: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        progress: Progress = silent,
        total: int | None = None,
    ) -> NDArray[np.float32]:
        """Embeddings of crops, in their order.

        Args:
            crops: (n, row, column) in 0..1, at least 32 pixels a side; or an iterable of such blocks, of any sizes,
                of which one is held at a time.
            progress: called with ("embedding images", done, total) after every 64 crops.
            total: number of crops, for ``progress``, where ``crops`` is an iterable.

        Returns:
            (n, dimensions) float32, not normalised; (0, dimensions) for no crops.

        Raises:
            InputError: a block has another shape, leaves 0..1 or holds a value that is no number.
        """
        whole = len(crops) if isinstance(crops, np.ndarray) else total
        vectors: list[NDArray[np.float32]] = []
        done = 0
        for block in _blocks(crops):
            checked = self._checked(block)
            vectors.append(self._engine(checked.shape[1], checked.shape[2]).logits(checked))
            done += len(block)
            progress("embedding images", done, done if whole is None else whole)
        return np.concatenate(vectors) if vectors else np.empty((0, self.dimensions), dtype=np.float32)

    def _engine(self, rows: int, columns: int) -> TorchRuntime | OpenVinoRuntime:
        if self._torch is not None:
            return self._torch
        if (rows, columns) not in self._compiled:
            while len(self._compiled) >= _MOST_SIZES:
                del self._compiled[next(iter(self._compiled))]
            model = convert_network(self._body, channels=self._channels, rows=rows, columns=columns)
            self._compiled[rows, columns] = OpenVinoRuntime(model, precision="float32", threads=self._threads)
        return self._compiled[rows, columns]

    def _checked(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if block.ndim != 3 or min(block.shape[1:]) < _LEAST_SIZE:
            raise InputError(
                f"{self.name} embeds crops of shape (n, row, column), at least {_LEAST_SIZE} pixels a side; found "
                f"{block.shape}: resize them"
            )
        low, high = float(block.min()), float(block.max())
        if not (low >= -_RANGE_SLACK and high <= 1.0 + _RANGE_SLACK):  # also when a value is not a number
            raise InputError(f"{self.name} embeds values from 0 to 1; found {low:g} to {high:g}: scale the crops first")
        return np.asarray(block, dtype=np.float32)


def _blocks(crops: NDArray[np.float32] | Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Parts of at most ``_BLOCK`` crops, without empty ones; views, not copies."""
    for part in [crops] if isinstance(crops, np.ndarray) else crops:
        for start in range(0, len(part), _BLOCK):
            yield part[start : start + _BLOCK]
