"""Read DICOM RT Structure Sets as masks: which ROIs are meant, and that they were drawn on the series that is read."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom import config, dcmread

from osteon.data import Notice
from osteon.errors import InputError, ThirdParty
from osteon.io.dicom.contours import Roi, Spent, printable, roi_mask, uid_text
from osteon.io.dicom.elements import DEFLATED, inflate, meta_end, read_elements
from osteon.io.dicom.references import shown_uid
from osteon.io.inventory import require_memory
from osteon.io.limits import CONTOUR_ITEMS, HEADER_BYTES, VARIABLE, limit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from osteon.data import Source
    from osteon.geometry import Grid
    from osteon.io.dicom.contours import Tell

__all__ = ["chosen_parts", "listed_parts", "read_structure_set", "require_series", "rois_of"]

ITEM_TAGS: Final = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
"""Of an item of a sequence, by whether the file is little endian."""
LISTED: Final = 40
"""ROIs or segments that a message names."""


def read_structure_set(
    path: Path,
    *,
    like: Grid,
    labels: Collection[int | str] | None,
    source: Source | None,
    tell: Tell,
    image: str,
) -> NDArray[np.bool_]:
    """Read ROIs of a DICOM RT Structure Set.

    Args:
        path: of a file that is one.
        like: grid of the volume; the contours must be on its slices.
        labels: numbers or names of the ROIs that count together; none named: all. None: there is one with contours.
        source: of the volume: it must be what the contours were drawn on. Where it is not DICOM, only places are
            compared, and a notice says so.
        tell: called with each notice: contours that are not closed or cross themselves, gaps between slices, ...
        image: what the volume is called in errors.

    Returns:
        (slice, row, column) of ``like``, True inside.

    Raises:
        InputError: damaged, drawn on another series, no or no such ROI, several of which none was chosen, too many
            points, contours that name another slice than they are on.
        GeometryMismatchError: a contour is not on a slice.
        UnsupportedError: contours that are to be shifted.

    References:
        DICOM PS3.3 C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour).
    """
    _require_countable(path)
    damaged = ThirdParty(f"{path.name} is a damaged RT Structure Set: export it again")
    # pydicom would print values that bend the standard; what matters is checked here
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        with damaged:
            dataset = dcmread(path)
            rois = rois_of(dataset)
        chosen = _choose(rois, labels, path.name)
        with damaged:
            require_series(dataset, chosen, source, path.name, image)
        if source is None or source.kind != "dicom":
            words = f"{path.name} was laid over the {image} by its coordinates: nothing says that it was drawn on it."
            tell(Notice("structure-set-series-unknown", words, "warning"))
        require_memory(like.shape, what=path.name, voxel_bytes=1)
        inside = np.zeros(like.shape, dtype=np.bool_)
        spent = Spent()
        for roi in chosen:
            with damaged:
                inside |= roi_mask(roi, like=like, source=source, name=path.name, image=image, tell=tell, spent=spent)
    return inside


def chosen_parts(labels: Collection[int | str], parts: Mapping[int, str], *, what: str, name: str) -> tuple[int, ...]:
    """Numbers of the parts of a mask that were named by number or name, ascending.

    Args:
        labels: what was asked for; a name may differ in capitals where that leaves one part.
        parts: names of the parts by number.
        what: one part, as "segment".
        name: of the file.

    Raises:
        InputError: no such part, or several of that name.

    Example:
        >>> chosen_parts(["gtv", 3], {1: "GTV", 2: "edema", 3: "bone"}, what="ROI", name="a.dcm")
        (1, 3)
    """
    found = set()
    for label in labels:
        if isinstance(label, int):
            numbers = [label] if label in parts else []
        else:
            numbers = [number for number, said in parts.items() if said == label.strip()] or [
                number for number, said in parts.items() if said.casefold() == label.strip().casefold()
            ]
        if len(numbers) != 1:
            problem = f"{len(numbers)} {what}s named {label}" if numbers else f"no {what} {label}"
            raise InputError(f"{name} has {problem}: it has {listed_parts(parts)}")
        found.add(numbers[0])
    return tuple(sorted(found))


def listed_parts(parts: Mapping[int, str]) -> str:
    """Numbers and names in one line, at most forty.

    Example:
        >>> listed_parts({1: "GTV", 2: ""})
        '1 GTV, 2'
    """
    said = [f"{number} {printable(name)}".rstrip() for number, name in sorted(parts.items())]
    return (
        ", ".join(said[:LISTED]) + (f" and {len(said) - LISTED} more" if len(said) > LISTED else "") if said else "none"
    )


def rois_of(dataset: Dataset) -> tuple[Roi, ...]:
    """Every ROI of a structure set, in the order of their numbers.

    Raises:
        InputError: a number that is there twice, or contours of a ROI that is not described.
    """
    described: dict[int, Dataset] = {}
    for item in dataset.get("StructureSetROISequence") or []:
        if described.setdefault(int(item.ROINumber), item) is not item:
            raise InputError(f"the structure set has ROI {int(item.ROINumber)} twice: export it again")
    contours: dict[int, Sequence[Dataset]] = {}
    for item in dataset.get("ROIContourSequence") or []:
        number = int(item.ReferencedROINumber)
        if number not in described or number in contours:
            problem = "twice" if number in contours else "which it does not describe"
            raise InputError(f"the structure set has the contours of ROI {number} {problem}: export it again")
        contours[number] = item.get("ContourSequence") or ()
    return tuple(
        Roi(
            number=number,
            name=printable(str(item.get("ROIName") or "")),
            frame_of_reference=uid_text(item.get("ReferencedFrameOfReferenceUID")),
            contours=contours.get(number, ()),
        )
        for number, item in sorted(described.items())
    )


# ------------------------------------------------------------------------------------------------------------ the file


def _require_countable(path: Path) -> None:
    """Raise before a file is parsed that would fill the memory: each item of a sequence becomes a data set."""
    found = read_elements(path, wanted=frozenset())
    if found is None or found.damage is not None:
        raise InputError(f"{path.name} is a damaged DICOM file: send it again")
    if path.stat().st_size > limit(HEADER_BYTES):
        raise InputError(
            f"{path.name} is an RT Structure Set of more than {limit(HEADER_BYTES) // 2**20} MiB ({VARIABLE} allows "
            "more): export fewer ROIs"
        )
    data = path.read_bytes()
    if found.transfer_syntax == DEFLATED:
        data, _ = inflate(data[meta_end(data) :], most=limit(HEADER_BYTES))
    items = data.count(ITEM_TAGS[found.little_endian])
    if items > limit(CONTOUR_ITEMS):
        raise InputError(
            f"{path.name} holds {items} items, at most {limit(CONTOUR_ITEMS)} are read ({VARIABLE} allows more): "
            "export fewer ROIs"
        )


def _choose(rois: Sequence[Roi], labels: Collection[int | str] | None, name: str) -> tuple[Roi, ...]:
    """The ROIs that are meant."""
    names = {roi.number: roi.name for roi in rois}
    drawn = [roi for roi in rois if roi.contours]
    if not drawn:
        raise InputError(f"{name} holds no contours: its ROIs are {listed_parts(names)}")
    if labels is None and len(drawn) > 1:
        raise InputError(
            f"{name} holds several ROIs with contours: say which one is meant, by number or name: "
            f"{listed_parts({roi.number: roi.name for roi in drawn})}"
        )
    if not labels:
        return tuple(drawn)
    numbers = chosen_parts(labels, names, what="ROI", name=name)
    chosen = tuple(roi for roi in rois if roi.number in numbers)
    if empty := [str(roi) for roi in chosen if not roi.contours]:
        raise InputError(
            f"{', '.join(empty)} of {name} is empty: ROIs with contours are "
            f"{listed_parts({roi.number: roi.name for roi in drawn})}"
        )
    return chosen


# ---------------------------------------------------------------------------------------------------------- the series


def require_series(dataset: Dataset, rois: Sequence[Roi], source: Source | None, name: str, image: str) -> None:
    """Raise unless ROIs were drawn on a series, as far as the file says on what.

    Args:
        dataset: the structure set.
        rois: of it.
        source: of the series; what is not DICOM is not compared.
        name: of the file.
        image: what the volume is called.

    Raises:
        InputError: another Frame of Reference, or images of another series.
    """
    if source is None or source.kind != "dicom":
        return
    ours = source.series
    frames = {roi.frame_of_reference for roi in rois} - {""}
    if ours.frame_of_reference_uid and frames and ours.frame_of_reference_uid not in frames:
        raise InputError(
            f"{name} was drawn in the Frame of Reference {_some(frames)}, the {image} is in "
            f"{shown_uid(ours.frame_of_reference_uid)}: their coordinates are not of one space; give the structure set "
            "of this series"
        )
    images = {
        uid_text(item.get("ReferencedSOPInstanceUID"))
        for roi in rois
        for one in roi.contours
        for item in one.get("ContourImageSequence") or ()
    }
    images -= {""}
    series = _series_of(dataset)
    if images:
        is_ours = bool(images & {piece.sop_instance_uid for piece in source.slices})
    else:
        is_ours = not series or ours.uid in series
    if not is_ours:
        drawn = f"the series {_some(series)}" if series - {ours.uid} else "images of another series"
        raise InputError(
            f"{name} was drawn on {drawn}, the series that is read is {shown_uid(ours.uid)}: read the series that it "
            "was drawn on (--series), or give the structure set of this one"
        )


def _series_of(dataset: Dataset) -> set[str]:
    """UIDs of the series that a structure set refers to."""
    return {
        uid_text(series.get("SeriesInstanceUID"))
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    } - {""}


def _some(uids: Collection[str]) -> str:
    shown = ", ".join(shown_uid(uid) for uid in sorted(uids)[:3])
    return shown + (f" and {len(uids) - 3} more" if len(uids) > 3 else "")
