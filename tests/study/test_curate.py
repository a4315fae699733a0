"""Curation of a data set with planted faults, from the program: every one is found, and nothing is touched."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from osteon.curation.options import CurateOptions
from osteon.curation.splits import make_split
from osteon.errors import InputError, OutputError
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest, write_manifest
from osteon.study.curate import Curation, apply_review, curate_dataset

pytestmark = pytest.mark.usefixtures("loaded_once")


def _lines(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def planted(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy data set, where h1-0 is a copy of t0-0 (a tumour) labelled healthy and h2-1 is blank."""
    folder = tmp_path_factory.mktemp("planted") / "toy"
    shutil.copytree(toy_dataset, folder)
    shutil.copy(folder / "images/t0-0.png", folder / "images/h1-0.png")
    cv2.imwrite(str(folder / "images/h2-1.png"), np.full((64, 64), 90, np.uint8))
    write_split(make_split(read_manifest(folder), folds=3, seed=5), folder)
    return folder


@pytest.fixture(scope="module")
def curated(planted: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Curation, Path]:
    out = tmp_path_factory.mktemp("curated") / "report"
    before = {path: path.read_bytes() for path in planted.rglob("*") if path.is_file()}
    found = curate_dataset(planted, out, CurateOptions(threshold=0.999, near=0.9999, rule="drop-healthy"))
    assert {path: path.read_bytes() for path in planted.rglob("*") if path.is_file()} == before
    return found, out


def _row(found: Curation, name: str) -> int:
    return next(number for number, row in enumerate(found.manifest.rows) if row.image == f"images/{name}.png")


def test_the_planted_copy_is_a_conflict_and_a_duplicate_across_patients(curated: tuple[Curation, Path]) -> None:
    found, _ = curated
    pair = (_row(found, "t0-0"), _row(found, "h1-0"))
    assert {(one.first, one.second) for one in found.conflicts} >= {(min(pair), max(pair))}
    assert found.duplicates[0].kind == "exact"
    assert found.duplicates[0].cosine == pytest.approx(1)
    assert found.conflicts[0].cosine == pytest.approx(1)


def test_the_blank_image_is_named_and_the_others_are_not(curated: tuple[Curation, Path]) -> None:
    found, _ = curated
    assert [row for row, quality in enumerate(found.quality) if quality and quality.reasons] == [_row(found, "h2-1")]


def test_the_papers_rule_drops_the_healthy_copy_in_training_parts_only(curated: tuple[Curation, Path]) -> None:
    found, out = curated
    lines = [line for line in _lines(out / "dropped.csv") if line["image"] == "images/h1-0.png"]
    split = make_split(found.manifest, folds=3, seed=5)
    both = [str(number) for number, fold in enumerate(split.folds) if {"t0", "h1"} <= set(fold.train)]
    assert [line["fold"] for line in lines] == both


def test_the_lists_hold_what_was_found(curated: tuple[Curation, Path]) -> None:
    found, out = curated
    issues = {line["image"]: line for line in _lines(out / "issues.csv")}
    assert len(issues) == len(found.manifest)
    copy = issues["images/h1-0.png"]
    assert (copy["is_label_issue"], copy["is_near_duplicate_issue"], copy["is_across_patients"]) == ("true",) * 3
    assert float(copy["label_score"]) == pytest.approx(0, abs=1e-5)
    assert issues["images/h2-1.png"]["quality"] == "blank"
    assert {line["kind"] for line in _lines(out / "pairs.csv")} >= {"conflict", "exact duplicate"}
    review = _lines(out / "review.csv")
    assert {"images/h1-0.png", "images/t0-0.png", "images/h2-1.png"} <= {line["image"] for line in review}
    assert {line["decision"] for line in review} == {""}
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["counts"]["quality"] == 1
    assert summary["leakage"]["folds"][0]["patients"] == 0
    assert any(fold["exact"] for fold in summary["leakage"]["folds"])


def test_the_page_shows_pairs_and_needs_nothing_else(curated: tuple[Curation, Path]) -> None:
    _, out = curated
    page = (out / "index.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") >= 5
    assert "images/h1-0.png" in page
    assert "LEAK: " in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_of_synthetic_images_says_so(planted: Path, curated: tuple[Curation, Path], tmp_path: Path) -> None:
    assert not any("SYNTHETIC" in note for note in curated[0].notes)
    shutil.copytree(planted, tmp_path / "toy")
    manifest = read_manifest(planted)
    rows = tuple(replace(row, extra={**row.extra, "synthetic": "yes"}) for row in manifest.rows)
    write_manifest(replace(manifest, rows=rows), tmp_path / "toy" / "manifest.csv")
    (tmp_path / "toy" / "splits.json").unlink()
    found = curate_dataset(tmp_path / "toy", tmp_path / "out", CurateOptions(threshold=0.999, near=0.9999))
    assert "100% of the images are SYNTHETIC: these numbers say nothing about patients." in found.notes
    assert "100% of the images are SYNTHETIC" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_a_second_look_decodes_nothing_and_never_writes_over(planted: Path, curated: tuple[Curation, Path]) -> None:
    _, out = curated
    steps: list[str] = []
    again = out.with_name("again")
    options = CurateOptions(threshold=0.999, near=0.9999, cache=out.with_name("report.cache"))
    curate_dataset(planted, again, options, lambda step, *_: steps.append(step))
    assert not {"decoding images", "embedding images", "evaluating quality"} & set(steps)
    assert (again / "pairs.csv").read_bytes() == (out / "pairs.csv").read_bytes()
    with pytest.raises(OutputError, match="never written over"):
        curate_dataset(planted, out, options)
    assert not list(out.parent.glob(".*"))


def test_unreadable_images_are_named_and_skipped_only_when_asked(planted: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "toy", tmp_path / "report"
    shutil.copytree(planted, folder)
    (folder / "images/h3-2.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"1 of 72 images cannot be read: images/h3-2\.png"):
        curate_dataset(folder, out)
    assert not out.exists()
    found = curate_dataset(folder, out, CurateOptions(threshold=0.999, near=0.9999, skip_unreadable=True))
    assert [found.manifest.rows[row].image for row, _ in found.unreadable] == ["images/h3-2.png"]
    assert "cannot be read" in (out / "index.html").read_text("utf-8")


def test_decisions_make_a_new_manifest_and_missing_ones_are_refused(
    planted: Path, curated: tuple[Curation, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(planted, folder)
    lines = _lines(curated[1] / "review.csv")
    review = tmp_path / "review.csv"

    def fill(decisions: dict[str, tuple[str, str]], default: str) -> None:
        with review.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, fieldnames=list(lines[0]))
            writer.writeheader()
            for line in lines:
                decision, label = decisions.get(line["image"], (default, ""))
                writer.writerow(line | {"decision": decision, "new_label": label})

    fill({"images/h1-0.png": ("drop", "")}, "")
    with pytest.raises(InputError, match="have no decision"):
        apply_review(folder, review, folder / "new.csv")
    fill({"images/h1-0.png": ("relabel", "")}, "keep")
    with pytest.raises(InputError, match="relabel needs a new_label"):
        apply_review(folder, review, folder / "new.csv")
    with pytest.raises(OutputError, match="must be in the folder"):
        apply_review(folder, review, tmp_path / "new.csv")
    fill({"images/h1-0.png": ("relabel", "tumour"), "images/h2-1.png": ("drop", "")}, "keep")
    before = (folder / "manifest.csv").read_bytes()
    done = apply_review(folder, review, folder / "new.csv")
    new = {row.image: row.label for row in read_manifest(folder / "new.csv").rows}
    assert (done.dropped, done.relabelled, len(new)) == (1, 1, 71)
    assert new["images/h1-0.png"] == "tumour"
    assert "images/h2-1.png" not in new
    assert (folder / "images/h2-1.png").exists()
    assert (folder / "manifest.csv").read_bytes() == before
    with pytest.raises(OutputError, match="exists already"):
        apply_review(folder, review, folder / "new.csv")
