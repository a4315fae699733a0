"""All of curation over one data set: a report for a person, lists for a program. Nothing of the data set is touched."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from osteon._compiled import available_threads
from osteon.curation.conflicts import RULES, find_conflicts, resolve_conflicts
from osteon.curation.leakage import audit_split
from osteon.curation.near_duplicates import find_duplicates, match_patients
from osteon.curation.pairs import similar_pairs
from osteon.curation.quality import Quality, judge_quality
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError, UnknownLabelError, nearest_names
from osteon.io.image import read_image
from osteon.io.split_file import SPLIT_NAME, read_split
from osteon.io.table import find_manifest, read_manifest
from osteon.io.whole_file import whole_file
from osteon.study.curation import CurateOptions, Curation, DuplicatePair, FoldDrop
from osteon.study.curation_report import write_curation
from osteon.train.curated import EMBEDDED_SIZE, dataset_vectors, has_direction
from osteon.train.pixels import pixels_key
from osteon.train.run_data import synthetic_words

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.curation.conflicts import Conflict
    from osteon.data import Manifest, Split

__all__ = ["curate_dataset"]

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

    Returns:
        What was found.

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
    found = _compare(manifest, split, vectors, chosen, quality, unreadable, progress)
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.with_name(f".{out.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir()
        write_curation(work, found, progress=progress)
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
        entries = json.loads(file.read_text(encoding="utf-8"))
    else:
        entries = _judge_all(manifest, progress)
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{cache.name} cannot be made: {error.strerror}") from error
        with whole_file(file) as work:
            work.write_text(json.dumps(entries), encoding="utf-8")
    qualities = tuple(None if isinstance(entry, str) else _quality(entry) for entry in entries)
    return qualities, tuple((row, entry) for row, entry in enumerate(entries) if isinstance(entry, str))


def _quality(entry: dict[str, object]) -> Quality:
    fields = dict(entry)
    for name in ("reasons", "shape"):
        fields[name] = tuple(fields[name])  # type: ignore[arg-type]  # JSON has lists
    return Quality(**fields)  # type: ignore[arg-type]  # as written by asdict


def _judge_all(manifest: Manifest, progress: Progress) -> list[dict[str, object] | str]:
    def judge(row: int) -> dict[str, object] | str:
        try:
            return asdict(judge_quality(read_image(manifest.folder / manifest.rows[row].image)))
        except InputError as error:
            return str(error)

    entries: list[dict[str, object] | str] = []
    with ThreadPoolExecutor(available_threads()) as pool:
        for start in range(0, len(manifest), _BLOCK):
            entries += pool.map(judge, range(start, min(start + _BLOCK, len(manifest))))
            progress("judging quality", len(entries), len(manifest))
    return entries


def _compare(
    manifest: Manifest,
    split: Split | None,
    vectors: NDArray[np.float32],
    options: CurateOptions,
    quality: tuple[Quality | None, ...],
    unreadable: tuple[tuple[int, str], ...],
    progress: Progress,
) -> Curation:
    labels, patients, images = (manifest.column(name) for name in ("label", "patient", "image"))
    hashes = [entry.pixel_hash if entry else "" for entry in quality]
    usable = has_direction(vectors)
    among = usable & ~_test_rows(manifest, split)
    conflicts = find_conflicts(
        vectors, labels, patients, images, threshold=options.threshold, among=among, progress=progress
    )
    rows = np.flatnonzero(usable)
    known = vectors if len(rows) == len(vectors) else vectors[rows]
    named = [hashes[row] for row in rows.tolist()]
    groups = find_duplicates(patients[rows], vectors=known, hashes=named, threshold=options.near)
    pairs = similar_pairs(known, threshold=options.near, across=patients[rows], most=1_000_000, progress=progress)
    kinds: list[DuplicatePair] = [
        DuplicatePair("exact" if hashes[one] == hashes[other] else "near", one, other, cosine)
        for one, other, cosine in zip(
            rows[pairs.first].tolist(), rows[pairs.second].tolist(), pairs.cosine.tolist(), strict=True
        )
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
        groups=tuple(
            type(group)(tuple(int(rows[row]) for row in group.rows), group.patients, group.exact, group.least_cosine)
            for group in groups
        ),
        duplicates=tuple(kinds),
        matches=match_patients(patients[rows], vectors=known, hashes=named, threshold=options.near),
        leakage=leakage,
        notes=_notes(manifest, split, among, usable),
    )


def _test_rows(manifest: Manifest, split: Split | None) -> NDArray[np.bool_]:
    """The fixed test part: conflicts there are nobody's business, or the labels would be judged by the model."""
    test = manifest.column("split") == "test"
    if split is not None and split.scheme == "holdout":
        test = test.copy()
        test[split.rows(manifest, 0).test] = True
    return np.asarray(test)


def _drops(
    manifest: Manifest, split: Split | None, conflicts: tuple[Conflict, ...], options: CurateOptions
) -> tuple[FoldDrop, ...]:
    if options.rule != "drop-healthy":
        return ()
    labels = np.where(manifest.truth(options.positive), "positive", "healthy")
    binary = [
        type(conflict)(
            conflict.first,
            conflict.second,
            conflict.images,
            (str(labels[conflict.first]), str(labels[conflict.second])),
            conflict.patients,
            conflict.cosine,
        )
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
        done = resolve_conflicts(binary, labels, rule="drop-healthy", trainable=trainable)
        drops += [FoldDrop(fold, dropped) for dropped in done.dropped]
    return tuple(drops)


def _notes(
    manifest: Manifest, split: Split | None, among: NDArray[np.bool_], usable: NDArray[np.bool_]
) -> tuple[str, ...]:
    notes = list(synthetic_words(manifest))
    if left := int((usable & ~among).sum()):
        notes.append(f"{left} images of the test part were not searched for label conflicts.")
    if split is None:
        notes.append("The data set is not split yet (no splits.json): leakage between parts was not looked at.")
    elif split.scheme == "nested":
        notes.append("Every patient is judged in one fold of this split: conflicts were searched among all images.")
    if unreadable := int((~usable).sum()):
        notes.append(f"{unreadable} of {len(manifest)} images cannot be read and were compared with nothing.")
    return tuple(notes)
