"""``osteon evaluate``: the numbers of a run, and the page that shows them.

Of classifiers the page is that of ``osteon.report.evaluation``. Of segmenters it shows the measures by map, by fold and
by patient, and the images with the lowest Dice.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import InputError
from osteon.io.image import read_image
from osteon.metrics.segmentation import MASK_MEASURES, image_dice
from osteon.metrics.text import EVALUATED
from osteon.report.blocks import Section, Table, results_document
from osteon.report.charts import OutlinedImage, draw_outlines
from osteon.report.evaluation import (
    METRICS_NAME,
    REPORT_NAME,
    interval_text,
    key_table,
    write_evaluation,
    write_metrics,
)
from osteon.report.page import write_page
from osteon.train.counts import evaluate_counts, measures_by_fold
from osteon.train.evaluation import Evaluation, evaluate_run
from osteon.train.objectives.segment import SEGMENT, predicted_lesions
from osteon.train.pixels import prepare_image
from osteon.train.run import synthetic_text
from osteon.train.run_folder import read_sweeps
from osteon.train.settings import HeadSettings
from osteon.train.tile_features import read_tile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Picture
    from osteon.train.counts import SegmentCounts
    from osteon.train.run import RunData

__all__ = ["Evaluated", "evaluate_into"]

_LOG = logging.getLogger(__name__)
_FOLDER_NAME = "evaluation"
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
    "Each image of a test part was evaluated by the network of its fold, at the threshold of the settings. An image "
    "without a lesion in truth and answer has Dice 1. Intervals (95 %) draw patients with replacement."
)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What came out: metrics.json, its measures in short, and the folder with it, report.html and figures."""

    document: Mapping[str, Any] = field(repr=False)
    table: Table = field(repr=False)
    folder: Path


def evaluate_into(
    data: RunData, out: Path | None = None, *, by: Sequence[str] = (), resampling: Resampling | None = None
) -> Evaluated:
    """Evaluate a run on its test parts and write metrics.json, report.html and figures.

    They go to ``out``, by default the folder ``evaluation`` in the run's. ``by`` names further columns for the subgroup
    table of classifiers.

    Raises:
        InputError: no fold is done, subgroups of segmenters are asked for, or an image is not there any more.
        UnknownLabelError: no such column.
        WeightsError: a network that is shown is not there any more.
        OutputError: a file cannot be written.
    """
    folder = out or data.run.folder / _FOLDER_NAME
    if data.run.settings.objective == "segment":
        if by:
            raise InputError("--by was given; subgroups are made for classifiers only: leave it out for segmenters")
        return _segmenters(data, folder, resampling)
    evaluation = evaluate_run(data, by=by, resampling=resampling)
    write_evaluation(folder, evaluation.document, failures=_worst_images(data, evaluation))
    return Evaluated(evaluation.document, key_table(evaluation.document), folder)


def _worst_images(data: RunData, evaluation: Evaluation) -> list[NDArray[np.float32]]:
    """As the network saw them; none at all when one of them is not there any more."""
    found = []
    settings = data.run.settings
    for row in evaluation.worst:
        name = data.manifest.rows[row].image
        try:
            file = data.manifest.folder / name
            if isinstance(settings, HeadSettings):
                found.append(read_tile(file, side=settings.pixels).mean(axis=2, dtype=np.float32) / np.float32(255))
            else:
                image = read_image(file, any_scale=settings.stretch)
                found.append(prepare_image(image, settings.image_size, is_stretched=settings.stretch))
        except InputError as error:
            _LOG.warning("no gallery of failures: %s", error)
            return []
    return found


# ---------------------------------------------------------------------------------------------------------- segmenters


def _segmenters(data: RunData, folder: Path, resampling: Resampling | None) -> Evaluated:
    counts = data.run.counts().of(part="test")
    document = _document(data, counts, resampling)
    figures = write_metrics(folder, document)
    mark = "SYNTHETIC IMAGES" if synthetic_text(data.manifest) else ""
    picture = _worst_picture(data, document, figures / "worst.png", mark)
    table, *others = _tables(document)
    sections = [
        Section("Measures", (_HOW,), tables=(table, others[0])),
        Section("Patients", tables=(others[1],)),
        Section("Images with the lowest Dice", tables=(others[2],), pictures=(picture,)),
    ]
    lesion = document["maps"]["lesion"]["measures"]["f1"]["over_patients"]
    page = results_document(
        f"Evaluation of {document['run']['name']}",
        f"F1 of lesions over all pixels {interval_text(lesion)} on {document['data']['patients']} test patients",
        warnings=tuple(document["warnings"]),
        sections=tuple(sections),
        links=((METRICS_NAME, "every number of this page"),),
    )
    write_page(folder / REPORT_NAME, page)
    return Evaluated(document, table, folder)


def _document(data: RunData, counts: SegmentCounts, resampling: Resampling | None) -> dict[str, Any]:
    run = data.run
    maps = {}
    for name in run.settings.outputs:
        evaluated, by_fold = (
            evaluate_counts(counts, output=name, resampling=resampling),
            measures_by_fold(counts, output=name),
        )
        maps[name] = {
            "measures": {
                key: {
                    "by_fold": {str(fold): _number(values[key]) for fold, values in by_fold.items()},
                    "over_patients": {part: _number(getattr(found, part)) for part in ("value", "low", "high")},
                }
                for key, found in evaluated.items()
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
        "warnings": [*synthetic_text(data.manifest), *run.warnings],
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


def _tables(document: dict[str, Any]) -> tuple[Table, ...]:
    """The seven measures by map with intervals over patients; lesions by fold, by patient, and of the worst images."""
    maps, run, data = document["maps"], document["run"], document["data"]
    measures = maps["lesion"]["measures"]
    by_map = tuple(
        (words, *(interval_text(entry["measures"][name]["over_patients"]) for entry in maps.values()))
        for name, words in _NAMES.items()
    )
    by_fold = tuple(
        (fold, *(EVALUATED.number(measures[name]["by_fold"][fold]) for name in MASK_MEASURES))
        for fold in next(iter(measures.values()))["by_fold"]
    )
    title = f"Test parts of {len(run['folds'])} fold(s), {data['images']} images of {data['patients']} patients"
    heads = ("measure", *(f"{name}, probability >= {run['threshold']:g}" for name in maps))
    pixels = {"lesion_pixels": "lesion pixels", "missed_pixels": "missed", "extra_pixels": "extra"}
    of_patient = {"patient": "patient", "images": "images", **pixels, "f1": "F1", "mean_dice": "mean Dice"}
    wrong = {"missed_pixels": "missed pixels", "extra_pixels": "extra pixels"}
    of_image = {"image": "image", "patient": "patient", "fold": "fold", "dice": "Dice", **wrong}
    return (
        Table("measures", title, heads, by_map),
        Table("folds", "Lesions, by fold", ("fold", *(_NAMES[name] for name in MASK_MEASURES)), by_fold),
        _listed("patients", "Lesions, by patient of the test parts, the worst first", of_patient, document),
        _listed("worst", "Images of smallest Dice, as they are shown below", of_image, document),
    )


def _listed(name: str, title: str, columns: Mapping[str, str], document: dict[str, Any]) -> Table:
    """Entries of the document under their heads."""
    rows = [[entry[key] for key in columns] for entry in document[name]]
    cells = [
        tuple(str(value) if isinstance(value, (int, str)) else EVALUATED.number(value) for value in row) for row in rows
    ]
    return Table(name, title, tuple(columns.values()), tuple(cells))


def _worst_picture(data: RunData, document: dict[str, Any], path: Path, mark: str) -> Picture:
    """What each fold's network predicts on the images with the lowest Dice."""
    number = {row.image: index for index, row in enumerate(data.manifest.rows)}
    shown = []
    for entry in document["worst"]:
        one = data.manifest.select([number[entry["image"]]])
        pixels = SEGMENT.load(one, data.run.settings, None)
        predicted = predicted_lesions(one, pixels, data.run.settings, [data.run.folds[entry["fold"]].weights])
        shown.append(
            OutlinedImage(
                name=entry["image"],
                image=pixels.crops(np.zeros(1, dtype=np.int64))[0],
                truth=np.asarray(pixels.masks["lesion"][0], dtype=bool),
                predicted={"predicted": predicted[0]},
                scores={"predicted": f"Dice {entry['dice']:.3f}"},
            )
        )
    caption = "Test images with the lowest Dice, each predicted by the network of its fold."
    return draw_outlines(path, "Images with the lowest Dice", shown, caption=caption, mark=mark)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
