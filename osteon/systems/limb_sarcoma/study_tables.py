"""Tables of outlines of limb sarcomas: every number with its interval, and with the masks that never look beside it.

A method that is scored on a part of the patients stands below the blind masks of the same patients.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.metrics.text import SHARE, Scale
from osteon.metrics.volume_agreement import limits_of_agreement, median_of_patients
from osteon.report.blocks import Table
from osteon.systems.limb_sarcoma.scores import (
    BLIND,
    MEASURES,
    PIXEL_MEASURES,
    by_patient,
    median_gains,
    medians,
    pooled_pixels,
)
from osteon.systems.limb_sarcoma.study_rows import NETWORKS, PAIRS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from osteon.metrics.bootstrap import BootstrapInterval, Resampling
    from osteon.study.plan import RunState
    from osteon.systems.limb_sarcoma.scores import ScanScore

    Measure = Callable[[Sequence[ScanScore]], Mapping[str, Mapping[str, BootstrapInterval]]]

__all__ = [
    "NAMES",
    "agreement_table",
    "gain_table",
    "outline_table",
    "pair_table",
    "patient_table",
    "pixel_table",
    "scored_networks",
    "subgroup_table",
]

NAMES: Final = {**{name: f"blind: {name}" for name in BLIND}, **{row.run: row.title for row in NETWORKS}}
"""What tables call each method."""

_HEADS: Final = ("Dice", "Surface Dice 2 mm", "HD95 (mm)", "Volume error", "Lesion sensitivity")
_HOW: Final = (
    "Medians over patients, each scored in 3-D by the network of the fold that tests them, on the crops of the data "
    "set's margins. 95 % intervals draw patients anew."
)
_FLOOR: Final = (
    "The blind masks never look at the image: an ellipsoid in the middle of the crop, and the mean mask, both fitted "
    "on those who are not tested in the fold. Only what is above them was learnt from the image. Each network stands "
    "below the blind masks of the same patients."
)
_PAIRED: Final = (
    "Median of the differences in Dice, patient by patient on the same crops; 95 % intervals draw patients anew; Holm "
    "adjusts p for the number of rows."
)
_ML: Final = Scale(decimals=0)
_RATIO: Final = Scale(decimals=2)


def scored_networks(scores: Sequence[ScanScore]) -> list[str]:
    """Networks that have scored somebody, in the order of the study."""
    methods = {each.method for each in scores}
    return [row.run for row in NETWORKS if row.run in methods]


def outline_table(
    scores: Sequence[ScanScore],
    states: Mapping[str, str],
    notes: tuple[str, ...],
    resampling: Resampling | None,
    *,
    name: str = "outlines",
    title: str = "Outlines of the tumour",
) -> Table:
    """Medians of the measures in 3-D; ``states`` says how far the networks are that have scored nobody."""
    heads = dict(zip(MEASURES, _HEADS, strict=True))
    measured: Measure = lambda some: medians(some, resampling=resampling)  # noqa: E731 - as long as its name
    return _measured_table(name, title, heads, scores, states, measured, (_HOW, _FLOOR, *notes))


def pixel_table(scores: Sequence[ScanScore], notes: tuple[str, ...], resampling: Resampling | None) -> Table:
    """The pixel measures of the metastasis thesis, over all crops together."""
    heads = {name: "IoU" if name == "iou" else name.capitalize() for name in PIXEL_MEASURES}
    how = (
        "Over the pixels of all crops together, so that a large tumour counts more; 95 % intervals draw patients anew."
    )
    measured: Measure = lambda some: pooled_pixels(some, resampling=resampling)  # noqa: E731 - as above
    return _measured_table("pixels", "Pixels", heads, scores, {}, measured, (how, _FLOOR, *notes))


def _measured_table(
    name: str,
    title: str,
    heads: Mapping[str, str],
    scores: Sequence[ScanScore],
    states: Mapping[str, str],
    measured: Measure,
    notes: tuple[str, ...],
) -> Table:
    rows, records = [], []
    everyone = {each.patient for each in scores}
    for people, methods in _groups(scores):
        found = measured([each for each in scores if each.patient in people and each.method in methods])
        for method in methods:
            cells = [_estimate(key, found[method][key]) for key in heads]
            rows.append((NAMES[method], f"{len(people)} of {len(everyone)}", *cells))
            for key in heads:
                one = found[method][key]
                limits = {"median" if key in MEASURES else "value": one.value, "low": one.low, "high": one.high}
                records.append({"method": method, "measure": key, **limits, "patients": one.patients})
    rows += [(NAMES[method], state, *[""] * len(heads)) for method, state in states.items()]
    return Table(name, title, ("Method", "Patients", *heads.values()), tuple(rows), notes=notes, records=tuple(records))


def _groups(scores: Sequence[ScanScore]) -> list[tuple[frozenset[str], list[str]]]:
    """Networks that scored the same patients, each group with the blind masks at its head."""
    people: dict[str, set[str]] = defaultdict(set)
    for each in scores:
        people[each.method].add(each.patient)
    groups: dict[frozenset[str], list[str]] = {}
    for method in scored_networks(scores) or BLIND[:1]:
        groups.setdefault(frozenset(people[method]), []).append(method)
    return [(who, [*BLIND, *(one for one in methods if one not in BLIND)]) for who, methods in groups.items()]


def _estimate(measure: str, one: BootstrapInterval) -> str:
    if measure != "hd95_mm":
        return SHARE.estimate(*_limits(one))
    if math.isinf(one.low):
        return "not bounded"
    value, low, high = (f"{each:.1f}" if math.isfinite(each) else "not bounded" for each in _limits(one))
    return f"{value} ({SHARE.lacking})" if math.isnan(one.low) else f"{value} ({low} to {high})"


def gain_table(scores: Sequence[ScanScore], notes: tuple[str, ...], resampling: Resampling | None) -> Table:
    """Each network minus each blind mask, and minus the first network."""
    networks = scored_networks(scores)
    pairs = [(name, blind) for name in networks for blind in BLIND]
    pairs += [(name, networks[0]) for name in networks[1:] if _share_patients(scores, name, networks[0])]
    rows, records = [], []
    for (one, two), (gain, p_holm) in zip(pairs, median_gains(scores, pairs, resampling=resampling), strict=True):
        title = f"{NAMES[one]} minus {NAMES[two]}"
        rows.append((title, *_difference(gain), SHARE.number(gain.p_value), SHARE.number(p_holm)))
        numbers = {"gain": gain.value, "low": gain.low, "high": gain.high, "p": gain.p_value, "p_holm": p_holm}
        records.append({"method": one, "reference": two, "patients": gain.patients, **numbers})
    heads = ("Difference", "Patients", "Median gain in Dice", "95 % interval", "p", "p (Holm)")
    return Table("gains", "Gains in Dice", heads, tuple(rows), notes=(_PAIRED, *notes), records=tuple(records))


def _difference(gain: BootstrapInterval) -> tuple[str, str, str]:
    """Patients, the median, its interval."""
    return str(gain.patients), SHARE.signed(gain.value), SHARE.limits(gain.low, gain.high, signed=True)


def _share_patients(scores: Sequence[ScanScore], one: str, two: str) -> bool:
    people = [{each.patient for each in scores if each.method == method} for method in (one, two)]
    return bool(people[0] & people[1])


def pair_table(
    scores: Sequence[ScanScore], runs: Mapping[str, RunState], notes: tuple[str, ...], resampling: Resampling | None
) -> Table:
    """Does the second decoder help? The same network with one and with two, trained alike."""
    rows, records = [], []
    for one, two in PAIRS:
        if one not in runs or two not in runs:
            continue
        title, unlike = f"{NAMES[two]} minus {NAMES[one]}", _unlike(runs[one], runs[two])
        if unlike or not _share_patients(scores, one, two):
            rows.append((title, *[""] * 6, f"not compared: {unlike}" if unlike else "not scored on the same patients"))
            continue
        ((gain, _),) = median_gains(scores, [(two, one)], resampling=resampling)
        shared = {each.patient for each in scores if each.method == one} & {
            each.patient for each in scores if each.method == two
        }
        found = medians([each for each in scores if each.patient in shared], resampling=resampling)
        beside = [SHARE.estimate(*_limits(found[method]["dice"])) for method in (BLIND[0], one, two)]
        answer = _answer(gain, of=len({each.patient for each in scores}))
        rows.append((title, str(gain.patients), *beside, *_difference(gain)[1:], answer))
        numbers = {"difference": gain.value, "low": gain.low, "high": gain.high, "p": gain.p_value}
        epochs = runs[one].plan.settings.epochs
        records.append({"one": one, "two": two, "patients": gain.patients, "epochs": epochs, **numbers})
    heads = (
        *("Pair", "Patients", f"Dice, {NAMES[BLIND[0]]}", "Dice, one decoder", "Dice, two decoders"),
        *("Median difference", "95 % interval", "Does the second decoder help?"),
    )
    how = (
        "The same network with one decoder (tumour) and with two (tumour and bone), trained with the same settings for "
        "the same number of epochs; the difference is paired by patient on the same crops, its interval draws patients "
        "anew. Where the interval holds 0 the question is not decided: neither that it helps nor that it does not is "
        "shown. With two maps the loss of the tumour counts 0.7 of the whole."
    )
    return Table("pair", "One decoder or two", heads, tuple(rows), notes=(how, *notes), records=tuple(records))


def _limits(one: BootstrapInterval) -> tuple[float, float, float]:
    return one.value, one.low, one.high


def _unlike(one: RunState, two: RunState) -> str:
    """Settings that differ beside the network, as "epochs 12 and 20"."""
    first, second = (run.plan.settings.decisive for run in (one, two))
    names = [name for name in first if name != "architecture" and first[name] != second.get(name)]
    return "; ".join(f"{name} {first[name]} and {second.get(name)}" for name in names)


def _answer(gain: BootstrapInterval, *, of: int) -> str:
    """In words; an answer is given once all patients are scored."""
    p = f"p {SHARE.number(gain.p_value)}"
    if gain.patients < of:
        return f"not decided yet: {gain.patients} of {of} patients ({p})"
    if not (gain.low > 0 or gain.high < 0):
        return f"not decided ({p})"
    return f"yes ({p})" if gain.low > 0 else f"no, it takes away ({p})"


def patient_table(scores: Sequence[ScanScore], notes: tuple[str, ...]) -> Table:
    """Dice of every patient."""
    methods = [*BLIND, *scored_networks(scores)]
    found = by_patient(scores)
    dice = {
        who: {name: found.get(name, {}).get(who, {}).get("dice", math.nan) for name in methods}
        for who in sorted({each.patient for each in scores})
    }
    rows = tuple((who, *(SHARE.number(values[name]) for name in methods)) for who, values in dice.items())
    records = tuple({"patient": who, **values} for who, values in dice.items())
    heads = ("Patient", *(NAMES[name] for name in methods))
    return Table("patients", "Dice of every patient", heads, rows, notes=notes, records=records)


# ----------------------------------------------------------------------------------------------------------- subgroups


def subgroup_table(
    scores: Sequence[ScanScore],
    groups: Mapping[str, Mapping[str, frozenset[str]]],
    notes: tuple[str, ...],
    resampling: Resampling | None,
) -> Table:
    """Median Dice of each network in each group, beside the ellipsoid on the same patients, and the gain over it."""
    rows, records, found = [], [], by_patient(scores)
    blind = found[BLIND[0]]
    for method in scored_networks(scores):
        for column, people in groups.items():
            for group, who in people.items():
                shared = sorted(who & found[method].keys())
                if not shared:
                    continue
                dice = [[values[one]["dice"] for one in shared] for values in (blind, found[method])]
                floor, own = (median_of_patients(each, resampling=resampling) for each in dice)
                gain = median_of_patients(np.subtract(dice[1], dice[0]), resampling=resampling)
                estimates = [SHARE.estimate(*_limits(one)) for one in (floor, own)]
                rows.append((NAMES[method], column, group, str(len(shared)), *estimates, *_difference(gain)[1:]))
                numbers = {"dice": own.value, "low": own.low, "high": own.high, "floor": floor.value}
                numbers |= {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
                records.append({"method": method, "column": column, "group": group, "patients": len(shared), **numbers})
    heads = (
        "Network",
        "Column",
        "Group",
        "Patients",
        f"Dice, {NAMES[BLIND[0]]}",
        "Dice",
        "Median gain",
        "95 % interval",
    )
    how = (
        "Medians over the patients of a group; no test is made between groups: with many of them some differ by "
        "chance, and the intervals say how little is known of each. Thirds of size are those of the true volumes."
    )
    return Table("subgroups", "Subgroups of patients", heads, tuple(rows), notes=(how, *notes), records=tuple(records))


# ------------------------------------------------------------------------------------------------------------- volumes


def agreement_table(scores: Sequence[ScanScore], notes: tuple[str, ...], resampling: Resampling | None) -> Table:
    """Bland and Altman's bias and limits of predicted and true volume: of differences, and of ratios."""
    rows, records, found = [], [], by_patient(scores)
    everyone = {each.patient for each in scores}
    for people, methods in _groups(scores):
        for method in methods:
            both = ("true_ml", "predicted_ml")
            volumes = np.array([[found[method][who][name] for name in both] for who in sorted(people)])
            true, predicted = volumes.T
            with np.errstate(divide="ignore"):
                ratios = np.where(predicted > 0, np.log(predicted / true), np.nan)
            cells: list[str] = []
            numbers: dict[str, float] = {}
            for unit, values, scale in (("ml", predicted - true, _ML), ("ratio", ratios, _RATIO)):
                if np.isnan(values).all():
                    cells += ["nothing predicted"] * 3
                    continue
                limits = limits_of_agreement(values, resampling=resampling)
                for part in ("bias", "low", "high"):
                    one = getattr(limits, part)
                    three = [value if unit == "ml" else math.exp(value) for value in _limits(one)]
                    cells.append(scale.estimate(*three))
                    numbers |= dict(zip((f"{unit}_{part}{end}" for end in ("", "_from", "_to")), three, strict=True))
            empty = int(np.isnan(ratios).sum())
            rows.append((NAMES[method], f"{len(people)} of {len(everyone)}", *cells, str(empty)))
            records += [
                {"method": method, "patients": len(people), "empty": empty, "quantity": name, "value": value}
                for name, value in numbers.items()
            ]
    heads = (
        *("Method", "Patients", "Bias (ml)", "Lower limit (ml)", "Upper limit (ml)"),
        *("Bias (ratio)", "Lower limit (ratio)", "Upper limit (ratio)", "Nothing predicted"),
    )
    how = (
        "Predicted minus true volume, and predicted over true volume (geometric mean), over patients; the limits of "
        "agreement are 1.96 standard deviations from the bias and hold about 95 % of the patients. In brackets 95 % "
        "intervals that draw patients anew. Differences grow with the tumour: read the ratio first. Patients for whom "
        "nothing was predicted have no ratio."
    )
    return Table("volumes", "Calibration of volume", heads, tuple(rows), notes=(how, *notes), records=tuple(records))
