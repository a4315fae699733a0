"""Synthetic slices for the tests of this folder: a grey disc is bone, a bright spot in it a lesion, over noise."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from osteon.curation.splits import make_split
from osteon.data import ImageRow, Manifest, Split
from osteon.io.image import write_png8
from osteon.io.split_file import write_split
from osteon.io.table import write_manifest
from osteon.train.pixels import Pixels

SIZE = 32


def toy_slices(*, patients: int = 8, each: int = 3, normal_every: int = 0, seed: int = 5) -> tuple[Manifest, Pixels]:
    """A manifest without files and its pixels; of every ``normal_every`` slices of a patient one has no lesion."""
    generator = np.random.default_rng(seed)
    rows, images, lesions, bones = [], [], [], []
    row, column = np.mgrid[:SIZE, :SIZE]
    for patient in range(patients):
        for number in range(each):
            has_lesion = not normal_every or number % normal_every != 0
            centre = generator.uniform(12, 20, 2)
            bone = np.hypot(row - centre[0], column - centre[1]) < generator.uniform(8, 11)
            spot = centre + generator.uniform(-3, 3, 2)
            lesion = (np.hypot(row - spot[0], column - spot[1]) < generator.uniform(2.5, 4)) & has_lesion
            image = 0.2 + 0.3 * bone + 0.4 * lesion + generator.normal(0, 0.03, (SIZE, SIZE))
            images.append(np.rint(255 * image.clip(0, 1)).astype(np.uint8))
            lesions.append(lesion)
            bones.append(bone)
            rows.append(
                ImageRow(
                    image=f"p{patient}-{number}.png",
                    patient=f"p{patient}",
                    label="metastasis" if has_lesion else "normal",
                    extra={"synthetic": "yes"},
                )
            )
    pixels = Pixels(np.stack(images), masks={"lesion": np.stack(lesions), "bone": np.stack(bones)})
    return Manifest(Path("toy"), tuple(rows)), pixels


def middle(pixels: Pixels) -> Pixels:
    """The middle 16 x 16 pixels of each slice, for large networks."""
    part = (slice(None), slice(8, 24), slice(8, 24))
    return replace(pixels, values=pixels.values[part], masks={name: mask[part] for name, mask in pixels.masks.items()})


def toy_split(manifest: Manifest, *, folds: int = 4) -> Split:
    """Folds by patient; each is the test part once."""
    return make_split(manifest, folds=folds, seed=1)


def write_toy_dataset(folder: Path, *, patients: int = 8, each: int = 3, folds: int = 4, normal_every: int = 0) -> Path:
    """The toy slices as a data set in the public layout, with its splits.json."""
    manifest, pixels = toy_slices(patients=patients, each=each, normal_every=normal_every)
    rows = []
    for index, row in enumerate(manifest.rows):
        names = {}
        for part, values in (
            ("image", pixels.values),
            ("bone mask", pixels.masks["bone"]),
            ("lesion mask", pixels.masks["lesion"]),
        ):
            file = folder / part / row.image
            file.parent.mkdir(parents=True, exist_ok=True)
            write_png8(file, values[index])
            names[part] = f"{part}/{row.image}"
        rows.append(replace(row, image=names["image"], bone_mask=names["bone mask"], lesion_mask=names["lesion mask"]))
    written = write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    write_split(toy_split(written, folds=folds), folder / "splits.json")
    return folder
