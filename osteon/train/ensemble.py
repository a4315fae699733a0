"""EH: several networks that differ by what they were trained on, averaged; in two readings of what they are scored on.

Literal: the members are the networks of the folds of one run, and every fold's test part is scored by all of them,
though all but one of them learnt from it or chose by it. The thesis can be read so; the numbers are too good, and say
so. Nested: for each fold, members are trained on an inner division of everything but its test part, and score that.

References:
    specs/bone-metastasis.md, sections 2.2 and 8.1 (1).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from osteon.curation.splits import make_split
from osteon.data import Fold, Split
from osteon.data.options import Progress, silent
from osteon.errors import InputError
from osteon.train.counts import SegmentCounts
from osteon.train.objectives.segment import SEGMENT, Judge, kept_network
from osteon.train.run import Run, RunOptions, train_run
from osteon.train.run_folder import (
    SETTINGS_NAME,
    digest,
    fold_numbers,
    make_folder,
    read_counts,
    read_document,
    split_digest,
    write_document,
    write_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.train.pixels import Pixels
    from osteon.train.settings import SegmentSettings

__all__ = ["MEMBERS", "EnsembleOptions", "inner_split", "judge_ensemble", "outer_folder", "train_nested"]

MEMBERS = 5
"""Networks of the paper's ensemble."""

_LITERAL = (
    "The ensemble is scored in the literal reading: of the {members} networks averaged for a fold, up to {leaks} had "
    "learnt from its test images or chosen their epoch by them. These numbers are too good; the nested reading is the "
    "honest one."
)
_FEWEST = 3
_SEED_STEP = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleOptions:
    """How an ensemble is judged.

    Attributes:
        folds: of the split; None judges all.
        keep: folder where the counts of each fold are kept, so that a judgement that was interrupted goes on.
        cache: folder of decoded images, or None.
        pixels: of the manifest, where they were read already.
        skip_unreadable: leave images out that cannot be read.
        device: "auto", "cpu" or "cuda".
        threads: of torch on the CPU; 0 leaves them as they are.
    """

    folds: Iterable[int] | None = None
    keep: Path | None = None
    cache: Path | None = None
    pixels: Pixels | None = None
    skip_unreadable: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0


@dataclass(frozen=True, slots=True)
class _Team:
    """The members that score one fold.

    Attributes:
        fold: of the outer split.
        settings: of all members.
        weights: one file a member.
        seen: of each member, the rows that it learnt from or chose by.
        test: rows that are scored.
    """

    fold: int
    settings: SegmentSettings
    weights: tuple[Path, ...]
    seen: tuple[NDArray[np.int64], ...] = field(repr=False)
    test: NDArray[np.int64] = field(repr=False)


def inner_split(manifest: Manifest, split: Split, outer: int, *, members: int = MEMBERS) -> Split:
    """Divide all but the test part of a fold: each of the folds that come out trains one member.

    A member learns from all but one of the inner parts and chooses its epoch by that one; its test part is that of the
    outer fold.

    Args:
        manifest: that was divided.
        split: the outer folds.
        outer: number of the fold whose test part nobody may see.
        members: how many.

    Raises:
        InputError: no such fold, fewer than three members, or too few patients for so many.
    """
    fold_numbers(split, [outer])
    if members < _FEWEST:
        raise InputError(f"an ensemble of {members} was asked for; nested members are at least {_FEWEST}")
    whole = split.folds[outer]
    rows = split.rows(manifest, outer)
    rest = manifest.select(np.sort(np.concatenate([rows.train, rows.validation])))
    divided = make_split(
        rest,
        folds=members,
        unit=split.unit,
        stratify=split.stratify,
        seed=split.seed * _SEED_STEP + outer,
    )
    everyone = sorted({*whole.train, *whole.validation})
    folds = tuple(
        Fold(
            train=tuple(name for name in everyone if name not in set(part.test)), validation=part.test, test=whole.test
        )
        for part in divided.folds
    )
    return replace(
        divided, scheme="holdout", folds=folds, manifest_sha256=split.manifest_sha256, warnings=split.warnings
    )


def outer_folder(folder: Path, outer: int) -> Path:
    """Where the members of a fold lie."""
    return folder / f"outer-{outer}"


def train_nested(
    manifest: Manifest,
    split: Split,
    settings: SegmentSettings,
    folder: Path,
    *,
    members: int = MEMBERS,
    options: RunOptions | None = None,
    progress: Progress = silent,
) -> tuple[Run, ...]:
    """Train the members of every fold. What is done is skipped, what was interrupted goes on.

    Args:
        manifest: of the data set, with masks.
        split: the outer folds.
        settings: of all members.
        folder: of all of them; each outer fold has a run of its own in it.
        members: of each fold.
        options: ``folds`` are outer folds here.
        progress: told about every step.

    Returns:
        A run for each outer fold that was asked for.

    Raises:
        InputError: as ``inner_split`` and ``train_run``.
        OutputError: a folder cannot be written.
        BackendError: the device is not at hand.
    """
    chosen = options or RunOptions()
    numbers = fold_numbers(split, chosen.folds)
    if chosen.cache is None:
        chosen = replace(chosen, cache=folder / "cache")
    return tuple(
        train_run(
            manifest,
            inner_split(manifest, split, outer, members=members),
            settings,
            outer_folder(folder, outer),
            options=replace(chosen, folds=None),
            progress=progress,
        )
        for outer in numbers
    )


def judge_ensemble(
    manifest: Manifest,
    split: Split,
    runs: Run | Sequence[Run],
    *,
    options: EnsembleOptions | None = None,
    progress: Progress = silent,
) -> SegmentCounts:
    """Average the probabilities of several networks and count what they call on the test part of each fold.

    Args:
        manifest: of the data set.
        split: whose test parts are scored.
        runs: one run is the literal reading: the networks of its folds score every fold. Several are the nested
            reading: one for each outer fold that is judged, of ``train_nested``, in their order.
        options: which folds, where counts are kept.
        progress: told about images.

    Returns:
        Counts of part "test"; ``warnings`` says so where a network was judged on what it had seen.

    Raises:
        InputError: a member is not trained, or belongs to another split or data set.
        WeightsError: weights are missing or damaged.
    """
    how = options or EnsembleOptions()
    numbers = fold_numbers(split, how.folds)
    if isinstance(runs, Run):
        teams = _literal(manifest, split, runs, numbers)
    else:
        teams = _nested(manifest, split, runs, numbers)
    pixels = how.pixels or SEGMENT.load(
        manifest, teams[0].settings, how.cache, skip_unreadable=how.skip_unreadable, progress=progress
    )
    tables = [_judged(manifest, team, pixels, how, progress) for team in teams]
    return SegmentCounts.joined(tables).warned([*split.warnings, *_warnings(teams)])


def _literal(manifest: Manifest, split: Split, run: Run, numbers: list[int]) -> list[_Team]:
    _require_members(run, manifest, split)
    seen = _seen(manifest, split)
    weights = tuple(fold.weights for fold in run.folds)
    return [_Team(number, run.settings, weights, seen, split.rows(manifest, number).test) for number in numbers]


def _nested(manifest: Manifest, split: Split, runs: Sequence[Run], numbers: list[int]) -> list[_Team]:
    if len(runs) != len(numbers):
        raise InputError(f"{len(runs)} runs of members were given for {len(numbers)} folds: one each is needed")
    teams = []
    for number, run in zip(numbers, runs, strict=True):
        inner = inner_split(manifest, split, number, members=len(run.folds))
        _require_members(run, manifest, inner)
        weights = tuple(fold.weights for fold in run.folds)
        teams.append(_Team(number, run.settings, weights, _seen(manifest, inner), split.rows(manifest, number).test))
    return teams


def _seen(manifest: Manifest, split: Split) -> tuple[NDArray[np.int64], ...]:
    """Rows that the network of each fold learnt from or chose by."""
    parts = [split.rows(manifest, number) for number in range(len(split.folds))]
    return tuple(np.concatenate([rows.train, rows.validation]) for rows in parts)


def _require_members(run: Run, manifest: Manifest, split: Split) -> None:
    """Refuse a run that is not complete, or was divided otherwise."""
    if read_document(run.folder / SETTINGS_NAME).get("split_sha256") != split_digest(manifest, split):
        raise InputError(
            f"{run.folder.name} was trained on another split or data set: its networks are no members here"
        )
    if not run.is_complete:
        raise InputError(
            f"{len(run.done)} of {len(run.folds)} members of {run.folder.name} are trained: train all of them first"
        )


def _judged(manifest: Manifest, team: _Team, pixels: Pixels, how: EnsembleOptions, progress: Progress) -> SegmentCounts:
    """The counts of one fold, kept where they may be."""
    rows = pixels.usable(team.test)
    identity = digest(
        [
            team.settings.threshold,
            [manifest.rows[int(row)].image for row in rows],
            [hashlib.sha256(file.read_bytes()).hexdigest() for file in team.weights],
        ]
    )
    notes = None if how.keep is None else how.keep / f"fold-{team.fold}.json"
    if notes is not None and notes.exists() and read_document(notes).get("identity") == identity:
        return read_counts(notes.with_suffix(".csv"))
    settings = replace(team.settings, device=how.device, devices=1, precision="32", threads=how.threads)
    networks = [kept_network(settings, file) for file in team.weights]
    judge = Judge.of(settings, networks, manifest, pixels, progress=progress)
    counts, _ = judge.judged(rows, fold=team.fold, part="test", threshold=settings.threshold)
    if notes is not None:
        make_folder(notes.parent)
        write_text(notes.with_suffix(".csv"), counts.text())
        write_document(notes, {"identity": identity, "members": len(team.weights)})
    return counts


def _warnings(teams: list[_Team]) -> list[str]:
    """What must be said where members had seen what they score."""
    leaks = [sum(bool(np.isin(team.test, seen).any()) for seen in team.seen) for team in teams]
    if not any(leaks):
        return []
    return [_LITERAL.format(members=len(teams[0].weights), leaks=max(leaks))]
