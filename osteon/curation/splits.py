"""Divide a data set: patients stay whole, labels are spread evenly, and everything follows from a seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.data import Fold, Split
from osteon.data.manifest import PARTS, PATIENT_KNOWN
from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from osteon.data import Manifest

__all__ = ["NORMAL", "UNKNOWN_PATIENTS_WARNING", "choose_test", "make_split"]

NORMAL = "normal"
"""Label of a picture whose lesion mask is empty."""


UNKNOWN_PATIENTS_WARNING = (
    "Patients are not known: every image counts as a patient of its own. Slices of one person then lie in several "
    "parts, so that results are too good and intervals too narrow."
)
_UNITS = ("patient", "image")


@dataclass(frozen=True, slots=True)
class _Member:
    """What goes into one part as a whole: a patient, or an image."""

    name: str
    stratum: str
    images: int


def make_split(
    manifest: Manifest,
    *,
    folds: int = 5,
    unit: Literal["patient", "image"] = "patient",
    stratify: str = "label",
    seed: int = 1,
    test: float | None = None,
) -> Split:
    """Divide a data set into folds.

    Where the manifest marks rows as test, or a share for the test is given, the split is a holdout: one test part for
    all folds, and every other patient is in the validation part once. Else it is nested: every patient is in the test
    part once, in the validation part once (the test part of the fold before is that of the next), else in train.

    A patient's stratum is the set of values of ``stratify`` among the images, so that patients of mixed labels are
    spread evenly too. The number of patients of a stratum, and of all patients, differs by at most one between two
    folds; within that, patients of many images go where images are few. The order of the rows means nothing.

    Args:
        manifest: the images. Rows whose ``split`` is "test" are the test part; others are not.
        folds: at least 2; 3 for a nested split.
        unit: what stays whole. "image" puts images of one patient into several parts: only to repeat a paper that did.
        stratify: column whose values are spread evenly; "" for none.
        seed: another seed makes another division.
        test: share of the patients to cut off as the test part, between 0 and 1.

    Raises:
        InputError: one patient only, too few of a label for this many folds, a part of a fold without one of the labels
            ("normal" may be missing where every picture has a lesion mask: masks are learnt without it), a patient
            with images in the manifest's test part and outside it, a share outside 0 to 1, or a share although the
            manifest marks its test part.
        UnknownLabelError: no such unit or column.
    """
    if unit not in _UNITS:
        raise UnknownLabelError(f"no unit {unit!r} to divide by: {nearest_names(unit, _UNITS)}")
    fixed = _fixed_test(manifest, unit)
    if fixed and test is not None:
        raise InputError("the manifest marks its test part (column split): leave the share for the test out")
    holdout = bool(fixed) or test is not None
    least = 2 if holdout else 3
    if folds < least:
        parts = "training and validation" if holdout else "training, validation and test, which go round"
        raise InputError(f"{folds} folds were asked for, at least {least} are needed: {parts}")
    generator = np.random.default_rng(seed)
    members = _members(manifest, unit, stratify)
    if len(members) < 2:
        raise InputError(
            f"the data set has {len(members)} {unit} only: nothing can be evaluated on what was not learnt"
        )
    evaluated = fixed if test is None else _cut(members, test, generator)
    rest = [member for member in members if member.name not in evaluated]
    _require_members(manifest, unit, {member.name for member in rest}, folds)
    rounds = _deal(rest, folds, generator)
    split = Split(
        scheme="holdout" if holdout else "nested",
        unit=unit,
        folds=tuple(_fold(number, rounds, evaluated) for number in range(folds)),
        seed=seed,
        stratify=stratify,
        manifest_sha256=manifest.sha256,
        warnings=_warnings(manifest, unit),
    )
    _require_labels(manifest, split)
    return split


def choose_test(strata: Mapping[str, str], *, share: float, seed: int) -> frozenset[str]:
    """Choose a test part before there is an image.

    Args:
        strata: stratum of every patient.
        share: of the patients, between 0 and 1; the same share of every stratum as far as whole patients allow.
        seed: another seed chooses others.

    Raises:
        InputError: a share outside 0 to 1, or one that leaves a part empty.

    Example:
        >>> len(choose_test({f"p{i}": "ab"[i % 2] for i in range(8)}, share=0.25, seed=1))
        2
    """
    members = [_Member(name, stratum, 1) for name, stratum in sorted(strata.items())]
    return _cut(members, share, np.random.default_rng(seed))


def _members(manifest: Manifest, unit: str, stratify: str) -> list[_Member]:
    """Sorted by name: the order of the rows must not show."""
    names = manifest.column(unit)
    values = manifest.column(stratify) if stratify else np.full(len(manifest), "")
    found: dict[str, list[str]] = {}
    for name, value in zip(names.tolist(), values.tolist(), strict=True):
        found.setdefault(name, []).append(value)
    return [_Member(name, repr(sorted(set(seen))), len(seen)) for name, seen in sorted(found.items())]


def _fixed_test(manifest: Manifest, unit: str) -> frozenset[str]:
    """Who the manifest marks as test."""
    test = {row.text(unit) for row in manifest.rows if row.split == "test"}
    other = {row.text(unit) for row in manifest.rows if row.split != "test"}
    if test & other:
        raise InputError(
            f"{len(test & other)} patient(s), {min(test & other)!r} the first, have images marked as test and images "
            "that are not: mark all or none of a patient's images"
        )
    return frozenset(test)


def _cut(members: Sequence[_Member], share: float, generator: np.random.Generator) -> frozenset[str]:
    """A share of the members, the same share of every stratum as far as whole members allow."""
    if not 0 < share < 1:
        raise InputError(f"the share of patients to test on must be between 0 and 1, found {share:g}")
    strata = _by_stratum(members)
    wanted = [share * len(group) for group in strata]
    counts = [int(number) for number in wanted]
    total = round(share * len(members))
    if not 0 < total < len(members):
        raise InputError(f"a share of {share:g} of {len(members)} leaves nobody to test on, or nobody else: change it")
    left = total - sum(counts)
    # largest remainders first; ties by the order of the strata, which is their name's
    for index in sorted(range(len(strata)), key=lambda i: counts[i] - wanted[i])[:left]:
        counts[index] += 1
    chosen: list[str] = []
    for group, count in zip(strata, counts, strict=True):
        order = generator.permutation(len(group))
        chosen += [group[int(i)].name for i in order[:count]]
    return frozenset(chosen)


def _deal(members: Sequence[_Member], folds: int, generator: np.random.Generator) -> list[list[str]]:
    """Members in as many hands as folds."""
    hands: list[list[str]] = [[] for _ in range(folds)]
    images = np.zeros(folds, dtype=np.int64)
    for group in _by_stratum(members):
        held = np.zeros(folds, dtype=np.int64)
        here = np.zeros(folds, dtype=np.int64)
        shuffled = [group[int(i)] for i in generator.permutation(len(group))]
        # within a round only: sorting all of them would leave nothing to the seed
        rounds = [shuffled[first : first + folds] for first in range(0, len(shuffled), folds)]
        for member in (one for some in rounds for one in sorted(some, key=lambda one: -one.images)):
            fold = min(range(folds), key=lambda f: (held[f], len(hands[f]), here[f], images[f]))
            hands[fold].append(member.name)
            held[fold] += 1
            here[fold] += member.images
            images[fold] += member.images
    return hands


def _by_stratum(members: Iterable[_Member]) -> list[list[_Member]]:
    groups: dict[str, list[_Member]] = {}
    for member in members:
        groups.setdefault(member.stratum, []).append(member)
    return [groups[stratum] for stratum in sorted(groups)]


def _fold(number: int, rounds: Sequence[Sequence[str]], evaluated: frozenset[str]) -> Fold:
    """Fold ``number`` of a holdout (somebody is evaluated already) or a nested split."""
    if evaluated:
        test, chosen = sorted(evaluated), number
    else:
        test, chosen = sorted(rounds[number]), (number + 1) % len(rounds)
    away = {number, chosen}
    train = sorted(name for index, hand in enumerate(rounds) if index not in away for name in hand)
    return Fold(train=tuple(train), validation=tuple(sorted(rounds[chosen])), test=tuple(test))


def _require_members(manifest: Manifest, unit: str, names: set[str], folds: int) -> None:
    """Each label has enough patients to be in the part that goes round of every fold."""
    for label in _required(manifest):
        count = len({row.text(unit) for row in manifest.rows if row.label == label} & names)
        if count < folds:
            advice = f"use at most {count} folds" if count > 1 else f"add {unit}s"
            raise InputError(
                f"{folds} folds were asked for, but {count} {unit}(s) outside the test part have the label {label!r}, "
                f"and every fold needs one: {advice}"
            )


def _required(manifest: Manifest) -> list[str]:
    """Labels that every part of a fold needs: pictures with a mask need no normal ones beside them."""
    masked = all(row.lesion_mask for row in manifest.rows)
    return [label for label in manifest.labels if not (masked and label == NORMAL)] or list(manifest.labels)


def _require_labels(manifest: Manifest, split: Split) -> None:
    labels = manifest.column("label")
    for number in range(len(split.folds)):
        rows = split.rows(manifest, number)
        for part in PARTS:
            for label in _required(manifest):
                if not (labels[getattr(rows, part)] == label).any():
                    raise InputError(
                        f"the {part} part of fold {number} has no image of the label {label!r}: use fewer folds"
                        + (" or a larger share for the test" if part == "test" and split.scheme == "holdout" else "")
                        + (", or stratify by label" if split.stratify != "label" else "")
                    )


def _warnings(manifest: Manifest, unit: str) -> tuple[str, ...]:
    lone = sum(row.extra.get(PATIENT_KNOWN) == "no" for row in manifest.rows)
    if lone:
        share = "" if lone == len(manifest) else f" ({lone} of {len(manifest)} images)"
        return (f"{UNKNOWN_PATIENTS_WARNING}{share}",)
    if unit == "patient":
        return ()
    several = sum(count > 1 for count in Counter(row.patient for row in manifest.rows).values())
    text = (
        f"Divided by image, not by patient: images of {several} of {len(manifest.patients)} patients may be learnt "
        "from and evaluated on at once: results are too good for new patients. Only to repeat a paper that did so."
    )
    return (text,)
