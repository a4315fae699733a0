"""What runs networks: OpenVINO on a CPU, torch on a GPU and where OpenVINO cannot. Importing it imports neither."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from osteon._optional import has_package
from osteon.errors import BackendError, UnknownLabelError, nearest_names

__all__ = ["PRECISIONS", "Arrays", "Batch", "Engine", "choose_device", "choose_runtime", "require_known"]

Batch: TypeAlias = Mapping[str, NDArray[Any]]
"""Inputs by name, as the card describes them; the first axis counts the images."""

Arrays: TypeAlias = dict[str, NDArray[np.float32]]
"""What the networks give for a batch, by name: see ``osteon.nets.deployed``."""

PRECISIONS = ("auto", "float32", "bfloat16")
"""What a network may be asked to compute in."""

_RUNTIMES = ("auto", "openvino", "torch")


class Engine(Protocol):
    """Runs all members of one model.

    Attributes:
        description: engine and precision, as "openvino float32".
        device: as "cpu" or "cuda:0".
        gives: names of the outputs.
    """

    description: str
    device: str
    gives: tuple[str, ...]

    def run(self, batches: Iterable[Batch]) -> Iterator[Arrays]:
        """What the networks give for each batch, in order; a batch may have no image.

        An engine may ask for the next batch while it works on the last one, and holds two at most.
        """


def choose_device(device: str) -> str:
    """A device as "cpu" or "cuda:N"; of "auto" a GPU when torch sees one, of "cuda" the first.

    Raises:
        UnknownLabelError: no such device.
        BackendError: torch sees no such GPU.
    """
    from osteon.predict.engines.torch import require_cuda

    if device == "auto":
        try:
            return require_cuda(0) if _may_have_gpu() else "cpu"
        except BackendError:
            return "cpu"
    if device == "cpu":
        return "cpu"
    match = re.fullmatch(r"cuda(?::(\d+))?", device)
    if match is None:
        raise UnknownLabelError(f"no device {device!r}: {nearest_names(device, ['auto', 'cpu', 'cuda', 'cuda:N'])}")
    return require_cuda(int(match[1] or 0))


def _may_have_gpu() -> bool:
    """Whether asking torch is worth the seconds of importing it: on Linux an NVIDIA driver leaves a device file."""
    return sys.platform != "linux" or any(Path(name).exists() for name in ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def choose_runtime(runtime: str, device: str) -> Literal["openvino", "torch"]:
    """The engine for a device of ``choose_device``; of "auto" OpenVINO on a CPU where it is installed, else torch.

    Raises:
        UnknownLabelError: no such engine.
        BackendError: OpenVINO was asked for on a GPU.
    """
    require_known("runtime", runtime, _RUNTIMES)
    if device != "cpu":
        if runtime == "openvino":
            raise BackendError(f"openvino on {device} was asked for; osteon runs it on the CPU: use runtime torch")
        return "torch"
    if runtime == "auto":
        return "openvino" if has_package("openvino") else "torch"
    return "openvino" if runtime == "openvino" else "torch"


def require_known(what: str, name: str, known: tuple[str, ...]) -> None:
    """Refuse a name that is none of those known.

    Raises:
        UnknownLabelError: so it is; the message names the closest.
    """
    if name not in known:
        raise UnknownLabelError(f"no {what} {name!r}: {nearest_names(name, known)}")
