"""What a split lets through, on tables small enough to count by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats.contingency import association as plain_association

from osteon.curation.leakage import association, audit_split
from osteon.curation.splits import make_split
from osteon.data import Fold, ImageRow, Manifest, Split
from osteon.errors import InputError


def _manifest(*lines: tuple[str, str, str, str]) -> Manifest:
    """From (patient, label, study, centre)."""
    return Manifest(
        Path(),
        tuple(
            ImageRow(image=f"{number}.png", patient=patient, label=label, study=study, centre=centre)
            for number, (patient, label, study, centre) in enumerate(lines)
        ),
    )


FOUR = _manifest(
    ("a", "tumour", "s1", "north"),
    ("a", "healthy", "s1", "north"),
    ("b", "tumour", "s2", "north"),
    ("c", "healthy", "s1", "south"),
    ("d", "tumour", "", "south"),
)
BY_PATIENT = Split("holdout", "patient", (Fold(("a",), ("b",), ("c",)), Fold(("b",), ("a",), ("c",))), seed=1)
BY_IMAGE = Split("holdout", "image", (Fold(("0.png", "2.png"), ("1.png",), ("3.png", "4.png")),), seed=1)
APART = np.eye(5, dtype=np.float32)


def test_a_split_by_image_is_warned_of_and_its_shared_patients_and_studies_are_counted() -> None:
    report = audit_split(FOUR, BY_IMAGE)
    assert (report.folds[0].patients, report.folds[0].studies) == (1, 1)
    assert report.folds[0].leaks
    assert report.warnings[0].startswith("Divided by image")
    assert "LEAK: 1 patient(s) with images in two parts (the worst of 1 fold(s))." in report.warnings
    assert report.compared == "names only"


def test_parts_are_counted_and_a_study_under_two_patients_is_a_leak() -> None:
    report = audit_split(FOUR, BY_PATIENT)
    train, validation, test = report.folds[0].parts
    assert (train.patients, train.images, train.labels, train.centres) == (
        1,
        2,
        {"healthy": 1, "tumour": 1},
        {"north": 2},
    )
    assert (validation.images, test.labels) == (1, {"healthy": 1})
    assert [fold.studies for fold in report.folds] == [1, 1]  # s1 is of a and c
    assert [fold.patients for fold in report.folds] == [0, 0]
    assert any("centre(s) that it never learnt from" in warning for warning in report.warnings)


def test_equal_and_nearly_equal_images_are_counted_where_they_cross_and_d_is_in_no_part() -> None:
    vectors = APART.copy()
    vectors[3] = vectors[0]  # equal by content too
    vectors[4] = vectors[0]  # d is in no part of the split
    vectors[2] = vectors[1] + 0.01 * vectors[0]  # nearly equal: cosine 1 / sqrt(1.0001)
    hashes = ["x", "y", "z", "x", "x"]
    report = audit_split(FOUR, BY_PATIENT, vectors=vectors, hashes=hashes)
    assert [(fold.exact, fold.near) for fold in report.folds] == [(1, 1), (1, 1)]
    assert report.compared == "pixels and vectors"
    assert audit_split(FOUR, BY_PATIENT, hashes=hashes).folds[0].exact == 1
    only_vectors = audit_split(FOUR, BY_PATIENT, vectors=vectors)
    assert (only_vectors.folds[0].exact, only_vectors.folds[0].near) == (0, 2)


def test_equal_images_are_counted_as_pairs_whoever_has_them() -> None:
    many = _manifest(*[(patient, "x", "", "") for patient in "aaabbcc"])
    split = Split("holdout", "patient", (Fold(("a",), ("b",), ("c",)),), seed=1)
    # 3 x 2 + 3 x 2 + 2 x 2 pairs cross
    assert audit_split(many, split, hashes=["same"] * 7).folds[0].exact == 16


def test_one_person_under_two_ids_in_two_parts_is_found() -> None:
    manifest = _manifest(*[(patient, "x", "", "") for patient in "aaabbbccc"])
    split = Split("holdout", "patient", (Fold(("a",), ("b",), ("c",)),), seed=1)
    vectors = np.eye(9, dtype=np.float32)
    vectors[6:] = vectors[:3]
    report = audit_split(manifest, split, vectors=vectors)
    assert report.folds[0].one_person == 1
    assert any("may be one person" in warning for warning in report.warnings)


def test_images_that_could_not_be_read_are_compared_with_nothing() -> None:
    vectors = APART.copy()
    vectors[[0, 3]] = 0
    assert (
        not audit_split(FOUR, Split("holdout", "patient", (Fold(("a",), ("b",), ("d",)),), seed=1), vectors=vectors)
        .folds[0]
        .near
    )


def test_nothing_leaks_from_a_split_by_patient_of_unlike_images() -> None:
    manifest = _manifest(*[(f"p{n // 2}", ("healthy", "tumour")[n % 2], f"s{n // 2}", "") for n in range(24)])
    report = audit_split(manifest, make_split(manifest, folds=3), vectors=np.eye(24, dtype=np.float32))
    assert not any(fold.leaks for fold in report.folds)
    assert report.warnings == ()


def test_a_centre_that_tells_the_label_is_warned_of() -> None:
    manifest = _manifest(*[(f"p{n}", ("healthy", "tumour")[n % 2], "", ("north", "south")[n % 2]) for n in range(20)])
    found = association(manifest, "centre")
    assert found is not None
    assert found.warns
    # corrected phi2 1 - 1/19 over min(2 - 1/19) - 1 = 18/19
    assert found.cramers_v == pytest.approx(1)
    assert found.patients == 20
    assert any(
        "The centre predicts the label" in warning for warning in audit_split(manifest, make_split(manifest)).warnings
    )


def test_the_strength_of_an_association_follows_the_plain_one_corrected_for_bias() -> None:
    generator = np.random.default_rng(3)
    centres = generator.choice(["n", "s", "w"], 300)
    labels = np.where(generator.random(300) < np.where(centres == "n", 0.7, 0.3), "tumour", "healthy")
    manifest = _manifest(*[(f"p{n}", labels[n], "", centres[n]) for n in range(300)])
    found = association(manifest, "centre")
    assert found is not None
    table = np.array([[((centres == c) & (labels == t)).sum() for t in ("healthy", "tumour")] for c in "nsw"])
    plain = plain_association(table, method="cramer")
    # Bergsma 2013, equations 4 and 5, written out
    phi2 = max(0, plain**2 - 2 * 1 / 299)
    assert found.cramers_v == pytest.approx((phi2 / (min(3 - 4 / 299, 2 - 1 / 299) - 1)) ** 0.5)
    assert 0 < found.cramers_v < plain
    assert found.warns


def test_an_association_counts_patients_not_images() -> None:
    manifest = _manifest(*[(f"p{n // 50}", ("healthy", "tumour")[n // 100], "", "ns"[n // 100]) for n in range(200)])
    found = association(manifest, "centre")
    assert found is not None
    assert found.patients == 4
    assert not found.warns  # four patients prove nothing, 200 images would seem to
    assert association(_manifest(("a", "x", "", "n"), ("b", "x", "", "s")), "centre") is None


def test_the_document_is_plain_and_numbers_that_do_not_fit_are_refused() -> None:
    document = audit_split(FOUR, BY_PATIENT).document()
    assert document["folds"][0]["parts"]["train"] == {
        "patients": 1,
        "images": 2,
        "labels": {"healthy": 1, "tumour": 1},
        "centres": {"north": 2},
    }
    with pytest.raises(InputError, match="3 vectors were given for 5 images"):
        audit_split(FOUR, BY_PATIENT, vectors=APART[:3])


def test_ids_that_differ_only_in_spelling_are_found_without_looking_at_images() -> None:
    names = ["P01", "p1", "P02", "P03", "P04", "P05"]
    rows = tuple(ImageRow(image=f"{n}.png", patient=name, label="xy"[n % 2]) for n, name in enumerate(names))
    manifest = Manifest(Path(), rows)
    apart = Split("holdout", "patient", (Fold(("P01", "P02"), ("p1", "P03"), ("P04", "P05")),), seed=1)
    together = Split("holdout", "patient", (Fold(("P01", "p1", "P02"), ("P03",), ("P04", "P05")),), seed=1)
    found = audit_split(manifest, apart)
    assert found.folds[0].one_person == 1
    assert found.headline.startswith("Leakage audit: 1 of 1 fold(s) leak")
    assert any("may be one person" in warning for warning in found.warnings)
    assert audit_split(manifest, together).folds[0].one_person == 0
    vectors = np.eye(6)
    assert audit_split(manifest, apart, vectors=vectors).folds[0].one_person == 1
