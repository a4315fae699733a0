"""The system that reads a CT of the trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import Header, Match, System
from osteon.systems.ct_metastasis.options import Options

if TYPE_CHECKING:
    from osteon.data import Answer, Volume
    from osteon.data.options import Progress

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT of the trunk")
    return Match(0.5, "a CT; whether it shows the trunk is seen in the pixels")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.ct_metastasis.read import answer

    return answer(volume, options, progress)


SYSTEM = System(
    stem="ct_metastasis",
    summary="CT of the trunk: bone and metastases outlined, lesions listed, slices classified",
    reads=("volume",),
    modalities=("CT",),
    accepts=_accepts,
    options=Options,
    read=_read,
)
