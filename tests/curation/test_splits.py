"""Splits: nobody is evaluated by a model that learnt from them, everybody is evaluated, and the seed alone decides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from osteon.curation.splits import make_split
from osteon.data import ImageRow, Manifest
from osteon.errors import InputError, UnknownLabelError
from osteon.io.split_file import read_split, write_split
from osteon.io.table import read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence


def _manifest(images: Sequence[int], *, period: int = 2, mixed: bool = True, test: int = 0) -> Manifest:
    """Patients of this many images; every ``period``-th has a tumour, in half of the images when mixed."""
    rows = [
        ImageRow(
            image=f"{number}/{index}.png",
            patient=f"p{number:03}",
            label="tumour" if number % period == 0 and (index % 2 == 0 or not mixed) else "healthy",
            split="test" if number < test else "",
            centre="abc"[number % 3],
        )
        for number, count in enumerate(images)
        for index in range(count)
    ]
    return Manifest(Path("set"), tuple(rows), sha256="e" * 64)


@given(
    images=st.lists(st.integers(1, 9), min_size=20, max_size=40),
    folds=st.integers(3, 5),
    seed=st.integers(0, 2**31),
    mixed=st.booleans(),
    how=st.sampled_from(["nested", "share", "marked"]),
)
@settings(max_examples=60, deadline=None)
def test_every_patient_goes_round_once_and_never_into_two_parts(
    images: list[int], folds: int, seed: int, mixed: bool, how: str
) -> None:
    manifest = _manifest([count + 1 for count in images], mixed=mixed, test=4 if how == "marked" else 0)
    split = make_split(manifest, folds=folds, seed=seed, test=0.25 if how == "share" else None)
    assert split.scheme == ("nested" if how == "nested" else "holdout")
    everybody = Counter(manifest.patients)
    for fold in split.folds:
        assert Counter([*fold.train, *fold.validation, *fold.test]) == everybody
    chosen = Counter(name for fold in split.folds for name in fold.validation)
    evaluated = Counter(name for fold in split.folds for name in fold.test)
    if how == "nested":
        assert chosen == evaluated == everybody
    else:
        test = Counter(split.folds[0].test)
        assert all(Counter(fold.test) == test for fold in split.folds)
        assert chosen == everybody - test
    if how == "marked":
        assert split.folds[0].test == manifest.patients[:4]
    for part in ("validation", "test"):
        sizes = [len(getattr(fold, part)) for fold in split.folds]
        assert max(sizes) - min(sizes) <= 1
        tumours = [sum(int(name[1:]) % 2 == 0 for name in getattr(fold, part)) for fold in split.folds]
        assert max(tumours) - min(tumours) <= 1


def test_the_order_of_the_rows_means_nothing_and_the_seed_everything() -> None:
    manifest = _manifest([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8])
    backwards = replace(manifest, rows=manifest.rows[::-1])
    assert make_split(manifest, folds=3) == make_split(backwards, folds=3)
    assert len({make_split(manifest, folds=3, seed=seed).folds for seed in range(8)}) == 8


def test_images_are_spread_as_evenly_as_by_scikit_learn() -> None:
    generator = np.random.default_rng(4)
    ours, theirs = [], []
    for seed in range(10):
        manifest = _manifest(generator.integers(1, 40, 60).tolist(), mixed=False)
        patients, labels = manifest.column("patient"), manifest.column("label")
        split = make_split(manifest, seed=seed)
        counts = [len(split.rows(manifest, fold).test) for fold in range(5)]
        ours.append(np.ptp(counts) / np.mean(counts))
        reference = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        counts = [len(test) for _, test in reference.split(labels, labels, patients)]
        theirs.append(np.ptp(counts) / np.mean(counts))
    assert np.mean(ours) < max(0.1, 1.2 * float(np.mean(theirs)))


def test_a_share_takes_the_same_share_of_every_stratum() -> None:
    manifest = _manifest([2] * 40, period=4)
    split = make_split(manifest, folds=3, test=0.25)
    assert len(split.folds[0].test) == 10
    assert sum(int(name[1:]) % 4 == 0 for name in split.folds[0].test) in {2, 3}


def test_any_column_may_be_spread_evenly() -> None:
    manifest = _manifest([2] * 36)
    split = make_split(manifest, folds=4, stratify="centre")
    for fold in split.folds:
        assert Counter(int(name[1:]) % 3 for name in fold.test) == {0: 3, 1: 3, 2: 3}
    with pytest.raises(UnknownLabelError, match="did you mean 'centre'"):
        make_split(manifest, stratify="center")
    assert make_split(manifest, stratify="").stratify == ""


def test_dividing_by_image_is_possible_and_says_that_it_leaks() -> None:
    manifest = _manifest([6] * 10)
    split = make_split(manifest, unit="image", folds=3)
    assert Counter(name for fold in split.folds for name in fold.test) == Counter(manifest.column("image").tolist())
    assert "images of 10 of 10 patients" in split.warnings[0]
    assert "too good" in split.warnings[0]
    assert make_split(manifest, folds=3).warnings == ()
    with pytest.raises(UnknownLabelError, match="did you mean 'patient'"):
        make_split(manifest, unit="patients")  # type: ignore[arg-type]


def test_a_manifest_of_a_folder_is_divided_and_read_back(toy_dataset: Path, tmp_path: Path) -> None:
    manifest = read_manifest(toy_dataset)
    split = make_split(manifest, folds=5)
    assert split.folds[0].test == ("h5", "t5")
    assert split.manifest_sha256 == manifest.sha256
    assert read_split(write_split(split, tmp_path / "s.json")) == split


def _marked(manifest: Manifest, *images: str) -> Manifest:
    return replace(manifest, rows=tuple(replace(r, split="test" if r.image in images else "") for r in manifest.rows))


PLAIN = _manifest([2] * 12)


@pytest.mark.parametrize(
    ("manifest", "options", "said"),
    [
        (_manifest([4]), {"folds": 3}, "has 1 patient only"),
        (PLAIN, {"folds": 1, "test": 0.3}, "1 folds were asked for, at least 2"),
        (PLAIN, {"folds": 2}, "2 folds were asked for, at least 3.*test, which go round"),
        (PLAIN, {"folds": 7}, r"7 folds .* 6 patient\(s\) .*'tumour'.*use at most 6 folds"),
        (_manifest([2] * 12, period=12), {"folds": 3}, r"1 patient\(s\) .*'tumour'.*add patients"),
        (PLAIN, {"test": 1.0}, "between 0 and 1, found 1"),
        (PLAIN, {"test": 0.01}, "leaves nobody to test on"),
        (PLAIN, {"test": 0.99}, "leaves nobody to test on"),
        (
            _manifest([2] * 12, mixed=False),
            {"test": 0.08, "folds": 3},
            "the test part of fold 0 has no image of the label",
        ),
        (_manifest([2] * 12, test=3), {"test": 0.2}, "marks its test part"),
        (_marked(PLAIN, "1/0.png"), {"folds": 3}, r"1 patient\(s\), 'p001' the first, have images marked"),
        (_marked(PLAIN, "1/0.png", "1/1.png"), {"folds": 3}, "test part of fold 0 has no image of the label 'tumour'"),
    ],
)
def test_what_cannot_be_divided_is_refused_with_advice(
    manifest: Manifest, options: dict[str, float], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        make_split(manifest, **options)  # type: ignore[arg-type]
