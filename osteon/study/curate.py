"""Curation of one data set: a report for a person, lists for a program, and a person's decisions, applied.

Nothing of the data set is touched: decisions make a new manifest beside the given one.
"""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

import osteon
from osteon._compiled import available_threads
from osteon.curation.conflicts import HEALTHY, find_conflicts, has_direction, healthy_drops
from osteon.curation.leakage import audit_split
from osteon.curation.near_duplicates import find_duplicates, match_patients
from osteon.curation.options import RULES, CurateOptions
from osteon.curation.pairs import chosen_rows, similar_pairs
from osteon.curation.quality import Quality, assess_quality
from osteon.data import Manifest
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError, UnknownLabelError, nearest_names
from osteon.io.image import read_image
from osteon.io.split_file import SPLIT_NAME, read_split
from osteon.io.table import csv_text, find_manifest, read_manifest, read_rows, write_manifest
from osteon.io.whole_file import whole_file, write_whole
from osteon.report.blocks import Gallery, Item, Section, Table, results_document
from osteon.report.charts import thumbnail
from osteon.report.page import write_page
from osteon.report.wording import count
from osteon.train.curated import EMBEDDED_SIZE, dataset_vectors
from osteon.train.pixels import pixels_key
from osteon.train.run import synthetic_text
from osteon.train.run_folder import write_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.curation.conflicts import Conflict, Dropped
    from osteon.curation.leakage import LeakageReport
    from osteon.curation.near_duplicates import DuplicateGroup, PatientMatch
    from osteon.data import Split
    from osteon.report.blocks import Document

__all__ = [
    "REVIEW_COLUMNS",
    "Applied",
    "Curation",
    "DuplicatePair",
    "apply_review",
    "curate_dataset",
]

DECISIONS = ("keep", "drop", "relabel")
REVIEW_COLUMNS = ("image", "decision", "new_label", "patient", "label", "reason", "pairs")
"""Of review.csv; "relabel" needs ``new_label``."""

_Line = dict[str, object]
_BLOCK = 256


def curate_dataset(
    dataset: Path, out: Path, options: CurateOptions | None = None, progress: Progress = silent
) -> Curation:
    """Look at a data set and write a report folder, whole or not at all.

    Args:
        dataset: folder or manifest.
        out: report folder to make: issues.csv, pairs.csv, review.csv, summary.json, index.html; with the rule
            "drop-healthy" also dropped.csv.
        options: what to look for.
        progress: told about images and pairs.

    Raises:
        InputError: the manifest cannot be used, images cannot be read and are not to be skipped, or the threshold is
            so low that nearly everything is a pair.
        UnknownLabelError: no such rule, backbone or label.
        OutputError: the report exists or cannot be written.
        BackendError: torch is not installed.
    """
    chosen = options or CurateOptions()
    if chosen.rule not in RULES:
        raise UnknownLabelError(f"no rule {chosen.rule!r} for label conflicts: {nearest_names(chosen.rule, RULES)}")
    if out.exists():
        raise OutputError(f"{out.name} exists already: a report is never written over; name another folder")
    manifest = read_manifest(dataset)
    split = _split(dataset, manifest)
    cache = chosen.cache or out.with_name(f"{out.name}.cache")
    quality, unreadable = _qualities(manifest, cache, progress)
    if unreadable and not chosen.skip_unreadable:
        named = "; ".join(f"{manifest.rows[row].image} ({reason})" for row, reason in unreadable[:3])
        raise InputError(
            f"{len(unreadable)} of {len(manifest)} images cannot be read: {named}. Repair or remove them, or pass "
            "--skip-unreadable to go on without them"
        )
    vectors = dataset_vectors(manifest, cache, progress=progress, backbone=chosen.backbone)
    told: dict[str, Any] = {"quality": quality, "unreadable": unreadable}
    found = _curate(manifest, split, vectors, options=chosen, **told, progress=progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.with_name(f".{out.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        _write(work, found, progress)
        work.replace(out)
    except OSError as error:
        raise OutputError(f"{out.name} cannot be written: {error.strerror or type(error).__name__}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if chosen.cache is None:  # decoded images are many gigabytes and soon made again; vectors are neither
        for file in cache.glob("pixels-*"):
            file.unlink(missing_ok=True)
    return found


def _split(dataset: Path, manifest: Manifest) -> Split | None:
    file = find_manifest(dataset).with_name(SPLIT_NAME)
    if not file.is_file():
        return None
    split = read_split(file)
    split.rows(manifest, 0)  # refuses a split of another manifest before the work begins
    return split


def _qualities(
    manifest: Manifest, cache: Path, progress: Progress
) -> tuple[tuple[Quality | None, ...], tuple[tuple[int, str], ...]]:
    """Of every image, kept in the cache; an image that cannot be read has its reason."""
    file = cache / f"quality-{pixels_key(manifest, EMBEDDED_SIZE)}.json"
    if file.exists():
        entries = msgspec.json.decode(file.read_bytes(), type=list[Quality | str])
    else:
        entries = _evaluate_all(manifest, progress)
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{cache.name} cannot be made: {error.strerror}") from error
        with whole_file(file) as work:
            work.write_bytes(msgspec.json.encode(entries))
    qualities = tuple(None if isinstance(entry, str) else entry for entry in entries)
    return qualities, tuple((row, entry) for row, entry in enumerate(entries) if isinstance(entry, str))


def _evaluate_all(manifest: Manifest, progress: Progress) -> list[Quality | str]:
    def evaluate(row: int) -> Quality | str:
        try:
            return assess_quality(read_image(manifest.folder / manifest.rows[row].image, any_scale=True))
        except InputError as error:
            return str(error)

    entries: list[Quality | str] = []
    with ThreadPoolExecutor(available_threads()) as pool:
        for start in range(0, len(manifest), _BLOCK):
            entries += pool.map(evaluate, range(start, min(start + _BLOCK, len(manifest))))
            progress("evaluating quality", len(entries), len(manifest))
    return entries


# ---------------------------------------------------------------------------------------------------------------- files


def _write(folder: Path, found: Curation, progress: Progress) -> None:
    """All files of a report."""
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
                "fold": "" if fold < 0 else fold,
                "image": dropped.image,
                "because": found.manifest.rows[dropped.because].image,
                "cosine": f"{dropped.cosine:.6f}",
            }
            for fold, dropped in found.drops
        ]
        _write_csv(folder / "dropped.csv", drops, ("fold", "image", "because", "cosine"))
        links.append(("dropped.csv", "what the paper's rule would leave out of training"))
    write_document(folder / "summary.json", _summary(found))
    write_page(folder / "index.html", _sheet(found, links, progress))


# --------------------------------------------------------------------------------------------------------------- lists

_OF_PAIR = ("image_1", "patient_1", "label_1", "image_2", "patient_2", "label_2")
_PAIR_COLUMNS = ("pair", "kind", "cosine", "same_patient", *_OF_PAIR)


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
    options = ("threshold", "rule", "near", "positive", "backbone")
    return {
        "osteon": osteon.__version__,
        "manifest_sha256": found.manifest.sha256,
        "options": {name: getattr(found.options, name) for name in options},
        "counts": found.counts(),
        "notes": list(found.notes),
        "patients_that_may_be_one": [
            {
                "first": match.first,
                "second": match.second,
                "shared": list(match.shared),
                "score": match.score,
                "same_spelling": match.same_spelling,
            }
            for match in found.matches
        ],
        "unreadable": [{"image": found.manifest.rows[row].image, "reason": reason} for row, reason in found.unreadable],
        "leakage": None if found.leakage is None else found.leakage.document(),
    }


def _truth(value: bool) -> str:  # noqa: FBT001  # a value to be written, no switch
    return "true" if value else "false"


def _write_csv(file: Path, lines: Iterable[Mapping[str, object]], columns: Sequence[str] | None = None) -> None:
    listed = list(lines)
    names = columns or list(listed[0])
    write_whole(file, csv_text(names, ([line.get(name, "") for name in names] for line in listed)).encode())


# --------------------------------------------------------------------------------------------------------------- sheet


class _Album:
    """Thumbnails, each made once."""

    def __init__(self, found: Curation) -> None:
        self._manifest = found.manifest
        self._pictures: dict[int, str] = {}

    def image(self, row: int) -> Item:
        line = self._manifest.rows[row]
        if row not in self._pictures:
            try:
                self._pictures[row] = thumbnail(read_image(self._manifest.folder / line.image, any_scale=True))
            except InputError:
                self._pictures[row] = ""
        return Item(line.image, line.patient, line.label, "", self._pictures[row])


def _sheet(found: Curation, links: Sequence[tuple[str, str]], progress: Progress) -> Document:
    album, shown = _Album(found), found.options.shown
    counts = found.counts()
    warnings = found.leakage.warnings if found.leakage else ()
    sections = [
        _conflicts_section(found, album, shown),
        _duplicates_section(found, album, shown),
        _people_section(found),
        _quality_section(found, album, shown),
        *([_leakage_section(found.leakage)] if found.leakage else []),
    ]
    progress("contact sheet", 1, 1)
    lead = (
        f"{counts['images']:,} images of {counts['patients']:,} patients: "
        f"{count(counts['conflicts'], 'label conflict')}, "
        f"{count(counts['duplicate_pairs_across_patients'], 'duplicate')} across patients, "
        f"{count(counts['quality'], 'image')} with a fault, {counts['unreadable']:,} that cannot be read"
    )
    return results_document("Curation", lead, warnings=(*warnings, *found.notes), sections=sections, links=links)


def _conflicts_section(found: Curation, album: _Album, shown: int) -> Section:
    groups = [
        (
            f"P{number}  cosine {pair.cosine:.4f}, {'one patient' if pair.same_patient else 'two patients'}",
            (album.image(pair.first), album.image(pair.second)),
        )
        for number, pair in enumerate(found.conflicts[:shown], start=1)
    ]
    words = (
        f"Images alike (cosine at least {found.options.threshold:g}) with different labels. Is one label wrong, or is "
        "this the edge of a lesion, where neighbouring slices are alike and both labels right?"
    )
    return Section("Label conflicts", (words,), gallery=Gallery(tuple(groups), len(found.conflicts), "pairs.csv"))


def _duplicates_section(found: Curation, album: _Album, shown: int) -> Section:
    before = len(found.conflicts)
    groups = [
        (f"P{number}  {pair.kind}, cosine {pair.cosine:.4f}", (album.image(pair.first), album.image(pair.second)))
        for number, pair in enumerate(found.duplicates[:shown], start=before + 1)
    ]
    inside = sum(not group.across_patients for group in found.groups)
    words = f"The same image, or nearly so (cosine at least {found.options.near:g}), under two patients."
    if inside:
        words += f" Within one patient, as neighbouring slices are: {count(inside, 'group')}, named in issues.csv."
    return Section(
        "Duplicates across patients", (words,), gallery=Gallery(tuple(groups), len(found.duplicates), "pairs.csv")
    )


def _people_section(found: Curation) -> Section:
    rows = tuple(
        (
            one.first,
            one.second,
            *(f"{some} of {all_}" for some, all_ in zip(one.shared, one.images, strict=True)),
            "yes" if one.same_spelling else "",
        )
        for one in found.matches
    )
    columns = ("one id", "other id", "its images found in the other", "and the other way", "differ only in spelling")
    tables = (Table("people", "Ids that share images, or differ only in spelling", columns, rows),) if rows else ()
    words = (
        "Two ids that share so many images, or are so alike, that they may be one person: settle it before the split."
        if rows
        else "No two ids share so many images, or are so alike, that they may be one person."
    )
    return Section("Patients that may be one", (words,), tables=tables)


def _quality_section(found: Curation, album: _Album, shown: int) -> Section:
    faulty: list[tuple[int, str]] = [(row, "cannot be read") for row, _ in found.unreadable]
    faulty += [(row, ", ".join(entry.reasons)) for row, entry in enumerate(found.quality) if entry and entry.reasons]
    groups = [(reasons, (album.image(row),)) for row, reasons in faulty[:shown]]
    words = "Blank, clipped, tiny, without contrast, oddly long, or with text burnt in: reasons to look, no verdict."
    return Section("Quality", (words,), gallery=Gallery(tuple(groups), len(faulty), "issues.csv"))


def _leakage_section(report: LeakageReport) -> Section:
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
        Table("leaks", "What is in two parts of a fold", columns, rows),
        Table("parts", "The parts", ("fold", "part", "patients", "images", "labels", "centres"), parts),
    ]
    if strength:
        titles = ("column", "Cramér's V", "p", "patients")
        tables.append(Table("association", "How strongly a column predicts the label", titles, strength))
    words = f"The split in splits.json, images compared by {report.compared}."
    return Section("Leakage", (words,), tables=tuple(tables))


# --------------------------------------------------------------------------------------------------------------- review


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the manifest."""

    manifest: Manifest
    kept: int
    dropped: int
    relabelled: int


def apply_review(dataset: Path, review: Path, out: Path) -> Applied:
    """Write a new manifest without the images to drop, with new labels where a person gave them.

    No image and no manifest is changed or deleted. Images that the review does not name are kept. The new one is in
    the folder of the given one and must not be there yet.

    Raises:
        InputError: a decision is missing or not known, an image is not in the manifest, its label has changed since,
            "relabel" without a label, or nothing would be left.
        OutputError: the file exists, is elsewhere, or cannot be written.
    """
    manifest = read_manifest(dataset)
    if out.exists():
        raise OutputError(f"{out.name} exists already: a manifest is never written over; name another file")
    if out.resolve().parent != manifest.folder.resolve():
        raise OutputError(
            "the new manifest must be in the folder of the given one, because image paths are relative to it: "
            f"write {manifest.folder / out.name}"
        )
    decided = _decisions(review, manifest)
    rows = tuple(
        replace(row, label=decided[row.image][1] or row.label) if row.image in decided else row
        for row in manifest.rows
        if decided.get(row.image, ("keep", ""))[0] != "drop"
    )
    counts = Counter(decision for decision, _ in decided.values())
    written = write_manifest(Manifest(manifest.folder, rows), out)
    return Applied(written, counts["keep"], counts["drop"], counts["relabel"])


def _decisions(review: Path, manifest: Manifest) -> dict[str, tuple[str, str]]:
    """Decision and new label by image."""
    header, lines, _ = read_rows(review, names_patients=False)
    for column in ("image", "decision", "new_label", "label"):
        if column not in header:
            raise InputError(f"{review.name} has no column {column!r}: {nearest_names(column, header)}")
    open_ones = sum(not line["decision"] for line in lines)
    if open_ones:
        raise InputError(
            f"{open_ones} of {len(lines)} images in {review.name} have no decision: write keep, drop or relabel"
        )
    labels = {row.image: row.label for row in manifest.rows}
    decided: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        image, decision, new = line["image"], line["decision"].lower(), line["new_label"]
        where = f"row {number} of {review.name}"
        if image not in labels:
            raise InputError(f"{where} names an image that is not in the manifest: is it the review of this data set?")
        if image in decided:
            raise InputError(f"{where} names an image that an earlier row names: keep one row")
        if labels[image] != line["label"]:
            raise InputError(f"{where}: the image was labelled {line['label']!r}, now {labels[image]!r}: curate again")
        if decision not in DECISIONS:
            raise InputError(f"{where} has the decision {decision!r}: {nearest_names(decision, DECISIONS)}")
        if (decision == "relabel") != bool(new):
            raise InputError(f"{where}: relabel needs a new_label, and only relabel has one")
        decided[image] = (decision, new)
    return decided


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images of two patients, the same or nearly so."""

    kind: Literal["exact", "near"]
    first: int
    second: int
    cosine: float


@dataclass(frozen=True, slots=True, eq=False)
class Curation:
    """What was found.

    Attributes:
        manifest: that was looked at.
        options: as chosen.
        quality: one entry an image; None where it cannot be read.
        unreadable: (row, reason).
        conflicts: pairs alike with different labels, the most alike first; the test part is left out.
        drops: of the rule "drop-healthy", by fold; fold -1 where nothing is split yet.
        groups: of exact and near duplicates, those across patients first.
        duplicates: pairs of two patients.
        matches: patient ids that may be one person.
        leakage: audit of splits.json, or None without one.
        notes: sentences on what was left out and why.
    """

    manifest: Manifest = field(repr=False)
    options: CurateOptions
    quality: tuple[Quality | None, ...] = field(repr=False)
    unreadable: tuple[tuple[int, str], ...] = field(repr=False)
    conflicts: tuple[Conflict, ...] = field(repr=False)
    drops: tuple[tuple[int, Dropped], ...] = field(repr=False)
    groups: tuple[DuplicateGroup, ...] = field(repr=False)
    duplicates: tuple[DuplicatePair, ...] = field(repr=False)
    matches: tuple[PatientMatch, ...] = field(repr=False)
    leakage: LeakageReport | None
    notes: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """How many of each."""
        return {
            "images": len(self.manifest),
            "patients": len(self.manifest.patients),
            "unreadable": len(self.unreadable),
            "conflicts": len(self.conflicts),
            "conflicts_within_a_patient": sum(conflict.same_patient for conflict in self.conflicts),
            "dropped_by_rule": len({dropped.row for _, dropped in self.drops}),
            "duplicate_groups": len(self.groups),
            "duplicate_groups_across_patients": sum(group.across_patients for group in self.groups),
            "duplicate_pairs_across_patients": len(self.duplicates),
            "patients_that_may_be_one": len(self.matches),
            "quality": sum(bool(quality and quality.reasons) for quality in self.quality),
        }


# -------------------------------------------------------------------------------------------------------------- search


def _curate(
    manifest: Manifest,
    split: Split | None,
    vectors: NDArray[np.float32],
    *,
    options: CurateOptions,
    quality: tuple[Quality | None, ...],
    unreadable: tuple[tuple[int, str], ...],
    progress: Progress,
) -> Curation:
    """Look for label conflicts, duplicates within and across patients, ids of one person, and leakage."""
    labels, patients, images = (manifest.column(name) for name in ("label", "patient", "image"))
    hashes = [entry.pixel_hash if entry else "" for entry in quality]
    usable = has_direction(vectors)
    among = usable & ~_test_rows(manifest, split)
    conflicts = find_conflicts(
        vectors, labels, patients, images, threshold=options.threshold, among=among, progress=progress
    )
    rows = np.flatnonzero(usable)
    known = chosen_rows(vectors, rows)
    named = [hashes[row] for row in rows.tolist()]
    groups = find_duplicates(patients[rows], vectors=known, hashes=named, threshold=options.near)
    pairs = similar_pairs(known, threshold=options.near, across=patients[rows], most=1_000_000, progress=progress)
    found = zip(rows[pairs.first].tolist(), rows[pairs.second].tolist(), pairs.cosine.tolist(), strict=True)
    kinds = [
        DuplicatePair("exact" if hashes[one] == hashes[other] else "near", one, other, cosine)
        for one, other, cosine in found
    ]
    kinds.sort(key=lambda pair: (pair.kind != "exact", -pair.cosine, pair.first, pair.second))
    leakage = None
    if split is not None:
        leakage = audit_split(manifest, split, vectors=vectors, hashes=hashes, threshold=options.near)
    return Curation(
        manifest=manifest,
        options=options,
        quality=quality,
        unreadable=unreadable,
        conflicts=conflicts,
        drops=_drops(manifest, split, conflicts, options),
        groups=tuple(replace(group, rows=tuple(rows[list(group.rows)].tolist())) for group in groups),
        duplicates=tuple(kinds),
        matches=match_patients(patients[rows], vectors=known, hashes=named, threshold=options.near),
        leakage=leakage,
        notes=(*synthetic_text(manifest), *_notes(manifest, split, among, usable)),
    )


def _test_rows(manifest: Manifest, split: Split | None) -> NDArray[np.bool_]:
    """The fixed test part: its conflicts are not searched, or the model would choose what it is tested on."""
    test = manifest.column("split") == "test"
    if split is not None and split.scheme == "holdout":
        test = test.copy()
        test[split.rows(manifest, 0).test] = True
    return np.asarray(test)


def _drops(
    manifest: Manifest, split: Split | None, conflicts: tuple[Conflict, ...], options: CurateOptions
) -> tuple[tuple[int, Dropped], ...]:
    if options.rule != "drop-healthy":
        return ()
    labels = np.where(manifest.truth(options.positive), "positive", HEALTHY)
    binary = [
        replace(conflict, labels=(str(labels[conflict.first]), str(labels[conflict.second])))
        for conflict in conflicts
        if labels[conflict.first] != labels[conflict.second]
    ]
    parts = {-1: np.flatnonzero(~_test_rows(manifest, None))}
    if split is not None:
        parts = {number: split.rows(manifest, number).train for number in range(len(split.folds))}
    drops = []
    for fold, train in parts.items():
        trainable = np.zeros(len(manifest), dtype=np.bool_)
        trainable[train] = True
        drops += [(fold, dropped) for dropped in healthy_drops(binary, trainable=trainable)]
    return tuple(drops)


def _notes(
    manifest: Manifest, split: Split | None, among: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> tuple[str, ...]:
    notes = []
    if left := int((usable & ~among).sum()):
        notes.append(f"{left} images of the test part were not searched for label conflicts.")
    if split is None:
        notes.append("The data set is not split yet (no splits.json): leakage between parts was not looked at.")
    elif split.scheme == "nested":
        notes.append("Every patient is evaluated in one fold of this split: conflicts were searched among all images.")
    if unreadable := int((~usable).sum()):
        notes.append(f"{unreadable} of {len(manifest)} images cannot be read and were compared with nothing.")
    return tuple(notes)
