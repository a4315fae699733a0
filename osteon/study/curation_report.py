"""The files of a curation: lists for a program, a list to fill in, and a contact sheet."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import osteon
from osteon.errors import InputError
from osteon.io.image import read_image
from osteon.io.whole_file import whole_file
from osteon.report.contact_sheet import (
    ContactSheet,
    SheetGroup,
    SheetImage,
    SheetSection,
    thumbnail,
    write_contact_sheet,
)
from osteon.report.tables import Table
from osteon.report.wording import count
from osteon.study.review import REVIEW_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from osteon.curation.leakage import LeakageReport
    from osteon.data.options import Progress
    from osteon.study.curation import Curation

__all__ = ["write_curation"]

_Line = dict[str, object]


def write_curation(folder: Path, found: Curation, *, progress: Progress) -> None:
    """Write all files of a report.

    Args:
        folder: there already.
        found: by ``curate_dataset``.
        progress: told about thumbnails.

    Raises:
        OutputError: a file cannot be written.
    """
    pairs = _pairs(found)
    of_row: dict[int, list[str]] = {}
    for number, (one, other, _) in enumerate(pairs, start=1):
        for row in (one, other):
            of_row.setdefault(row, []).append(f"P{number}")
    lines = [line for _, _, line in pairs]
    _write_csv(folder / "pairs.csv", lines, _PAIR_COLUMNS)
    _write_csv(folder / "issues.csv", _issues(found, of_row))
    _write_csv(folder / "review.csv", _review(found, of_row), REVIEW_COLUMNS)
    links = [
        ("review.csv", "to fill in: keep, drop or relabel; then osteon curate --apply"),
        ("issues.csv", "every image with what was found of it"),
        ("pairs.csv", "every pair"),
        ("summary.json", "the counts"),
    ]
    if found.options.rule == "drop-healthy":
        drops = [
            {
                "fold": "" if drop.fold < 0 else drop.fold,
                "image": drop.dropped.image,
                "because": found.manifest.rows[drop.dropped.because].image,
                "cosine": f"{drop.dropped.cosine:.6f}",
            }
            for drop in found.drops
        ]
        _write_csv(folder / "dropped.csv", drops, ("fold", "image", "because", "cosine"))
        links.append(("dropped.csv", "what the paper's rule would leave out of training"))
    with whole_file(folder / "summary.json") as work:
        work.write_text(json.dumps(_summary(found), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_contact_sheet(folder / "index.html", _sheet(found, links, progress))


# --------------------------------------------------------------------------------------------------------------- lists

_PAIR_COLUMNS = (
    "pair",
    "kind",
    "cosine",
    "same_patient",
    "image_1",
    "patient_1",
    "label_1",
    "image_2",
    "patient_2",
    "label_2",
)


def _pairs(found: Curation) -> list[tuple[int, int, _Line]]:
    """Conflicts, then duplicates of two patients, with a line of pairs.csv each."""
    rows = found.manifest.rows
    kinds = [("conflict", pair.first, pair.second, pair.cosine) for pair in found.conflicts]
    kinds += [(f"{pair.kind} duplicate", pair.first, pair.second, pair.cosine) for pair in found.duplicates]
    lines = []
    for number, (kind, one, other, cosine) in enumerate(kinds, start=1):
        line: _Line = {
            "pair": f"P{number}",
            "kind": kind,
            "cosine": f"{cosine:.6f}",
            "same_patient": _truth(rows[one].patient == rows[other].patient),
        }
        for side, row in ((1, rows[one]), (2, rows[other])):
            line |= {f"image_{side}": row.image, f"patient_{side}": row.patient, f"label_{side}": row.label}
        lines.append((one, other, line))
    return lines


def _issues(found: Curation, pairs: Mapping[int, Sequence[str]]) -> list[_Line]:
    score: dict[int, float] = {}
    for conflict in found.conflicts:
        for row in (conflict.first, conflict.second):
            score[row] = min(score.get(row, 1.0), 1.0 - conflict.cosine)
    group_of = {row: number for number, group in enumerate(found.groups, start=1) for row in group.rows}
    reasons = dict(found.unreadable)
    lines: list[_Line] = []
    for number, line in enumerate(found.manifest.rows):
        quality = found.quality[number]
        group = group_of.get(number)
        lines.append(
            {
                "image": line.image,
                "patient": line.patient,
                "label": line.label,
                "is_label_issue": _truth(number in score),
                "label_score": f"{score[number]:.6f}" if number in score else "",
                "is_near_duplicate_issue": _truth(group is not None),
                "near_duplicate_set": "" if group is None else f"G{group}",
                "is_exact_duplicate_issue": _truth(group is not None and found.groups[group - 1].exact),
                "is_across_patients": _truth(group is not None and found.groups[group - 1].across_patients),
                "is_quality_issue": _truth(bool(quality is None or quality.reasons)),
                "quality": "cannot be read" if quality is None else "; ".join(quality.reasons),
                "unreadable": reasons.get(number, ""),
                "pairs": " ".join(pairs.get(number, ())[:20]),
            }
        )
    return lines


def _review(found: Curation, pairs: Mapping[int, Sequence[str]]) -> list[_Line]:
    """A line for each image that a person must look at; ``decision`` and ``new_label`` are empty."""
    reasons: dict[int, list[str]] = {}
    for conflict in found.conflicts:
        for row, label in ((conflict.first, conflict.labels[1]), (conflict.second, conflict.labels[0])):
            reasons.setdefault(row, []).append(f"like an image labelled {label}")
    for pair in found.duplicates:
        for row in (pair.first, pair.second):
            reasons.setdefault(row, []).append(f"{pair.kind} duplicate in another patient")
    for row, quality in enumerate(found.quality):
        if quality is not None and quality.reasons:
            reasons.setdefault(row, []).extend(quality.reasons)
    for row, _ in found.unreadable:
        reasons.setdefault(row, []).append("cannot be read")
    rows = found.manifest.rows
    return [
        {
            "image": rows[row].image,
            "decision": "",
            "new_label": "",
            "patient": rows[row].patient,
            "label": rows[row].label,
            "reason": "; ".join(dict.fromkeys(why)),
            "pairs": " ".join(pairs.get(row, ())[:20]),
        }
        for row, why in sorted(reasons.items())
    ]


def _summary(found: Curation) -> dict[str, Any]:
    options = found.options
    return {
        "osteon": osteon.__version__,
        "manifest_sha256": found.manifest.sha256,
        "options": {
            "threshold": options.threshold,
            "rule": options.rule,
            "near": options.near,
            "positive": options.positive,
            "backbone": options.backbone,
        },
        "counts": found.counts(),
        "notes": list(found.notes),
        "patients_that_may_be_one": [
            {"first": match.first, "second": match.second, "shared": list(match.shared), "score": match.score}
            for match in found.matches
        ],
        "unreadable": [{"image": found.manifest.rows[row].image, "reason": reason} for row, reason in found.unreadable],
        "leakage": None if found.leakage is None else found.leakage.document(),
    }


def _truth(value: bool) -> str:  # noqa: FBT001  # a value to be written, no switch
    return "true" if value else "false"


def _write_csv(file: Path, lines: Iterable[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    listed = list(lines)
    with whole_file(file) as work, work.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=columns or list(listed[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(listed)


# --------------------------------------------------------------------------------------------------------------- sheet


class _Album:
    """Thumbnails, each made once."""

    def __init__(self, found: Curation) -> None:
        self._manifest = found.manifest
        self._pictures: dict[int, str] = {}

    def image(self, row: int, note: str = "") -> SheetImage:
        line = self._manifest.rows[row]
        if row not in self._pictures:
            try:
                self._pictures[row] = thumbnail(read_image(self._manifest.folder / line.image))
            except InputError:
                self._pictures[row] = ""
        return SheetImage(line.image, line.patient, line.label, note, self._pictures[row])


def _sheet(found: Curation, links: Sequence[tuple[str, str]], progress: Progress) -> ContactSheet:
    album, shown = _Album(found), found.options.shown
    counts = found.counts()
    warnings = found.leakage.warnings if found.leakage else ()
    sections = [
        _conflicts(found, album, shown),
        _duplicates(found, album, shown),
        _people(found),
        _quality(found, album, shown),
        *([_leakage(found.leakage)] if found.leakage else []),
    ]
    progress("contact sheet", 1, 1)
    lead = (
        f"{counts['images']:,} images of {counts['patients']:,} patients: "
        f"{count(counts['conflicts'], 'label conflict')}, "
        f"{count(counts['duplicate_pairs_across_patients'], 'duplicate')} across patients, "
        f"{count(counts['quality'], 'image')} with a fault, {counts['unreadable']:,} that cannot be read"
    )
    return ContactSheet("Curation", lead, (*warnings, *found.notes), tuple(sections), tuple(links))


def _conflicts(found: Curation, album: _Album, shown: int) -> SheetSection:
    groups = [
        SheetGroup(
            f"P{number}  cosine {pair.cosine:.4f}, {'one patient' if pair.same_patient else 'two patients'}",
            (album.image(pair.first), album.image(pair.second)),
        )
        for number, pair in enumerate(found.conflicts[:shown], start=1)
    ]
    words = (
        f"Images alike (cosine at least {found.options.threshold:g}) with different labels. Is one label wrong, or is "
        "this the edge of a lesion, where neighbouring slices are alike and both labels right?"
    )
    return SheetSection("Label conflicts", words, tuple(groups), len(found.conflicts), "pairs.csv")


def _duplicates(found: Curation, album: _Album, shown: int) -> SheetSection:
    before = len(found.conflicts)
    groups = [
        SheetGroup(
            f"P{number}  {pair.kind}, cosine {pair.cosine:.4f}", (album.image(pair.first), album.image(pair.second))
        )
        for number, pair in enumerate(found.duplicates[:shown], start=before + 1)
    ]
    inside = sum(not group.across_patients for group in found.groups)
    words = f"The same image, or nearly so (cosine at least {found.options.near:g}), under two patients."
    if inside:
        words += f" Within one patient, as neighbouring slices are: {count(inside, 'group')}, named in issues.csv."
    return SheetSection("Duplicates across patients", words, tuple(groups), len(found.duplicates), "pairs.csv")


def _people(found: Curation) -> SheetSection:
    rows = tuple(
        (
            match.first,
            match.second,
            f"{match.shared[0]} of {match.images[0]}",
            f"{match.shared[1]} of {match.images[1]}",
        )
        for match in found.matches
    )
    columns = ("one id", "other id", "its images found in the other", "and the other way")
    tables = (Table("people", "Ids that share images", columns, rows),) if rows else ()
    words = (
        "Two ids that share so many images that they may be one person: settle it before the data set is split."
        if rows
        else "No two ids share so many images that they may be one person."
    )
    return SheetSection("Patients that may be one", words, tables=tables)


def _quality(found: Curation, album: _Album, shown: int) -> SheetSection:
    faulty: list[tuple[int, str]] = [(row, "cannot be read") for row, _ in found.unreadable]
    faulty += [(row, ", ".join(entry.reasons)) for row, entry in enumerate(found.quality) if entry and entry.reasons]
    groups = [SheetGroup(reasons, (album.image(row),)) for row, reasons in faulty[:shown]]
    words = "Blank, clipped, tiny, without contrast, oddly long, or with text burnt in: reasons to look, no verdict."
    return SheetSection("Quality", words, tuple(groups), len(faulty), "issues.csv")


def _leakage(report: LeakageReport) -> SheetSection:
    rows = tuple(
        tuple(str(value) for value in (each.fold, each.patients, each.one_person, each.studies, each.exact, each.near))
        for each in report.folds
    )
    parts = tuple(
        (
            str(fold.fold),
            part.part,
            str(part.patients),
            str(part.images),
            ", ".join(f"{label} {count}" for label, count in part.labels.items()),
            ", ".join(f"{centre or 'not known'} {count}" for centre, count in part.centres.items()),
        )
        for fold in report.folds
        for part in fold.parts
    )
    strength = tuple(
        (each.column, f"{each.cramers_v:.2f}", f"{each.p_value:.2g}", str(each.patients))
        for each in report.associations
    )
    columns = ("fold", "patients", "ids of one person", "studies", "equal images", "nearly equal images")
    tables = [
        Table("leaks", "What lies in two parts of a fold", columns, rows),
        Table("parts", "The parts", ("fold", "part", "patients", "images", "labels", "centres"), parts),
    ]
    if strength:
        titles = ("column", "Cramér's V", "p", "patients")
        tables.append(Table("association", "How strongly a column tells the label", titles, strength))
    words = f"The split in splits.json, images compared by {report.compared}."
    return SheetSection("Leakage", words, tables=tuple(tables))
