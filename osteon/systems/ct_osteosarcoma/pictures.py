"""What the report of a CT of the legs shows: the legs, the curve of each, where the model looked, the bone in 3D."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from osteon.data import SliceReading
from osteon.report import SystemReport
from osteon.report.blocks import Figure, Heading, Pair, Paragraph, Part, SliceBrowsers, Viewer3D
from osteon.report.browser import has_browsers, slice_browsers
from osteon.report.findings import SliceEntries, finished, slice_entries
from osteon.report.scores import draw_scores
from osteon.report.sections import findings_section, trust_section
from osteon.report.slices import SliceLook, draw_heat_maps, draw_overview, draw_slices
from osteon.report.surfaces import bodies_and_boxes, bone_scene, draw_bone_from_front, draw_bone_from_side
from osteon.systems.ct_osteosarcoma.text import TEXT

if TYPE_CHECKING:
    from osteon.data import Answer, Volume
    from osteon.report.blocks import Block, Drawing
    from osteon.report.findings import Findings

__all__ = ["REPORT", "pictures"]

_LOOK: Final = SliceLook(
    curve="Probability along the leg",
    map_curve="Highest value of the map along the leg",
    predicted="affected",
    margin_mm=12.0,
    not_predicted="highest of this leg, below the threshold",
)
_HEAT: Final = (
    "A heat map shows what the model used for its score. It is neither a segmentation nor an outline of a tumour."
)


def pictures(answer: Answer, volume: Volume, findings: Findings) -> Part:
    """Overview, slices, scores, heat maps and the bone from two sides: those that there is something for."""
    reading = answer.detail_as(SliceReading)
    entries = finished(slice_entries(reading, volume))
    is_scored = any(len(scores.slices) for scores in reading.scores)
    drawings: dict[str, Drawing] = {
        "overview": partial(draw_overview, answer=answer, volume=volume),
        "slices": partial(draw_slices, answer=answer, volume=volume, scores=reading.scores, look=_LOOK),
    }
    if is_scored:
        drawings["scores"] = partial(draw_scores, answer=answer, volume=volume, scores=reading.scores, look=_LOOK)
    if reading.heat_maps:
        drawings["heat_maps"] = partial(draw_heat_maps, reading=reading, volume=volume, look=_LOOK, demo=answer.is_demo)
    if bodies_and_boxes(answer, volume)[0]:
        drawings["bone_anterior"] = partial(draw_bone_from_front, answer=answer, volume=volume)
        drawings["bone_lateral"] = partial(draw_bone_from_side, answer=answer, volume=volume)
    mark = (Paragraph(TEXT.demo_mark, "mark", only="page"),) if answer.is_demo else ()
    trust = trust_section(findings, entries.scores)
    blocks: list[Block] = [
        Heading("Key pictures", anchor="pictures", only="page"),
        Figure("overview", tallest_mm=92),
        Figure("slices", only="page"),
        *findings_section(findings, TEXT),
    ]
    if has_browsers(answer, volume):
        title = f"{_LOOK.title(reading.scores)}, slice by slice" if is_scored else "Slice by slice"
        browsers = partial(slice_browsers, answer, volume, reading.scores, look=_LOOK)
        note = (
            "Thin line with dots: each slice. Thick line: smoothed. Dashed: threshold. Hatched: run of slices predicted"
        )
        blocks += [
            Heading(title, anchor="slices", only="page"),
            *mark,
            SliceBrowsers(browsers, f"{note} {_LOOK.predicted}."),
        ]
    if is_scored:
        curve = _LOOK.title(reading.scores)
        blocks += [Heading(curve, only="paper"), Figure("scores", tallest_mm=70, only="paper")]
    blocks += [Heading("Slices", only="paper"), Figure("slices", tallest_mm=128, only="paper"), *trust]
    if trust and is_scored:
        blocks.append(Figure("scores", only="page"))  # band and strips are drawn in the picture only
    if reading.heat_maps:
        blocks += [Heading("Model attention (Grad-CAM)", anchor="heat"), Paragraph(_HEAT), Figure("heat_maps")]
    if "bone_anterior" in drawings:
        scene = Viewer3D(partial(bone_scene, answer, volume))
        blocks += [Heading("Bone in 3D", anchor="bone"), *mark, scene, Pair(("bone_anterior", "bone_lateral"))]
    return Part(tuple(blocks), drawings, entries)


REPORT: Final = SystemReport(TEXT, pictures, SliceEntries)
