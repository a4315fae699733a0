"""Read the five real CT patches of ``../shared/data/blds_bone_mets_ct`` and compare with their published boxes.

    python scripts/real_metastases.py ../shared/data/blds_bone_mets_ct -o OUT [--model MODEL]

Prints two tables: every published box with the lesion that is nearest, and every lesion that was listed. OUT gets the
result folder of each patch. The patches are for checking only: no model of osteon has been trained on them.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from osteon.reading import CaseOptions, read_case
from osteon.systems.ct_metastasis.text import LesionReading

TASK = "ct_metastasis"


@dataclass(frozen=True, slots=True)
class Box:
    """An upright box.

    Attributes:
        low: (x, y, z), LPS in mm.
        high: likewise.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    @property
    def centre(self) -> tuple[float, ...]:
        """Its middle."""
        return tuple((a + b) / 2 for a, b in zip(self.low, self.high, strict=True))

    def shared_mm3(self, other: Box) -> float:
        """Volume of what both cover."""
        low, high = np.maximum(self.low, other.low), np.minimum(self.high, other.high)
        return float(np.prod(np.clip(high - low, 0, None)))

    def overlap(self, other: Box) -> float:
        """Intersection over union."""
        shared = self.shared_mm3(other)
        volumes = sum(float(np.prod(np.subtract(box.high, box.low))) for box in (self, other))
        return shared / (volumes - shared)


def published_boxes(folder: Path) -> dict[str, list[Box]]:
    """Boxes by file name; the table gives centres and extents, LPS in mm."""
    found: dict[str, list[Box]] = {}
    with (folder / "image_bone_lesions.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            centre = np.array([float(row[name]) for name in ("x", "y", "z")])
            half = np.array([float(row[name]) for name in ("width", "height", "depth")]) / 2
            found.setdefault(row["image_path"], []).append(Box(tuple(centre - half), tuple(centre + half)))
    return found


def listed_box(finding: dict[str, Any]) -> Box:
    """The box of a lesion in findings.json."""
    corners = np.array(finding["box"]["corners_lps_mm"])
    return Box(tuple(corners.min(axis=0)), tuple(corners.max(axis=0)))


def main() -> None:
    """Read the patches and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model")
    arguments = parser.parse_args()
    options = CaseOptions(
        task=TASK, replace=True, options={"model": arguments.model, "force": True, "demo_on_patient": True}
    )
    against = ["| patch | published box (mm) | nearest listed lesion | distance of centres (mm) | overlap (IoU) |"]
    lesions = [
        "| patch | lesion | volume (ml) | diameter (mm) | mean HU | density pattern | site | probability | touches |"
    ]
    for lines in (against, lesions):
        lines.append("|" + " --- |" * (lines[0].count("|") - 1))
    for name, boxes in published_boxes(arguments.folder).items():
        result = read_case(arguments.folder / name, arguments.out / name.partition(".")[0], options=options)
        by_identifier = {str(entry["identifier"]): entry for entry in result.findings["findings"]}  # type: ignore[attr-defined]
        listed = [
            (lesion, listed_box(by_identifier[lesion.identifier]))
            for lesion in result.answer.detail_as(LesionReading).lesions
        ]
        for box in boxes:
            extent = " x ".join(f"{b - a:.0f}" for a, b in zip(box.low, box.high, strict=True))
            if not listed:
                against.append(f"| {name} | {extent} | none listed | - | - |")
                continue
            lesion, nearest = min(
                listed, key=lambda entry: float(np.linalg.norm(np.subtract(entry[1].centre, box.centre)))
            )
            distance = float(np.linalg.norm(np.subtract(nearest.centre, box.centre)))
            against.append(f"| {name} | {extent} | {lesion.identifier} | {distance:.1f} | {nearest.overlap(box):.2f} |")
        for lesion, box in listed:
            touched = sum(box.shared_mm3(other) > 0 for other in boxes)
            lesions.append(
                f"| {name} | {lesion.identifier} | {lesion.volume_ml:.2f} | {lesion.diameter_mm:.0f} | "
                f"{lesion.mean_hu:.0f} | {lesion.density_pattern} | {lesion.site} | {lesion.probability:.2f} | "
                f"{f'{touched} of {len(boxes)} boxes' if touched else 'no box'} |"
            )
    print("\n".join([*against, "", *lesions]))


if __name__ == "__main__":
    main()
