"""What is special about MR series: mosaics, several echoes of the same places, images without a pixel size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from osteon.data import Notice
from osteon.io.dicom.header import SPLIT_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.io.frame import Frame

__all__ = ["EchoPart", "bare_pictures", "echo_parts", "mosaic_problem"]

AXIAL: Final = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
ORIGIN: Final = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class EchoPart:
    """The images of one echo.

    Attributes:
        name: as "echo-2", counted by rising echo time; "" when the series holds one echo.
        words: as "echo 2 of 3, TE 26 ms".
        frames: of the echo.
    """

    name: str
    words: str
    frames: tuple[Frame, ...] = field(repr=False)


def mosaic_problem(frames: Sequence[Frame]) -> str | None:
    """Why a Siemens mosaic is no volume; None when no image is one.

    Many slices lie side by side in one image there, and where each of them lies stands in private elements only.
    """
    count = sum("MOSAIC" in frame.image_type for frame in frames)
    if not count:
        return None
    return (
        f"{count} of its {len(frames)} images are mosaics (many slices side by side in one picture): send the series "
        "as single slices, or convert it to NIfTI with a program that knows Siemens' private elements (dcm2niix)"
    )


def echo_parts(frames: Sequence[Frame]) -> tuple[EchoPart, ...]:
    """The echoes of a series: one part when it holds one, or when its echo times belong to different places.

    Images are told apart by echo time and, where that says nothing, by echo number. Two echoes of one place are
    different pictures; which one is meant is not guessed.
    """
    whole = EchoPart("", "", tuple(frames))
    if any(frame.damage is not None for frame in frames):
        return (whole,)
    names = list(SPLIT_KEYS.values())
    for key, unit in (("echo time", "TE {} ms"), ("echo number", "echo number {}")):
        at = names.index(key)
        groups: dict[str, list[Frame]] = {}
        for frame in frames:
            groups.setdefault(_plain(frame.split_keys[at].strip()), []).append(frame)
        if len(groups) > 1 and "" not in groups and _share_places(list(groups.values())):
            ranked = sorted(groups.items(), key=lambda item: _number(item[0]))
            total = len(ranked)
            return tuple(
                EchoPart(f"echo-{n}", f"echo {n} of {total}, {unit.format(value)}", tuple(group))
                for n, (value, group) in enumerate(ranked, start=1)
            )
    return (whole,)


def bare_pictures(frames: Sequence[Frame]) -> tuple[tuple[Frame, ...], Notice | None]:
    """Frames without a pixel size on a grid that counts pixels.

    Returns:
        The frames as they are and None, unless all of them lack Pixel Spacing; else frames of one pixel by one, a
        single one at the origin, and the notice that says so.
    """
    frames = tuple(frames)
    if any(frame.spacing is not None for frame in frames):
        return frames, None
    changed = tuple(replace(frame, spacing=(1.0, 1.0)) for frame in frames)
    if len(frames) == 1:
        changed = (replace(changed[0], position=ORIGIN, orientation=AXIAL, thickness=1.0, step=None),)
    text = (
        "The images have no Pixel Spacing: how large anything is in millimetres is not known, so no length is given "
        "and no DICOM object is written."
    )
    return changed, Notice("no-pixel-size", text, "warning")


def _share_places(groups: Sequence[Sequence[Frame]]) -> bool:
    """Whether two groups hold an image of one place."""
    seen: set[object] = set()
    for group in groups:
        places = {_place(frame) for frame in group}
        if seen & places:
            return True
        seen |= places
    return False


def _place(frame: Frame) -> tuple[object, object]:
    position, orientation = frame.position, frame.orientation
    return (
        None if position is None else tuple(round(value, 2) for value in position),
        None if orientation is None else tuple(round(value, 3) for value in orientation),
    )


def _plain(value: str) -> str:
    """A number as it is shown, so that 20 and 20.0 are one echo; other text as it is."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def _number(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value
