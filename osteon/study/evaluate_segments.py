"""``osteon evaluate`` of a run of segmenters: measures by map, by fold and by patient, and the images called worst."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import OutputError
from osteon.metrics.segmentation import MASK_MEASURES, image_dice
from osteon.report.blocks import Section, Table, results_document
from osteon.report.charts import OutlinedImage, draw_outlines
from osteon.report.evaluation import METRICS_NAME, REPORT_NAME, interval_words
from osteon.report.page import write_page
from osteon.study.evaluate import FOLDER_NAME
from osteon.train.counts import judge_counts, measures_by_fold
from osteon.train.objectives.segment import SEGMENT, called_lesions
from osteon.train.run_data import synthetic_words
from osteon.train.run_folder import read_sweeps

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Picture
    from osteon.train.counts import SegmentCounts
    from osteon.train.run_data import RunData

__all__ = ["SegmentEvaluation", "evaluate_segments_into", "segment_table"]

_WORST = 6
_NAMES = {
    "f1": "F1, all pixels together",
    "dice": "mean Dice of images",
    "iou": "IoU, all pixels together",
    "accuracy": "accuracy of pixels",
    "specificity": "specificity of pixels",
    "sensitivity": "sensitivity of pixels",
    "precision": "precision of pixels",
}
_HOW = (
    "Each image of a test part was judged by the network of its fold, at the threshold of the settings. An image "
    "without a lesion in truth and answer has Dice 1. Intervals (95 %) draw patients with replacement."
)


@dataclass(frozen=True, slots=True)
class SegmentEvaluation:
    """What came out, and where it lies.

    Attributes:
        document: of metrics.json.
        folder: with metrics.json, report.html and figures.
    """

    document: dict[str, Any] = field(repr=False)
    folder: Path


def evaluate_segments_into(
    data: RunData, out: Path | None = None, *, resampling: Resampling | None = None
) -> SegmentEvaluation:
    """Judge a run of segmenters on its test parts and write metrics.json, report.html and figures.

    Args:
        data: of ``osteon.train.run_data.open_run``.
        out: folder; None takes ``evaluation`` in the run's.
        resampling: of the patient bootstraps.

    Raises:
        InputError: no fold is done, or an image is not there any more.
        WeightsError: a network is not there any more.
        OutputError: a file cannot be written.
    """
    counts = data.run.counts().of(part="test")
    folder = out or data.run.folder / FOLDER_NAME
    document = _document(data, counts, resampling)
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / METRICS_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be written ({error.strerror}): name another folder") from error
    mark = "SYNTHETIC IMAGES" if synthetic_words(data.manifest) else ""
    picture = _worst_picture(data, document, folder / "figures" / "worst.png", mark)
    sections = [
        Section("Measures", (_HOW,), tables=(segment_table(document), _fold_table(document))),
        Section("Patients", tables=(_patient_table(document),)),
        Section("Images called worst", tables=(_worst_table(document),), pictures=(picture,)),
    ]
    lesion = document["maps"]["lesion"]["measures"]["f1"]["over_patients"]
    page = results_document(
        f"Evaluation of {document['run']['name']}",
        f"F1 of lesions over all pixels {interval_words(lesion)} on {document['data']['patients']} test patients",
        warnings=tuple(document["warnings"]),
        sections=tuple(sections),
        links=((METRICS_NAME, "every number of this page"),),
    )
    write_page(folder / REPORT_NAME, page)
    return SegmentEvaluation(document, folder)


def segment_table(document: dict[str, Any]) -> Table:
    """The seven measures by map, with intervals over patients."""
    maps = document["maps"]
    rows = tuple(
        (words, *(interval_words(entry["measures"][name]["over_patients"]) for entry in maps.values()))
        for name, words in _NAMES.items()
    )
    return Table(
        "measures",
        f"Test parts of {len(document['run']['folds'])} fold(s), {document['data']['images']} images of "
        f"{document['data']['patients']} patients",
        ("measure", *(f"{name}, probability >= {document['run']['threshold']:g}" for name in maps)),
        rows,
    )


def _document(data: RunData, counts: SegmentCounts, resampling: Resampling | None) -> dict[str, Any]:
    run = data.run
    maps = {}
    for name in run.settings.outputs:
        judged, by_fold = (
            judge_counts(counts, output=name, resampling=resampling),
            measures_by_fold(counts, output=name),
        )
        maps[name] = {
            "measures": {
                key: {
                    "by_fold": {str(fold): _number(values[key]) for fold, values in by_fold.items()},
                    "over_patients": {part: _number(getattr(found, part)) for part in ("value", "low", "high")},
                }
                for key, found in judged.items()
            }
        }
    lesion = counts.of(output="lesion")
    return {
        "schema_version": 1,
        "run": {
            "name": run.folder.absolute().name,
            "task": run.settings.task,
            "architecture": run.settings.architecture,
            "threshold": run.settings.threshold,
            "folds": [fold.fold for fold in run.done],
            "settings": run.settings.document(),
            "best_thresholds_on_validation": {
                str(fold.fold): {sweep.output: sweep.best for sweep in read_sweeps(fold.folder)} for fold in run.done
            },
        },
        "data": {
            "patients": len(set(lesion.patient.tolist())),
            "images": len(set(lesion.image.tolist())),
            "split_sha256": data.split_sha256,
        },
        "maps": maps,
        "patients": _patients(lesion),
        "worst": _worst(lesion),
        "warnings": [*synthetic_words(data.manifest), *run.warnings],
    }


def _patients(lesion: SegmentCounts) -> list[dict[str, Any]]:
    """Each patient's pixels, the worst first."""
    dice = image_dice(lesion.counts)
    found = []
    for patient in sorted(set(lesion.patient.tolist())):
        mine = lesion.patient == patient
        hits, extra, missed, _ = lesion.counts.table[mine].sum(axis=0).tolist()
        whole = 2 * hits + extra + missed
        found.append(
            {
                "patient": patient,
                "images": int(mine.sum()),
                "lesion_pixels": hits + missed,
                "missed_pixels": missed,
                "extra_pixels": extra,
                "f1": 2 * hits / whole if whole else None,
                "mean_dice": float(dice[mine].mean()),
            }
        )
    return sorted(found, key=lambda entry: (2.0 if entry["f1"] is None else entry["f1"], entry["patient"]))


def _worst(lesion: SegmentCounts) -> list[dict[str, Any]]:
    """The images of smallest Dice; of equals those with most wrong pixels."""
    dice, wrong = image_dice(lesion.counts), lesion.counts.false_positive + lesion.counts.false_negative
    order = np.lexsort((-wrong, dice))[:_WORST]
    return [
        {
            "image": str(lesion.image[index]),
            "patient": str(lesion.patient[index]),
            "fold": int(lesion.fold[index]),
            "dice": float(dice[index]),
            "missed_pixels": int(lesion.counts.false_negative[index]),
            "extra_pixels": int(lesion.counts.false_positive[index]),
        }
        for index in order.tolist()
    ]


def _fold_table(document: dict[str, Any]) -> Table:
    measures = document["maps"]["lesion"]["measures"]
    folds = list(next(iter(measures.values()))["by_fold"])
    rows = tuple((fold, *(_words(measures[name]["by_fold"][fold]) for name in MASK_MEASURES)) for fold in folds)
    return Table("folds", "Lesions, by fold", ("fold", *(_NAMES[name] for name in MASK_MEASURES)), rows)


def _patient_table(document: dict[str, Any]) -> Table:
    rows = tuple(
        (
            entry["patient"],
            str(entry["images"]),
            str(entry["lesion_pixels"]),
            str(entry["missed_pixels"]),
            str(entry["extra_pixels"]),
            _words(entry["f1"]),
            _words(entry["mean_dice"]),
        )
        for entry in document["patients"]
    )
    columns = ("patient", "images", "lesion pixels", "missed", "extra", "F1", "mean Dice")
    return Table("patients", "Lesions, by patient of the test parts, the worst first", columns, rows)


def _worst_table(document: dict[str, Any]) -> Table:
    rows = tuple(
        (
            entry["image"],
            entry["patient"],
            str(entry["fold"]),
            _words(entry["dice"]),
            str(entry["missed_pixels"]),
            str(entry["extra_pixels"]),
        )
        for entry in document["worst"]
    )
    columns = ("image", "patient", "fold", "Dice", "missed pixels", "extra pixels")
    return Table("worst", "Images of smallest Dice, as they are shown below", columns, rows)


def _worst_picture(data: RunData, document: dict[str, Any], path: Path, mark: str) -> Picture:
    """What each fold's network calls on the images that it called worst."""
    number = {row.image: index for index, row in enumerate(data.manifest.rows)}
    shown = []
    for entry in document["worst"]:
        one = data.manifest.select([number[entry["image"]]])
        pixels = SEGMENT.load(one, data.run.settings, None)
        called = called_lesions(one, pixels, data.run.settings, [data.run.folds[entry["fold"]].weights])
        shown.append(
            OutlinedImage(
                name=entry["image"],
                image=pixels.crops(np.zeros(1, dtype=np.int64))[0],
                truth=np.asarray(pixels.masks["lesion"][0], dtype=bool),
                called={"called": called[0]},
                scores={"called": f"Dice {entry['dice']:.3f}"},
            )
        )
    caption = "Test images of smallest Dice, each called by the network of its fold."
    return draw_outlines(path, "Images called worst", shown, caption=caption, mark=mark)


def _words(value: float | None) -> str:
    """A number with three decimals, or that there is none."""
    return "not defined" if value is None else f"{value:.3f}"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
