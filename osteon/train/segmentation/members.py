"""The networks of a run as they will be shipped, and what exactly those call on the images of their folds.

Weights are rounded to the stored precision first, so that whatever is measured is measured with what is shipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets import build_network
from osteon.nets.segmenter_description import SEQUENCES
from osteon.train.counts import SegmentCounts
from osteon.train.objectives.segment import Judge, kept_network
from osteon.weights import mask_difference, round_to_half

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data.manifest import FoldRows
    from osteon.data.options import Progress
    from osteon.train.counts import ThresholdSweep
    from osteon.train.pixels import Pixels
    from osteon.train.run_data import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.train.settings import SegmentSettings

__all__ = [
    "SegmentMember",
    "half_mask_difference",
    "load_segment_members",
    "stored_network",
    "tested",
]

_LOOKED_AT = 64
"""Validation images of a member on which the effect of bfloat16 is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMember:
    """One network of a model.

    Attributes:
        fold: whose kept weights it is.
        network: on the CPU, in evaluation mode, weights as stored, of the registry's shape.
        sweeps: of its validation part, one a map.
        rows: of its fold, without what cannot be read.
    """

    fold: FoldResult
    network: nn.Module = field(repr=False)
    sweeps: tuple[ThresholdSweep, ...] = field(repr=False)
    rows: FoldRows = field(repr=False)


def stored_network(settings: SegmentSettings, fold: FoldResult) -> nn.Module:
    """The network of a fold in the shape that a model folder holds: heads that training left out give 0.

    Raises:
        WeightsError: the weights are missing or damaged.
        InputError: a pair that hands the bone on softly, which a model folder cannot say.
    """
    if settings.architecture in SEQUENCES and settings.pair_mask != "hard":
        raise InputError(
            f"{settings.architecture} was trained with pair_mask {settings.pair_mask}; a model folder holds pairs with "
            "pair_mask hard only: train it so"
        )
    kept = kept_network(settings, fold.weights)
    network = build_network(settings.architecture, in_channels=settings.channels)
    missing = network.load_state_dict(kept.state_dict(), strict=False).missing_keys
    with torch.no_grad():
        for name, value in network.named_parameters():
            if name in missing:
                value.zero_()
    return network.eval()


def load_segment_members(
    data: RunData,
    folds: Sequence[FoldResult],
    pixels: Pixels,
    *,
    device: str,
    half: bool,
    progress: Progress,
) -> tuple[SegmentMember, ...]:
    """Load, round and measure the networks of these folds on their validation parts.

    Args:
        data: the run and its images.
        folds: all done.
        pixels: of the manifest, in the size of the run.
        device: as "cpu" or "cuda:0".
        half: whether weights are rounded to float16.
        progress: told about images judged.

    Raises:
        WeightsError: weights are missing, damaged, or do not fit into float16.
    """
    members = []
    for fold in folds:
        network = stored_network(data.run.settings, fold)
        if half:
            round_to_half(network)
        rows = data.split.rows(data.manifest, fold.fold)
        usable = type(rows)(
            train=pixels.usable(rows.train), validation=pixels.usable(rows.validation), test=pixels.usable(rows.test)
        )
        judge = Judge([network], data.run.settings, data.manifest, pixels, device, progress)
        _, sweeps = judge.judged(
            usable.validation, fold=fold.fold, part="validation", threshold=data.run.settings.threshold
        )
        network.cpu()
        members.append(SegmentMember(fold, network, sweeps, usable))
    return tuple(members)


def tested(
    data: RunData,
    members: Sequence[SegmentMember],
    pixels: Pixels,
    thresholds: Mapping[str, float],
    *,
    device: str,
    progress: Progress,
) -> tuple[SegmentCounts, bool]:
    """What the members call on test parts that none of them has seen.

    Where all members have one test part, their mean is judged on it, as it is shipped. Where the test part goes round,
    each network is judged alone on its own.

    Args:
        data: the run and its images.
        members: as shipped.
        pixels: of the manifest.
        thresholds: by map.
        device: as "cpu" or "cuda:0".
        progress: told about images judged.

    Returns:
        The counts, and whether the mean of all members was judged.
    """
    is_shared = all(np.array_equal(member.rows.test, members[0].rows.test) for member in members)
    groups = [(list(members), members[0])] if is_shared else [([member], member) for member in members]
    tables = []
    for team, first in groups:
        networks = [member.network for member in team]
        judge = Judge(networks, data.run.settings, data.manifest, pixels, device, progress)
        counts, _ = judge.judged(first.rows.test, fold=first.fold.fold, part="test", threshold=thresholds)
        tables.append(counts)
        for member in team:
            member.network.cpu()
    return SegmentCounts.joined(tables), is_shared


def half_mask_difference(
    members: Sequence[SegmentMember], pixels: Pixels, thresholds: Sequence[float], *, channels: int
) -> float:
    """Largest 1 - Dice between the masks of float32 and those of bfloat16, over members and maps.

    Measured on validation images of each member, evenly spread, on the CPU by torch's autocast.
    """
    worst = 0.0
    for member in members:
        rows = member.rows.validation
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(_LOOKED_AT, len(rows))).astype(np.int64))]
        blocks: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for start in range(0, len(chosen), 8):
            images = torch.from_numpy(pixels.crops(chosen[start : start + 8]))[:, None]
            with torch.inference_mode():
                shown = images.expand(-1, channels, -1, -1)
                exact = member.network(shown).sigmoid()
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    rough = member.network(shown)
                blocks.append((rough.float().sigmoid().numpy(), exact.numpy()))
        rough_maps, exact_maps = (np.concatenate(maps) for maps in zip(*blocks, strict=True))
        worst = max(worst, mask_difference(rough_maps, exact_maps, thresholds=tuple(thresholds)))
    return worst
