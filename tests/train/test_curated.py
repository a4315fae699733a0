"""Vectors of a data set are kept and made again when they must be; the paper's rule stays within training."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.curation.conflicts import conflict_drops, has_direction
from osteon.data import Fold, ImageRow, Manifest, Split
from osteon.data.options import Progress
from osteon.errors import InputError
from osteon.io.table import read_manifest
from osteon.predict.predictor import Predictor
from osteon.train import curated
from osteon.train.curated import dataset_vectors
from osteon.weights.backbone import read_backbone

# patients a, b train, c validates, d is evaluated; 0.png is like 1.png (tumour), 2.png like nothing
LINES = (
    ("0", "a", "healthy", (1, 0, 0)),
    ("1", "b", "tumour", (1, 0.05, 0)),
    ("2", "b", "healthy", (0, 1, 0)),
    ("3", "c", "tumour", (0, 1, 0)),
    ("4", "d", "tumour", (0, 1, 0.01)),
    ("5", "a", "healthy", (0, 0, 1)),
    ("6", "a", "callus", (1, 0.01, 0)),
)
VECTORS = np.array([line[3] for line in LINES], np.float32)
MANIFEST = Manifest(Path(), tuple(ImageRow(image=f"{n}.png", patient=p, label=t) for n, p, t, _ in LINES))
SPLIT = Split("holdout", "patient", (Fold(("a", "b"), ("c",), ("d",)),), seed=1)


@pytest.fixture(scope="module", autouse=True)
def loaded_once() -> Iterator[None]:
    """The embedder proves its weights at every load; here once is enough."""
    embedder = Predictor.load(read_backbone("mobilenet_v2"), device="cpu", runtime="torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "load", lambda *_, **__: embedder)
        yield


def test_the_healthy_image_goes_only_when_both_are_in_training() -> None:
    # 2.png is like 3.png and 4.png, both tumours, but not trained on; callus is not a tumour, so it goes too
    assert conflict_drops(MANIFEST, SPLIT, 0, VECTORS, positive="tumour").tolist() == [0, 6]
    assert conflict_drops(MANIFEST, SPLIT, 0, VECTORS, positive="tumour", threshold=0.9995).tolist() == []


def test_vectors_of_validation_and_test_are_never_looked_at() -> None:
    poisoned = VECTORS.copy()
    poisoned[3:5] = np.nan
    found = conflict_drops(MANIFEST, SPLIT, 0, poisoned, positive="tumour")
    assert found.tolist() == conflict_drops(MANIFEST, SPLIT, 0, VECTORS, positive="tumour").tolist()


def test_an_unreadable_image_is_compared_with_nothing() -> None:
    gone = VECTORS.copy()
    gone[1] = 0
    assert conflict_drops(MANIFEST, SPLIT, 0, gone, positive="tumour").tolist() == []
    assert has_direction(gone).tolist() == [True, False, *[True] * 5]


def test_vectors_of_another_manifest_are_refused() -> None:
    with pytest.raises(InputError, match="embed this manifest again"):
        conflict_drops(MANIFEST, SPLIT, 0, VECTORS[:3], positive="tumour")


def test_vectors_are_made_once_and_again_when_an_image_changes(toy_dataset: Path, tmp_path: Path) -> None:
    folder, cache = tmp_path / "toy", tmp_path / "cache"
    shutil.copytree(toy_dataset, folder)
    manifest = read_manifest(folder).select(range(6))
    (folder / manifest.rows[2].image).write_bytes(b"no picture")
    steps: list[str] = []
    first = dataset_vectors(manifest, cache, progress=lambda step, *_: steps.append(step))
    assert first.shape == (6, 1280)
    assert first.dtype == np.float32
    assert has_direction(first).tolist() == [True, True, False, True, True, True]
    assert "embedding images" in steps
    steps.clear()
    again = dataset_vectors(manifest, cache, progress=lambda step, *_: steps.append(step))
    assert np.array_equal(first, again)
    assert steps == []
    shutil.copy(folder / manifest.rows[1].image, folder / manifest.rows[2].image)
    whole = dataset_vectors(manifest, cache)
    assert np.allclose(whole[2], whole[1], rtol=1e-4, atol=1e-5)
    assert np.allclose(whole[[0, 1, 3, 4, 5]], first[[0, 1, 3, 4, 5]], rtol=1e-4, atol=1e-5)
    assert not list(cache.glob(".*"))


def test_an_interrupted_embedding_goes_on_where_it_stopped(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(toy_dataset).select(range(6))
    monkeypatch.setattr(curated, "_BLOCK", 2)
    whole = np.array(dataset_vectors(manifest, tmp_path / "whole"))

    def stop(step: str, done: int, _: int) -> None:
        if step == "embedding images" and done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset_vectors(manifest, tmp_path / "cut", progress=stop)
    kept = {part.name: part.read_bytes() for part in (tmp_path / "cut").glob("*.part.npy")}
    assert len(kept) == 1
    made: list[int] = []
    embed = Predictor.embed

    def counted(self: Predictor, crops: Iterable[NDArray[np.float32]], *, progress: Progress) -> NDArray[np.float32]:
        made.append(1)
        return embed(self, crops, progress=progress)

    monkeypatch.setattr(Predictor, "embed", counted)
    assert np.array_equal(dataset_vectors(manifest, tmp_path / "cut"), whole)
    assert len(made) == 2
    assert not list((tmp_path / "cut").glob("*.part.npy"))
