"""What the report of a CT's bone shows: slices with its outline, and the bone from two sides and in 3D."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from osteon.data import SliceReading
from osteon.report import SystemReport
from osteon.report.blocks import Figure, Heading, Pair, Part, SliceBrowsers, Viewer3D
from osteon.report.browser import has_browsers, slice_browsers
from osteon.report.findings import SliceEntries, finished, slice_entries
from osteon.report.sections import findings_section
from osteon.report.slices import SliceLook, draw_overview, draw_slices
from osteon.report.surfaces import bodies_and_boxes, bone_scene, draw_bone_from_front, draw_bone_from_side
from osteon.systems.bone.text import TEXT

if TYPE_CHECKING:
    from osteon.data import Answer, Volume
    from osteon.report.blocks import Block, Drawing
    from osteon.report.findings import Findings

__all__ = ["REPORT", "pictures"]

_LOOK: Final = SliceLook(curve="", map_curve="", predicted="", margin_mm=45.0)


def pictures(answer: Answer, volume: Volume, findings: Findings) -> Part:
    """Overview, slices, what was measured, and the bone in 3D: those that there is something for."""
    entries = finished(slice_entries(answer.detail_as(SliceReading), volume))
    drawings: dict[str, Drawing] = {
        "overview": partial(draw_overview, answer=answer, volume=volume),
        "slices": partial(draw_slices, answer=answer, volume=volume, scores=(), look=_LOOK),
    }
    blocks: list[Block] = [
        Heading("Overview", anchor="pictures", only="page"),
        Figure("overview", tallest_mm=92),
        Figure("slices", tallest_mm=128),
        *findings_section(findings, TEXT, listed=()),
    ]
    if has_browsers(answer, volume):
        browsers = partial(slice_browsers, answer, volume, (), look=_LOOK)
        blocks += [Heading("Slice by slice", anchor="slices", only="page"), SliceBrowsers(browsers, "")]
    if bodies_and_boxes(answer, volume)[0]:
        drawings["bone_anterior"] = partial(draw_bone_from_front, answer=answer, volume=volume)
        drawings["bone_lateral"] = partial(draw_bone_from_side, answer=answer, volume=volume)
        scene = Viewer3D(partial(bone_scene, answer, volume))
        blocks += [Heading("Bone in 3D", anchor="bone"), scene, Pair(("bone_anterior", "bone_lateral"))]
    return Part(tuple(blocks), drawings, entries)


REPORT: Final = SystemReport(TEXT, pictures, SliceEntries)
