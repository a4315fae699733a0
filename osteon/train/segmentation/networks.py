"""The networks of a training: which maps each of them gives, and what is kept of a fold in the end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS, SEQUENCES
from osteon.nets.segmenter_pair import SegmenterPair
from osteon.train.checkpoints import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.train.segmentation.settings import SegmentSettings

__all__ = ["SegmentNetwork", "fresh_network", "joined_pair", "kept_network", "one_network"]

SegmentNetwork = Segmenter | SegmenterPair
"""What a fold keeps."""

_INIT_STREAM = 3
"""Keeps the initial weights apart from other uses of the seed."""


def one_network(name: str, outputs: tuple[str, ...], *, channels: int) -> Segmenter:
    """A network of ``SEGMENTERS`` that gives these maps, without side heads: no loss here reaches them.

    Args:
        name: in ``SEGMENTERS``.
        outputs: names of its maps.
        channels: of the input.
    """
    return Segmenter(replace(SEGMENTERS[name], outputs=outputs, has_side_heads=False), in_channels=channels)


def fresh_network(name: str, outputs: tuple[str, ...], settings: SegmentSettings, *, fold: int) -> Segmenter:
    """A network as its training begins; its random weights follow from seed and fold.

    Torch's global generator is left where the draw of the weights left it.
    """
    state = np.random.SeedSequence([settings.seed, _INIT_STREAM, fold]).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]))
    return one_network(name, outputs, channels=settings.channels)


def joined_pair(settings: SegmentSettings, bone: Segmenter, lesion: Segmenter) -> SegmenterPair:
    """Two networks as the settings hand the bone on."""
    return SegmenterPair(bone, lesion, mask=settings.pair_mask)


def kept_network(settings: SegmentSettings, weights: Path) -> SegmentNetwork:
    """The network of a fold with its kept weights, on the CPU, in evaluation mode.

    Raises:
        WeightsError: the weights are missing, damaged, or of another network.
    """
    network: SegmentNetwork
    with torch.random.fork_rng(devices=[]):  # the random weights give way to the kept ones
        if settings.architecture in SEQUENCES:
            first, second = SEQUENCES[settings.architecture]
            bone = one_network(first, ("bone",), channels=settings.channels)
            network = joined_pair(settings, bone, one_network(second, ("lesion",), channels=settings.channels))
        else:
            network = one_network(settings.architecture, settings.outputs, channels=settings.channels)
    load_weights(network, weights)
    return network.eval()
