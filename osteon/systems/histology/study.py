"""The protocol of the histology paper: networks, augmentations and divisions, as rows; and what they come to.

STUDY/cache/features-*.npz    features of a row's tiles and copies
STUDY/runs/ROW/patient-0.json what a fold came to; tile-K.json, literal-0.json

References:
    specs/histology.md
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import numpy as np

from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError
from osteon.metrics.multiclass import class_counts, cluster_intervals
from osteon.study.page import data_notes
from osteon.study.plan import Planned, RunState, Step, fold_of
from osteon.study.protocol import Results, StudyProtocol, StudySection, check_parts
from osteon.systems.histology import study_folds
from osteon.systems.histology.recipe import RECIPE
from osteon.systems.histology.study_tables import (
    LEAKS,
    SELECTED,
    TUMOUR,
    Evaluated,
    histology_pictures,
    histology_tables,
)
from osteon.train.run_folder import make_folder, read_document, write_document
from osteon.train.settings import HeadSettings, TileAugmentation
from osteon.train.tile_features import load_tiles, seen_tiles, tile_labels, tile_table
from osteon.weights.backbone import embedded_architectures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.data.options import Progress
    from osteon.metrics.bootstrap import Resampling
    from osteon.study.plan import Study, StudyFolder
    from osteon.study.protocol import Choices

__all__ = ["STUDY", "TileRow", "plan_histology"]

Protocol = Literal["patient", "tile", "literal"]

_PROTOCOLS: Final[tuple[Protocol, ...]] = ("patient", "tile", "literal")
"""By patient, and by tile, with rate and epochs chosen within what is learnt from; and as published: 90 to 10 by tile,
the best validation accuracy of all runs. In the last two patients leak."""

_NETWORKS: Final = ("mobilenet_v2_tiles", "resnetv2_50_tiles", "xception_tiles", "inception_resnet_v2_tiles")
"""The paper's four, in its order."""

_MORE: Final = tuple(f"{name}_tiles" for name in embedded_architectures() if f"{name}_tiles" not in _NETWORKS)
"""None of the paper's, by name only."""

_AUGMENTED: Final = ("mobilenet_v2_tiles", "resnetv2_50_tiles")
"""The two that it trained with augmentation."""

_AUGMENTATIONS: Final = (
    TileAugmentation(rotation_degrees=30),
    TileAugmentation(flip=True),
    *(TileAugmentation(zoom=zoom) for zoom in (0.5, 1.0, 1.5)),
    *(TileAugmentation(rotation_degrees=30, flip=True, zoom=zoom) for zoom in (0.0, 0.5, 1.0, 1.5)),
)
"""The grid: rotation, flip and zoom alone, and together."""

_SHIPPED: Final = "mobilenet_v2_tiles"
_FEW_PATIENTS: Final = 10
"""Below this many patients an interval over patients says little."""

_MEASURES: Final = (
    ("accuracy",),
    ("balanced_accuracy",),
    *((measure, *TUMOUR) for measure in ("precision", "recall", "specificity")),
    *((measure, name) for name in TILE_CLASSES for measure in ("precision", "recall", "f1")),
)


# ---------------------------------------------------------------------------------------------------------------- plan


@dataclass(frozen=True, slots=True)
class TileFold:
    """What a fold of a row came to.

    Attributes:
        protocol: by which it was divided.
        document: of its file; empty where it is not done.
    """

    protocol: Protocol
    document: Mapping[str, Any] = field(repr=False)

    @property
    def state(self) -> str:
        """Either "done" or "absent"."""
        return "done" if self.document else "absent"


@dataclass(frozen=True, slots=True)
class TileRow(Planned):
    """One row of the study: a network with a way to augment, evaluated by one or more protocols.

    Attributes:
        protocols: by which it is evaluated.
    """

    trains: ClassVar[str] = "tiles"

    settings: HeadSettings
    protocols: tuple[Protocol, ...] = _PROTOCOLS

    @property
    def division(self) -> object:
        """As of ``Planned``."""
        return self.settings.outer_folds, self.settings.seed

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """As of ``Planned``."""
        return super(TileRow, cls).of({**document, "protocols": tuple(document["protocols"])})

    @classmethod
    def read_settings(cls, document: Mapping[str, Any]) -> HeadSettings:
        """As of ``Planned``."""
        return HeadSettings.of(document)

    def with_threads(self, threads: int) -> Self:  # noqa: ARG002  # heads are small
        """The same: there is no such setting."""
        return self

    def joined(self, later: Planned) -> Planned:
        """As of ``Planned``, with the protocols of both."""
        if not isinstance(later, TileRow) or self.settings != later.settings:
            raise InputError(f"{self.name} is there with other settings: name another folder")
        return replace(self, protocols=tuple(dict.fromkeys((*self.protocols, *later.protocols))))

    def steps(self, place: StudyFolder) -> list[Step]:
        """As of ``Planned``: the features, then the folds."""
        names = self._folds(place)
        waiting = [Step(name, phase=1) for name in names if not (place.runs / self.name / f"{name}.json").exists()]
        return [Step("features"), *waiting] if waiting else []

    def state(self, place: StudyFolder) -> RunState:
        """As of ``Planned``."""
        folds = []
        for name, protocol in self._folds(place).items():
            file = place.runs / self.name / f"{name}.json"
            folds.append(TileFold(protocol, read_document(file) if file.exists() else {}))
        return RunState(self, tuple(folds))

    def train(self, step: str, place: StudyFolder, progress: Progress) -> None:
        """As of ``Planned``."""
        table = tile_table(place.manifest, self.settings, cache=place.cache, progress=progress)
        if step == "features":
            return
        file = place.runs / self.name / f"{step}.json"
        make_folder(file.parent)
        if step.startswith("literal"):
            found = study_folds.evaluate_literally(table, self.settings)
            document: dict[str, Any] = {
                "test": found.test.tolist(),
                "accuracy": np.round(found.accuracy, 6).tolist(),
                "best": list(found.best),
                "predicted": found.predicted.tolist(),
            }
        else:
            unit: Literal["patient", "tile"] = "tile" if step.startswith("tile") else "patient"
            test = _test_parts(place.manifest, self.settings, unit)[fold_of(step)]
            outcome = study_folds.evaluate_fold(table, test, self.settings, unit=unit, progress=progress)
            document = {
                "test": outcome.test.tolist(),
                "logits": np.round(outcome.logits.astype(float), 5).tolist(),
                "rate": outcome.rate,
                "epochs": outcome.epochs,
                "inner_accuracy": np.round(outcome.accuracy, 6).tolist(),
                "note": outcome.note,
            }
        write_document(file, document)

    def _folds(self, place: StudyFolder) -> dict[str, Protocol]:
        """Protocol by name of each fold."""
        counts = {
            protocol: 1 if protocol == "literal" else len(_test_parts(place.manifest, self.settings, protocol))
            for protocol in self.protocols
        }
        return {f"{protocol}-{fold}": protocol for protocol, count in counts.items() for fold in range(count)}


def _test_parts(manifest: Manifest, settings: HeadSettings, unit: str) -> tuple[NDArray[np.int64], ...]:
    """Rows of the test part of each fold."""
    groups = manifest.column("patient") if unit == "patient" else np.arange(len(manifest)).astype(str)
    return study_folds.outer_folds(tile_labels(manifest), groups, most=settings.outer_folds, seed=settings.seed)


def plan_histology(choices: Choices, manifest: Manifest | None = None) -> tuple[TileRow, ...]:
    """The rows of the study.

    Args:
        choices: parts are protocols, "networks" (no augmentation) and "augmentation"; networks come with or without
            "_tiles", those whose weights are at hand where none is named: MobileNetV2, and with ``pretrained`` "hub" or
            "none" all four; values as of the recipe. EfficientNet-Lite, none of the paper's, comes by name only.
        manifest: of the data set, whose labels have to be the classes; None where there is none yet.

    Raises:
        UnknownLabelError: no such network, part or setting.
        InputError: a setting that cannot be, one that the study itself varies, or labels that are not classes.
    """
    if manifest is not None:
        tile_labels(manifest)
    parts = ("networks", "augmentation")
    check_parts(choices.only, (*_PROTOCOLS, *parts))
    protocols = tuple(name for name in _PROTOCOLS if name in choices.only) or _PROTOCOLS
    wanted = [name for name in parts if name in choices.only] or parts
    values = dict(choices.values)
    pretrained = choices.pretrained or str(values.pop("pretrained", ""))
    base = RECIPE.settings(values)
    copies, stain = base.augmentation.copies, base.augmentation.stain  # of all rows
    if base.architecture != _SHIPPED or base.augmentation != TileAugmentation(copies=copies, stain=stain):
        raise InputError("the study histology varies networks and augmentation itself: choose networks with --network")
    named = [name if name.endswith("_tiles") else f"{name}_tiles" for name in choices.networks]
    check_parts(named, (*_NETWORKS, *_MORE), what="network")
    rows = []
    for network in named or (_NETWORKS if pretrained in ("hub", "none") else (_SHIPPED,)):
        # one call of settings with all values: where the base comes from follows from the network
        settings = replace(base, architecture=network, pretrained=pretrained)
        if "networks" in wanted:
            rows.append(settings)
        if "augmentation" in wanted and network in _AUGMENTED:
            drawn = [replace(one, copies=copies, stain=stain) for one in _AUGMENTATIONS]
            rows += [replace(settings, augmentation=one) for one in drawn]
    return tuple(TileRow(one.name, "histology_results", one, protocols=protocols) for one in rows)


# ------------------------------------------------------------------------------------------------------------- results


def _done(run: RunState, protocol: Protocol) -> list[Mapping[str, Any]] | None:
    """The folds of a row by a protocol; None until all are done, or where it is not evaluated by it."""
    folds = [fold for fold in run.folds if fold.protocol == protocol]
    return [fold.document for fold in folds] if folds and all(fold.document for fold in folds) else None


def _evaluated(study: Study, run: RunState, protocol: Protocol, resampling: Resampling | None) -> Evaluated | None:
    """All folds of a row together; None until they are done. Not for the literal protocol."""
    folds = _done(run, protocol)
    if folds is None:
        return None
    labels, settings = tile_labels(study.manifest), run.plan.settings
    probability = np.zeros((labels.size, len(TILE_CLASSES)))
    repeats = np.zeros((settings.repeats, labels.size), dtype=np.int64)
    for fold in folds:
        rows, logits = np.array(fold["test"]), np.array(fold["logits"], dtype=np.float64)
        share = np.exp(logits - logits.max(axis=2, keepdims=True))
        probability[rows] = (share / share.sum(axis=2, keepdims=True)).mean(axis=0)
        repeats[:, rows] = logits.argmax(axis=2)
    predicted = probability.argmax(axis=1)
    alone = (repeats == labels).mean(axis=1)
    patients = study.manifest.column("patient")
    return Evaluated(
        settings=settings,
        protocol=protocol,
        counts=class_counts(labels, predicted, TILE_CLASSES),
        intervals=cluster_intervals(
            _MEASURES, labels, predicted, patients, classes=TILE_CLASSES, resampling=resampling
        ),
        alone=(float(alone.min()), float(alone.max())),
        chosen=tuple((fold["rate"], fold["epochs"]) for fold in folds),
        notes=tuple(dict.fromkeys(fold["note"] for fold in folds if fold["note"])),
    )


def _results(study: Study, resampling: Resampling | None) -> Results:
    manifest, settings = study.manifest, study.runs[0].plan.settings
    fair = [
        _evaluated(study, run, protocol, resampling)
        for run in study.runs
        for protocol in run.plan.protocols  # type: ignore[attr-defined]  # every run is a TileRow
        if protocol != "literal"
    ]
    evaluated = [one for one in fair if one is not None]
    literal = {run.plan.name: (run.plan.settings, next(iter(_done(run, "literal") or ()), None)) for run in study.runs}
    colours = study_folds.colour_numbers(seen_tiles(load_tiles(manifest, pixels=settings.pixels).rgb))
    labels, patients = tile_labels(manifest), manifest.column("patient")
    done = next((run.plan.settings for run in study.runs if any(fold.document for fold in run.folds)), None)
    features = None if done is None else tile_table(manifest, done, cache=study.place.cache).features
    baselines = study_folds.tile_baselines(labels, patients, colours, features, settings)
    protocols = [(run, protocol) for run in study.runs for protocol in dict.fromkeys(f.protocol for f in run.folds)]
    waiting = sum(_done(run, protocol) is None for run, protocol in protocols)
    notes = _notes(study, waiting)
    tables = histology_tables(labels, patients, evaluated, literal, baselines, notes)
    pictures = histology_pictures(study, evaluated, literal)
    return Results(
        sections=(
            StudySection("Who has which class", tables[:2]),
            StudySection("Evaluated", tables[2:5], pictures[:2] if evaluated else ()),
            StudySection("The paper's grids", tables[5:7], pictures[2:] if evaluated else pictures),
            StudySection("Published values", tables[7:]),
        ),
        warnings=tuple(
            note for note in (*notes, LEAKS, SELECTED) if note.startswith(("SYNTHETIC", "FAILED", "WARN", "Only"))
        ),
        done=len(protocols) - waiting,
        planned=len(protocols),
        said=_said(evaluated),
    )


def _said(evaluated: Sequence[Evaluated]) -> str:
    best = [one for one in evaluated if one.protocol == "patient"]
    if not best:
        return "; none is evaluated by patient yet."
    values = [f"{100 * one.intervals['accuracy',].value:.1f}" for one in best]
    low, high = min(values, key=float), max(values, key=float)
    said = f"is {low} %" if low == high else f"is from {low} to {high} %"
    return f". By patient, with rate and epochs chosen within the training patients, accuracy {said}."


def _notes(study: Study, waiting: int) -> tuple[str, ...]:
    """Sentences that every table carries."""
    people, tiles = len(study.manifest.patients), len(study.manifest)
    settings = study.runs[0].plan.settings
    folds = len(_test_parts(study.manifest, settings, "patient"))
    how = "each patient left out once" if folds == people else f"{folds} folds of patients"
    notes = list(data_notes(study.manifest))
    notes.append(
        f"{tiles} tiles of {people} patients; {how}; probability: mean of {settings.repeats} heads. The paper: 1,144 "
        "tiles of 50 patients, divided by tile."
    )
    if people < _FEW_PATIENTS:
        notes.append(
            f"Only {people} patients: the interval is made of {people} clusters and is hardly one. Read it as the "
            "spread between these patients."
        )
    bases = {run.plan.settings.architecture: run.plan.settings.pretrained for run in study.runs}
    random = [name.removesuffix("_tiles") for name, source in bases.items() if source == "none"]
    if random:
        notes.append(
            f"The base is random, not of ImageNet, in: {', '.join(random)}. The paper's all began from ImageNet."
        )
    if set(bases) == {_SHIPPED}:
        notes.append(
            "MobileNetV2 alone: weights of the other three are not shipped (--pretrained hub fetches them, "
            "--pretrained none shows what a random base gives)."
        )
    notes += [f"FAILED: {error}" for error in study.errors]
    if waiting:
        notes.append(f"{waiting} row(s) are not complete yet: --resume goes on.")
    return tuple(notes)


STUDY: Final = StudyProtocol(
    stem="histology",
    title="Histology: non-tumour, non-viable and viable tumour by transfer learning",
    takes=frozenset({"networks", "pretrained"}),
    instead="choose its rows with --only and --network",
    kinds=(TileRow,),
    plan=plan_histology,
    results=_results,
    division=None,
)
