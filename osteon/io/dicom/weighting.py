"""What the header of an MR says of its weighting: in words, else in the times of its sequence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FAT_SUPPRESSED", "mr_weighting"]

FAT_SUPPRESSED: Final = " FS"
"""Ends a weighting whose fat was made dark."""

_CONTRASTS: Final = {
    "T1": "T1",
    "T2": "T2",
    "T2_STAR": "T2*",
    "PROTON_DENSITY": "PD",
    "STIR": "STIR",
    "FLUID_ATTENUATED": "FLAIR",
    "DIFFUSION": "DWI",
}
"""Acquisition Contrast (0008,9209)."""
_WORDS: Final = {
    "STIR": r"STIR|TIRM",
    "FLAIR": r"FLAIR",
    "DWI": r"DWI|ADC|DTI|DIFF(USION)?",
    "T2*": r"T2\*|T2.?STAR|MEDIC",
    "T2": r"T2W?",
    "PD": r"PDW?|PROTON.?DENSITY",
    "T1": r"T1W?",
}
"""The first that is found stands; T1 beside T2 decides nothing."""
_FAT: Final = r"FS|FATSAT|FAT.?SAT(URATED)?|FAT.?SUP\w*|SPIR|SPAIR|CHESS|WATER"
_LONG_TE_MS, _SHORT_TE_MS, _LONG_TR_MS, _SHORT_TR_MS = 60.0, 35.0, 1800.0, 1000.0
_STIR_MS, _FLAIR_MS = (50.0, 400.0), 1200.0


def mr_weighting(
    words: Sequence[str],
    *,
    contrast: str = "",
    sequence: str = "",
    options: str = "",
    repetition_ms: float | None = None,
    echo_ms: float | None = None,
    inversion_ms: float | None = None,
) -> str:
    """The weighting of an MR series.

    Args:
        words: descriptions of the series and its protocol.
        contrast: Acquisition Contrast, which decides where it is given.
        sequence: Scanning Sequence; the times decide only of spin echoes.
        options: Scan Options, as "FS".
        repetition_ms: of the sequence.
        echo_ms: likewise.
        inversion_ms: likewise; None or 0 without an inversion.

    Returns:
        "T1", "T2", "T2*", "PD", "STIR", "FLAIR" or "DWI", with " FS" where fat was suppressed; "" where nothing or two
        things are said.

    Example:
        >>> mr_weighting(["AXIAL SE T1"]), mr_weighting(["t1_tse_fs_cor"]), mr_weighting(["AX T2 STIR"])
        ('T1', 'T1 FS', 'STIR')
        >>> mr_weighting([], sequence="SE", repetition_ms=500, echo_ms=22)
        'T1'
    """
    said = " ".join(words).upper()
    found = _CONTRASTS.get(contrast.upper()) or _of_words(said)
    if not found:
        found = _of_times(sequence.upper().split("\\"), repetition_ms, echo_ms, inversion_ms)
    is_dark = _says(_FAT, said) or "FS" in options.upper().split("\\")
    return found + FAT_SUPPRESSED if found in {"T1", "T2", "PD"} and is_dark else found


def _says(pattern: str, said: str) -> bool:
    return re.search(rf"(?<![A-Z0-9])({pattern})(?![A-Z0-9])", said) is not None


def _of_words(said: str) -> str:
    told = [name for name, pattern in _WORDS.items() if _says(pattern, said)]
    return "" if {"T1", "T2"} <= set(told) or not told else told[0]


def _of_times(
    sequence: Sequence[str], repetition_ms: float | None, echo_ms: float | None, inversion_ms: float | None
) -> str:
    if inversion_ms and repetition_ms and repetition_ms > _SHORT_TR_MS:
        if _STIR_MS[0] <= inversion_ms <= _STIR_MS[1]:
            return "STIR"
        return "FLAIR" if inversion_ms >= _FLAIR_MS else ""
    if "SE" not in sequence or "GR" in sequence or not repetition_ms or not echo_ms:
        return ""
    if echo_ms >= _LONG_TE_MS:
        return "T2"
    if repetition_ms >= _LONG_TR_MS:
        return "PD"
    return "T1" if repetition_ms <= _SHORT_TR_MS and echo_ms <= _SHORT_TE_MS else ""
