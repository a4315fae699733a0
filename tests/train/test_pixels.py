"""Images and masks for segmenters: cut before they are resized, on each other, decoded once."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.errors import InputError, OutputError
from osteon.io.image import write_png8
from osteon.train.pixels import Pixels, load_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(
    manifest: Manifest, size: int = 8, *, need_bone: bool = True, cache: Path | None = None, skip: bool = False
) -> Pixels:
    return load_pixels(
        manifest, size=size, cache=cache, masks={"lesion": True, "bone": need_bone}, skip_unreadable=skip
    )


def written(
    folder: Path, name: str, *, image: NDArray[Any], lesion: NDArray[Any], bone: NDArray[Any] | None
) -> ImageRow:
    parts = {"image": image, "lesion mask": lesion, "bone mask": bone}
    for part, values in parts.items():
        (folder / part).mkdir(exist_ok=True)
        if values is not None:
            write_png8(folder / part / name, values)
    return ImageRow(
        image=f"image/{name}",
        patient="1",
        label="metastasis",
        lesion_mask=f"lesion mask/{name}",
        bone_mask="" if bone is None else f"bone mask/{name}",
    )


def stored(path: Path) -> NDArray[np.uint8]:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), dtype=np.uint8)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Three images: one of the size wanted, one larger, one smaller and not square."""
    generator = np.random.default_rng(1)
    rows = []
    for number, shape in enumerate([(8, 8), (32, 24), (4, 6)]):
        rows.append(
            written(
                tmp_path,
                f"{number}.png",
                image=generator.integers(0, 256, shape).astype(np.uint8),
                lesion=generator.random(shape) > 0.6,
                bone=generator.random(shape) > 0.3,
            )
        )
    return Manifest(tmp_path, tuple(rows))


def test_images_of_the_size_wanted_come_as_they_are(manifest: Manifest) -> None:
    pixels = load(manifest)
    assert (pixels.size, pixels.values.dtype.name) == (8, "uint8")
    lesion, bone = pixels.masks["lesion"], pixels.masks["bone"]
    assert {lesion.dtype.name, bone.dtype.name} == {"bool"}
    assert pixels.values.shape == lesion.shape == bone.shape == (3, 8, 8)
    for name, values in (("image", pixels.values), ("lesion mask", lesion), ("bone mask", bone)):
        kept = stored(manifest.folder / name / "0.png")
        assert np.array_equal(values[0], kept if name == "image" else kept > 0)


def test_a_pixel_is_inside_when_half_of_it_is(manifest: Manifest) -> None:
    """Against a slow count over blocks of 4 x 3 pixels, and unlike what the public code does."""
    pixels = load(manifest)
    inside = stored(manifest.folder / "lesion mask" / "1.png") > 0
    grey = stored(manifest.folder / "image" / "1.png").astype(float)
    for row in range(8):
        for column in range(8):
            block = (slice(4 * row, 4 * row + 4), slice(3 * column, 3 * column + 3))
            assert pixels.masks["lesion"][1, row, column] == (inside[block].mean() >= 0.5)
            assert abs(pixels.values[1, row, column] - grey[block].mean()) <= 0.5 + 1e-6
    thick = cv2.resize(inside.astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA) > 0
    assert thick.sum() > pixels.masks["lesion"][1].sum()


def test_zero_and_one_is_the_same_mask_as_zero_and_255(manifest: Manifest) -> None:
    wanted = load(manifest)
    for path in (manifest.folder / "lesion mask").iterdir():
        write_png8(path, (stored(path) > 0).astype(np.uint8))
    assert np.array_equal(load(manifest).masks["lesion"], wanted.masks["lesion"])


def test_what_was_decoded_is_mapped_and_follows_the_files(manifest: Manifest, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = load(manifest, cache=cache)
    direct = load(manifest)
    assert np.array_equal(first.values, direct.values)
    assert all(np.array_equal(first.masks[name], direct.masks[name]) for name in ("lesion", "bone"))
    files = sorted(cache.iterdir())
    assert len(files) == 2
    mask = manifest.folder / "bone mask" / "0.png"
    write_png8(mask, np.zeros((8, 8), bool))
    os.utime(mask, ns=(1, 1))
    changed = load(manifest, cache=cache)
    assert not changed.masks["bone"][0].any()
    assert len(list(cache.iterdir())) == 4
    load(manifest, 16, cache=cache)
    assert len(list(cache.iterdir())) == 6
    assert not changed.values.flags.writeable
    assert not changed.masks["lesion"].flags.writeable
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="could not be kept"):
        load(manifest, cache=tmp_path / "file")


def test_a_network_without_a_bone_map_needs_no_bone(manifest: Manifest) -> None:
    some = replace(manifest, rows=(manifest.rows[0], replace(manifest.rows[1], bone_mask=""), manifest.rows[2]))
    with pytest.raises(InputError, match=r"1 of 3 images .* image/1\.png \(the manifest names no bone mask"):
        load(some)
    pixels = load(some, need_bone=False)
    assert pixels.unreadable == ()
    assert not pixels.masks["bone"][1].any()


def test_every_image_that_cannot_be_used_is_named(manifest: Manifest) -> None:
    write_png8(manifest.folder / "lesion mask" / "0.png", np.ones((8, 9), bool))
    (manifest.folder / "bone mask" / "1.png").unlink()
    bare = ImageRow(image="image/2.png", patient="1", label="normal")
    broken = Manifest(manifest.folder, (*manifest.rows[:2], bare, replace(manifest.rows[2], image="image/no.png")))
    with pytest.raises(InputError, match=r"4 of 4 images .* has 8 x 9 pixels, its image has 8 x 8") as refusal:
        load(broken)
    assert "--skip-unreadable" in str(refusal.value)
    with pytest.raises(InputError, match="no image of the manifest can be read"):
        load(broken, skip=True)
    good = written(manifest.folder, "9.png", **dict.fromkeys(("image", "lesion", "bone"), np.ones((8, 8), np.uint8)))
    whole = Manifest(manifest.folder, (*broken.rows, good))
    pixels = load(whole, skip=True)
    assert [entry.row for entry in pixels.unreadable] == [0, 1, 2, 3]
    assert pixels.usable(np.arange(5)).tolist() == [4]
    assert "no lesion mask" in pixels.unreadable[2].reason
    assert not pixels.values[:4].any()
