"""Lesions of synthetic patients: how many ``ct_metastasis`` finds, lists falsely, and how well it outlines them.

Run ``python -m bench.lesion_check OUT --patients 24 --seed 1001`` for the numbers of
docs/concepts/ct-metastasis.md. The patients are drawn with another seed than those of any training. They are SYNTHETIC:
the numbers prove that the way from a CT to a list of lesions works, and say nothing about patients.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon.data.options import silent
from osteon.metrics.lesion_detection import Matching, detect_lesions, froc, match_lesions
from osteon.metrics.surface_distance import surface_distances
from osteon.report.charts import draw_froc
from osteon.systems.ct_metastasis.options import Options
from osteon.systems.ct_metastasis.read import TASK
from osteon.systems.ct_metastasis.text import LesionReading
from osteon.systems.registry import system
from osteon_phantoms import Phantom, TrunkSpec, make_trunk, people
from osteon_phantoms.study import TrunkStudy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.data.options import Progress
    from osteon.metrics.lesion_detection import DetectionRate, ScanLesions

__all__ = ["CheckedScan", "check_lesions", "check_scan"]

_MIMIC_MM = 5.0
"""A false lesion is on a mimic when it comes this near to its middle."""
_TOLERANCE_MM = 3.0
_RATES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedScan:
    """One synthetic patient, read.

    Attributes:
        lesions: true and listed ones, matched.
        characters: (true type, listed density_pattern) of every true lesion that one listed lesion covers most of.
        bone_dice: of the bone mask with the true bone.
        hausdorff_mm: (k,) 95th percentile, of every true lesion that was found, against the lesions that found it.
        surface_dice: (k,) at 3 mm, likewise.
        sites: (true structure, listed site) likewise, where a site was claimed.
    """

    lesions: ScanLesions
    characters: tuple[tuple[str, str], ...]
    bone_dice: float
    hausdorff_mm: NDArray[np.float64] = field(repr=False)
    surface_dice: NDArray[np.float64] = field(repr=False)
    sites: tuple[tuple[str, str], ...]


def check_lesions(
    *,
    patients: int = 24,
    seed: int = 1001,
    healthy: float = 0.25,
    options: Options | None = None,
    progress: Progress = silent,
) -> tuple[CheckedScan, ...]:
    """Draw patients, read each, and compare with the truth.

    Args:
        patients: how many.
        seed: of the cohort; another one than that of the training.
        healthy: share without metastases.
        options: model and threshold.
        progress: called at every patient.

    Raises:
        OsteonError: a patient cannot be read, as ``osteon read`` says.
    """
    answer = system(TASK).read
    persons = people(TASK, patients, seed=seed, options=TrunkStudy(healthy=healthy))
    found = []
    for number, person in enumerate(persons):
        progress("patients", number, len(persons))
        phantom = make_trunk(person.spec)
        found.append(check_scan(phantom, answer(phantom.volume, options or Options(), silent), person.patient_id))
    progress("patients", len(persons), len(persons))
    return tuple(found)


def check_scan(phantom: Phantom[TrunkSpec], answer: Answer, patient: str) -> CheckedScan:
    """Compare what was listed with what was drawn.

    Args:
        phantom: with its exact masks.
        answer: of the system, on the grid of the phantom.
        patient: whose scan it is.
    """
    spacing_mm = phantom.volume.grid.spacing_mm
    drawn = np.asarray(phantom.masks["lesions"].array)
    shown = [truth for truth in phantom.lesions if (drawn == truth.label).any()]  # the field may miss one
    true = np.zeros(drawn.shape, dtype=np.int32)
    for index, truth in enumerate(shown, start=1):
        true[drawn == truth.label] = index
    listed = answer.detail_as(LesionReading).lesions
    predicted = np.zeros(true.shape, dtype=np.int32)
    if "lesions" in answer.masks:
        predicted = np.asarray(answer.masks["lesions"].array, dtype=np.int32)
    lesions = match_lesions(
        true,
        predicted,
        spacing_mm=spacing_mm,
        patient=patient,
        probability=np.array([lesion.probability for lesion in listed]),
        mimics=_mimics(phantom),
    )
    bone, own = answer.masks["bone"].array > 0, np.asarray(phantom.masks["structures"].array) > 0
    hausdorff, surface, characters, sites = [], [], [], []
    for index, truth in enumerate(shown, start=1):
        inside = true == index
        labels, voxels = np.unique(predicted[inside], return_counts=True)
        touching = labels[labels > 0]
        if not touching.size or math.isinf(lesions.true_probability[index - 1]):
            continue
        box = _around(inside | np.isin(predicted, touching))
        distances = surface_distances(inside[box], np.isin(predicted[box], touching), spacing_mm=spacing_mm)
        hausdorff.append(distances.hausdorff_mm(95))
        surface.append(distances.dice(_TOLERANCE_MM))
        found = listed[int(touching[np.argmax(voxels[labels > 0])]) - 1]
        characters.append((str(truth.spec.type), found.density_pattern))
        if found.site != "not determined":
            sites.append((str(truth.structure), found.site))
    return CheckedScan(
        lesions=lesions,
        characters=tuple(characters),
        bone_dice=float(2 * (bone & own).sum() / max(1, bone.sum() + own.sum())),
        hausdorff_mm=np.array(hausdorff),
        surface_dice=np.array(surface),
        sites=tuple(sites),
    )


def _mimics(phantom: Phantom[TrunkSpec]) -> NDArray[np.int32]:
    """A ball about the middle of every mimic, numbered."""
    grid = phantom.volume.grid
    out = np.zeros(grid.shape, dtype=np.int32)
    reach = [math.ceil(_MIMIC_MM / mm) for mm in grid.spacing_mm]
    number = 0
    for mimic in phantom.mimics:
        middle = np.rint(grid.to_vox(np.array([mimic.centre_lps_mm]))[0]).astype(int)
        window = tuple(slice(max(0, m - r), m + r + 1) for m, r in zip(middle, reach, strict=True))
        if not out[window].size:
            continue
        places = np.meshgrid(
            *(np.arange(s.start, min(s.stop, n)) for s, n in zip(window, grid.shape, strict=True)), indexing="ij"
        )
        away = sum(((p - m) * mm) ** 2 for p, m, mm in zip(places, middle, grid.spacing_mm, strict=True))
        number += 1
        out[window][np.asarray(away) <= _MIMIC_MM**2] = number
    return out


def _around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The box of a mask and a voxel about it."""
    ends = [np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    return tuple(slice(max(0, int(e[0]) - 1), int(e[-1]) + 2) for e in ends)


def _lines(scans: Sequence[CheckedScan], *, threshold: float) -> list[str]:
    detection, curve = (
        detect_lesions([scan.lesions for scan in scans], threshold=threshold),
        froc([scan.lesions for scan in scans], rates=_RATES),
    )

    def told(rate: DetectionRate) -> str:
        return f"{rate.value:.2f} ({rate.low:.2f} to {rate.high:.2f}), {rate.count} of {rate.total}"

    lines = [
        f"SYNTHETIC: {detection.scans} synthetic patients. A lesion counts as found at {Matching().words}.",
        "",
        "| measure | value (95 % CI over patients) |",
        "| --- | --- |",
        f"| lesions found | {told(detection.sensitivity)} |",
    ]
    for low, high, rate in detection.by_size:
        words = f"{low:g} to {high:g} mm" if math.isfinite(high) else f"{low:g} mm and more"
        lines.append(f"| of those of {words} | {told(rate) if rate.total else 'none'} |")
    false = detection.false_positives
    lines += [
        f"| listed lesions that are true | {told(detection.precision)} |",
        f"| false lesions a scan | {false.value:.2f} ({false.low:.2f} to {false.high:.2f}) |",
        f"| scans with a false lesion | {told(detection.scans_with_false_positives)} |",
    ]
    if detection.mimics is not None:
        lines.append(f"| mimics listed | {told(detection.mimics)} |")
    lines += [
        f"| found at {rate:g} false lesions a scan at most | {value.value:.2f} |" for rate, value in curve.at_rates
    ]
    surfaces = np.concatenate([scan.hausdorff_mm for scan in scans])
    near = np.concatenate([scan.surface_dice for scan in scans])
    volumes = [(scan.lesions.true_ml.sum(), scan.lesions.predicted_ml.sum()) for scan in scans]
    wrong = np.array([predicted - true for true, predicted in volumes])
    right = [true == listed for scan in scans for true, listed in scan.characters]
    sites = [pair for scan in scans for pair in scan.sites]
    lines += [
        f"| 95th percentile of surface distances of found lesions, median | {np.median(surfaces):.1f} mm |",
        f"| surface Dice at {_TOLERANCE_MM:g} mm of found lesions, median | {np.median(near):.2f} |",
        f"| volume of all lesions of a scan, listed minus true, median | {np.median(wrong):.1f} ml |",
        f"| bone, Dice, median | {np.median([scan.bone_dice for scan in scans]):.3f} |",
        f"| density pattern right, of found lesions | {sum(right)} of {len(right)} |",
        f"| sites claimed, of found lesions | {len(sites)} of {len(right)} |",
        *(
            f"| site claimed: {site}, in truth {bone} | {sites.count((bone, site))} |"
            for bone, site in sorted(set(sites))
        ),
    ]
    return lines


def main(words: list[str]) -> None:
    """Check, print, and leave the table and the curve in a folder."""
    parser = argparse.ArgumentParser(prog="python -m bench.lesion_check")
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1001)
    parser.add_argument("--model")
    arguments = parser.parse_args(words)

    def tell(step: str, done: int, total: int) -> None:
        sys.stderr.write(f"{step}: {done} of {total}\n")

    options = Options(model=arguments.model)
    scans = check_lesions(patients=arguments.patients, seed=arguments.seed, options=options, progress=tell)
    lines = _lines(scans, threshold=0.0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "lesions.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    curve = froc([scan.lesions for scan in scans], rates=_RATES)
    draw_froc(arguments.out / "froc.png", {"listed lesions": curve}, matching=Matching().words, mark="SYNTHETIC")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
