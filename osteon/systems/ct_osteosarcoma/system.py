"""The system that reads a CT of the legs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import Header, Match, System
from osteon.systems.ct_osteosarcoma.options import Options

if TYPE_CHECKING:
    from osteon.data import Answer, Volume
    from osteon.data.options import Progress

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the legs")
    return Match(0.6, "a CT; whether it shows legs is seen in the pixels")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.ct_osteosarcoma.read import answer

    return answer(volume, options, progress)


SYSTEM = System(
    stem="ct_osteosarcoma",
    summary="CT of the legs: tumour probability a slice, extent, bone in 3D",
    reads=("volume",),
    modalities=("CT",),
    accepts=_accepts,
    options=Options,
    read=_read,
)
