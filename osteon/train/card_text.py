"""The words and settings of a card that is made from a run."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from osteon import __version__
from osteon.metrics.text import EVALUATED
from osteon.train.claim import claim_document
from osteon.train.settings import HeadSettings
from osteon.weights import (
    Classes,
    Golden,
    MeasuredResult,
    ModelCard,
    OperatingPoint,
    Training,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Manifest, Split
    from osteon.metrics.classification import OperatingPoint as ChosenPoint
    from osteon.train.members import Member
    from osteon.train.run_data import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.weights import ImageInput

__all__ = [
    "CardFacts",
    "CardWords",
    "classifier_card",
    "complete_words",
    "data_words",
    "patient_words",
]

_SYNTHETIC_ONLY = "Trained on synthetic images only. It has never seen a patient."
_EXCLUSIONS = (
    "any decision about a patient",
    "any claim of accuracy on images of another origin: it was measured on one data set",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardWords:
    """What only a person can say of a model; an empty field takes a cautious default.

    Attributes:
        version: of the weights, as "1.0.0".
        statement: one line on what it was trained on, shown beside every result.
        licence: SPDX identifier.
        intended_use: one sentence.
        exclusions: what it must not be used for.
    """

    version: str = "1.0.0"
    statement: str = ""
    licence: str = ""
    intended_use: str = ""
    exclusions: tuple[str, ...] = ()


def complete_words(words: CardWords, manifest: Manifest, *, is_demo: bool, elsewhere: str) -> CardWords:
    """Fill in what was left empty.

    Args:
        words: of a person.
        manifest: of what the model was trained on.
        is_demo: whether all its images are synthetic.
        elsewhere: what no model of the task may be used for.
    """
    learnt = len(manifest.patients)
    if is_demo and words.statement and "synthetic" not in words.statement.lower():
        words = replace(words, statement=f"{_SYNTHETIC_ONLY} {words.statement}")  # nobody may word it away
    statement = (
        _SYNTHETIC_ONLY
        if is_demo
        else f"Trained on one data set of {learnt} patients, {len(manifest)} images. Not tested elsewhere."
    )
    use = "Show and test that osteon works. Nothing else." if is_demo else "Research on images like those of training."
    return CardWords(
        version=words.version,
        statement=words.statement or statement,
        licence=words.licence or ("Apache-2.0" if is_demo else "LicenseRef-not-stated"),
        intended_use=words.intended_use or use,
        exclusions=words.exclusions or (*_EXCLUSIONS, elsewhere),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What was found out about a model.

    Attributes:
        point: the operating point, as the card keeps it; None where the likeliest class is called.
        points: all that were fixed on validation.
        results: measured, as the card keeps them.
        golden: what the golden case shows.
        is_half: whether weights are stored as float16.
        is_demo: whether all images are synthetic.
    """

    point: dict[str, Any] | None
    points: tuple[ChosenPoint, ...]
    results: list[dict[str, Any]]
    golden: str
    is_half: bool
    is_demo: bool


def classifier_card(
    name: str,
    data: RunData,
    members: Sequence[Member],
    *,
    words: CardWords,
    facts: CardFacts,
    inputs: dict[str, ImageInput],
) -> ModelCard:
    """The card of a run, without files and limits.

    Args:
        name: ``architecture.tag``.
        data: the run and its images.
        members: as shipped.
        words: complete.
        facts: found out.
        inputs: of the task.
    """
    settings, classes = data.run.settings, data.run.classes
    return ModelCard(
        name=name,
        version=words.version,
        task=settings.task,
        architecture=settings.architecture,
        storage="float16" if facts.is_half else "float32",
        inputs=dict(inputs),
        output=Classes(
            tuple(classes),
            settings.positive,
            tuple(round(member.temperature, 6) for member in members),
            _calibration_words(members),
        ),
        operating_point=None if facts.point is None else msgspec.convert(facts.point, OperatingPoint),
        golden=Golden(facts.golden),
        training=_training(data, members, facts.points, is_demo=facts.is_demo),
        results=msgspec.convert(facts.results, tuple[MeasuredResult, ...]),
        licence=words.licence,
        intended_use=words.intended_use,
        exclusions=words.exclusions,
        is_demo=facts.is_demo,
        statement=words.statement,
        claim_2024=claim_document(_answers(data, members, words, facts.results, is_demo=facts.is_demo)),
    )


def _training(data: RunData, members: Sequence[Member], points: Sequence[ChosenPoint], *, is_demo: bool) -> Training:
    run, split = data.run, data.split
    details = {
        "manifest_sha256": data.manifest.sha256,
        "split_seed": split.seed,
        "settings": run.settings.document(),
        "members": [_member_words(data, member) for member in members],
        "operating_points": [
            {
                "name": one.name,
                "rule": one.rule,
                "threshold": one.threshold,
                "validation_sensitivity": one.sensitivity,
                "validation_specificity": one.specificity,
                "note": one.note,
            }
            for one in points
        ],
        "software": dict(run.document.get("versions", {})),
        "machine": dict(run.document.get("machine", {})),
        "warnings": list(split.warnings),
        "unreadable_images": len(run.document.get("unreadable", ())),
    }
    return training_entry(data.manifest, split, data.split_sha256, run.settings.seed, is_demo=is_demo, details=details)


def training_entry(
    manifest: Manifest, split: Split, split_sha256: str, seed: int, *, is_demo: bool, details: dict[str, Any]
) -> Training:
    """What the card of any run says of its training."""
    return Training(
        data=data_words(manifest, is_demo=is_demo),
        is_synthetic=is_demo,
        split=f"{split.scheme}, {len(split.folds)} folds by {split.unit}, strata by {split.stratify or 'nothing'}",
        split_sha256=split_sha256,
        script=f"osteon models export (osteon {__version__})",
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=seed,
        details=details,
    )


def _calibration_words(members: Sequence[Member]) -> str:
    temperature = (
        "temperature with the smallest negative log likelihood on the validation part, of each member on its own"
    )
    if not any(any(member.offsets) for member in members):
        return temperature
    return f"shares of the classes in the training part, which training had made equal, told to the head; {temperature}"


def _member_words(data: RunData, member: Member) -> dict[str, Any]:
    fold = member.fold
    rows = data.split.rows(data.manifest, fold.fold)
    people = {part: len({data.manifest.rows[int(row)].patient for row in getattr(rows, part)}) for part in _PARTS}
    return {
        "fold": fold.fold,
        "best_epoch": fold.best_epoch,
        "epochs": len(fold.history),
        f"validation_{next(iter(fold.history[-1].measures))}": fold.monitored,
        "temperature": member.temperature,
        "class_offsets": [round(offset, 6) for offset in member.offsets],
        "seconds": fold.seconds,
        "images": dict(fold.images),
        "patients": people,
    }


_PARTS = ("train", "validation", "test")


def data_words(manifest: Manifest, *, is_demo: bool) -> str:
    """How many images of how many patients, and whether they are synthetic."""
    kind = "synthetic images" if is_demo else "images"
    return f"{len(manifest)} {kind} of {len(manifest.patients)} patients"


def _answers(
    data: RunData, members: Sequence[Member], words: CardWords, results: list[dict[str, Any]], *, is_demo: bool
) -> dict[str, str]:
    """What the run knows of the reporting items; see claim_2024.json."""
    settings, split, manifest = data.run.settings, data.split, data.manifest
    folds = [member.fold for member in members]
    versions = data.run.document.get("versions", {})
    unreadable = len(data.run.document.get("unreadable", ()))
    centres = sorted({row.centre for row in manifest.rows} - {""})
    unknown = {name: int(np.sum(manifest.column(name) == "")) for name in ("sex", "age_years", "centre", "scanner")}
    lacking = ", ".join(f"{name} of {count}" for name, count in unknown.items() if count)
    auc = results[0]
    interval = "no interval" if auc["interval"] is None else f"95 % {EVALUATED.limits(*auc['interval'])}"
    return _training_answers(settings, data.run.classes, folds) | {
        "kind": f"deep learning: a convolutional network ({settings.architecture}) that classifies images",
        "intended_use": f"{words.intended_use} Not for: {'; '.join(words.exclusions)}",
        "goal": "making a model, judged on data of the same origin",
        "sources": (
            f"{data_words(data.manifest, is_demo=is_demo)}" + (f", centres: {', '.join(centres)}" if centres else "")
        ),
        "missing": f"{unreadable} images could not be read and were left out; unknown fields: {lacking or 'none'}",
        "partition": f"{split.scheme}, {len(split.folds)} folds, stratified by {split.stratify or 'nothing'}, seed "
        f"{split.seed}, osteon split",
        "disjoint": "patients: all images of a patient lie in one part"
        if split.unit == "patient"
        else "images: patients are NOT kept apart, results leak",
        "software": ", ".join(f"{name} {text}" for name, text in versions.items()),
        "initialisation": "random" if settings.pretrained == "none" else f"pretrained ({settings.pretrained})",
        "ensemble": f"mean of the calibrated probabilities of {len(members)} networks" if len(members) > 1 else "none",
        "measures": "; ".join(dict.fromkeys(entry["metric"] for entry in results)),
        "uncertainty": "patient bootstrap, percentile; further intervals and tests in the run's evaluation",
        "internal": f"{auc['data']}: {auc['patients']} patients, {auc['images']} images",
        "external": "none was done",
        "counts": "; ".join(
            f"fold {fold.fold}: " + ", ".join(f"{name} {count}" for name, count in fold.images.items())
            for fold in folds
        ),
        "characteristics": patient_words(manifest),
        "results": f"{auc['metric']}: "
        + ("not defined" if auc["value"] is None else f"{auc['value']:.3f}, {interval}")
        + "; further results in the card",
        "failures": "the worst images are shown by osteon evaluate in the run's report",
        "limits": "one data set; "
        + ("synthetic images say nothing about patients" if is_demo else "no data of another origin")
        + ("; the split leaks" if split.unit == "image" else ""),
        "details": f"settings.json and run.json of the run; hash of split {data.split_sha256[:12]}",
        "availability": f"weights in this folder, licence {words.licence}; software: osteon {__version__}, Apache-2.0",
    }


def _training_answers(settings: Any, classes: Sequence[str], folds: Sequence[FoldResult]) -> dict[str, str]:  # noqa: ANN401
    """What differs between networks that learn as a whole and heads on frozen features."""
    layers = f"classes {', '.join(classes)}; osteon models arch {settings.architecture} lists its layers"
    epochs = ", ".join(str(fold.best_epoch) for fold in folds)
    if isinstance(settings, HeadSettings):
        grid = (
            f"logistic regression with a ridge at strengths {settings.strengths}"
            if settings.head == "ridge"
            else f"Adam at a constant rate of {settings.rates}, epochs {settings.epochs}, {settings.repeats} heads "
            f"each, batch {settings.batch}"
        )
        return {
            "preprocessing": f"the tile as a whole, by area to {settings.pixels} pixels square, stain {settings.stain}",
            "selection": "none: no curation was asked for",
            "model": f"{settings.architecture}, input 3 x {settings.pixels} x {settings.pixels}, {layers}",
            "training": f"the base is kept as it was; the head: {grid}, augmentation {settings.augmentation.name}, "
            f"seed {settings.seed}",
            "choice": "the head with the best accuracy on the validation part, of each fold on its own: epochs (of a "
            f"ridge: strengths) {epochs}",
        }
    dropped = max((int(fold.images.get("dropped", 0)) for fold in folds), default=0)
    curated = f"at most {dropped} images a fold left out of training for conflicting labels"
    return {
        "preprocessing": f"min-max by image to 0..1, nearest neighbour to {settings.image_size} pixels square",
        "selection": curated if settings.curates else "none: no curation was asked for",
        "model": f"{settings.architecture}, input 1 x {settings.image_size} x {settings.image_size}, {layers}",
        "training": f"strategy {settings.strategy}, configuration {settings.configuration}, loss {settings.loss}, "
        f"batch {settings.batch}, at most {settings.epochs} epochs, Adam {settings.learning_rate:g} to "
        f"{settings.final_rate:g}, {'augmented' if settings.augments else 'not augmented'}, seed {settings.seed}",
        "choice": f"the epoch with the largest AUC on the validation part, of each fold on its own: epochs {epochs}",
    }


def patient_words(manifest: Manifest) -> str:
    """Sex and age of the patients of a data set."""
    people = {row.patient: row for row in manifest.rows}
    sexes = [row.sex or "unknown" for row in people.values()]
    ages = [row.age_years for row in people.values() if row.age_years is not None]
    words = [f"{sexes.count(sex)} {sex}" for sex in sorted(set(sexes))]
    if ages:
        words.append(f"age median {np.median(ages):.1f} ({min(ages):.1f} to {max(ages):.1f}) years")
    return f"{len(people)} patients: " + ", ".join(words) + "; by part in the run's evaluation"
