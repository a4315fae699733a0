"""A slide held in memory and a synthetic answer on it, for the tests of the report of a slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from osteon.data import Answer, Finding, Measurement, ModelUse, Notice
from osteon.data.slide import (
    GradeProposal,
    Necrosis,
    SlideLevel,
    SlideSource,
    TilePlan,
)
from osteon.labels import concept
from osteon.report import Run
from osteon.report.run import FileRecord
from osteon.systems.histology.detail import SlideMap, SlideReading

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOSTILE = '<script>alert("x")</script> & "slide"'
STEP_UM = 512.0


@dataclass
class ArraySlide:
    """A slide of two levels in memory; counts the pixels of the largest rectangle that was asked for."""

    pixels: NDArray[np.uint8]
    micron: float = 16.0
    is_synthetic: bool = True
    largest: int = field(default=0, init=False)

    @property
    def levels(self) -> tuple[SlideLevel, ...]:
        rows, columns = self.pixels.shape[:2]
        return (SlideLevel(rows, columns, 1.0), SlideLevel(rows // 4, columns // 4, 4.0))

    @property
    def microns_per_pixel(self) -> tuple[float, float]:
        return self.micron, self.micron

    @property
    def source(self) -> SlideSource:
        return SlideSource(
            path=None,
            format="generic-tiff",
            sha256="cd" * 32,
            microns_from="person",
            notices=(Notice("microns-told", f"Microns per pixel were told. {HOSTILE}"),),
            is_synthetic=self.is_synthetic,
        )

    def read(self, level: int, row: int, column: int, rows: int, columns: int) -> NDArray[np.uint8]:
        self.largest = max(self.largest, rows * columns)
        stored = self.pixels
        if level:
            stored = cv2.resize(stored, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        padded = np.full((rows, columns, 3), 255, dtype=np.uint8)
        top, left = max(row, 0), max(column, 0)
        bottom, right = min(row + rows, stored.shape[0]), min(column + columns, stored.shape[1])
        if top < bottom and left < right:
            padded[top - row : bottom - row, left - column : right - column] = stored[top:bottom, left:right]
        return padded

    def close(self) -> None:
        """Nothing to let go of."""


def slide_pixels(rows: int, columns: int) -> NDArray[np.uint8]:
    """Pink tissue with blue dots in an ellipse on white."""
    generator = np.random.default_rng(4)
    y, x = np.mgrid[:rows, :columns]
    inside = ((y / rows - 0.5) / 0.46) ** 2 + ((x / columns - 0.5) / 0.46) ** 2 < 1
    picture = np.full((rows, columns, 3), 244, dtype=np.uint8)
    picture[inside] = (214, 140, 178)
    dots = inside & (generator.random((rows, columns)) < 0.2 + 0.3 * (x > columns / 2))
    picture[dots] = (96, 60, 140)
    return picture


def synthetic_map(shape: tuple[int, int] = (12, 16)) -> SlideMap:
    """Viable at the right, non-viable in the middle with a hole, non-tumour at the left; some cells are flagged."""
    rows, columns = shape
    y, x = np.mgrid[:rows, :columns]
    tissue = ((y + 0.5) / rows - 0.5) ** 2 + ((x + 0.5) / columns - 0.5) ** 2 < 0.23
    predicted = np.select([x < columns * 0.35, x < columns * 0.68], [0, 1], 2)
    predicted[5:7, 7] = 0  # a hole
    generator = np.random.default_rng(9)
    best = (0.5 + 0.49 * generator.random(shape)).astype(np.float32)
    probability = np.empty((*shape, 3), dtype=np.float32)
    for index in range(3):
        probability[..., index] = np.where(predicted == index, best, (1 - best) * (0.7 if (index + 1) % 3 else 0.3))
    probability /= probability.sum(axis=-1, keepdims=True)
    probability[~tissue] = np.nan
    ood = np.where(tissue, 0.4 + 0.5 * generator.random(shape), np.nan).astype(np.float32)
    blur, pen, fold, is_ood = (np.zeros(shape, dtype=np.bool_) for _ in range(4))
    blur[3:5, 9:11] = True
    pen[8, 4] = True
    ood[9, 9] = 1.9
    is_ood[9, 9] = True
    plan = TilePlan(
        tile_um=2 * STEP_UM,
        step_um=STEP_UM,
        pixels=224,
        shape=shape,
        is_tissue=tissue,
        tissue_share=np.where(tissue, 0.9, 0.0).astype(np.float32),
    )
    flags = {"blur": blur, "pen": pen, "fold": fold, "ood": is_ood}
    return SlideMap(plan=plan, probability=probability, ood=ood, ood_threshold=1.0, flags=flags)


def synthetic_answer(*, is_demo: bool = True) -> Answer:
    """Fraction, areas and gallery that belong to ``synthetic_map``."""
    slide_map = synthetic_map()
    flagged = np.logical_or.reduce(list(slide_map.flags.values()))
    counted = slide_map.plan.is_tissue & ~flagged
    predicted = np.where(counted, np.nan_to_num(slide_map.probability).argmax(axis=-1), -1)
    cell_mm2 = 0.9 * (STEP_UM / 1000) ** 2
    cells = [int((predicted == index).sum()) for index in range(3)]
    areas = dict(zip(("non_tumour", "non_viable", "viable"), (n * cell_mm2 for n in cells), strict=True))
    left_out = int((slide_map.plan.is_tissue & flagged).sum()) * cell_mm2
    fraction = cells[1] / (cells[1] + cells[2])
    places = [(int(row), int(column)) for row, column in np.argwhere(counted)]
    best = {cell: float(slide_map.probability[cell].max()) for cell in places}
    places.sort(key=lambda cell: best[cell])
    sure = [cell for index in range(3) for cell in [c for c in reversed(places) if predicted[c] == index][:4]]
    reading = SlideReading(
        map=slide_map,
        necrosis=Necrosis(
            fraction=fraction,
            interval=(fraction - 0.12, fraction + 0.09),
            method="bootstrap over regions and the tiles in them, 2,000 draws",
            area_mm2={**areas, "tissue": sum(areas.values()) + left_out, "left_out": left_out},
            regions=2,
            tiles=cells[1] + cells[2],
        ),
        grade=GradeProposal("II", ("I", "II"), "Huvos, Rosen and Marcove 1977: cuts at 50, 90 and 100 %"),
        certain=tuple(sure),
        uncertain=tuple(places[:8]),
    )
    return Answer(
        task="histology",
        headline=f"{100 * fraction:.0f} % of the tumour on this slide is not viable.",
        detail=reading,
        findings=(
            Finding(
                identifier="viable-tumour",
                tracking_uid="2.25.99",
                kind=concept("neoplasm"),
                statement="Viable tumour was predicted.",
                measurements=(
                    Measurement(concept=concept("area"), value=areas["viable"], unit=concept("unit_mm2")),
                ),
            ),
        ),
        models=(
            ModelUse(
                name="mobilenet_v2_tiles.demo", version="0.1", sha256="ab" * 32, runtime="openvino float32",
                device="cpu", is_demo=is_demo, statement="Trained on 45 tiles of three patients and synthetic slides.",
            ),
        ),
        notices=(Notice("flagged", "6 tiles were flagged and left out.", level="warning"),),
        configuration={"stain": "none", "step_um": STEP_UM},
        seconds={"read and classify": 2.5},
    )  # fmt: skip


def slide_run() -> Run:
    """As it was started."""
    return Run(
        created="2026-01-07T12:00:00+00:00",
        task="histology",
        device="cpu",
        inputs=(FileRecord(name="slide.tif", sha256="0" * 64, size_bytes=10),),
        seconds={"open": 0.1},
        versions={"osteon": "0.1.0", "python": "3.11"},
        git_hash=None,
    )
