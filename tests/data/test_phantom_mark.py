"""The mark of a phantom: it stays as long as the pixels do, and is in no image of a patient."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from osteon.data.phantom_mark import has_grey_mark, has_tile_mark, is_phantom, mark_grey, mark_tile
from osteon.io import open as open_image
from osteon_phantoms import LegSpec, make_leg_ct
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.slides.spec import SlideSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

LEG = LegSpec(shape=(3, 64, 96), spacing_mm=(5.0, 6.0, 4.0))


@pytest.fixture(scope="module")
def leg() -> NDArray[Any]:
    return make_leg_ct(LEG).volume.array


@pytest.mark.parametrize(
    "change",
    [
        lambda array: array,
        lambda array: array[::-1],
        lambda array: array[:, ::-1],
        lambda array: array[:, :, ::-1],
        lambda array: array.transpose(0, 2, 1),
        lambda array: array.astype(np.float32),
        lambda array: array + 1024,
    ],
)
def test_it_stays_when_the_image_is_turned_or_converted(leg: NDArray[Any], change: Callable[[Any], Any]) -> None:
    assert has_grey_mark(change(leg))


def test_resampling_loses_it(leg: NDArray[Any]) -> None:
    smooth = (leg[:, :, 1:].astype(np.float32) + leg[:, :, :-1]) / 2
    assert not has_grey_mark(smooth)
    assert not has_grey_mark(leg[:, 1:])


@pytest.mark.parametrize("value", [0, 1, -1000, -1024, 255, 4095])
def test_an_even_background_is_not_the_mark(value: int) -> None:
    assert not has_grey_mark(np.full((4, 64, 64), value, dtype=np.int16))
    assert not has_grey_mark(np.zeros((0, 64, 64), dtype=np.int16))
    assert not has_grey_mark(np.zeros((4, 20, 20), dtype=np.int16))


def test_noise_is_not_the_mark() -> None:
    noise = np.random.default_rng(1)
    assert not has_grey_mark(noise.integers(-1024, 3000, (8, 128, 128)))
    assert not has_tile_mark(noise.integers(0, 255, (256, 256, 3), dtype=np.uint8))
    assert not has_tile_mark(np.full((256, 256, 3), 255, dtype=np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16])
def test_a_value_changes_by_one_at_most(dtype: type[np.integer[Any]]) -> None:
    limits = np.iinfo(dtype)
    before = np.random.default_rng(2).integers(limits.min, int(limits.max) + 1, (50, 60), dtype=dtype)
    before[0], before[-1] = limits.max, limits.min
    after = before.copy()
    mark_grey(after)
    assert has_grey_mark(after[None])
    assert np.abs(after.astype(np.int64) - before).max() == 1
    np.testing.assert_array_equal(after[1:-1, 1:-1], before[1:-1, 1:-1])


@pytest.mark.parametrize("quality", [95, 75])
@pytest.mark.parametrize("place", [(0, 0), (1003, 2501)])
def test_a_tile_keeps_it_as_jpeg(quality: int, place: tuple[int, int]) -> None:
    tile = make_slide(SlideSpec(seed=3)).read(0, *place, 256, 256)
    file = io.BytesIO()
    Image.fromarray(tile).save(file, "JPEG", quality=quality)
    assert has_tile_mark(np.asarray(Image.open(file)))


def test_it_is_faint_and_found_wherever_a_tile_was_cut() -> None:
    plain = np.random.default_rng(4).normal(180, 12, (400, 400, 1)).clip(0, 255).astype(np.uint8).repeat(3, axis=2)
    marked = plain.copy()
    mark_tile(marked, row=96, column=8)
    assert np.abs(marked.astype(np.int16) - plain).max() <= 2
    assert has_tile_mark(marked)
    assert has_tile_mark(marked[13:301, 6:])
    assert not has_tile_mark(plain)


@pytest.mark.shared_data
def test_it_is_in_no_image_of_a_patient(shared_data: Path) -> None:
    assert not is_phantom(open_image(shared_data / "vhf_ankle_ct_dicom"))
    grey = [*(shared_data / "blds_bone_mets_ct").glob("*.nii.gz"), *(shared_data / "sarcoma_ct_mr").rglob("*.nii.gz")]
    assert len(grey) > 60
    for path in grey:
        assert not has_grey_mark(np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0)), path.name
    tiles = sorted((shared_data / "osteosarcoma_he_tiles").glob("*.jpg"))
    films = [path for folder in ("fracatlas256_regions", "chest_children") for path in
             sorted((shared_data / folder).rglob("*.jp*g"))[:150]]  # fmt: skip
    assert (len(tiles), len(films) > 200) == (45, True)
    for path in tiles:
        assert not has_tile_mark(np.asarray(Image.open(path).convert("RGB"))[:512, :512]), path.name
    for path in films:
        assert not has_grey_mark(np.asarray(Image.open(path).convert("L"))[None]), path.name
