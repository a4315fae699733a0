"""What runs networks: OpenVINO on a CPU, torch on a GPU and where OpenVINO cannot. Importing it imports neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "Batch", "Engine"]

Batch: TypeAlias = Mapping[str, NDArray[Any]]
"""Inputs by name, as the card describes them; the first axis counts the images."""

Arrays: TypeAlias = dict[str, NDArray[np.float32]]
"""What the networks give for a batch, by name: see ``osteon.nets.deployed``."""


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
