"""Bone pieces of legs, what of them is affected, and boxes around it, as named surfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.mesh import box_surface, extract_parts, smooth_taubin, split_between_slices
from osteon.systems.ct_osteosarcoma.text import run_box

if TYPE_CHECKING:
    from osteon.data import Surface, Volume
    from osteon.data.options import Progress
    from osteon.systems.ct_osteosarcoma.text import LegReading

__all__ = ["leg_surfaces"]

BOX_EDGE_MM = 1.5


def leg_surfaces(reading: LegReading, volume: Volume, *, progress: Progress) -> list[Surface]:
    """The bone of one leg, piece by piece, smoothed; in every run the affected part of a piece and a box.

    Returns:
        Surfaces named ``bone_left_1``, ``bone_left_1_affected_1``, ``tumour_box_left_1``; ``bone_1`` where the side is
        not known.
    """
    side = "" if reading.side == "unknown" else f"_{reading.side}"
    grid = volume.grid.crop(reading.region.box.start, reading.region.box.stop)
    pieces = extract_parts(reading.bone_parts, grid, name=f"bone{side}")
    surfaces: list[Surface] = []
    step = f"surface of the {reading.region.name}"
    for number, piece in enumerate(pieces, start=1):
        surfaces += _cut(smooth_taubin(piece), reading, volume)
        progress(step, number, len(pieces))
    for number, run in enumerate(reading.scores.runs, start=1):
        corners = run_box(reading, run).corners_lps_mm(volume.grid)
        surfaces.append(box_surface(corners, name=f"tumour_box{side}_{number}", thickness_mm=BOX_EDGE_MM))
    return surfaces


def _cut(piece: Surface, reading: LegReading, volume: Volume) -> list[Surface]:
    """The affected parts of a piece, run by run, after what is left of it."""
    from dataclasses import replace

    affected = []
    rest = piece
    for number, run in enumerate(reading.scores.runs, start=1):
        part, rest = split_between_slices(rest, volume.grid, first_slice=run[0], last_slice=run[1] - 1)
        affected.append(replace(part, name=f"{piece.name}_affected_{number}"))
    return [surface for surface in (rest, *affected) if surface.faces.size]
