"""Splits and predictions, written and read back, and refused when they were spoilt."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from osteon.data import Fold, Predictions, Split
from osteon.errors import InputError, OutputError
from osteon.io.predictions_file import read_predictions, write_predictions
from osteon.io.split_file import read_split, write_split

HOLDOUT = Split(
    scheme="holdout",
    unit="patient",
    folds=(Fold(("A", "B"), ("C",), ("é", "E")), Fold(("A", "C"), ("B",), ("E", "é"))),
    seed=3,
    stratify="label",
    manifest_sha256="f" * 64,
    warnings=("small",),
)


def test_a_split_comes_back_as_it_went(tmp_path: Path) -> None:
    nested = replace(HOLDOUT, scheme="nested", folds=(HOLDOUT.folds[0],), stratify="", warnings=())
    for split in (HOLDOUT, nested):
        assert write_split(split, tmp_path, audit={"shared": 0}) == tmp_path / "splits.json"
        assert read_split(tmp_path) == read_split(tmp_path / "splits.json") == split
    assert json.loads((tmp_path / "splits.json").read_text("utf-8"))["audit"] == {"shared": 0}
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(OutputError, match=r"x\.json cannot be written"):
        write_split(HOLDOUT, tmp_path / "missing" / "x.json")


def _fold(document: dict[str, Any], part: str, members: list[Any], fold: int = 1) -> bool:
    document["folds"][fold][part] = members
    return True


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: _fold(d, "train", ["A", "E"]), "'E' is in train and in test of fold 1"),
        (lambda d: _fold(d, "train", ["A", "A"]), "'A' is twice in the train part of fold 1"),
        (
            lambda d: (_fold(d, "validation", ["C"]), _fold(d, "train", ["B"])),
            "'C' is in the validation part of fold 0",
        ),
        (lambda d: _fold(d, "test", ["E"]), "'é' is not in the test part of both fold 0 and fold 1"),
        (lambda d: d.update(scheme="nested"), "is in the test part of fold 0 and of fold 1"),
        (lambda d: _fold(d, "train", []), "fold 1: .*nobody in its train part"),
        (lambda d: _fold(d, "train", [7]), "the train part of fold 1 must be a list of texts"),
        (lambda d: d["folds"][0].pop("test"), "fold 0 must have the parts train, validation, test"),
        (lambda d: d.update(folds=[]), "has no folds"),
        (lambda d: d.update(folds=["x"]), "fold 0 must hold named entries"),
        (lambda d: d.update(scheme="hold-out"), "the scheme 'hold-out': did you mean 'holdout'"),
        (lambda d: d.update(unit="patients"), "did you mean 'patient'"),
        (lambda d: d.update(sead=1), "'sead' that is not known: did you mean 'seed'"),
        (lambda d: d.update(seed="1"), "'seed' is missing or no int"),
        (lambda d: d.update(seed=True), "'seed' is missing or no int"),
        (lambda d: d.pop("warnings"), "'warnings' is missing or no list"),
        (lambda d: d.update(schema_version=2), "has format 2"),
    ],
)
def test_a_spoilt_split_is_refused(tmp_path: Path, spoil: Any, said: str) -> None:  # noqa: ANN401 - a lambda
    document = json.loads(write_split(HOLDOUT, tmp_path).read_text("utf-8"))
    spoil(document)
    (tmp_path / "splits.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_split(tmp_path)


def test_what_is_not_a_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="make it with osteon split"):
        read_split(tmp_path)
    for text in ("{", "[]", "null"):
        (tmp_path / "splits.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"not a valid JSON text|must hold named entries"):
            read_split(tmp_path)


def _predictions(rows: int, classes: tuple[str, ...] = ("healthy", "tumour")) -> Predictions:
    generator = np.random.default_rng(rows)
    return Predictions(
        image=np.array([f"images/ä{i}.png" for i in range(rows)], dtype=np.str_),
        patient=np.array([f"{i % 3:03}" for i in range(rows)], dtype=np.str_),
        series=np.array(["" if i % 2 else "1.2.3" for i in range(rows)], dtype=np.str_),
        truth=generator.integers(len(classes), size=rows),
        logits=generator.normal(0, 30, (rows, len(classes))).astype(np.float32),
        fold=generator.integers(5, size=rows),
        part=np.array(["test" if i % 4 else "validation" for i in range(rows)], dtype=np.str_),
        temperature=generator.uniform(0.5, 3, rows),
        classes=classes,
        positive=classes[-1],
    )


@pytest.mark.parametrize("rows", [0, 1, 57])
@pytest.mark.parametrize("classes", [("healthy", "tumour"), ("b/c", "a", "é")])
def test_predictions_come_back_bit_for_bit(tmp_path: Path, rows: int, classes: tuple[str, ...]) -> None:
    wanted = _predictions(rows, classes)
    back = read_predictions(write_predictions(wanted, tmp_path / "predictions.parquet"))
    assert (back.classes, back.positive) == (wanted.classes, wanted.positive)
    for name in ("image", "patient", "series", "truth", "logits", "fold", "part", "temperature"):
        one, other = getattr(back, name), getattr(wanted, name)
        assert one.dtype.kind == other.dtype.kind
        assert one.shape == other.shape
        assert np.array_equal(one, other)
    assert back.logits.dtype == np.float32
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_reading_starts_no_thread_that_could_outlive_the_program(tmp_path: Path) -> None:
    """Pools of pyarrow that still run at shutdown ended finished trainings with SIGABRT (exit code 134)."""
    write_predictions(_predictions(2000), tmp_path / "p.parquet")
    program = (
        "import os, sys, pathlib, pyarrow.parquet, osteon.io.predictions_file as f, osteon.io.table as t\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "count = lambda: len(os.listdir('/proc/self/task'))\n"
        "before = count()\n"
        "f.write_predictions(f.read_predictions(path), path)\n"
        "t.read_rows(path)\n"
        "print(count() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "p.parquet")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"


def test_what_is_not_a_table_of_predictions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    with pytest.raises(InputError, match="missing or damaged"):
        read_predictions(path)
    write_predictions(_predictions(5), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(InputError, match="missing or damaged"):
        read_predictions(path)
    path.write_bytes(whole)
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["logit_tumour"]), path)
    with pytest.raises(InputError, match=r"lacks the column\(s\) logit_tumour"):
        read_predictions(path)
    pq.write_table(table.set_column(table.column_names.index("truth"), "truth", table.column("image")), path)
    with pytest.raises(InputError, match="the column truth holds no int64"):
        read_predictions(path)
    pq.write_table(table.replace_schema_metadata(None), path)
    with pytest.raises(InputError, match="does not say its classes"):
        read_predictions(path)
