"""The system that reads a marked lesion on an MRI of the femur."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data.system import Header, Match, System
from osteon.systems.mri_femur.options import Options

if TYPE_CHECKING:
    from osteon.data import Answer, Volume
    from osteon.data.options import Progress

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind not in {"volume", "radiograph", "picture"}:
        return Match(0.0, "it reads an MRI")
    if header.modality == "MR":
        return Match(0.8, "an MRI")
    if header.modality in {"CT", ""}:
        return Match(0.1, "no MRI by its header: read only when the task is named")
    return Match(0.0, "it reads an MRI")


def _read(volume: Volume, options: Options, progress: Progress) -> Answer:
    from osteon.systems.mri_femur.read import answer

    return answer(volume, options, progress)


SYSTEM = System(
    stem="mri_femur",
    summary="MRI of the femur: a marked lesion, benign or malignant",
    reads=("volume", "radiograph"),
    modalities=("MR", "CT", ""),
    accepts=_accepts,
    options=Options,
    read=_read,
)
