"""A model card that is made from a run, and the reporting items of CLAIM 2024: what the run answers of them.

References:
    Tejani, Klontzas, Gatti et al. 2024, doi:10.1148/ryai.240300. The short wording here is ours, not the checklist's.
"""

from __future__ import annotations

import datetime as dt
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon import __version__
from osteon.data.manifest import PARTS
from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.text import EVALUATED
from osteon.predict.out_of_distribution import SPACE_IMAGES
from osteon.train.run import is_synthetic
from osteon.weights import ModelCard, Training
from osteon.weights.card import Claim, ClaimItem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from osteon.data import Manifest
    from osteon.data.manifest import FoldRows
    from osteon.train.run import RunData
    from osteon.train.run_folder import FoldResult
    from osteon.weights import Golden, ImageInput, Limits, MeasuredResult, OperatingPoint, Output

__all__ = [
    "MADE_UP",
    "OPEN",
    "CardText",
    "ExportOptions",
    "Member",
    "Shipped",
    "claim_document",
    "claim_markdown",
    "complete_text",
    "data_text",
    "model_card",
    "shows_pattern",
    "smooth_patterns",
]

OPEN = "open: to be filled by a person"
"""Answer of an item that no run knows."""

MADE_UP = "synthetic patterns; no image of the data set is in this folder"
"""What a golden case without images shows."""

_PATTERN_SEED = 20240300
_SYNTHETIC_ONLY = "Trained on synthetic images only. It has never seen a patient."
_EXCLUSIONS = (
    "any decision about a patient",
    "any claim of accuracy on images of another origin: it was measured on one data set",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """What only a person can say of a model; an empty field takes a cautious default.

    Attributes:
        version: of the weights, as "1.0.0".
        statement: one line on what it was trained on, shown beside every result.
        licence: SPDX identifier.
        intended_use: one sentence.
        exclusions: what it must not be used for.
        names_patients: whether the card names the patients that it learnt from: of public data only.
    """

    version: str = "1.0.0"
    statement: str = ""
    licence: str = ""
    intended_use: str = ""
    exclusions: tuple[str, ...] = ()
    names_patients: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How a model is made from a run.

    Attributes:
        name: ``architecture.tag``; "" takes the tag from the folder's name.
        words: version, statement, licence, intended use, exclusions.
        folds: whose networks become members; None takes all that are done.
        operating_point: of classifiers one of ``results.POINTS``, all but "paper" fixed on validation; "" for "youden".
            Of maps one of ``maps.MAP_POINTS``, "" for "f1", or for "half" where validation was learnt from. Of heads
            the likeliest class is predicted.
        threshold: a number instead; of maps for the lesions.
        trust: whether out-of-distribution limits are fitted, and of classifiers prediction sets.
        references: training images of each member that its OOD score is measured against, at most.
        least_mm3: of maps, smaller lesions are not listed; None leaves it to the reading.
        golden: "images" keeps validation images (of maps, parts of them) in the folder for everyone who gets the
            model, "pattern" synthetic ones; "auto" takes images only where all are synthetic.
        half: whether weights are stored as float16.
        bfloat16: of maps, whether the model may run in bfloat16; its graph then holds the weights once more where the
            networks have an encoder.
        device: "auto", "cpu" or "cuda".
        resampling: of the intervals.
        cache: folder for decoded images, or None.
    """

    name: str = ""
    words: CardText = field(default_factory=CardText)
    folds: tuple[int, ...] | None = None
    operating_point: str = ""
    threshold: float | None = None
    trust: bool = True
    references: int = SPACE_IMAGES
    least_mm3: float | None = None
    golden: str = "auto"
    half: bool = True
    bfloat16: bool = True
    device: str = "auto"
    resampling: Resampling = field(default_factory=Resampling)
    cache: Path | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Member(ABC):
    """One network of a model.

    Attributes:
        fold: whose kept weights it is.
        network: on the CPU, in evaluation mode, weights as stored.
        rows: of its fold.
    """

    fold: FoldResult
    network: nn.Module = field(repr=False)
    rows: FoldRows = field(repr=False)

    @abstractmethod
    def fitted(self) -> dict[str, Any]:
        """What was chosen and fitted on its validation part, for the card."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What an objective makes of the networks of a run, and what it says of them.

    Attributes:
        members: one a network.
        output: of the card.
        golden: what the golden case shows, and how well it must be reproduced.
        images: of the golden case.
        results: measured with the weights as they are shipped.
        answers: to reporting items, beside those that every run gives.
        details: of the training, likewise.
        operating_point: None where the likeliest class is predicted, and of maps.
        limits: what the model knows of its limits, or None.
        warnings: sentences for whoever exports the model; kept in the card.
    """

    members: Sequence[Member]
    output: Output
    golden: Golden
    images: NDArray[Any] = field(repr=False)
    results: Sequence[MeasuredResult] = field(repr=False)
    answers: Mapping[str, str] = field(repr=False)
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)
    operating_point: OperatingPoint | None = None
    limits: Limits | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


def shows_pattern(wanted: str, manifest: Manifest) -> bool:
    """Whether the golden case is made up: as it was asked for, or because images of patients must not be shipped.

    Raises:
        InputError: it is none of "auto", "images" and "pattern".
    """
    if wanted not in {"auto", "images", "pattern"}:
        raise InputError(f"golden {wanted!r} cannot be; choose auto, images or pattern")
    return wanted == "pattern" or (wanted == "auto" and not is_synthetic(manifest))


def smooth_patterns(size: int, *, colours: int = 0) -> NDArray[np.float32]:
    """Four smooth random pictures in 0..1, for models that must not carry images of patients.

    Returns:
        (4, size, size), or with colours (4, size, size, colours).
    """
    from scipy import ndimage

    generator = np.random.default_rng(_PATTERN_SEED)
    shape, rest = ((size, size), ()) if not colours else ((size, size, colours), (0.0,))
    blurred = [ndimage.gaussian_filter(generator.random(shape), (*[size / 2 ** (2 + k)] * 2, *rest)) for k in range(4)]
    return np.stack([(one - one.min()) / (one.max() - one.min()) for one in blurred]).astype(np.float32)


def complete_text(words: CardText, manifest: Manifest, *, is_demo: bool, elsewhere: str) -> CardText:
    """Fill in what a person left empty; ``elsewhere`` is what no model of the task may be used for."""
    learnt = len(manifest.patients)
    if is_demo and words.statement and "synthetic" not in words.statement.lower():
        words = replace(words, statement=f"{_SYNTHETIC_ONLY} {words.statement}")  # nobody may word it away
    statement = (
        _SYNTHETIC_ONLY
        if is_demo
        else f"Trained on one data set of {learnt} patients, {len(manifest)} images. Not tested elsewhere."
    )
    use = "Show and test that osteon works. Nothing else." if is_demo else "Research on images like those of training."
    return CardText(
        version=words.version,
        statement=words.statement or statement,
        licence=words.licence or ("Apache-2.0" if is_demo else "LicenseRef-not-stated"),
        intended_use=words.intended_use or use,
        exclusions=words.exclusions or (*_EXCLUSIONS, elsewhere),
        names_patients=words.names_patients,
    )


def _learnt_from(manifest: Manifest, members: Sequence[Member]) -> tuple[str, ...]:
    """Patients of the training and validation parts of the members."""
    rows = [row for member in members for part in (member.rows.train, member.rows.validation) for row in part.tolist()]
    return tuple(sorted({manifest.rows[row].patient for row in rows}))


def model_card(
    name: str, data: RunData, shipped: Shipped, *, words: CardText, half: bool, inputs: dict[str, ImageInput]
) -> ModelCard:
    """The card of a run, without files and limits, with complete words."""
    run, split, is_demo = data.run, data.split, is_synthetic(data.manifest)
    details = {
        "manifest_sha256": data.manifest.sha256,
        "split_seed": split.seed,
        "settings": run.settings.document(),
        "members": [_member(data.manifest, member) for member in shipped.members],
        **shipped.details,
        "software": dict(run.document.get("versions", {})),
        "machine": dict(run.document.get("machine", {})),
        "warnings": [*split.warnings, *run.settings.warnings, *shipped.warnings],
        "unreadable_images": len(run.document.get("unreadable", ())),
    }
    training = Training(
        data=data_text(data.manifest, is_demo=is_demo),
        is_synthetic=is_demo,
        split=f"{split.scheme}, {len(split.folds)} folds by {split.unit}, strata by {split.stratify or 'nothing'}",
        split_sha256=data.split_sha256,
        script=f"osteon models export (osteon {__version__})",
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=run.settings.seed,
        patients=_learnt_from(data.manifest, shipped.members) if words.names_patients else (),
        details=details,
    )
    return ModelCard(
        name=name,
        version=words.version,
        task=run.settings.task,
        architecture=run.settings.architecture,
        storage="float16" if half else "float32",
        inputs=dict(inputs),
        output=shipped.output,
        operating_point=shipped.operating_point,
        golden=shipped.golden,
        training=training,
        results=tuple(shipped.results),
        licence=words.licence,
        intended_use=words.intended_use,
        exclusions=words.exclusions,
        is_demo=is_demo,
        statement=words.statement,
        claim_2024=claim_document({**_answers(data, shipped, words, is_demo=is_demo), **shipped.answers}),
    )


def _member(manifest: Manifest, member: Member) -> dict[str, Any]:
    fold = member.fold
    rows = {part: getattr(member.rows, part).tolist() for part in PARTS}
    return {
        "fold": fold.fold,
        "best_epoch": fold.best_epoch,
        "epochs": len(fold.history),
        **member.fitted(),
        "seconds": fold.seconds,
        "images": dict(fold.images),
        "patients": {part: len({manifest.rows[row].patient for row in some}) for part, some in rows.items()},
    }


def data_text(manifest: Manifest, *, is_demo: bool) -> str:
    """How many images of how many patients, and whether they are synthetic."""
    kind = "synthetic images" if is_demo else "images"
    return f"{len(manifest)} {kind} of {len(manifest.patients)} patients"


def _answers(data: RunData, shipped: Shipped, words: CardText, *, is_demo: bool) -> dict[str, str]:
    """What every run knows of the reporting items; see claim_2024.json."""
    split, document, first = data.split, data.run.document, shipped.results[0]
    found = EVALUATED.number(first.value)
    if first.value is not None:
        found += f", 95 % {EVALUATED.limits(*first.interval)}" if first.interval else ", no interval"
    counts = (
        f"fold {member.fold.fold}: " + ", ".join(f"{name} {count}" for name, count in member.fold.images.items())
        for member in shipped.members
    )
    return {
        "intended_use": f"{words.intended_use} Not for: {'; '.join(words.exclusions)}",
        "goal": "making a model, evaluated on data of the same origin",
        "sources": data_text(data.manifest, is_demo=is_demo),
        "missing": f"{len(document.get('unreadable', ()))} images could not be read and were left out",
        "partition": f"{split.scheme}, {len(split.folds)} folds, stratified by {split.stratify or 'nothing'}, seed "
        f"{split.seed}, osteon split",
        "disjoint": "patients: all images of a patient lie in one part"
        if split.unit == "patient"
        else "images: patients are NOT kept apart, results leak",
        "software": ", ".join(f"{name} {text}" for name, text in document.get("versions", {}).items()),
        "initialisation": "random",
        "measures": "; ".join(dict.fromkeys(entry.metric for entry in shipped.results)),
        "uncertainty": "patient bootstrap, percentile",
        "internal": f"{first.data}: {first.patients} patients, {first.images} images",
        "external": "none was done",
        "counts": "; ".join(counts),
        "characteristics": _patient_text(data.manifest),
        "results": f"{first.metric}: {found}; further results in the card",
        "limits": "one data set; "
        + ("synthetic images say nothing about patients" if is_demo else "no data of another origin")
        + ("; the split leaks" if split.unit == "image" else ""),
        "details": f"settings.json and run.json of the run; hash of split {data.split_sha256[:12]}",
        "availability": f"weights in this folder, licence {words.licence}; software: osteon {__version__}, Apache-2.0",
    }


def _patient_text(manifest: Manifest) -> str:
    """Sex and age of the patients of a data set."""
    people = {row.patient: row for row in manifest.rows}
    sexes = [row.sex or "unknown" for row in people.values()]
    ages = [row.age_years for row in people.values() if row.age_years is not None]
    words = [f"{sexes.count(sex)} {sex}" for sex in sorted(set(sexes))]
    if ages:
        words.append(f"age median {np.median(ages):.1f} ({min(ages):.1f} to {max(ages):.1f}) years")
    return f"{len(people)} patients: " + ", ".join(words) + "; by part in the run's evaluation"


def claim_document(answers: Mapping[str, str]) -> Claim:
    """The items with the answers of a run, by their ``key`` in claim_2024.json; an empty text leaves the item open.

    Raises:
        KeyError: an answer that belongs to no item: a fault of the caller.

    Example:
        >>> [item.answer for item in claim_document({"software": "osteon 1.0"}).items if item.status == "from run"]
        ['osteon 1.0']
    """
    listed = _template()
    unknown = set(answers) - {item["key"] for item in listed["items"]}
    if unknown:
        raise KeyError(f"no item of CLAIM takes {sorted(unknown)}")
    items = []
    for item in listed["items"]:
        answer = answers.get(item["key"], "") if item["key"] else ""
        about = {name: item[name] for name in ("number", "section", "topic", "sure")}
        items.append(ClaimItem(**about, status="from run" if answer else "open", answer=answer or OPEN))
    return Claim(listed["about"], listed["reference"], tuple(items))


def claim_markdown(name: str, claim: Claim) -> str:
    """The items of ``claim_document`` as a page about a model of this name."""
    items = claim.items
    count = sum(item.status == "open" for item in items)
    lines = [
        f"# {name}: reporting items (CLAIM 2024)",
        "",
        claim.about,
        "",
        f"{len(items) - count} of {len(items)} items were filled from the run; {count} are open.",
        "An asterisk marks an item whose number or scope was not checked against the published checklist.",
        "",
        "| item | topic | answer |",
        "| --- | --- | --- |",
    ]
    section = ""
    for item in items:
        if item.section != section:
            section = item.section
            lines.append(f"| | **{section}** | |")
        answer = item.answer.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {item.number}{'' if item.sure else '*'} | {item.topic} | {answer} |")
    return "\n".join(lines) + "\n"


@cache
def _template() -> dict[str, Any]:
    text = files("osteon.train.export").joinpath("claim_2024.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
