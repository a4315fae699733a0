"""All pictures of a result folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.errors import OutputError
from osteon.report.bone_pictures import draw_bone
from osteon.report.heat_map_sheet import draw_heat_maps
from osteon.report.lesion_pictures import draw_lesions
from osteon.report.lesions import bone_surfaces
from osteon.report.marked_pictures import draw_marked_slice, draw_probability
from osteon.report.overview import draw_overview
from osteon.report.reading_of import slice_reading
from osteon.report.score_chart import draw_scores
from osteon.report.skeleton_picture import draw_skeleton
from osteon.report.slice_sheet import draw_slices
from osteon.report.tasks import task_words

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report.view import View

__all__ = ["draw_views"]


def draw_views(answer: Answer, volume: Volume, folder: Path) -> tuple[View, ...]:
    """Draw every picture the answer has material for.

    Args:
        answer: without scores there is no scores.png, without surfaces there are no pictures of the bone.
        volume: that was read.
        folder: made when it is missing; existing pictures of the same names are replaced.

    Returns:
        overview, slices or lesion_01 and so on, scores, heat_maps, bone_anterior, bone_lateral: those that were drawn,
        in this order.

    Raises:
        OutputError: the folder or a picture cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the folder {folder.name} for the pictures cannot be made: {error.strerror}") from error
    if task_words(answer.task).one_image:
        return _of_one_image(answer, volume, folder)
    # a list of lesions is shown in the skeleton and lesion by lesion; an empty one has the bone alone
    in_skeleton = task_words(answer.task).lists_lesions and bool(bone_surfaces(answer))
    overview = folder / "overview.png"
    views = [
        draw_skeleton(overview, answer) if in_skeleton else draw_overview(overview, answer, volume),
        *(draw_lesions(folder, answer, volume) or [draw_slices(folder / "slices.png", answer, volume)]),
    ]
    if any(len(scores.slices) for scores in slice_reading(answer).scores):
        views.append(draw_scores(folder / "scores.png", answer, volume))
    if slice_reading(answer).heat_maps:
        views.append(draw_heat_maps(folder / "heat_maps.png", answer, volume))
    return tuple(views) if in_skeleton else (*views, *draw_bone(folder, answer, volume))


def _of_one_image(answer: Answer, volume: Volume, folder: Path) -> tuple[View, ...]:
    """The marked lesion on its slice, the probability, and where the model looked."""
    views = [
        draw_marked_slice(folder / "overview.png", answer, volume),
        draw_probability(folder / "scores.png", answer),
    ]
    if slice_reading(answer).heat_maps:
        views.append(draw_heat_maps(folder / "heat_maps.png", answer, volume))
    return tuple(views)
