"""Write the pictures of docs/how-to/read-a-slide.md: ``python scripts/write_slide_pictures.py [--model NAME]``.

A synthetic slide with 70 % necrosis is written, read with the demo model and its views are made small. Run it again
when the demo model or the pictures of a report change.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

from osteon.io.slide.pyramid import write_pyramid
from osteon.reading.case import CaseOptions, read_case
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.slides.spec import SlideSpec

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
WIDTH = 1120
MOST_BYTES = 200_000
SPEC = SlideSpec(
    seed=7, size=(9000, 12000), microns_per_pixel=1.0, necrosis_fraction=0.7, region_um=2200.0, pens=1, folds=1, blurs=1
)


def main() -> None:
    """Make, read, shrink."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="card of the tile classifier; the demo model by default")
    parser.add_argument("--keep", type=Path, help="folder for the slide and its result; a temporary one by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "slide.tif"
        slide = make_slide(SPEC)
        write_pyramid(path, slide)
        options = CaseOptions(task="histology", replace=True, options={"model": asked.model})
        read = read_case(path, folder / "result", options=options)
        print(f"made with {slide.true_necrosis().fraction:.1%} necrosis; read: {read.answer.headline}")
        for name in ("overview", "necrosis", "gallery"):
            shrink(folder / "result" / "views" / f"{name}.png", IMAGES / f"slide-{name}.jpg")


def shrink(source: Path, target: Path) -> None:
    """A JPEG of a width for the docs, in the best quality that stays below the limit of bytes."""
    picture = np.asarray(cv2.imread(str(source)))
    height = round(picture.shape[0] * WIDTH / picture.shape[1])
    small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
    for quality in range(88, 30, -6):
        _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) < MOST_BYTES:
            break
    target.write_bytes(data.tobytes())
    print(target.name, len(data), "bytes")


if __name__ == "__main__":
    main()
