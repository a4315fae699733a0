"""findings.json: every number of an answer, with unit, code, model hash and warning; no patient text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import osteon
from osteon.report.lesion_entries import finite, lesion_entry, own_bone_entry
from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.reading_of import lesion_reading, slice_reading
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osteon.data import (
        Answer,
        Finding,
        Measurement,
        ModelUse,
        Notice,
        Region,
        RegionNovelty,
        SliceScores,
        Source,
        Volume,
    )
    from osteon.geometry import Box, Grid
    from osteon.labels import Concept
    from osteon.report.run import Run

__all__ = ["SCHEMA_VERSION", "finding_entry", "findings_document", "model_entry", "notice_entries", "region_of"]


SCHEMA_VERSION: Final = "1.3"
"""Of findings.json."""


def findings_document(answer: Answer, volume: Volume, *, run: Run) -> dict[str, object]:
    """Content of findings.json; validates against ``schema/findings-1.json``.

    The patient's name, identifier and birth date are left out: study, series and image UIDs link the file to its
    images. Slice indices count from 0 on the volume's grid, slice numbers from 1; index ranges are half-open.

    Of a bare picture, of which no size is known, everything in millimetres is null.

    Args:
        answer: of the system.
        volume: the answer's grid and source.
        run: when and with which version.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    document = _document(answer, volume, run=run)
    return document if volume.grid.is_in_mm else _without_mm(document)


def _document(answer: Answer, volume: Volume, *, run: Run) -> dict[str, object]:
    low, high = axis_letters(volume.grid)
    reading = volume.source.notices if volume.source else ()
    return {
        "schema_version": SCHEMA_VERSION,
        "disclaimer": DISCLAIMER,
        "osteon_version": osteon.__version__,
        "created": run.created,
        "task": answer.task,
        "headline": answer.headline,
        "is_demo": answer.is_demo,
        "source": _source(volume.source),
        "grid": {
            "shape": list(volume.grid.shape),
            "spacing_mm": _numbers(volume.grid.spacing_mm, what="the grid's spacing"),
            "affine": [_numbers(row, what="the grid's affine") for row in volume.grid.affine.tolist()],
            "index_order": ["slice", "row", "column"],
            "world": "LPS",
            "slice_axis_from": low,
            "slice_axis_to": high,
        },
        "regions": [_region(region) for region in answer.regions],
        "scores": [_scores(scores, volume) for scores in slice_reading(answer).scores],
        "findings": [
            finding_entry(
                finding,
                region=None if finding.box is None else region_of(finding.box, answer.regions),
                box=None if finding.box is None else _box(finding.box, volume.grid),
            )
            for finding in answer.findings
        ],
        "lesions": [
            lesion_entry(lesion, number) for number, lesion in enumerate(lesion_reading(answer).lesions, start=1)
        ],
        "own_bone": own_bone_entry(lesion_reading(answer).own_bone),
        "masks": [
            {
                "name": mask.name,
                "labels": [
                    {
                        "value": label.value,
                        "name": label.name,
                        "kind": _code(label.kind),
                        "tracking_uid": label.tracking_uid,
                    }
                    for label in mask.labels
                ],
            }
            for mask in answer.masks.values()
        ],
        "surfaces": [
            {"name": surface.name, "vertices": len(surface.vertices_lps_mm), "triangles": len(surface.faces)}
            for surface in answer.surfaces.values()
        ],
        "models": [model_entry(model) for model in answer.models],
        "heat_maps": [
            {
                "region": heat.region,
                "slice_index": heat.slice_index,
                "slice_number": heat.slice_index + 1,
                "method": "Grad-CAM",
                "members": heat.members,
                "is_called": heat.is_called,
            }
            for heat in slice_reading(answer).heat_maps
        ],
        "notices": notice_entries(reading, answer.notices),
        "slide": None,
    }


def _without_mm(document: dict[str, Any]) -> dict[str, object]:
    """The same with null in place of lengths and places: the grid only counts pixels."""
    nothing = dict.fromkeys(("spacing_mm", "affine", "world"))
    places = dict.fromkeys(("corners_lps_mm", "position_range_mm", "extent_mm", "volume_mm3"))
    document["grid"] |= nothing | {"slice_axis_from": "", "slice_axis_to": ""}
    for finding in document["findings"]:
        if finding["box"] is not None:
            finding["box"] |= places
    for scores in document["scores"]:
        for row in scores["slices"]:
            row["position_mm"] = None
    return document


def notice_entries(reading: Iterable[Notice], system: Iterable[Notice]) -> list[dict[str, str]]:
    """What reading and the system have to tell, in this order."""
    return [
        {"code": notice.code, "text": notice.text, "level": notice.level, "origin": origin}
        for origin, notices in (("reading", reading), ("system", system))
        for notice in notices
    ]


def region_of(box: Box, regions: tuple[Region, ...]) -> str | None:
    """Name of the region that shares most voxels with a box, or None when none does."""
    shared = {}
    for region in regions:
        ends = zip(box.start, box.stop, region.box.start, region.box.stop, strict=True)
        sides = [min(stop, other_stop) - max(start, other_start) for start, stop, other_start, other_stop in ends]
        shared[region.name] = math.prod(max(side, 0) for side in sides)
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] > 0 else None


def _code(concept: Concept) -> dict[str, str]:
    return {"value": concept.value, "scheme": concept.scheme, "meaning": concept.meaning}


def _optional_code(concept: Concept | None) -> dict[str, str] | None:
    return None if concept is None else _code(concept)


def _numbers(values: object, *, what: str) -> list[float]:
    return [finite(float(value), what=what) for value in values]  # type: ignore[attr-defined]


def _source(source: Source | None) -> dict[str, object] | None:
    if source is None:
        return None
    return {
        "kind": source.kind,
        "modality": source.series.modality,
        "study_instance_uid": source.study.uid,
        "series_instance_uid": source.series.uid,
        "frame_of_reference_uid": source.series.frame_of_reference_uid,
        "sop_class_uid": source.series.sop_class_uid,
        "images": len(source.slices),
    }


def _box(box: Box, grid: Grid) -> dict[str, object]:
    positions = slice_positions_mm(grid)
    half = grid.spacing_mm[0] / 2
    ends = sorted((float(positions[box.start[0]]), float(positions[box.stop[0] - 1])))
    return {
        "start_vox": list(box.start),
        "stop_vox": list(box.stop),
        "corners_lps_mm": [_numbers(corner, what="a box corner") for corner in box.corners_lps_mm(grid).tolist()],
        "first_slice_number": box.start[0] + 1,
        "last_slice_number": box.stop[0],
        "slice_count": box.shape[0],
        "position_range_mm": _numbers((ends[0] - half, ends[1] + half), what="a slice position"),
        "extent_mm": finite(box.shape[0] * grid.spacing_mm[0], what="a box extent"),
        "volume_mm3": finite(box.volume_mm3(grid), what="a box volume"),
    }


def _region(region: Region) -> dict[str, object]:
    seen = region.present.nonzero()[0]
    return {
        "name": region.name,
        "start_vox": list(region.box.start),
        "stop_vox": list(region.box.stop),
        "slices_seen": len(seen),
        "first_slice_number": int(seen[0]) + 1 if len(seen) else None,
        "last_slice_number": int(seen[-1]) + 1 if len(seen) else None,
        "novelty": None if region.novelty is None else _novelty(region.novelty, what=f"the novelty of {region.name}"),
    }


def _novelty(novelty: RegionNovelty, *, what: str) -> dict[str, object]:
    return {
        "score": finite(novelty.score, what=what),
        "threshold": finite(novelty.threshold, what=what),
        "slice_threshold": finite(novelty.slice_threshold, what=what),
        "false_alarm_rate": finite(novelty.false_alarm_rate, what=what),
        "is_unlike_training": novelty.is_unlike,
    }


def model_entry(model: ModelUse) -> dict[str, object]:
    """One model that took part."""
    return {
        "name": model.name,
        "version": model.version,
        "sha256": model.sha256,
        "runtime": model.runtime,
        "device": model.device,
        "is_demo": model.is_demo,
        "statement": model.statement,
        "members": model.members,
        "temperatures": _numbers(model.temperatures, what=f"a temperature of {model.name}"),
        "calibration": model.calibration,
        "operating_point": model.operating_point,
    }


def _scores(scores: SliceScores, volume: Volume) -> dict[str, object]:
    positions = slice_positions_mm(volume.grid)
    images = volume.source.slices if volume.source else ()
    what = f"a score of the {scores.region}"
    rows = [
        {
            "slice_index": int(index),
            "slice_number": int(index) + 1,
            "position_mm": finite(float(positions[index]), what=what),
            "sop_instance_uid": images[index].sop_instance_uid if images else None,
            "frame": images[index].frame if images else None,
            "probability": finite(float(scores.probability[place]), what=what),
            "smoothed": finite(float(scores.smoothed[place]), what=what),
            "spread": None if scores.spread is None else finite(float(scores.spread[place]), what=what),
            "distance": None if scores.distance is None else finite(float(scores.distance[place]), what=what),
            "prediction_set": scores.sets[place] if scores.sets else None,
            "by_segmentation": None if scores.by_segmentation is None else bool(scores.by_segmentation[place]),
            "lesion_area_mm2": None
            if scores.lesion_area_mm2 is None
            else finite(float(scores.lesion_area_mm2[place]), what=what),
        }
        for place, index in enumerate(scores.slices)
    ]
    sets = None
    if scores.error_rate is not None:
        counts = {words: scores.sets.count(words) for words in sorted(set(scores.sets))}
        sets = {"error_rate": finite(scores.error_rate, what=what), "counts": counts}
    return {
        "region": scores.region,
        "source": scores.source,
        "agreement": None if scores.agreement is None else finite(scores.agreement, what=what),
        "threshold": finite(scores.threshold, what=what),
        "runs": [list(run) for run in scores.runs],
        "withheld_runs": [list(run) for run in scores.withheld_runs],
        "prediction_sets": sets,
        "slices": rows,
    }


def _measurement(measurement: Measurement, finding: Finding) -> dict[str, object]:
    what = f"{measurement.concept.meaning} of {finding.identifier}"
    return {
        "concept": _code(measurement.concept),
        "value": finite(measurement.value, what=what),
        "unit": _code(measurement.unit),
        "method": _optional_code(measurement.method),
        "derivation": _optional_code(measurement.derivation),
        "interval": None if measurement.interval is None else _numbers(measurement.interval, what=what),
    }


def finding_entry(
    finding: Finding, *, region: str | None = None, box: dict[str, object] | None = None
) -> dict[str, object]:
    """One finding.

    Args:
        finding: of the answer.
        region: name of the part it lies in.
        box: its box as it is written.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    probability = finding.probability
    return {
        "identifier": finding.identifier,
        "tracking_uid": finding.tracking_uid,
        "region": region,
        "kind": _code(finding.kind),
        "is_abnormal": finding.is_abnormal,
        "statement": finding.statement,
        "site": _optional_code(finding.site),
        "laterality": _optional_code(finding.laterality),
        "probability": None
        if probability is None
        else finite(probability, what=f"probability of {finding.identifier}"),
        "box": box,
        "measurements": [_measurement(measurement, finding) for measurement in finding.measurements],
        "segment": None if finding.segment is None else {"mask": finding.segment[0], "label": finding.segment[1]},
    }
