"""Test images with what every method calls on them, and the members of the ensemble beside their mean.

References:
    Spec bone-metastasis, section 5.5 (figures 4.10 and 4.11 of the thesis).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from osteon.metrics.segmentation import image_dice, pixel_counts
from osteon.report.outline_panel import OutlinedImage, draw_outlines
from osteon.study.segment_jobs import lesion_images, member_run
from osteon.systems.ct_metastasis.study_rows import LITERAL, NESTED, SEGMENTERS
from osteon.train.segmentation.images import grey_values
from osteon.train.segmentation.run import read_pixels
from osteon.train.segmentation.shown import called_lesions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Manifest
    from osteon.report.results_page import Picture
    from osteon.study.run import Study
    from osteon.study.segment_jobs import SegmentState
    from osteon.train.segmentation.counts import SegmentCounts
    from osteon.train.segmentation.mask_pixels import MaskPixels

__all__ = ["example_pictures"]

_SHOWN = 5
_FOLD = 0


def example_pictures(study: Study, folder: Path, mark: str) -> list[Picture]:
    """What every method calls on images of one fold's test part, and the ensemble's members on the same images.

    The images are chosen by the area of their lesions: the smallest, the largest, and some between, of different
    patients where there are enough. No method has a say in it.

    Args:
        study: of the rows.
        folder: of the PNGs.
        mark: words in the corner of each.

    Raises:
        OutputError: a picture cannot be written.
        InputError: an image is not there any more.
        WeightsError: a network is not there any more.
    """
    states = {state.plan.name: state for state in study.segmenters if state.counts is not None}
    shown = [row for row in SEGMENTERS if row.run in states and row.run != LITERAL]
    if not shown:
        return []
    counts = states[shown[0].run].counts
    manifest = _chosen(lesion_images(study.manifest), counts) if counts is not None else None
    if manifest is None:
        return []
    settings = states[shown[0].run].plan.settings
    pixels = read_pixels(manifest, settings, None)
    members = member_run(states[NESTED], _FOLD) if NESTED in states else None
    called = {
        row.title: called_lesions(manifest, pixels, states[row.run].plan.settings, _weights(states[row.run]))
        for row in shown
    }
    where = f"Test images of fold {_FOLD + 1}, chosen by the area of their lesions alone."
    pictures = [_picture(folder / "examples.png", "What the methods call", manifest, pixels, called, (where, mark))]
    if members is not None:
        joined = next(row.title for row in shown if row.run == NESTED)
        by_member = {
            f"M{number + 1}": called_lesions(manifest, pixels, members.settings, [one.weights])
            for number, one in enumerate(members.folds)
        }
        by_member[joined] = called[joined]
        title = "The members of the nested ensemble, and their mean"
        words = f"{where} No member was trained on them."
        pictures.append(_picture(folder / "members.png", title, manifest, pixels, by_member, (words, mark)))
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


def _weights(state: SegmentState) -> list[Path]:
    """The networks that scored the fold."""
    if state.plan.kind == "nested":
        members = member_run(state, _FOLD)
        return [] if members is None else [one.weights for one in members.folds]
    return [state.folds[_FOLD].weights]


def _picture(
    path: Path,
    title: str,
    manifest: Manifest,
    pixels: MaskPixels,
    called: dict[str, NDArray[np.bool_]],
    words: tuple[str, str],
) -> Picture:
    caption, mark = words
    truth = np.asarray(pixels.lesion, dtype=bool)
    grey = grey_values(pixels, np.arange(len(manifest), dtype=np.int64))
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
    return draw_outlines(path, title, rows, caption=caption, mark=mark)
