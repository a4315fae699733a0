"""The study of limb sarcomas: networks trained fold by fold, scored in 3-D by patient beside masks that never look.

Scores of a fold are kept beside its network (``volumes.csv``): a page that is written again reads them back. What is
there is shown, whether all folds are done or not; a comparison takes the patients that both methods scored.
"""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.metrics.text import SHARE
from osteon.report.blocks import Table
from osteon.study import page
from osteon.study.plan import PlannedRun
from osteon.study.protocol import Results, StudyProtocol, StudySection, check_parts, check_settings
from osteon.systems.limb_sarcoma.recipe import SEGMENTER
from osteon.systems.limb_sarcoma.scores import (
    BLIND,
    MEASURES,
    median_gains,
    medians,
    read_scores,
    score_blind_masks,
    score_networks,
    scores_text,
)
from osteon.train.objectives.segment import SEGMENT
from osteon.train.run_folder import digest, read_document, write_document, write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.data import Manifest
    from osteon.metrics.bootstrap import Resampling
    from osteon.metrics.text import Scale
    from osteon.study.plan import RunState, Study
    from osteon.study.protocol import Choices
    from osteon.systems.limb_sarcoma.scores import ScanScore
    from osteon.train.pixels import Pixels

__all__ = ["NETWORKS", "STUDY", "NetworkRow", "limb_scores", "plan_limbs", "score_tables"]


@dataclass(frozen=True, slots=True)
class NetworkRow:
    """A network of the study: name in ``SEGMENTERS``, which is the name of its run too, and what tables call it."""

    run: str
    title: str


NETWORKS: Final = (
    NetworkRow("unet_small", "U-Net, small"),
    NetworkRow("unet", "U-Net"),
    NetworkRow("attunet", "Attention U-Net"),
    NetworkRow("unetpp", "UNet++"),
    NetworkRow("attunetpp", "AttUNet++"),
)
"""Most wanted first: a study that is stopped early has answered most."""

_SCORES_FORMAT: Final = 2
"""Of kept scores; 1 did not say the modality."""

_HEADS: Final = ("Dice", "Surface Dice 2 mm", "HD95 (mm)", "Volume error", "Lesion sensitivity")
_HOW: Final = (
    "Medians over patients, each scored in 3-D by the network of the fold that tests them, on the crops of the data "
    "set's margins. 95 % intervals draw patients anew."
)
_FLOOR: Final = (
    "The blind masks never look at the image: an ellipsoid in the middle of the crop, and the mean mask, both fitted "
    "on those who are not tested in the fold. Only what is above them was learnt from the image."
)
_PAIRED: Final = (
    "Median of the differences in Dice, patient by patient on the same crops; 95 % intervals draw patients anew; Holm "
    "adjusts p for the number of rows."
)


def plan_limbs(choices: Choices, manifest: Manifest) -> tuple[PlannedRun, ...]:
    """The runs of the study.

    Raises:
        UnknownLabelError: no such network or setting.
        InputError: a setting that cannot be, or the network among the settings.
    """
    # HU mean the same on every scanner: CT alone is not shown with other grey values
    own = {"intensity": 0.0} if _modalities(manifest) == ["ct"] else {}
    names = [row.run for row in NETWORKS]
    check_parts(choices.only, names, what="network")
    check_settings(choices.values, ("architecture",), instead="choose networks with --only")
    return tuple(
        PlannedRun(name, "outlines", SEGMENTER.settings({**own, **choices.values, "architecture": name}))
        for name in names
        if name in (choices.only or names)
    )


def limb_scores(study: Study) -> tuple[ScanScore, ...]:
    """Scores of the blind masks on all folds, and of every network on the folds that are done.

    Raises:
        InputError: the data set is of another kind, or an image is not there any more.
        WeightsError: a network is not there any more.
        OutputError: scores cannot be kept.
    """
    place, split = study.place, study.place.splits["folds"]
    scores: list[ScanScore] = []
    pixels: Pixels | None = None
    for run in study.runs:
        pixels = SEGMENT.load(place.manifest, run.plan.settings, place.cache, skip_unreadable=place.skip_unreadable)
        if not scores:
            scores += score_blind_masks(place.manifest, pixels, split)
        for fold in run.folds:
            if fold.state == "done":
                scores += _kept(study, run, fold.fold, pixels)
    return tuple(scores)


def score_tables(
    study: Study,
    scores: Sequence[ScanScore],
    *,
    modality: str,
    notes: tuple[str, ...] = (),
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Of the scores of one modality: medians, gains over blind masks and the first network, Dice of every patient."""
    titles = {**dict.fromkeys(BLIND), **{row.run: row.title for row in NETWORKS}}
    names = {name: title or f"blind: {name}" for name, title in titles.items()}
    scored = [name for name in names if any(each.method == name for each in scores)]
    outlines = _outlines(study, scores, names, (_HOW, _FLOOR, *notes), resampling)
    networks = [name for name in scored if name not in BLIND]
    pairs = [(name, blind) for name in networks for blind in BLIND]
    pairs += [(name, networks[0]) for name in networks[1:]]
    gains = _gains(scores, pairs, names, (_PAIRED, *notes), resampling)
    patients = sorted({each.patient for each in scores})
    dice = {name: {who: _mean_dice(scores, who, name) for who in patients} for name in scored}
    rows = tuple((who, *(SHARE.number(dice[name][who]) for name in scored)) for who in patients)
    records = tuple({"patient": who, **{name: dice[name][who] for name in scored}} for who in patients)
    heads = ("Patient", *(names[name] for name in scored))
    dices = Table("patients", "Dice of every patient", heads, rows, notes=notes, records=records)
    where = modality.upper()
    return tuple(
        replace(each, name=f"{each.name}-{modality}", title=f"{each.title}, {where}")
        for each in (outlines, gains, dices)
    )


def _modalities(manifest: Manifest) -> list[str]:
    """MR first."""
    return sorted({row.extra.get("modality", "mr") for row in manifest.rows}, reverse=True)


def _kept(study: Study, run: RunState, fold: int, pixels: Pixels) -> tuple[ScanScore, ...]:
    """Scores of a network on its fold, read back where they were made of these weights."""
    settings, file = run.plan.settings, run.folds[fold].weights
    folder, manifest = file.parent, study.manifest
    weights = hashlib.sha256(file.read_bytes()).hexdigest()
    identity = digest([_SCORES_FORMAT, weights, settings.threshold, manifest.sha256, run.plan.name])
    notes, table = folder / "volumes.json", folder / "volumes.csv"
    if notes.exists() and table.exists() and read_document(notes).get("identity") == identity:
        return read_scores(csv.DictReader(io.StringIO(table.read_text("utf-8"))))
    scores = score_networks(manifest, pixels, study.place.splits["folds"], settings, {fold: file}, method=run.plan.name)
    write_text(table, scores_text(scores))
    write_document(notes, {"identity": identity})
    return scores


def _outlines(
    study: Study,
    scores: Sequence[ScanScore],
    names: dict[str, str],
    notes: tuple[str, ...],
    resampling: Resampling | None,
) -> Table:
    found, states = medians(scores, resampling=resampling), {run.plan.name: run for run in study.runs}
    rows, records = [], []
    for name, title in names.items():
        if name not in found:
            rows.append((title, states[name].word if name in states else "not run", *[""] * len(MEASURES)))
            continue
        people = {each.patient for each in scores if each.method == name}
        cells = [_estimate(measure, found[name][measure]) for measure in MEASURES]
        rows.append((title, f"{len(people)} of {len(study.manifest.patients)}", *cells))
        for measure in MEASURES:
            one = found[name][measure]
            limits = {"median": one.value, "low": one.low, "high": one.high, "patients": one.patients}
            records.append({"method": name, "measure": measure, **limits})
    heads = ("Method", "Patients", *_HEADS)
    return Table("outlines", "Outlines of the tumour", heads, tuple(rows), notes=notes, records=tuple(records))


def _estimate(measure: str, one: object) -> str:
    scale: Scale = SHARE
    value, low, high = (getattr(one, name) for name in ("value", "low", "high"))
    if measure == "hd95_mm":
        return f"{value:.1f} ({low:.1f} to {high:.1f})"
    return scale.estimate(value, low, high)


def _gains(
    scores: Sequence[ScanScore],
    pairs: Sequence[tuple[str, str]],
    names: dict[str, str],
    notes: tuple[str, ...],
    resampling: Resampling | None,
) -> Table:
    rows, records = [], []
    for (one, two), (gain, p_holm) in zip(pairs, median_gains(scores, pairs, resampling=resampling), strict=True):
        title = f"{names[one]} minus {names[two]}"
        limits = SHARE.limits(gain.low, gain.high, signed=True)
        p_values = [SHARE.number(p) for p in (gain.p_value, p_holm)]
        rows.append((title, str(gain.patients), SHARE.signed(gain.value), limits, *p_values))
        numbers = {"gain": gain.value, "low": gain.low, "high": gain.high, "p": gain.p_value, "p_holm": p_holm}
        records.append({"method": one, "reference": two, "patients": gain.patients, **numbers})
    heads = ("Difference", "Patients", "Median gain in Dice", "95 % interval", "p", "p (Holm)")
    return Table("gains", "Gains in Dice", heads, tuple(rows), notes=notes, records=tuple(records))


def _mean_dice(scores: Sequence[ScanScore], patient: str, method: str) -> float:
    """Over the scans of a patient; NaN where there is none."""
    found = [each.agreement.dice for each in scores if (each.patient, each.method) == (patient, method)]
    return float(np.mean(found)) if found else float("nan")


def _results(study: Study, resampling: Resampling | None) -> Results:
    split = study.place.splits["folds"]
    images = f"{len(study.manifest)} slices of {len(study.manifest.patients)} patients"
    notes = (
        *page.data_notes(study.manifest),
        *split.warnings,
        page.division_note(images, split),
        *page.state_notes(study, study.runs),
    )
    scores = limb_scores(study)
    sections = []
    for modality in _modalities(study.manifest):
        own = [each for each in scores if each.modality == modality]
        tables = score_tables(study, own, modality=modality, notes=notes, resampling=resampling)
        sections.append(StudySection(f"Outlines of tumours on {modality.upper()}", tables, ()))
    sections.append(StudySection("Training", (), tuple(page.draw_trainings(study, study.runs))))
    return Results(
        sections=tuple(sections),
        warnings=page.shown_warnings(study, notes),
        done=sum(not run.pending for run in study.runs),
        planned=len(NETWORKS),
    )


STUDY: Final = StudyProtocol(
    stem="limb_sarcoma",
    title="Sarcoma of a limb: outlines by networks, beside masks that never look",
    takes=frozenset({"skip_unreadable"}),
    instead="choose networks with --only and settings with --set",
    kinds=(PlannedRun,),
    plan=plan_limbs,
    results=_results,
)
