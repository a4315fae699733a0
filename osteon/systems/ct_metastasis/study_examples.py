"""Test images with what every method calls on them, and the members of the ensemble beside their mean.

References:
    Spec bone-metastasis, section 5.5 (figures 4.10 and 4.11 of the thesis).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.metrics.segmentation import image_dice, pixel_counts
from osteon.report.charts import OutlinedImage, draw_outlines
from osteon.study.plan import fold_weights, labelled, member_run
from osteon.systems.ct_metastasis.study_rows import LESION_LABEL, LITERAL, NESTED, SEGMENTERS
from osteon.train.objectives.segment import SEGMENT, called_lesions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.report.blocks import Picture
    from osteon.study.plan import Study
    from osteon.train.counts import SegmentCounts
    from osteon.train.pixels import Pixels

__all__ = ["example_pictures"]

_SHOWN = 5
_FOLD = 0


def example_pictures(study: Study) -> list[Picture]:
    """What every method calls on images of one fold's test part, and the ensemble's members on the same images.

    The images are chosen by the area of their lesions: the smallest, the largest, and some between, of different
    patients where there are enough. No method has a say in it.

    Args:
        study: with at least one run.

    Raises:
        OutputError: a picture cannot be written.
        InputError: an image is not there any more.
        WeightsError: a network is not there any more.
    """
    counts = study.counts
    states = {run.plan.name: run for run in study.runs if run.plan.name in counts}
    shown = [row for row in SEGMENTERS if row.run in states and row.run != LITERAL]
    if not shown:
        return []
    manifest = _chosen(labelled(study.manifest, LESION_LABEL), counts[shown[0].run])
    pixels = SEGMENT.load(manifest, states[shown[0].run].plan.settings, None)
    called = {
        row.title: called_lesions(
            manifest, pixels, states[row.run].plan.settings, fold_weights(states[row.run], study.place, _FOLD)
        )
        for row in shown
    }
    where = f"Test images of fold {_FOLD + 1}, chosen by the area of their lesions alone."
    pictures = [_picture(study, "examples", "What the methods call", manifest, pixels, called, where)]
    members = member_run(NESTED, study.place, _FOLD) if NESTED in states else None
    if members is not None:
        joined = next(row.title for row in shown if row.run == NESTED)
        by_member = {
            f"M{number + 1}": called_lesions(manifest, pixels, members.settings, [one.weights])
            for number, one in enumerate(members.folds)
        }
        by_member[joined] = called[joined]
        title = "The members of the nested ensemble, and their mean"
        words = f"{where} No member was trained on them."
        pictures.append(_picture(study, "members", title, manifest, pixels, by_member, words))
    return pictures


def _chosen(images: Manifest, counts: SegmentCounts) -> Manifest:
    """Images of the fold's test part from the smallest lesion to the largest."""
    test = counts.of(fold=_FOLD)
    areas = dict(
        zip(test.image.tolist(), (test.counts.true_positive + test.counts.false_negative).tolist(), strict=True)
    )
    rows = [number for number, row in enumerate(images.rows) if areas.get(row.image, 0) > 0]
    rows.sort(key=lambda number: (areas[images.rows[number].image], images.rows[number].image))
    picked: list[int] = []
    for place in np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows))).round().astype(int).tolist():
        seen = {images.rows[number].patient for number in picked}
        near = sorted(rows, key=lambda number: abs(rows.index(number) - place))
        others = [number for number in near[: len(rows) // _SHOWN + 1] if images.rows[number].patient not in seen]
        free = [number for number in [*others, *near] if number not in picked]
        picked.append(free[0])
    return images.select(picked)


def _picture(
    study: Study,
    name: str,
    title: str,
    manifest: Manifest,
    pixels: Pixels,
    called: dict[str, NDArray[np.bool_]],
    caption: str,
) -> Picture:
    truth = np.asarray(pixels.masks["lesion"], dtype=bool)
    grey = pixels.crops(np.arange(len(manifest), dtype=np.int64))
    scores = {name: image_dice(pixel_counts(truth, masks)) for name, masks in called.items()}
    rows = [
        OutlinedImage(
            name=row.patient,
            image=grey[number],
            truth=truth[number],
            called={name: masks[number] for name, masks in called.items()},
            scores={name: f"F1 {100 * values[number]:.1f}" for name, values in scores.items()},
        )
        for number, row in enumerate(manifest.rows)
    ]
    return draw_outlines(study.figures / f"{name}.png", title, rows, caption=caption, mark=study.mark)
