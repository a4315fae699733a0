"""Lesions as they stand in findings.json."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from osteon.errors import OutputError

if TYPE_CHECKING:
    from osteon.data import Lesion, OwnBone

__all__ = ["finite", "lesion_entry", "own_bone_entry"]


def finite(value: float, *, what: str) -> float:
    """A number for JSON, with six decimals.

    Raises:
        OutputError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise OutputError(f"{what} is {value}: only finite numbers are written")
    return round(float(value), 6)


def lesion_entry(lesion: Lesion, number: int) -> dict[str, object]:
    """One entry of the list of lesions; codes, box and segment stand in the finding of the same identifier.

    Args:
        lesion: its values.
        number: from 1; what a person calls it.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    what = f"a value of {lesion.identifier}"
    numbers = {
        "volume_ml": lesion.volume_ml,
        "diameter_mm": lesion.diameter_mm,
        "axial_diameter_mm": lesion.axial_diameter_mm,
        "mean_hu": lesion.mean_hu,
        "sd_hu": lesion.sd_hu,
        "probability": lesion.probability,
        "peak_probability": lesion.peak_probability,
        "lytic_share": lesion.lytic_share,
        "blastic_share": lesion.blastic_share,
    }
    return {
        "identifier": lesion.identifier,
        "number": number,
        "site": lesion.site,
        "site_reason": lesion.site_reason,
        "character": lesion.character,
        "character_reason": lesion.character_reason,
        **{name: None if value is None else finite(value, what=what) for name, value in numbers.items()},
        "first_slice_number": lesion.slices[0] + 1,
        "last_slice_number": lesion.slices[1],
        "key_slice_number": lesion.key_slice + 1,
        "near_metal": lesion.near_metal,
        "is_cut": lesion.is_cut,
    }


def own_bone_entry(bone: OwnBone | None) -> dict[str, object] | None:
    """What the lesions were compared with, or None."""
    if bone is None:
        return None
    what = "a value of the patient's own bone"
    return {
        "median_hu": finite(bone.median_hu, what=what),
        "spread_hu": finite(bone.spread_hu, what=what),
        "pixels": bone.pixels,
        "lytic_below_hu": finite(bone.lytic_below_hu, what=what),
        "blastic_above_hu": finite(bone.blastic_above_hu, what=what),
    }
