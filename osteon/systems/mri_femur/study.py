"""The protocol of the paper on femoral tumours in MRI: which trainings its table takes, as settings.

The text says ten-fold cross-validation, the table 300 training and 200 test images: both are run, by patient. Beside
the paper's two networks stands one that begins with ImageNet weights.

References:
    Spec mri-femur, sections 1, 3 and 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.study.plan import PlannedRun
from osteon.study.run import Division
from osteon.train.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FEMUR_DIVISION",
    "FEMUR_NETWORKS",
    "HOLDOUT_SUFFIX",
    "PAPER_NETWORKS",
    "TITLE",
    "FemurStudy",
    "plan_femur",
]

TITLE: Final = "MRI of the femur: benign or malignant"
PAPER_NETWORKS: Final = ("alexnet_femur", "googlenet")
FEMUR_NETWORKS: Final = (*PAPER_NETWORKS, "mobilenet_v2")
"""The paper's, and the reference with ImageNet weights."""

HOLDOUT_SUFFIX: Final = "-holdout"
FEMUR_DIVISION: Final = Division(folds=10, test_share=0.4, goes_round=True)
"""Ten folds, and 200 of 500 to judge by."""

_PARTS: Final[tuple[Literal["folds", "holdout"], ...]] = ("folds", "holdout")
_OWN: Final = ("task", "architecture")


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurStudy:
    """What of the study to run, and how.

    Attributes:
        only: "folds" or "holdout"; empty for both.
        networks: names in ``osteon.nets``.
        values: training settings by name, for every network.
        reference_values: settings of the networks that are not the paper's, above those.
    """

    only: tuple[str, ...] = ()
    networks: tuple[str, ...] = FEMUR_NETWORKS
    values: Mapping[str, Any] = field(default_factory=dict)
    reference_values: Mapping[str, Any] = field(default_factory=dict)


def plan_femur(options: FemurStudy) -> tuple[PlannedRun, ...]:
    """The trainings, those in folds first.

    Raises:
        UnknownLabelError: no such part, network or setting.
        InputError: a setting out of range, or one that is each run's own.
    """
    for name in options.only:
        if name not in _PARTS:
            raise UnknownLabelError(f"no part {name!r} of the study: {nearest_names(name, _PARTS)}")
    for values in (options.values, options.reference_values):
        for name in _OWN:
            if name in values:
                raise InputError(f"{name} is each run's own: choose networks with --network")
    runs = []
    for scheme in _PARTS:
        for network in dict.fromkeys(options.networks) if scheme in (options.only or _PARTS) else ():
            values = {**options.values, "task": "mri_femur", "architecture": network}
            if network not in PAPER_NETWORKS:
                values |= options.reference_values
            name = network if scheme == "folds" else f"{network}{HOLDOUT_SUFFIX}"
            runs.append(PlannedRun(name, scheme, TrainSettings.of(values), scheme))
    return tuple(runs)
