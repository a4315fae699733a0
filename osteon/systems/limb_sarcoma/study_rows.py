"""Which trainings the study of limb sarcomas has, and how they are planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.study.plan import PlannedRun
from osteon.study.protocol import check_parts, check_settings, shared_out
from osteon.study.transfer import crossed_runs
from osteon.systems.limb_sarcoma.recipe import SEGMENTER, SLICES

if TYPE_CHECKING:
    from osteon.data import Manifest
    from osteon.study.protocol import Choices

__all__ = ["NETWORKS", "OUTLINES", "PAIRS", "SLICES_PART", "NetworkRow", "plan_limbs", "slices_run"]

OUTLINES: Final = "outlines"
SLICES_PART: Final = "slices"
_FULL: Final = "full"
"""With ``OUTLINES``, which stands for the small networks, the words that choose a part with ``only``."""


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network of the study: name in ``SEGMENTERS``, which is the name of its run too, and what tables call it."""

    run: str
    title: str
    is_full: bool = False

    @property
    def draws_bone(self) -> bool:
        """Whether its second map is bone."""
        return "bone" in SEGMENTERS[self.run].outputs

    def lacks(self, manifest: Manifest) -> str:
        """Why it cannot be trained on a data set; "" where it can."""
        if not self.draws_bone or all(row.bone_mask for row in manifest.rows):
            return ""
        is_mr = any(row.extra.get("modality") == "mr" for row in manifest.rows)
        return "MR has no bone mask" if is_mr else "no bone mask: make the data set again"


NETWORKS: Final = (
    NetworkRow("unet_small", "U-Net, small"),
    NetworkRow("attunetpp_small", "AttUNet++, small"),
    NetworkRow("hybrid_attunetpp_small", "Hybrid-AttUNet++, small"),
    NetworkRow("efficientnet_lite0_unet16", "U-Net on EfficientNet-Lite0"),
    NetworkRow("segresnet_small", "SegResNet (MONAI), small"),
    NetworkRow("attunet_small", "Attention U-Net, small"),
    NetworkRow("unetpp_small", "UNet++, small"),
    NetworkRow("unet", "U-Net", is_full=True),
    NetworkRow("attunetpp", "AttUNet++", is_full=True),
    NetworkRow("hybrid_attunetpp", "Hybrid-AttUNet++", is_full=True),
    NetworkRow("segresnet", "SegResNet (MONAI)", is_full=True),
    NetworkRow("attunet", "Attention U-Net", is_full=True),
    NetworkRow("unetpp", "UNet++", is_full=True),
)
"""Most wanted first: a study that is stopped early has answered most. Full width is trained where it is asked for."""

PAIRS: Final = (("attunetpp_small", "hybrid_attunetpp_small"), ("attunetpp", "hybrid_attunetpp"))
"""The same network with one decoder and with two."""


def slices_run(configuration: str, strategy: str) -> str:
    """Name of a run of the slice study."""
    return f"{SLICES_PART}-{configuration}-{strategy}"


def plan_limbs(choices: Choices, manifest: Manifest) -> tuple[PlannedRun, ...]:
    """The trainings: the small networks that the data set allows, unless something else is chosen.

    Raises:
        UnknownLabelError: no such part, network, strategy or setting.
        InputError: a setting that cannot be, one that is each run's own, or a network that the data set does not allow.
    """
    crossed = {slices_run(*names): names for names in crossed_runs(choices)}
    check_parts(choices.only, [OUTLINES, _FULL, SLICES_PART, *(row.run for row in NETWORKS), *crossed])
    for values in (choices.values, choices.classifier_values):
        own = ("task", "architecture", "strategy", "configuration")
        check_settings(values, own, instead="choose networks with --only, of slices with --arch and --strategy")
    of_slices = SLICES.kind.names()
    outlines, slices = shared_out(choices.values, SEGMENTER.kind.names(), of_slices)
    shared_out(choices.classifier_values, of_slices)
    wanted = set(choices.only or (OUTLINES,))
    # HU mean the same on every scanner: CT alone is not shown with other grey values
    grey = {"intensity": 0.0} if {row.extra.get("modality") for row in manifest.rows} == {"ct"} else {}
    planned = []
    for row in NETWORKS:
        if not wanted & {row.run, _FULL if row.is_full else OUTLINES}:
            continue
        if why := row.lacks(manifest):
            if row.run in wanted:
                raise InputError(f"{row.run}: {why}")
            continue
        settings = SEGMENTER.settings({**grey, **outlines, "architecture": row.run})
        planned.append(PlannedRun(row.run, OUTLINES, settings))
    fine_tuned = {"architecture": choices.architecture, "pretrained": choices.pretrained}
    for name, (configuration, strategy) in crossed.items():
        if wanted & {name, SLICES_PART}:
            own_values = {"strategy": strategy, "configuration": configuration}
            values = {**fine_tuned, **slices, **choices.classifier_values, **own_values}
            planned.append(PlannedRun(name, SLICES_PART, SLICES.settings(values)))
    return tuple(planned)
