"""Enhanced and legacy-converted multi-frame images: one Frame per plane.

References:
    PS3.3 C.7.6.16, the multi-frame functional groups module.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from osteon.io.dicom.header import SPLIT_KEYS

if TYPE_CHECKING:
    from osteon.io.frame import Frame

__all__ = ["split_frames"]


def split_frames(whole: Frame) -> tuple[Frame, ...]:
    """The planes of a multi-frame image, each with its own place and rescale.

    Args:
        whole: the file as one Frame.

    Returns:
        One Frame per plane. Without functional groups the planes have no position and are refused later.
        A file whose functional groups cannot be read gives the one Frame with ``damage``.
    """
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            # pydicom warns of every value that bends the standard; what matters is checked where it is used
            warnings.simplefilter("ignore")
            return _planes(whole, dcmread(whole.path, stop_before_pixels=True, force=True))
    except (ValueError, TypeError, AttributeError, KeyError, OSError, EOFError, NotImplementedError) as error:
        return (replace(whole, damage=f"its functional groups cannot be read ({type(error).__name__})"),)


def _planes(whole: Frame, data_set: Any) -> tuple[Frame, ...]:  # noqa: ANN401 - pydicom has no types
    shared = _first(data_set, "SharedFunctionalGroupsSequence")
    groups = list(data_set.get("PerFrameFunctionalGroupsSequence") or [])
    if groups and len(groups) != whole.frames_in_file:
        return (replace(whole, damage=f"it says {whole.frames_in_file} frames and describes {len(groups)}"),)
    if not groups:
        groups = [None] * whole.frames_in_file
    return tuple(_frame(whole, number, shared, group) for number, group in enumerate(groups, start=1))


def _frame(whole: Frame, number: int, shared: Any, group: Any) -> Frame:  # noqa: ANN401 - pydicom has no types
    """One plane; what its own group does not say, the shared group or the image says."""

    def macro(name: str) -> Any:  # noqa: ANN401 - pydicom has no types
        return _first(group, name) or _first(shared, name)

    measures = macro("PixelMeasuresSequence")
    rescale = macro("PixelValueTransformationSequence")
    content = macro("FrameContentSequence")
    kind = macro("CTImageFrameTypeSequence") or macro("MRImageFrameTypeSequence")
    image_type = _texts(kind, "FrameType")
    slope, intercept = _floats(rescale, "RescaleSlope"), _floats(rescale, "RescaleIntercept")
    keys = dict(zip(SPLIT_KEYS.values(), whole.split_keys, strict=True))
    acquisition, temporal = _texts(content, "FrameAcquisitionNumber"), _texts(content, "TemporalPositionIndex")
    echo = _texts(macro("MREchoSequence"), "EffectiveEchoTime")
    keys |= {
        name: value[0]
        for name, value in (("acquisition number", acquisition), ("temporal position", temporal), ("echo time", echo))
        if value
    }
    return replace(
        whole,
        number=number,
        position=_floats(macro("PlanePositionSequence"), "ImagePositionPatient") or whole.position,
        orientation=_floats(macro("PlaneOrientationSequence"), "ImageOrientationPatient") or whole.orientation,
        spacing=_floats(measures, "PixelSpacing") or whole.spacing,
        thickness=(_floats(measures, "SliceThickness") or (whole.thickness,))[0],
        step=(_floats(measures, "SpacingBetweenSlices") or (whole.step,))[0],
        rescale=whole.rescale
        if slope is None and intercept is None
        else ((slope or (1.0,))[0], (intercept or (0.0,))[0]),
        image_type=tuple(value.upper() for value in image_type) or whole.image_type,
        split_keys=tuple(keys.values()),
    )


def _first(group: Any, name: str) -> Any:  # noqa: ANN401 - pydicom has no types
    items = group.get(name) if group is not None else None
    return items[0] if items else None


def _floats(group: Any, name: str) -> tuple[float, ...] | None:  # noqa: ANN401 - pydicom has no types
    value = group.get(name) if group is not None else None
    if value is None or value == "":
        return None
    return tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))


def _texts(group: Any, name: str) -> tuple[str, ...]:  # noqa: ANN401 - pydicom has no types
    value = group.get(name) if group is not None else None
    if value is None or value == "":
        return ()
    return tuple(str(part) for part in ([value] if isinstance(value, (str, int, float)) else value))
