"""MR T1 or CT of a limb: the tumour outlined and measured. What it is, is not said.

A scan is brought to axial slices of one pixel size, a network outlines the tumour slice by slice with the neighbouring
slices in view, and its map is brought back to the scan, where everything is measured. On CT bone is found without a
network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.data import Answer, Mask, Notice, Region, SliceScores, named
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.data.system import NO_MODEL, ood_sentence, silent_notice
from osteon.errors import InputError, UnknownLabelError, WeightsError
from osteon.geometry import axial_turn
from osteon.mesh import coarse_surface
from osteon.ops.hu_check import require_checks
from osteon.ops.runs import stretches
from osteon.ops.skeleton import skeleton_of
from osteon.predict.predictor import Predictor, has_learnt, may_speak
from osteon.report.skeleton import (
    bone_told,
    describe_skeleton,
    skeleton_masks,
    skeleton_notices,
    skeleton_surfaces,
)
from osteon.systems.limb_sarcoma import text
from osteon.systems.limb_sarcoma.outline import (
    LIMB_MAP,
    ask_limits,
    body_box,
    limb_body,
    limb_images,
    map_limb,
    map_on_scan,
    outline_tumours,
    with_distances,
)
from osteon.systems.limb_sarcoma.prepare import PICTURE, PIXEL_MM, SLICE_MM, WINDOW_HU
from osteon.weights import MapOutput, Maps, find_card

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from osteon.data import Finding, Surface, Volume
    from osteon.ops.skeleton import Skeleton
    from osteon.systems.limb_sarcoma.options import Options
    from osteon.systems.limb_sarcoma.outline import LimbImages, LimbMap, OutlinedTumours, Segmenter
    from osteon.systems.limb_sarcoma.prepare import Modality
    from osteon.weights import ModelCard

__all__ = ["DEFAULT_MODELS", "LEAST_MM3", "MADE_BY", "TASK", "answer"]

TASK: Final = "limb_sarcoma"
DEFAULT_MODELS: Final[dict[Modality, str]] = {
    "mr": "efficientnet_lite0_unet16.limb",
    "ct": "efficientnet_lite0_unet16.limb",
}
MADE_BY: Final = "osteon.systems.limb_sarcoma.prepare"
"""What the card of a model names as its preprocessing."""
LEAST_MM3: Final = 1000.0
"""Smaller pieces are left out where the card does not say otherwise: 1 ml is a ball of 12 mm."""


def answer(
    volume: Volume, options: Options, progress: Progress = silent, *, segmenter: Segmenter | None = None
) -> Answer:
    """Outline and measure the tumours of a limb.

    Args:
        volume: MR T1, or CT in HU; any orientation.
        options: device, model, threshold (of its map), force, report_ood.
        progress: called at every step.
        segmenter: a model at hand, which gives the map "lesion"; None for the one that the options name.

    Raises:
        InputError: neither MR nor CT, a single slice, or values that are not numbers.
        NotThisTaskError: an MR that says that it is not T1, and it is not forced; a CT that is not in HU.
        UnknownLabelError: the model is not installed.
        WeightsError: it is of another task or modality, was changed, or does not reproduce its golden output.
        BackendError: the device or runtime is not at hand.
    """
    modality, clock = _modality(volume), Clock()
    with clock.step("check the input"):
        faults = text.header_faults(volume, modality)
        told = require_checks(
            faults, wanted="an MR T1 without fat suppression, or a CT, of a limb", force=options.force
        )
    if segmenter is None:
        card = _card(options, modality)
        if may_speak(card, volume, demo_on_patient=options.demo_on_patient):
            with clock.step("load model"):
                segmenter = Predictor.load(card, device=options.device)
        else:
            told = [*told, silent_notice(card.name)]
    size_step = segmenter.card.image.size_step if segmenter is not None and segmenter.card else 16
    with clock.step("prepare slices", progress, "preparing the slices"):
        images = limb_images(volume, modality, size_step=size_step)
    skeleton = None
    if modality == "ct":
        with clock.step("bone mask", progress, "bone"):
            skeleton = skeleton_of(volume)
    turned = axial_turn(volume.grid).grid(volume.grid)
    told = [*told, *text.scan_notices(volume, modality, slice_mm=turned.spacing_mm[0])]
    scan = _Scan(volume, modality, images, skeleton)
    if segmenter is not None:
        return _assessed(scan, options, segmenter, told, clock, progress)
    found = _without_tumours(scan, clock)
    return replace(
        found,
        headline=" ".join([NO_MODEL, *_bone_sentence(found)]),
        notices=(*told, *found.notices),
        configuration=_options_told(options, modality),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """A scan with its images, and on CT with its bone."""

    volume: Volume
    modality: Modality
    images: LimbImages
    skeleton: Skeleton | None

    @property
    def bone(self) -> tuple[Mask, ...]:
        """Masks of bone and implant; none on MR, and none of a CT that shows no bone."""
        if self.skeleton is None:
            return ()
        return tuple(one for one in skeleton_masks(self.skeleton, self.volume) if one.array.any())

    @property
    def region(self) -> Region:
        """The body, in all its slices."""
        box = body_box(self.images, self.volume.grid.shape)
        present = np.zeros(self.volume.grid.shape[0], dtype=np.bool_)
        present[box.start[0] : box.stop[0]] = True
        return Region(text.REGION, box, present)


def _assessed(
    scan: _Scan, options: Options, segmenter: Segmenter, told: list[Notice], clock: Clock, progress: Progress
) -> Answer:
    """What the model says of a scan; of one that is out of distribution nothing, unless it is asked for."""
    known = has_learnt(segmenter.card, scan.volume)
    output = _map_output(segmenter.card)
    threshold = options.threshold if options.threshold is not None else output.threshold
    least_mm3, beside = output.least_mm3 or LEAST_MM3, _beside(segmenter.card)
    with clock.step("segment"):
        limb_map = map_limb(
            scan.images, segmenter, beside=beside, threshold=threshold, least_mm3=least_mm3, progress=progress
        )
    with clock.step("ask for limits"):
        ood = ask_limits(
            scan.images, limb_map, segmenter, beside=beside, picture=_picture(segmenter.card), progress=progress
        )
    if ood is not None and ood.is_ood and not options.report_ood:
        found = _without_tumours(scan, clock, scores=_scores(scan, limb_map, None))
        found = replace(found, status="abstained", headline=" ".join(_bone_sentence(found)))
    else:
        found = _outlined(scan, limb_map, least_mm3 / 1000, clock, progress)
    said = [found.headline]
    if ood is not None and ood.is_ood:
        said.insert(0, ood_sentence("the scan", ood, report_ood=options.report_ood))
    if known:
        said.append("This patient was in the training set.")
        told = [*told, text.learnt_notice()]
    detail = replace(found.detail_as(text.LimbReading), has_learnt=known)
    return replace(
        found,
        headline=" ".join(words for words in said if words),
        regions=tuple(replace(one, ood=ood) for one in found.regions),
        models=(segmenter.use(),),
        notices=(*told, *text.ood_notices(ood, report_ood=options.report_ood), *found.notices),
        configuration={
            **_options_told(options, scan.modality),
            "threshold": threshold,
            "threshold_source": output.source if options.threshold is None else "chosen for this reading",
            "least_mm3": least_mm3,
            "tumour_connectivity": 26,
            "probability": "mean of the map inside the outline",
            "pixel_mm": PIXEL_MM,
            "slice_mm": SLICE_MM,
            "images": list(scan.images.grey.shape),
        },
        detail=detail,
    )


def _without_tumours(scan: _Scan, clock: Clock, *, scores: SliceScores | None = None) -> Answer:
    """What is told where no tumour is: on CT the bone."""
    bone = scan.bone
    with clock.step("surfaces"):
        surfaces = skeleton_surfaces(bone)
    return Answer(
        task=TASK,
        headline="",
        status="not_assessed",
        findings=tuple(describe_skeleton(bone)),
        regions=(scan.region,),
        masks=named(bone),
        surfaces=named(surfaces),
        notices=tuple(_bone_notices(scan, bone)),
        seconds=clock.seconds,
        detail=text.LimbReading(() if scores is None else (scores,), modality=scan.modality),
    )


def _outlined(scan: _Scan, limb_map: LimbMap, least_ml: float, clock: Clock, progress: Progress) -> Answer:
    """Tumours outlined, measured and listed."""
    volume, images, bone = scan.volume, scan.images, scan.bone
    progress("tumours", 0, 3)
    with clock.step("outline"):
        outlined = outline_tumours(volume, images, limb_map)
        probability = map_on_scan(images, limb_map.tumour, volume.grid.shape)
    progress("tumours", 1, 3)
    with clock.step("measure"):
        if outlined.tumours:
            body = limb_body(volume, outlined.turn, scan.modality)
            own = scan.skeleton.bone if scan.skeleton is not None else None
            outlined = with_distances(outlined, volume, body=body, bone=own)
        labels = text.tumour_labels(outlined, volume)
        tumours, findings = text.describe(outlined, labels, volume)
    progress("tumours", 2, 3)
    with clock.step("surfaces"):
        surfaces = (*skeleton_surfaces(bone), *_surfaces(outlined, volume, findings))
    progress("tumours", 3, 3)
    masks = list(bone)
    if tumours:
        masks.append(Mask(outlined.mask, volume.grid, labels=labels, name=text.TUMOUR_MASK))
    scores = _scores(scan, limb_map, outlined, probability)
    return Answer(
        task=TASK,
        headline=text.headline(tumours, least_ml=least_ml, not_listed=limb_map.too_small),
        status="positive" if tumours else "negative",
        findings=(*findings, *describe_skeleton(bone)),
        regions=(scan.region,),
        masks=named(masks),
        contoured=(text.TUMOUR_MASK,) if tumours else (),
        surfaces=named(surfaces),
        notices=(*_bone_notices(scan, bone), *text.outline_notices(tumours, limb_map.too_small, least_ml=least_ml)),
        seconds=clock.seconds,
        detail=text.LimbReading(
            (scores,),
            modality=scan.modality,
            tumours=tumours,
            not_listed=limb_map.too_small,
            least_ml=least_ml,
            threshold=limb_map.threshold,
            probability=probability,
        ),
    )


def _surfaces(outlined: OutlinedTumours, volume: Volume, findings: Iterable[Finding]) -> Iterable[Surface]:
    """Surfaces "lesion_1", "lesion_2"..., as the report looks for them."""
    for number, finding in enumerate(findings, start=1):
        box = finding.box
        if box is not None:
            inside, grid = outlined.mask[box.slices] == number, volume.grid.crop(box.start, box.stop)
            yield coarse_surface(inside, grid, name=f"lesion_{number}", colour=(*text.colour_of(number), 255))


def _scores(
    scan: _Scan,
    limb_map: LimbMap,
    outlined: OutlinedTumours | None,
    probability: NDArray[np.uint8] | None = None,
) -> SliceScores:
    """The highest value of the map in every slice of the scan, and the area of tumour; without outlines withheld."""
    if probability is None:
        probability = map_on_scan(scan.images, limb_map.tumour, scan.volume.grid.shape)
    slices = np.arange(len(probability), dtype=np.int64)
    highest = probability.max(axis=(1, 2)).astype(np.float32) / np.float32(255)
    if outlined is None:
        runs = tuple(stretches(highest >= np.float32(limb_map.threshold)))
        area, by_segmentation = None, None
    else:
        _, row_mm, column_mm = scan.volume.grid.spacing_mm
        area = np.count_nonzero(outlined.mask, axis=(1, 2)).astype(np.float32) * np.float32(row_mm * column_mm)
        by_segmentation = area > 0
        runs = tuple(stretches(by_segmentation))
    return SliceScores(
        region=text.REGION,
        slices=slices,
        probability=highest,
        smoothed=highest,
        threshold=limb_map.threshold,
        runs=() if outlined is None else runs,
        withheld_runs=runs if outlined is None else (),
        source="segmentation",
        by_segmentation=by_segmentation,
        lesion_area_mm2=area,
    )


def _bone_sentence(found: Answer) -> list[str]:
    return [bone_told(mask) for name, mask in found.masks.items() if name == "bone"]


def _bone_notices(scan: _Scan, bone: tuple[Mask, ...]) -> Iterable[Notice]:
    return () if scan.skeleton is None else skeleton_notices(scan.skeleton, bone)


def _modality(volume: Volume) -> Modality:
    if volume.modality not in {"MR", "CT"}:
        raise InputError(
            f"{TASK} reads MR T1 and CT of a limb, found {volume.modality or 'an image without a modality'}: choose "
            "such a series"
        )
    return "ct" if volume.modality == "CT" else "mr"


def _card(options: Options, modality: Modality) -> ModelCard:
    name = options.model or DEFAULT_MODELS[modality]
    try:
        card = find_card(name)
    except UnknownLabelError as error:
        raise UnknownLabelError(
            f"{TASK} needs a model for {modality.upper()}; name one with --model: {error}"
        ) from error
    if card.task != TASK or not isinstance(card.output, Maps) or LIMB_MAP not in card.output.names:
        raise WeightsError(
            f"{TASK} needs a segmentation model of its task that gives a map {LIMB_MAP!r}, but {card.name} is of task "
            f"{card.task}: name another one with --model (`osteon models list` shows them)"
        )
    return _checked_card(card, modality)


def _checked_card(card: ModelCard, modality: Modality) -> ModelCard:
    """The card of a model that takes slices of this modality as they are made here.

    Raises:
        WeightsError: it takes others.
    """
    made = card.image.preprocessing
    window = made.parameters.get("window_hu")
    wanted: dict[str, Any] = {"pixel_mm": PIXEL_MM, "slice_mm": SLICE_MM}
    same = all(abs(float(made.parameters.get(name, 0)) - value) < 1e-3 for name, value in wanted.items())
    if made.function != MADE_BY or not same or (window is not None and tuple(window) != WINDOW_HU):
        raise WeightsError(
            f"{card.name} takes slices that {made.function} makes with {dict(made.parameters)}; {TASK} makes them with "
            f"{MADE_BY}, {wanted} and on CT the window {list(WINDOW_HU)}: train it again with this version"
        )
    # cards of before say no modality: a network of both has a window, too
    of = made.parameters.get("modality", ["mr"] if window is None else ["mr", "ct"])
    if modality not in of:
        known, shown = " and ".join(of).upper(), modality.upper()
        raise WeightsError(
            f"{card.name} was trained on {known}, and the scan is {shown}: name a model for {shown} with --model, or "
            "leave it out"
        )
    return card


def _beside(card: ModelCard | None) -> int:
    """How many neighbours on either side a network sees."""
    return card.image.neighbours if card else 1


def _picture(card: ModelCard | None) -> int:
    """Rows and columns of the pictures that a network was trained on."""
    said = card.image.preprocessing.parameters.get("picture") if card else None
    return PICTURE if said is None else int(said)


def _map_output(card: ModelCard | None) -> MapOutput:
    """What the card says of the map of tumour."""
    known = {each.name: each for each in card.maps.maps} if card else {}
    return known.get(LIMB_MAP, MapOutput(LIMB_MAP))


def _options_told(options: Options, modality: Modality) -> dict[str, object]:
    return {
        "modality": modality,
        "force": options.force,
        "report_ood": options.report_ood,
        "demo_on_patient": options.demo_on_patient,
        "model": options.model or DEFAULT_MODELS[modality],
    }
