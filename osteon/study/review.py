"""A person's decisions, applied: a new manifest beside the given one, which stays as it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from osteon.data import Manifest
from osteon.errors import InputError, OutputError, nearest_names
from osteon.io.table import read_manifest, read_rows, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DECISIONS", "REVIEW_COLUMNS", "Applied", "apply_review"]

DECISIONS = ("keep", "drop", "relabel")
REVIEW_COLUMNS = ("image", "decision", "new_label", "patient", "label", "reason", "pairs")
"""Of review.csv; "relabel" needs ``new_label``."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of the manifest."""

    manifest: Manifest
    kept: int
    dropped: int
    relabelled: int


def apply_review(dataset: Path, review: Path, out: Path) -> Applied:
    """Write a new manifest without the images to drop, with new labels where a person gave them.

    No image and no manifest is changed or deleted. Images that the review does not name are kept.

    Args:
        dataset: folder or manifest that was curated.
        review: review.csv, every decision filled in.
        out: the new manifest, .csv or .parquet, in the folder of the given one; must not be there yet.

    Raises:
        InputError: a decision is missing or not known, an image is not in the manifest, its label has changed since,
            "relabel" without a label, or nothing would be left.
        OutputError: the file exists, lies elsewhere, or cannot be written.
    """
    manifest = read_manifest(dataset)
    if out.exists():
        raise OutputError(f"{out.name} exists already: a manifest is never written over; name another file")
    if out.resolve().parent != manifest.folder.resolve():
        raise OutputError(
            "the new manifest must lie in the folder of the given one, because image paths are relative to it: "
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
    header, lines, _ = read_rows(review)
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
