"""The system that finds the bone of any CT, without a model."""

from __future__ import annotations

from osteon.data.system import Header, Match, System, late, lazy
from osteon.systems.bone.options import Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"CT", ""}:
        return Match(0.0, "it reads a CT")
    return Match(0.1, "a CT of any part; only taken when it is named")


SYSTEM = System(
    stem="bone",
    summary="Any CT: bone outlined, in 3D, implants apart; no model",
    reads=("volume",),
    modalities=("CT",),
    accepts=_accepts,
    options=Options,
    read=late(__package__, "read", "answer"),
    report=lazy(__package__, "pictures", "REPORT"),
)
