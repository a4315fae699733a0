"""The protocol of the metastasis thesis: which trainings its tables take, as settings.

Segmenters are trained on the images with a lesion in the study's folds, classifiers on all images in one division of
80 to 20 by patient.

References:
    Spec bone-metastasis, sections 2.2 to 2.5, 3 and 8.1.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.study.plan import Planned, PlannedRun, PlannedSegmenter
from osteon.study.segment_jobs import LESION_LABEL
from osteon.systems.ct_metastasis.study_rows import (
    CLASSIFIERS,
    LITERAL,
    NESTED,
    SEGMENTERS,
    ClassifierRow,
    SegmenterRow,
)
from osteon.train.segmentation.settings import SegmentSettings
from osteon.train.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.data import Manifest

__all__ = ["CLASSIFICATION", "SEGMENTATION", "TITLE", "MetastasisOptions", "plan_metastasis"]

TITLE = "Bone metastases on CT: segmentation of lesions and classification of slices"
SEGMENTATION = "segmentation"
CLASSIFICATION = "classification"
"""The words that choose chapters 4 and 5 with ``only``."""

_CLASSIFIER_TASK = "ct_metastasis_slices"
_MEMBERS = 5
_OWN = ("task", "architecture")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetastasisOptions:
    """What of the study to run, and how.

    Attributes:
        only: names of runs, "segmentation" or "classification"; empty for everything that the data allow.
        values: settings by name, for every training that knows them; "members" is the number of networks of the
            nested ensemble.
        classifier_values: settings of the classifiers that differ.
        pretrained: what the classifiers begin with, as of ``TrainSettings``; "none" trains them from scratch.
    """

    only: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    classifier_values: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str = "hub"


def plan_metastasis(options: MetastasisOptions, manifest: Manifest) -> tuple[Planned, ...]:
    """The trainings, segmenters first.

    Args:
        options: what is wanted.
        manifest: of the data set: without masks there is nothing to segment, without normal slices nothing to tell
            apart.

    Raises:
        UnknownLabelError: no such part or setting.
        InputError: a setting out of range, or the data allow nothing of what is wanted.
    """
    rows: dict[str, SegmenterRow | ClassifierRow] = {row.run: row for row in (*SEGMENTERS, *CLASSIFIERS)}
    known = [SEGMENTATION, CLASSIFICATION, *rows]
    for name in options.only:
        if name not in known:
            raise UnknownLabelError(f"no part {name!r} of the study: {nearest_names(name, known)}")
    possible = _possible(manifest)
    wanted = set(options.only) or possible
    lacking = wanted & {SEGMENTATION, CLASSIFICATION} - possible
    if lacking or not wanted:
        raise InputError(
            f"{' and '.join(sorted(lacking or {SEGMENTATION, CLASSIFICATION}))}: segmenters need images labelled "
            f"{LESION_LABEL!r} with lesion masks, classifiers also images with another label; this data set has none"
        )
    chosen = {
        name
        for name, row in rows.items()
        if name in wanted or (SEGMENTATION if isinstance(row, SegmenterRow) else CLASSIFICATION) in wanted
    }
    if LITERAL in chosen:
        chosen.add(rows[LITERAL].architecture)  # of whose networks it is made
    _check_names(options)
    segmenters = [_segmenter(row, options) for row in SEGMENTERS if row.run in chosen]
    return (*segmenters, *(_classifier(row, options) for row in CLASSIFIERS if row.run in chosen))


def _possible(manifest: Manifest) -> set[str]:
    """Chapters that a data set allows."""
    lesions = [row for row in manifest.rows if row.label == LESION_LABEL]
    found = {SEGMENTATION} if any(row.lesion_mask for row in lesions) else set()
    return found | ({CLASSIFICATION} if lesions and len(manifest.labels) > 1 else set())


def _check_names(options: MetastasisOptions) -> None:
    """Refuse a setting that no training knows, and those that are each run's own."""
    segment, train = ({entry.name for entry in dataclasses.fields(kind)} for kind in (SegmentSettings, TrainSettings))
    for values, known in ((options.values, segment | train | {"members"}), (options.classifier_values, train)):
        for name in values:
            if name in _OWN:
                raise InputError(f"{name} is each run's own: choose runs with --only")
            if name not in known:
                raise UnknownLabelError(f"no setting {name!r}: {nearest_names(name, known)}")


def _segmenter(row: SegmenterRow, options: MetastasisOptions) -> PlannedSegmenter:
    known = {entry.name for entry in dataclasses.fields(SegmentSettings)}
    values = {name: value for name, value in options.values.items() if name in known}
    settings = SegmentSettings.of({**values, "architecture": row.architecture})
    pairs = [other.run for other in SEGMENTERS if other.kind == "pair"]
    phase = pairs.index(row.run) if row.kind == "pair" else len(pairs) if row.run == LITERAL else 0
    return PlannedSegmenter(
        name=row.run,
        table=row.tables[0],
        settings=settings,
        kind=row.kind,
        phase=phase,
        source=row.architecture if row.run == LITERAL else "",
        members=_members(options) if row.run == NESTED else 1,
    )


def _members(options: MetastasisOptions) -> int:
    value = options.values.get("members", _MEMBERS)
    try:
        members = int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"members is {value!r}; a whole number is needed") from error
    if members < 3:
        raise InputError(f"members is {members}; each is judged, chosen and taught on parts of its own: at least 3")
    return members


def _classifier(row: ClassifierRow, options: MetastasisOptions) -> PlannedRun:
    known = {entry.name for entry in dataclasses.fields(TrainSettings)}
    values = {name: value for name, value in options.values.items() if name in known}
    values |= dict(options.classifier_values)
    start = {"strategy": "scratch"} if options.pretrained == "none" else {"pretrained": options.pretrained}
    own = {"task": _CLASSIFIER_TASK, "architecture": row.architecture}
    return PlannedRun(row.run, row.tables[0], TrainSettings.of({**start, **values, **own}), "holdout")
