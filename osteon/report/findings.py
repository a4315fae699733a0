"""findings.json: every number of an answer, with unit, code, model hash and warning; no patient text.

What every system has stands in ``Findings``; a system adds fields of its own (``SliceEntries`` of those that score
slices). The types are the schema: ``document_type`` joins both, and nothing is written that they refuse.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

import osteon
from osteon.data import Slide, Status
from osteon.errors import OutputError
from osteon.report.orientation import axis_letters, slice_positions_mm
from osteon.report.wording import DISCLAIMER

if TYPE_CHECKING:
    from osteon.data import Answer, Finding, Image, Radiograph, Region, SliceReading, SliceScores, Source, Volume
    from osteon.geometry import Box, Grid

__all__ = [
    "SCHEMA_VERSION",
    "CodeEntry",
    "Count",
    "Entry",
    "FindingEntry",
    "Findings",
    "HeatMapEntry",
    "ModelEntry",
    "Number",
    "OodEntry",
    "Positive",
    "RegionEntry",
    "ScoresEntry",
    "Share",
    "SliceEntries",
    "Text",
    "document_type",
    "filled",
    "finished",
    "like",
    "make_findings",
    "region_of",
    "slice_entries",
]

_Entry = TypeVar("_Entry", bound="Entry")
_Other = TypeVar("_Other")

SCHEMA_VERSION: Final = "2.0"
"""Of findings.json. 1.4 added status, classes and similar; fields of one system stand only where it wrote them."""

Text = Annotated[str, Meta(min_length=1)]
Uid = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Number = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Range = tuple[Count, Count]
Point = tuple[float, float, float]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object of findings.json or run.json: it has all its fields and no others."""


class CodeEntry(Entry, frozen=True):
    """A coded concept."""

    value: Text
    scheme: Annotated[str, Meta(min_length=1, max_length=16)]
    meaning: Text


class SourceEntry(Entry, frozen=True):
    """The images that were read."""

    kind: Literal["dicom", "nifti", "picture"]
    modality: str
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    images: Count


class GridEntry(Entry, frozen=True):
    """Shape and place of the image; of one that is not in millimetres spacing, affine and world are null."""

    shape: tuple[Number, Number, Number]
    spacing_mm: tuple[Positive, Positive, Positive] | None
    affine: tuple[tuple[float, float, float, float], ...] | None
    index_order: tuple[Literal["slice"], Literal["row"], Literal["column"]]
    world: Literal["LPS"] | None
    slice_axis_from: Annotated[str, Meta(description="patient direction at the low end of the slice positions")]
    slice_axis_to: str


class OodEntry(Entry, frozen=True):
    """How unlike the images that the model was trained on a region is; 1 is the middle validation slice."""

    score: Annotated[float, Meta(ge=0, description="median over the slices of their distance from training")]
    threshold: Positive
    slice_threshold: Positive
    false_alarm_rate: Annotated[float, Meta(gt=0, lt=1)]
    is_ood: bool


class RegionEntry(Entry, frozen=True):
    """A part of the image that was looked at."""

    name: Text
    start_vox: tuple[Count, Count, Count]
    stop_vox: tuple[Number, Number, Number]
    slices_seen: Count
    first_slice_number: Number | None
    last_slice_number: Number | None
    ood: OodEntry | None


class BoxEntry(Entry, frozen=True):
    """A block of voxels; corners at the outer faces, bit 2, 1, 0 of a row's number being slice, row, column."""

    start_vox: tuple[Count, Count, Count]
    stop_vox: tuple[Number, Number, Number]
    corners_lps_mm: tuple[Point, ...] | None
    first_slice_number: Number
    last_slice_number: Number
    slice_count: Number
    position_range_mm: Annotated[tuple[float, float] | None, Meta(description="outer faces, ascending")]
    extent_mm: float | None
    volume_mm3: float | None


class MeasurementEntry(Entry, frozen=True):
    """A number with its concept and unit; null in place of an interval that was not computed."""

    concept: CodeEntry
    value: float
    unit: CodeEntry
    method: CodeEntry | None
    derivation: CodeEntry | None
    interval: tuple[float, float] | None


class SegmentEntry(Entry, frozen=True):
    """The label of a mask that shows a finding."""

    mask: str
    label: Number


class FindingEntry(Entry, frozen=True):
    """One thing found, or looked at and not found; ``is_abnormal`` is false for a normal structure."""

    identifier: Text
    tracking_uid: Uid
    region: str | None
    kind: CodeEntry
    is_abnormal: bool
    statement: Text
    site: CodeEntry | None
    laterality: CodeEntry | None
    probability: Share | None
    box: BoxEntry | None
    measurements: tuple[MeasurementEntry, ...]
    segment: SegmentEntry | None


class ClassesEntry(Entry, frozen=True):
    """Probabilities of the case as a whole, and the classes that cannot be ruled out at an error rate."""

    names: tuple[Text, ...]
    probability: tuple[Share, ...]
    prediction_set: tuple[Text, ...] | None
    error_rate: Share | None


class SimilarEntry(Entry, frozen=True):
    """A past case."""

    case: Text
    label: str
    similarity: Annotated[float, Meta(ge=-1, le=1)]


class LabelEntry(Entry, frozen=True):
    """A value of a mask."""

    value: Annotated[int, Meta(ge=1, le=255)]
    name: str
    kind: CodeEntry
    tracking_uid: str


class MaskEntry(Entry, frozen=True):
    """A mask of the result."""

    name: Text
    labels: tuple[LabelEntry, ...]


class SurfaceEntry(Entry, frozen=True):
    """A node of bone.glb."""

    name: str
    vertices: Count
    triangles: Count


class ModelEntry(Entry, frozen=True):
    """A model that took part."""

    name: Text
    version: str
    sha256: str
    runtime: str
    device: str
    is_demo: bool
    statement: str
    members: Annotated[int, Meta(ge=1, description="networks whose mean is the probability")]
    temperatures: tuple[Positive, ...]
    calibration: str
    operating_point: Annotated[str, Meta(description="how the card's threshold was chosen")]


class NoticeEntry(Entry, frozen=True):
    """One sentence for the reader."""

    code: Text
    text: Text
    level: Literal["info", "warning"]
    origin: Literal["reading", "system"]


class Findings(Entry, frozen=True):
    """Everything one osteon system says about one image.

    Slice indices count from 0 on the image's grid, slice numbers from 1; index ranges are half-open. The patient's
    name, identifier and birth date are left out: study, series and image UIDs link the file to its images.
    """

    schema_version: Literal["2.0"]
    disclaimer: Literal["Decision support for research. Not a diagnosis."]
    osteon_version: Text
    created: Annotated[str, Meta(min_length=10)]
    task: Text
    headline: Text
    status: Status
    is_demo: Annotated[bool, Meta(description="a model trained on synthetic data only took part")]
    source: SourceEntry | None
    grid: GridEntry | None
    regions: tuple[RegionEntry, ...]
    findings: tuple[FindingEntry, ...]
    classes: ClassesEntry | None
    similar: tuple[SimilarEntry, ...]
    masks: tuple[MaskEntry, ...]
    surfaces: tuple[SurfaceEntry, ...]
    models: tuple[ModelEntry, ...]
    notices: tuple[NoticeEntry, ...]


class SliceEntry(Entry, frozen=True):
    """A slice with its scores; null where a model does not give one."""

    slice_index: Count
    slice_number: Number
    position_mm: float | None
    sop_instance_uid: Text | None  # as the image says it, also where the standard would not have it
    frame: Number | None
    probability: Share
    smoothed: Share
    spread: Annotated[float, Meta(ge=0, le=0.5)] | None
    distance: NotNegative | None
    prediction_set: Text | None
    by_segmentation: bool | None
    lesion_area_mm2: NotNegative | None


class SetsEntry(Entry, frozen=True):
    """Prediction sets: slices by set (a class alone, either, neither)."""

    error_rate: Annotated[float, Meta(gt=0, lt=1)]
    counts: dict[str, Count]


class ScoresEntry(Entry, frozen=True):
    """Scores along a region; of "segmentation" the probability is the highest value of the map in the slice."""

    region: Text
    source: Literal["classifier", "segmentation"]
    agreement: Share | None
    threshold: Share
    runs: tuple[Range, ...]
    withheld_runs: tuple[Range, ...]
    prediction_sets: SetsEntry | None
    slices: tuple[SliceEntry, ...]


class HeatMapEntry(Entry, frozen=True):
    """A slice in which it was asked where the model looked."""

    region: Text
    slice_index: Count
    slice_number: Number
    method: Literal["Grad-CAM"]
    members: Number
    is_predicted: bool


class SliceEntries(Entry, frozen=True):
    """Fields of a system that scores slices."""

    scores: tuple[ScoresEntry, ...]
    heat_maps: tuple[HeatMapEntry, ...]


@cache
def document_type(entries: type[Entry] | None) -> type[msgspec.Struct]:
    """What findings.json of a system holds: ``Findings`` with the system's own fields."""
    if entries is None:
        return Findings
    own: list[Any] = [(each.encode_name, each.type) for each in msgspec.structs.fields(entries)]
    return msgspec.defstruct(f"FindingsWith{entries.__name__}", own, bases=(Findings,), kw_only=True)


def finished(entry: _Entry) -> _Entry:
    """The entry as it is written: every number finite and with six decimals, everything as its type says.

    Raises:
        OutputError: it breaks its type; the message names the place by path, without its value.
    """
    try:
        return msgspec.convert(_rounded(msgspec.to_builtins(entry, enc_hook=_plain), ""), type(entry))
    except msgspec.ValidationError as error:
        raise OutputError(f"an answer breaks the schema of findings.json: {error}") from error


def _plain(value: Any) -> Any:  # noqa: ANN401 - a number of numpy
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError


def _rounded(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, float):
        if not math.isfinite(value):
            raise OutputError(f"{path.lstrip('.')} is {value}: only finite numbers are written")
        return round(value, 6)
    if isinstance(value, dict):
        return {key: _rounded(each, f"{path}.{key}") for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each, f"{path}[{place}]") for place, each in enumerate(value)]
    return value


def filled(kind: type[_Entry], value: object, /, **own: Any) -> _Entry:  # noqa: ANN401 - checked when it is finished
    """An entry with the fields of a value that have the same names, and some of its own; not yet ``finished``."""
    names = [name for name in kind.__struct_fields__ if name not in own]
    return kind(**{name: getattr(value, name) for name in names}, **own)


def like(value: object, kind: type[_Other]) -> _Other:
    """A value of osteon as an entry with the fields of the same names."""
    return msgspec.convert(value, kind, from_attributes=True)


def make_findings(answer: Answer, image: Image, *, created: str) -> Findings:
    """What every system says.

    Raises:
        OutputError: a number is NaN or infinite, or something breaks the schema.
    """
    source = None if isinstance(image, Slide) else image.source
    grid = None if isinstance(image, Slide) else image.grid
    told = (("reading", image.source.notices if image.source else ()), ("system", answer.notices))
    return finished(
        filled(
            Findings,
            answer,
            schema_version=SCHEMA_VERSION,
            disclaimer=DISCLAIMER,
            osteon_version=osteon.__version__,
            created=created,
            source=None if source is None else _source(source),
            grid=None if grid is None else _grid(grid),
            regions=tuple(_region(region) for region in answer.regions),
            findings=tuple(_finding(finding, answer.regions, grid) for finding in answer.findings),
            masks=like(tuple(answer.masks.values()), tuple[MaskEntry, ...]),
            surfaces=tuple(
                SurfaceEntry(name=one.name, vertices=len(one.vertices_lps_mm), triangles=len(one.faces))
                for one in answer.surfaces.values()
            ),
            notices=tuple(filled(NoticeEntry, notice, origin=origin) for origin, notices in told for notice in notices),
        )
    )


def region_of(box: Box, regions: tuple[Region, ...]) -> str | None:
    """Name of the region that shares most voxels with a box, or None when none does."""
    shared = {}
    for region in regions:
        ends = zip(box.start, box.stop, region.box.start, region.box.stop, strict=True)
        sides = [min(stop, other_stop) - max(start, other_start) for start, stop, other_start, other_stop in ends]
        shared[region.name] = math.prod(max(side, 0) for side in sides)
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] > 0 else None


def _source(source: Source) -> SourceEntry:
    uids = {"study_instance_uid": source.study.uid, "series_instance_uid": source.series.uid}
    return filled(SourceEntry, source.series, kind=source.kind, images=len(source.slices), **uids)


def _grid(grid: Grid) -> GridEntry:
    low, high = axis_letters(grid) if grid.is_in_mm else ("", "")
    return GridEntry(
        shape=grid.shape,
        spacing_mm=grid.spacing_mm if grid.is_in_mm else None,
        affine=tuple(map(tuple, grid.affine.tolist())) if grid.is_in_mm else None,
        index_order=("slice", "row", "column"),
        world="LPS" if grid.is_in_mm else None,
        slice_axis_from=low,
        slice_axis_to=high,
    )


def _box(box: Box, grid: Grid) -> BoxEntry:
    corners = places = extent = volume = None
    if grid.is_in_mm:
        positions, half = slice_positions_mm(grid), grid.spacing_mm[0] / 2
        low, high = sorted((float(positions[box.start[0]]), float(positions[box.stop[0] - 1])))
        corners, places = tuple(map(tuple, box.corners_lps_mm(grid).tolist())), (low - half, high + half)
        extent, volume = float(box.shape[0] * grid.spacing_mm[0]), float(box.volume_mm3(grid))
    return BoxEntry(
        start_vox=box.start,
        stop_vox=box.stop,
        corners_lps_mm=corners,
        first_slice_number=box.start[0] + 1,
        last_slice_number=box.stop[0],
        slice_count=box.shape[0],
        position_range_mm=places,
        extent_mm=extent,
        volume_mm3=volume,
    )


def _region(region: Region) -> RegionEntry:
    seen, ood = region.present.nonzero()[0], region.ood
    return RegionEntry(
        name=region.name,
        start_vox=region.box.start,
        stop_vox=region.box.stop,
        slices_seen=len(seen),
        first_slice_number=int(seen[0]) + 1 if len(seen) else None,
        last_slice_number=int(seen[-1]) + 1 if len(seen) else None,
        ood=None if ood is None else filled(OodEntry, ood, is_ood=ood.is_ood),
    )


def _finding(finding: Finding, regions: tuple[Region, ...], grid: Grid | None) -> FindingEntry:
    box, segment = finding.box, finding.segment
    return filled(
        FindingEntry,
        finding,
        region=None if box is None else region_of(box, regions),
        box=None if box is None or grid is None else _box(box, grid),
        segment=None if segment is None else SegmentEntry(mask=segment[0], label=segment[1]),
    )


def slice_entries(reading: SliceReading, image: Volume | Radiograph) -> SliceEntries:
    """Scores and heat maps of an answer; not yet ``finished``."""
    return SliceEntries(
        scores=tuple(_scores(scores, image) for scores in reading.scores),
        heat_maps=tuple(
            filled(HeatMapEntry, heat, slice_number=heat.slice_index + 1, method="Grad-CAM")
            for heat in reading.heat_maps
        ),
    )


def _scores(scores: SliceScores, image: Volume | Radiograph) -> ScoresEntry:
    positions = slice_positions_mm(image.grid) if image.grid.is_in_mm else None
    images = image.source.slices if image.source and len(image.source.slices) == image.grid.shape[0] else ()

    def at(values: Any, place: int) -> float | None:  # noqa: ANN401 - an array or None
        return None if values is None else float(values[place])

    rows = (
        SliceEntry(
            slice_index=int(index),
            slice_number=int(index) + 1,
            position_mm=at(positions, index),
            sop_instance_uid=images[index].sop_instance_uid if images else None,
            frame=images[index].frame if images else None,
            probability=float(scores.probability[place]),
            smoothed=float(scores.smoothed[place]),
            spread=at(scores.spread, place),
            distance=at(scores.distance, place),
            prediction_set=scores.sets[place] if scores.sets else None,
            by_segmentation=None if scores.by_segmentation is None else bool(scores.by_segmentation[place]),
            lesion_area_mm2=at(scores.lesion_area_mm2, place),
        )
        for place, index in enumerate(scores.slices)
    )
    sets = None
    if scores.error_rate is not None:
        counts = {words: scores.sets.count(words) for words in sorted(set(scores.sets))}
        sets = SetsEntry(error_rate=scores.error_rate, counts=counts)
    return filled(ScoresEntry, scores, prediction_sets=sets, slices=tuple(rows))
