"""Images that a task was not made for: real ones, and phantoms of other parts and looks.

Real ones are read from the folder of public data (``../shared/data``). What is given to a task is forced on it, so
nothing here need make sense: an MR becomes numbers like HU, a radiograph a CT of one slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import cv2
import nibabel
import numpy as np

from osteon.data import Volume
from osteon.geometry import Grid, axial_turn
from osteon.io import open_image
from osteon.io.slide import open_slide
from osteon_phantoms import people
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.study import FemurStudy, LegStudy, SlideStudy, TrunkStudy, images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Given = Iterator[tuple[str, Any, dict[str, Any]]]

__all__ = ["FOREIGN"]

_SEED: Final = 2026
_MOST_SLICES: Final = 24
_TILE_UM: Final = 1024.0
_FILMS: Final = {
    "limb films (FracAtlas)": "fracatlas/img",
    "chest films of children": "chest_children/img",
    "thumbnails: head CT": "mednist_64/HeadCT",
    "thumbnails: chest CT": "mednist_64/ChestCT",
    "thumbnails: abdomen CT": "mednist_64/AbdomenCT",
    "thumbnails: breast MRI": "mednist_64/BreastMRI",
}


def _some(folder: Path, count: int, generator: np.random.Generator) -> list[Path]:
    """Files of a folder, drawn."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return [files[index] for index in sorted(generator.permutation(len(files))[:count])]


def _volume(array: NDArray[Any], spacing_mm: tuple[float, ...], modality: str) -> Volume:
    """Axial, rows to the back, columns to the left, slices upwards."""
    slice_mm, row_mm, column_mm = (float(mm) for mm in spacing_mm)
    values = np.ascontiguousarray(array, dtype=np.float32)
    grid = Grid.from_axes(shape=values.shape, spacing_mm=(slice_mm, row_mm, column_mm))
    return Volume(values, grid, modality=modality, unit="HU" if modality == "CT" else "")


def _phantoms(stem: str, count: int, study: Any) -> Iterator[tuple[Volume, NDArray[np.bool_]]]:  # noqa: ANN401
    """Volumes of new patients, and their lesions."""
    for person in people(stem, count, seed=_SEED, options=study):
        found = next(iter(images_of(stem, person, study)))
        if isinstance(found.image, Volume):
            lesion = found.masks.get("lesion")
            empty = np.zeros(found.image.array.shape, dtype=np.bool_)
            yield found.image, empty if lesion is None else np.asarray(lesion) > 0


def _picture(path: Path, *, colour: bool = False) -> NDArray[np.uint8]:
    """(row, column), or (row, column, 3) RGB."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise OSError(f"{path.name} cannot be read as a picture")
    return np.asarray(found, dtype=np.uint8)


def _around(mask: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The box of a mask; None where it is too small for one."""
    places = np.argwhere(mask)
    if not len(places) or np.ptp(places, axis=0).min() < 7:
        return None
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    return int(top), int(left), int(bottom) + 1, int(right) + 1


def _box(shape: tuple[int, ...], generator: np.random.Generator) -> tuple[int, int, int, int]:
    """A box about the middle, as a person draws it around something."""
    high, wide = (max(12, int(side * generator.uniform(0.1, 0.33))) for side in shape)
    place = generator.normal(0.5, 0.1, 2)
    top = int(np.clip(place[0] * shape[0] - high / 2, 0, shape[0] - high))
    left = int(np.clip(place[1] * shape[1] - wide / 2, 0, shape[1] - wide))
    return top, left, top + high, left + wide


def _scans(data: Path, generator: np.random.Generator) -> Iterator[tuple[str, NDArray[Any], tuple[float, ...], Any]]:
    """Name, (slice, row, column), spacing, and the mask of a tumour or None, of real scans."""
    volumes = data / "sarcoma_ct_mr" / "volumes"
    for kind, words in (("MR_T1", "sarcoma of a limb, MR T1"), ("CT", "sarcoma of a limb, CT")):
        for path in sorted(volumes.glob(f"*_{kind}.nii.gz")):
            mask = _stored(path.with_name(path.name.replace(".nii", "_mask.nii")))[0] > 0
            yield words, *_stored(path), mask
    for path in sorted((data / "blds_bone_mets_ct").glob("*.nii.gz")):
        array, spacing_mm = _stored(path)
        yield "patch of a CT with bone metastases", array[:, ::-1, ::-1], spacing_mm, None
    array, spacing_mm = _stored(data / "totalseg_ct" / "example_ct.nii.gz")
    for part in np.array_split(array[:, ::-1, ::-1], 4):
        yield "CT of the torso, a quarter", part, spacing_mm, None
    yield "MR of the trunk", *_stored(data / "totalseg_ct" / "example_mr_sm.nii.gz"), None
    for folder, words, parts in (
        ("vhf_ankle_ct_dicom", "CT of the ankles, a quarter", 4),
        ("vhf_pelvis_5slice_ct/humanct_0002_1000_1004", "CT of the pelvis, 5 slices", 1),
        ("totalseg_ct/example_ct_dicom", "CT of the trunk, 20 slices", 1),
        ("pymskt_knee_mri_dicom/MESE_T2_dicom_data_anon", "knee MR without a tumour", 6),
        ("nema_wg04_dicom/MR3_UNC.dcm", "knee MR of another hospital", 1),
        ("sarcoma_mr_dicom/STS_001_thigh_T1", "thigh MR as the scanner gave it", 4),
    ):
        image = open_image(data / folder, kind="volume")
        if not isinstance(image, Volume):
            raise TypeError(f"{folder} is not a volume")
        for part in np.array_split(image.array, parts):
            yield words, part, image.grid.spacing_mm, None
    del generator


def _stored(path: Path) -> tuple[NDArray[Any], tuple[float, ...]]:
    """(slice, row, column), and spacing likewise."""
    image: Any = nibabel.load(path)
    return np.asarray(image.dataobj).transpose(2, 1, 0), tuple(reversed(image.header.get_zooms()[:3]))


def _femur(data: Path, work: Path) -> Given:
    """A slice and a box of each."""
    del work
    generator = np.random.default_rng(_SEED)
    for name, array, spacing_mm, mask in _scans(data, generator):
        index = len(array) // 2
        if mask is not None:  # a third of the way through the tumour: another slice than the largest
            inside = np.flatnonzero(mask.any(axis=(1, 2)))
            index = int(inside[inside.size // 3])
        own = None if mask is None else _around(mask[index])
        box = own or _box(array.shape[1:], generator)
        yield name, _volume(array[index][None], spacing_mm, "MR"), {"box": box, "slice_number": 1}
    for name, folder in _FILMS.items():
        for path in _some(data / folder, 12, generator):
            film = _picture(path)
            yield name, _volume(film[None], (4, 1, 1), "MR"), {"box": _box(film.shape, generator), "slice_number": 1}
    studies: tuple[tuple[str, str, Any], ...] = (
        ("ct_osteosarcoma", "CT phantoms of legs", LegStudy()),
        ("ct_metastasis", "CT phantoms of trunks", TrunkStudy(preset="tiny")),
    )
    for stem, words, study in studies:
        for volume, _ in _phantoms(stem, 10, study):
            middle = volume.array[len(volume.array) // 2]
            said = {"box": _box(middle.shape, generator), "slice_number": 1}
            yield words, _volume(middle[None], volume.grid.spacing_mm, "MR"), said
    for volume, lesion in _phantoms("mri_femur", 10, FemurStudy()):
        image, own = np.asarray(volume.array[0], np.float32), _around(lesion[0])
        changes = {
            "MR phantoms of the femur, black and white exchanged": image.max() - image,
            "MR phantoms of the femur, blurred": cv2.GaussianBlur(image, (0, 0), 6),
        }
        for words, changed in changes.items() if own else ():
            yield words, _volume(changed[None], volume.grid.spacing_mm, "MR"), {"box": own, "slice_number": 1}


def _trunk(data: Path, work: Path) -> Given:
    """Series of at most 24 slices."""
    del work
    generator = np.random.default_rng(_SEED)
    for name, array, spacing_mm, _ in _scans(data, generator):
        first = max(0, (len(array) - _MOST_SLICES) // 2)
        part = array[first : first + _MOST_SLICES].astype(np.float32)
        if part.min() >= 0:  # an MR: its numbers brought to where those of a CT are
            part = part / max(float(np.percentile(part, 95)), 1e-6) * 1300 - 1000
        yield name, _volume(part, spacing_mm, "CT"), {}
    for name, folder in _FILMS.items():
        for path in _some(data / folder, 8, generator):
            film = cv2.resize(_picture(path), (200, 200), interpolation=cv2.INTER_CUBIC)
            yield name, _volume(film.astype(np.float32)[None] * (1500 / 255) - 450, (3, 1.75, 1.75), "CT"), {}
    for volume, _ in _phantoms("ct_osteosarcoma", 10, LegStudy()):
        yield "CT phantoms of legs", volume, {}
    for volume, _ in _phantoms("mri_femur", 10, FemurStudy()):
        image = np.asarray(volume.array, np.float32)
        brought = image / float(np.percentile(image, 99)) * 1300 - 1000
        yield "MR phantoms of the femur", _volume(np.repeat(brought, 3, axis=0), volume.grid.spacing_mm, "CT"), {}
    for volume, _ in _phantoms("ct_metastasis", 10, TrunkStudy(preset="tiny")):
        turn = axial_turn(volume.grid)
        array, spacing_mm = turn.array(volume.array).astype(np.float32), turn.grid(volume.grid).spacing_mm
        for words, changed in {
            "CT phantoms of trunks, HU exchanged": np.clip(-array, -1000, 3000),
            "CT phantoms of trunks, HU doubled": np.where(array > -500, array * 2 + 300, array),
        }.items():
            yield words, _volume(changed, spacing_mm, "CT"), {}


def _slides(data: Path, work: Path) -> Given:
    """Pictures of a tile each, and a slide."""
    generator = np.random.default_rng(_SEED)
    path = next((data / "wsi_small").rglob("*.svs"))
    yield "slide of skin (CMU-1)", open_slide(path), {}
    slide = open_slide(path)
    rows, columns = slide.levels[0].rows, slide.levels[0].columns
    for micron, words in ((1024.0, "skin"), (512.0, "skin, twice as large")):
        side = min(round(micron / slide.microns_per_pixel[0]), rows, columns)
        for _ in range(6):
            top, left = int(generator.integers(0, rows - side + 1)), int(generator.integers(0, columns - side + 1))
            yield words, _tile(slide.read(0, top, left, side, side), work), {}
    folders = {name: folder for name, folder in _FILMS.items() if "mednist" not in folder}  # of 64 pixels: too coarse
    folders["photographs"] = "weights_mobilenet"
    for name, folder in folders.items():
        files = _some(data / folder, 4, generator) or sorted((data / folder).glob("*.bmp"))
        for one in files:
            picture = _picture(one, colour=True)
            side = min(picture.shape[:2])
            yield name, _tile(picture[:side, :side], work), {}
    study = SlideStudy(size=512, slides=1, tiles=1, jpeg=None)
    for person in people("histology", 8, seed=_SEED, options=study):
        (spec,) = person.spec
        place = spec.size[0] // 2
        tile = make_slide(spec).read(0, place, place, study.size, study.size)
        hues = cv2.cvtColor(tile, cv2.COLOR_RGB2HSV)
        brown = np.dstack([(hues[..., 0].astype(int) + 55) % 180, hues[..., 1], hues[..., 2]]).astype(np.uint8)
        for words, changed in {
            "phantom tiles, stained brown": cv2.cvtColor(brown, cv2.COLOR_HSV2RGB),
            "phantom tiles, without colour": np.repeat(tile.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8),
            "phantom tiles, red and blue exchanged": tile[..., ::-1],
            "phantom tiles, four times as large": cv2.resize(tile[:128, :128], (512, 512)),
            "phantom tiles, out of focus": cv2.GaussianBlur(tile, (0, 0), 11),
        }.items():
            yield words, _tile(changed, work), {}


def _tile(picture: NDArray[np.uint8], work: Path) -> Any:  # noqa: ANN401 - a slide
    path = work / f"{len(list(work.iterdir()))}.png"
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]))
    return open_slide(path, microns_per_pixel=_TILE_UM / picture.shape[1])


FOREIGN: Final[Mapping[str, Callable[[Path, Path], Given]]] = {
    "mri_femur": _femur,
    "ct_metastasis": _trunk,
    "histology": _slides,
}
"""For a folder of public data and a folder to write into: what it is, the image, and what a person says of it."""
