"""All folds of a run: what is done stays done, what fails does not take the others along."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.curation.splits import make_split
from osteon.data import ImageRow, Manifest, Split
from osteon.errors import InputError, OutputError, TrainingError
from osteon.io.split_file import write_split
from osteon.io.table import read_manifest
from osteon.io.whole_file import part_name
from osteon.train import pixels
from osteon.train import run as run_module
from osteon.train.fold import fit_fold
from osteon.train.run import Run, RunOptions, open_run, read_run, train_run
from tests.train import quick

QUICK = replace(quick.QUICK, epochs=2)


@pytest.fixture(scope="module")
def complete(manifest: Manifest, split: Split, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(manifest, split, QUICK, tmp_path_factory.mktemp("run") / "run")


def test_a_run_is_read_as_it_was_trained(complete: Run, manifest: Manifest, split: Split) -> None:
    again = read_run(complete.folder)
    assert again.is_complete
    assert again.settings == QUICK
    assert again.classes == ("healthy", "tumour")
    assert [fold.history for fold in again.folds] == [fold.history for fold in complete.folds]
    predictions = again.predictions()
    for number in range(2):
        rows = split.rows(manifest, number)
        assert len(predictions.of(part="test", fold=number)) == len(rows.test)
        assert len(predictions.of(part="validation", fold=number)) == len(rows.validation)
    about = json.loads((complete.folder / "run.json").read_text(encoding="utf-8"))
    assert about["versions"]["torch"]
    assert about["device"] == "cpu"
    assert {state["state"] for state in about["fold_states"].values()} == {"done"}
    assert not (complete.folder / "cache").exists()


def test_a_fold_that_is_done_is_not_trained_again(
    complete: Run, manifest: Manifest, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(run_module, "fit_fold", never)
    assert train_run(manifest, split, QUICK, complete.folder).is_complete


def test_other_settings_or_data_are_refused(complete: Run, manifest: Manifest, split: Split) -> None:
    with pytest.raises(InputError, match="seed 1 there, 2 now"):
        train_run(manifest, split, replace(QUICK, seed=2), complete.folder)
    with pytest.raises(InputError, match="another split"):
        train_run(manifest, make_split(manifest, folds=2, seed=5), QUICK, complete.folder)
    assert train_run(manifest, split, replace(QUICK, workers=2, threads=2), complete.folder).is_complete


def _changed(path: Path) -> None:
    """Another content of the same length, and the time of the file set back."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_run_of_other_pictures_is_not_gone_on_with_nor_evaluated(
    complete: Run, toy_dataset: Path, split: Split, tmp_path: Path
) -> None:
    dataset, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(toy_dataset, dataset)
    shutil.copytree(complete.folder, folder)
    write_split(split, dataset)
    manifest = read_manifest(dataset)
    assert open_run(folder, dataset).run.is_complete  # a copy is the same content, whatever the times say
    assert train_run(manifest, split, QUICK, folder).is_complete
    _changed(dataset / manifest.rows[3].image)
    for refused in (
        lambda: train_run(manifest, split, QUICK, folder),
        lambda: train_run(manifest, split, QUICK, folder, options=RunOptions(cache=tmp_path / "elsewhere")),
        lambda: open_run(folder, dataset),
    ):
        with pytest.raises(InputError, match=r"run was trained on other pictures.*restore the pictures"):
            refused()


def test_masks_count_where_maps_are_drawn_and_files_are_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").mkdir()
    rows = []
    for number in range(3):
        for kind in ("image", "mask"):
            (tmp_path / f"{kind}{number}.png").write_bytes(bytes([number, len(kind)]) * 50)
        rows.append(ImageRow(image=f"image{number}.png", patient="p", label="x", lesion_mask=f"mask{number}.png"))
    manifest, read = Manifest(tmp_path, tuple(rows)), list[str]()
    content = pixels._content

    def counted(folder: Path, name: str) -> str:
        read.append(name)
        return content(folder, name)

    monkeypatch.setattr(pixels, "_content", counted)
    kept = [tmp_path / "kept"]
    digests = [pixels.pictures_digest(manifest, kept, masks=masks) for masks in (False, True, False, True)]
    assert digests[:2] == digests[2:]
    assert digests[0] != digests[1]
    assert len(read) == 3 + 6
    _changed(tmp_path / "mask1.png")
    assert pixels.pictures_digest(manifest, kept) == digests[0]
    assert pixels.pictures_digest(manifest, kept, masks=True) != digests[1]
    (tmp_path / "image0.png").unlink()
    assert pixels.pictures_digest(manifest, [tmp_path / "image1.png" / "no"]) != digests[0]


def test_decoded_pixels_are_made_anew_when_a_picture_was_exchanged(toy_dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_dataset, tmp_path / "data")
    manifest = read_manifest(tmp_path / "data")
    before = pixels.pixels_key(manifest, 32)
    assert pixels.pixels_key(manifest, 32) == before
    _changed(tmp_path / "data" / manifest.rows[0].image)
    assert pixels.pixels_key(manifest, 32) != before


def test_a_split_of_another_manifest_is_refused_before_anything_is_written(
    manifest: Manifest, split: Split, tmp_path: Path
) -> None:
    one, other = replace(manifest, sha256="a" * 64), replace(split, manifest_sha256="b" * 64)
    with pytest.raises(InputError, match="run osteon split again"):
        train_run(one, other, QUICK, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folds_may_be_trained_one_by_one(manifest: Manifest, split: Split, tmp_path: Path, complete: Run) -> None:
    part = train_run(manifest, split, QUICK, tmp_path / "run", options=RunOptions(folds=[1]))
    assert [fold.state for fold in part.folds] == ["absent", "done"]
    assert not part.is_complete
    whole = train_run(manifest, split, QUICK, tmp_path / "run")
    assert whole.is_complete
    for one, other in zip(whole.folds, complete.folds, strict=True):
        assert one.weights.read_bytes() == other.weights.read_bytes()
    with pytest.raises(InputError, match="folds 0 to 1"):
        train_run(manifest, split, QUICK, tmp_path / "run", options=RunOptions(folds=[2]))


def test_a_fold_that_fails_is_noted_and_the_others_go_on(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fragile(*args: object, **kwargs: object) -> object:
        if args[2] == 0:
            raise TrainingError("the loss of epoch 1 is nan")
        return fit_fold(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "fit_fold", fragile)
    run = train_run(manifest, split, QUICK, tmp_path / "run")
    assert [fold.state for fold in run.folds] == ["failed", "done"]
    assert "epoch 1 is nan" in run.failed[0].error
    assert len(run.predictions()) == len(run.predictions().of(part="test", fold=1)) + len(
        run.predictions().of(part="validation", fold=1)
    )
    monkeypatch.undo()
    assert train_run(manifest, split, QUICK, tmp_path / "run").is_complete


def test_a_full_disk_ends_the_run(
    manifest: Manifest, split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(run_module, "fit_fold", full)
    with pytest.raises(OutputError):
        train_run(manifest, split, QUICK, tmp_path / "run")


def test_an_unreadable_image_is_named_or_skipped_and_counted(toy_dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    shutil.copytree(toy_dataset, folder)
    (folder / "images" / "t0-0.png").write_bytes(b"no picture")
    manifest = read_manifest(folder, positive="tumour")
    split = make_split(manifest, folds=2, seed=1)
    with pytest.raises(InputError, match=r"t0-0\.png.*--skip-unreadable"):
        train_run(manifest, split, QUICK, tmp_path / "run")
    options = RunOptions(skip_unreadable=True, folds=[0])
    run = train_run(manifest, split, replace(QUICK, epochs=1), tmp_path / "other", options=options)
    assert [entry["image"] for entry in run.document["unreadable"]] == ["images/t0-0.png"]
    assert run.folds[0].images["unreadable"] == 1
    assert "images/t0-0.png" not in run.predictions().image


def test_drops_are_given_by_fold(manifest: Manifest, split: Split, tmp_path: Path) -> None:
    drops = {0: split.rows(manifest, 0).train[:3]}
    settings = replace(QUICK, epochs=1)
    run = train_run(manifest, split, settings, tmp_path / "run", options=RunOptions(drops=drops))
    assert [fold.images["dropped"] for fold in run.folds] == [3, 0]


def test_curation_drops_the_healthy_twin_of_a_tumour(toy_dataset: Path, tmp_path: Path) -> None:
    """A copy of a tumour image labelled healthy goes, when both are in the training part."""
    folder = tmp_path / "toy"
    shutil.copytree(toy_dataset, folder)
    shutil.copy(folder / "images" / "t1-0.png", folder / "images" / "t1-1.png")
    manifest = read_manifest(folder, positive="tumour")
    split = make_split(manifest, folds=2, seed=1)
    settings = replace(QUICK, epochs=1, configuration="CE")
    options = RunOptions(cache=tmp_path / "cache")
    run = train_run(manifest, split, settings, tmp_path / "run", options=options)
    twin = [row.image for row in manifest.rows].index("images/t1-1.png")
    assert run.failed == ()
    for number, fold in enumerate(run.folds):
        in_training = twin in split.rows(manifest, number).train
        assert (fold.images["dropped"] >= 1) or not in_training
        assert fold.images["train"] + fold.images["dropped"] == len(split.rows(manifest, number).train)
    assert list((tmp_path / "cache").glob("vectors-*.npy"))


def test_what_is_not_a_run_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder of a run"):
        read_run(tmp_path)
    (tmp_path / "settings.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="holds no table"):
        read_run(tmp_path)


def test_numbers_survive_the_history_file(complete: Run) -> None:
    first = complete.folds[0]
    again = read_run(complete.folder).folds[0]
    assert first.history == again.history
    assert np.isfinite([record.train_loss for record in again.history]).all()


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("settings.json", "delete the folder RUN and start again"),
        ("run.json", "delete the folder RUN and start again"),
        ("fold-1/state.json", "delete the folder fold-1 and train again, the other folds stay"),
        ("fold-1/history.csv", "delete the folder fold-1 and train again, the other folds stay"),
        ("fold-1/predictions.parquet", "delete the folder fold-1 and train again, the other folds stay"),
    ],
)
@pytest.mark.parametrize("damage", [b"[" * 100_000, b"\xff\xfe", b"epoch,stage\n1,a\n", b"{}"])
def test_a_damaged_file_of_a_run_says_what_to_delete(
    name: str, remedy: str, damage: bytes, complete: Run, tmp_path: Path
) -> None:
    shutil.copytree(complete.folder, tmp_path / "RUN")
    (tmp_path / "RUN" / name).write_bytes(damage)
    if damage == b"{}" and not name.endswith(("csv", "parquet", "state.json")):
        return  # a table, which something else is said of
    with pytest.raises(InputError, match=remedy):
        read_run(tmp_path / "RUN")


def test_what_a_stopped_run_left_is_removed_and_named(
    complete: Run, manifest: Manifest, split: Split, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(complete.folder, tmp_path / "RUN")
    dead = subprocess.run(
        [sys.executable, "-c", "from osteon.io.whole_file import part_name; print(part_name())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    names = [dead, ".osteon-0123456789ab.part", part_name()]
    for name in names:
        (tmp_path / "RUN" / "fold-1" / name).write_bytes(b"half")
    with caplog.at_level("WARNING", logger="osteon"):
        train_run(manifest, split, QUICK, tmp_path / "RUN")
    assert sorted(path.name for path in (tmp_path / "RUN" / "fold-1").glob(".osteon-*")) == [names[2]]
    assert dead in caplog.text
    assert names[1] in caplog.text
