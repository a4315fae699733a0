"""The system that reads an H&E slide of osteosarcoma."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import Header, Match, System
from osteon.systems.histology.options import Options

if TYPE_CHECKING:
    from osteon.data import Slide, SlideAnswer
    from osteon.data.options import Progress

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind == "slide":
        return Match(0.9, "a slide")
    if header.kind == "picture":
        return Match(0.1, "a picture, which only a person can call a slide: read when the task is named")
    return Match(0.0, "it reads slides")


def _read(slide: Slide, options: Options, progress: Progress) -> SlideAnswer:
    from osteon.systems.histology.read import answer_slide

    return answer_slide(slide, options, progress)


SYSTEM = System(
    stem="histology",
    summary="H&E slide of osteosarcoma: viable and non-viable tumour mapped, necrosis with its interval",
    reads=("slide",),
    modalities=(),
    accepts=_accepts,
    options=Options,
    read=_read,
)
