"""The system limb_sarcoma up to its Answer, with a segmenter that knows the grey of tumour."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import pytest

from osteon.data import Patient, RegionOod, Series, Source, Study, Volume
from osteon.data.system import NO_MODEL, Header
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, WeightsError
from osteon.mesh import bounds_lps_mm
from osteon.systems.limb_sarcoma import outline
from osteon.systems.limb_sarcoma import read as limb_read
from osteon.systems.limb_sarcoma.options import Options
from osteon.systems.limb_sarcoma.outline import MOST_ASKED, VIEW_MM
from osteon.systems.limb_sarcoma.prepare import SLICE_MM
from osteon.systems.limb_sarcoma.read import answer
from osteon.systems.limb_sarcoma.text import LimbReading
from osteon.systems.registry import best_system
from osteon.weights import Classes, MapOutput, Maps, Preprocessing
from tests.limb_truth import CENTRE_LPS_MM, RADII_MM, SKIN_MM, GreySegmenter, limb_card, limb_grid, make_limb
from tests.surface_measures import is_watertight

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.systems.limb_sarcoma.text import Tumour
    from tests.limb_truth import Limb

OPTIONS = Options()
FAR = RegionOod(score=4.0, threshold=2.0, slice_threshold=2.5, false_alarm_rate=0.05)
SMALL = ((CENTRE_LPS_MM[0], CENTRE_LPS_MM[1] + 40, 10.0), (9.0, 8.0, 14.0))
"""Centre and radii of a second tumour, 4 ml."""


def tilted() -> NDArray[np.float64]:
    """Axes of an axial stack that is turned by 14 degrees about one axis and 9 about another."""
    a, b = np.radians((14.0, 9.0))
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return np.asarray(np.array([(0, 0, 1), (0, 1, 0), (1, 0, 0)], dtype=np.float64) @ (about_x @ about_z).T)


CORONAL = np.array([(0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0)])
FLIPPED = np.array([(0.0, 0.0, -1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0)])
GRIDS = {
    "thick": limb_grid(),
    "thin": limb_grid((120, 70, 75), (1.5, 1.9, 1.9)),
    "oblique": limb_grid((44, 110, 120), directions=tilted()),
    "coronal": limb_grid((36, 110, 110), (3.6, 1.4, 1.3), directions=CORONAL),
    "flipped": limb_grid(directions=FLIPPED),
}


@pytest.fixture(scope="module")
def ct() -> Limb:
    return make_limb("ct")


@pytest.fixture(scope="module")
def told(ct: Limb) -> Answer:
    return answer(ct.volume, OPTIONS, segmenter=GreySegmenter("ct"))


def listed(told: Answer) -> tuple[Tumour, ...]:
    return told.detail_as(LimbReading).tumours


def codes(told: Answer) -> set[str]:
    return {notice.code for notice in told.notices}


def with_source(volume: Volume, *, identifier: str = "", **said: str) -> Volume:
    series = Series(uid="1.2.3", modality=volume.modality, **said)  # type: ignore[arg-type]  # texts all
    source = Source("dicom", Path("series"), Patient(identifier=identifier), Study(uid="1.2"), series)
    return replace(volume, source=source)


@pytest.mark.parametrize("name", GRIDS)
def test_the_mask_lies_where_the_tumour_is_whatever_the_axes(name: str) -> None:
    limb = make_limb("mr", GRIDS[name])
    found = answer(limb.volume, OPTIONS, segmenter=GreySegmenter())
    (tumour,), mask = listed(found), found.masks["tumours"]
    assert mask.grid.same_as(limb.volume.grid)
    inside = mask.of(1)
    overlap = 2 * np.count_nonzero(inside & limb.tumour) / (inside.sum() + limb.tumour.sum())
    assert overlap > 0.93
    # no voxel is wrong that is more than one of the network's from the surface of the truth
    lps_mm = limb.volume.grid.to_lps_mm(np.argwhere(inside ^ limb.tumour))
    away = (lps_mm - CENTRE_LPS_MM) / RADII_MM
    level = np.linalg.norm(away, axis=1)
    off_mm = np.abs(level - 1) * level / np.linalg.norm(away / RADII_MM, axis=1)
    assert off_mm.max() < max(SLICE_MM, *limb.volume.grid.spacing_mm)
    middle_mm = limb.volume.grid.to_lps_mm(np.argwhere(inside)).mean(axis=0)
    assert middle_mm == pytest.approx(CENTRE_LPS_MM, abs=0.7)
    assert tumour.volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(RADII_MM) / 1000, rel=0.1)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("modality", ["mr", "ct"])
def test_what_is_shown_is_the_body(name: str, modality: Literal["mr", "ct"]) -> None:
    limb = make_limb(modality, GRIDS[name])
    (region,) = answer(limb.volume, OPTIONS, segmenter=GreySegmenter(modality)).regions
    outside = limb.body.copy()
    outside[region.box.slices] = False
    assert np.count_nonzero(outside) < 0.02 * np.count_nonzero(limb.body)
    places = np.argwhere(limb.body)
    assert (np.array(region.box.start) >= places.min(axis=0) - 2).all()
    assert (np.array(region.box.stop) <= places.max(axis=0) + 3).all()
    assert np.array_equal(np.flatnonzero(region.present), np.arange(region.box.start[0], region.box.stop[0]))


def test_three_diameters_are_those_of_the_ellipsoid(told: Answer) -> None:
    (tumour,) = listed(told)
    assert tumour.axial_mm == pytest.approx(2 * RADII_MM[0], abs=3)
    assert tumour.across_mm == pytest.approx(2 * RADII_MM[1], abs=3)
    assert tumour.along_mm == pytest.approx(2 * RADII_MM[2], abs=8)  # slices are 4 mm apart
    assert tumour.diameter_mm == pytest.approx(2 * RADII_MM[2], abs=8)
    assert not tumour.is_cut
    assert told.status == "positive"
    assert told.headline.startswith("One tumour outlined: ")
    assert f"{tumour.axial_mm:.0f} x {tumour.across_mm:.0f} mm in the axial plane" in told.headline


def test_least_distances_are_those_of_the_shapes(ct: Limb, told: Answer) -> None:
    (tumour,) = listed(told)
    grid = ct.volume.grid
    places = grid.to_lps_mm(np.argwhere(ct.tumour))
    to_skin = SKIN_MM - np.hypot(*places[:, :2].T).max()
    to_bone = np.hypot(places[:, 0] - 20.0, places[:, 1] - 8.0).min() - 14.0
    assert tumour.to_skin is not None
    assert tumour.to_bone is not None
    assert tumour.to_skin.distance_mm == pytest.approx(to_skin, abs=2.5)
    assert tumour.to_bone.distance_mm == pytest.approx(to_bone, abs=2.5)
    assert tumour.to_skin.direction == "right"  # the tumour is right of the middle
    assert told.masks["tumours"].of(1)[tumour.to_skin.place_vox]
    assert told.masks["bone"].of(1)[tumour.to_bone.other_vox]
    assert "from the skin, towards the right" in told.findings[0].statement


def test_on_mr_the_distance_to_bone_is_not_measured() -> None:
    found = answer(make_limb().volume, OPTIONS, segmenter=GreySegmenter())
    (tumour,) = listed(found)
    assert tumour.to_bone is None
    assert tumour.to_skin is not None
    assert "bone-not-measured" in codes(found)
    assert [*found.masks] == ["tumours"]
    assert "distance_to_bone" not in str(found.findings[0].measurements)


def test_findings_masks_surfaces_and_contours_name_the_same_things(told: Answer) -> None:
    bone, tumours = told.masks["bone"], told.masks["tumours"]
    assert told.contoured == ("tumours",)
    assert [finding.identifier for finding in told.findings] == ["tumour-1", "bone"]
    (tumour,), finding, (label,) = listed(told), told.findings[0], tumours.labels
    assert finding.segment == ("tumours", label.value)
    assert finding.tracking_uid == label.tracking_uid
    assert finding.probability == tumour.probability
    assert 0.8 < tumour.probability <= 1
    assert finding.box is not None
    inside = tumours.of(1)
    assert np.count_nonzero(inside[finding.box.slices]) == np.count_nonzero(inside)
    assert (finding.box.start[0], finding.box.stop[0]) == tumour.slices
    assert inside[tumour.key_slice].sum() == inside.sum(axis=(1, 2)).max()
    assert [*told.surfaces] == ["skeleton", "lesion_1"]
    assert is_watertight(told.surfaces["lesion_1"])
    low, high = finding.box.bounds_lps_mm(tumours.grid)
    at_least, at_most = bounds_lps_mm([told.surfaces["lesion_1"]])
    assert (at_least > low - 2).all()
    assert (at_most < high + 2).all()
    assert bone.of(1).any()
    words = " ".join([told.headline, *(each.statement for each in told.findings)])
    assert not any(word in words.lower() for word in ("benign", "malignant", "sarcoma"))


def test_slices_have_the_highest_value_of_the_map_and_the_area(told: Answer) -> None:
    (scores,) = told.detail_as(LimbReading).scores
    inside = told.masks["tumours"].of(1)
    assert scores.source == "segmentation"
    assert scores.by_segmentation is not None
    assert np.array_equal(scores.by_segmentation, inside.any(axis=(1, 2)))
    assert scores.lesion_area_mm2 == pytest.approx(inside.sum(axis=(1, 2)) * 1.3 * 1.2)
    assert (scores.probability[scores.by_segmentation] >= 0.5).all()
    probability = told.detail_as(LimbReading).probability
    assert probability is not None
    assert (probability[inside] >= 128).all()


def test_a_network_sees_each_slice_between_its_neighbours() -> None:
    segmenter = GreySegmenter()
    answer(make_limb().volume, OPTIONS, segmenter=segmenter)
    given = np.concatenate(segmenter.blocks)
    assert given.dtype == np.uint8
    assert given.shape == (int(39 * 4.0 / 3.27) + 1, 3, 80, 80)  # the field is 143 mm high and wide
    wide = make_limb("mr", limb_grid((40, 250, 260)))
    bounded = GreySegmenter()
    told = answer(wide.volume, OPTIONS, segmenter=bounded)
    assert bounded.blocks[0].shape[2:] == (96, 96)  # 62 pixels of body and 16 of air on each side, and not 176
    assert listed(told)[0].volume_ml == pytest.approx(31, abs=1)
    assert np.array_equal(given[1:, 0], given[:-1, 1])
    assert np.array_equal(given[:-1, 2], given[1:, 1])
    assert np.array_equal(given[0, 0], given[0, 1])
    assert np.array_equal(given[-1, 2], given[-1, 1])


def test_tumours_are_listed_by_their_size_and_specks_are_left_out() -> None:
    speck = ((0.0, 32.0, -40.0), (9.0, 9.0, 7.0))
    limb = make_limb(tumours=(SMALL, (CENTRE_LPS_MM, RADII_MM), speck))
    found = answer(limb.volume, OPTIONS, segmenter=GreySegmenter())
    first, second = listed(found)
    assert first.volume_ml > second.volume_ml > 2
    assert found.headline.startswith("2 tumours outlined, ")
    assert found.detail_as(LimbReading).not_listed == 1
    assert "small-pieces" in codes(found)
    mask = found.masks["tumours"]
    assert [label.value for label in mask.labels] == [1, 2]
    place = np.rint(limb.volume.grid.to_vox(SMALL[0])).astype(int)
    assert mask.array[tuple(place)] == 2


@pytest.mark.parametrize(("middle", "ends"), [((0.0, 0.0, 60.0), ("foot end",)), ((38.0, 0.0, 0.0), ("right edge",))])
def test_a_tumour_that_the_field_cuts_is_a_lower_bound(middle: tuple[float, ...], ends: tuple[str, ...]) -> None:
    shape = (26, 110, 100) if ends == ("foot end",) else (40, 110, 88)
    found = answer(
        make_limb("ct", limb_grid(shape, middle_lps_mm=middle)).volume, OPTIONS, segmenter=GreySegmenter("ct")
    )
    (tumour,) = listed(found)
    assert tumour.ends == ends
    assert tumour.is_cut
    assert "at least" in found.headline
    assert "lower bounds" in found.findings[0].statement
    assert "tumour-cut" in codes(found)


def test_where_nothing_is_outlined_that_is_said_and_nothing_is_measured() -> None:
    found = answer(make_limb("ct", tumours=()).volume, OPTIONS, segmenter=GreySegmenter("ct"))
    assert found.status == "negative"
    assert found.headline.startswith("Nothing outlined: no piece of 1 ml or more")
    assert [finding.identifier for finding in found.findings] == ["bone"]
    assert [*found.masks] == ["bone"]
    assert found.contoured == ()


@pytest.mark.parametrize(
    ("weighting", "message"),
    [("T2", "this MR is T2 by its header, not T1"), ("STIR", "STIR"), ("PD FS", "PD"), ("T1 FS", "fat .* suppressed")],
)
def test_an_mr_that_says_it_is_not_t1_is_refused_unless_forced(weighting: str, message: str) -> None:
    volume = with_source(make_limb().volume, weighting=weighting)
    with pytest.raises(NotThisTaskError, match=message):
        answer(volume, OPTIONS, segmenter=GreySegmenter())
    forced = answer(volume, Options(force=True), segmenter=GreySegmenter())
    assert "check-failed-forced" in codes(forced)
    assert forced.status == "positive"


@pytest.mark.parametrize(
    ("body_part", "is_refused"),
    [("HEAD", True), ("ABDOMENPELVIS", True), ("CHEST", True), ("THIGH", False), ("HIP", False)],
)
def test_another_part_of_the_body_is_refused_by_its_header(ct: Limb, body_part: str, is_refused: bool) -> None:
    volume = with_source(ct.volume, body_part=body_part)
    if is_refused:
        with pytest.raises(NotThisTaskError, match=f"it shows {body_part} by its header"):
            answer(volume, OPTIONS, segmenter=GreySegmenter("ct"))
    assert answer(volume, Options(force=is_refused), segmenter=GreySegmenter("ct")).status == "positive"


def test_many_pieces_are_warned_of() -> None:
    apart = [((x, y, 0.0), (9.0, 9.0, 16.0)) for x, y in ((-30, 0), (0, -32), (0, 32), (-22, 26))]
    found = answer(make_limb(tumours=apart).volume, OPTIONS, segmenter=GreySegmenter())
    assert len(listed(found)) == 4
    assert "many-pieces" in codes(found)
    fewer = answer(make_limb(tumours=apart[:3]).volume, OPTIONS, segmenter=GreySegmenter())
    assert "many-pieces" not in codes(fewer)


def test_what_a_header_leaves_open_is_said() -> None:
    mr = make_limb().volume
    assert "weighting-not-known" in codes(answer(mr, OPTIONS, segmenter=GreySegmenter()))
    known = answer(with_source(mr, weighting="T1"), OPTIONS, segmenter=GreySegmenter())
    assert "weighting-not-known" not in codes(known)
    thick = make_limb("ct", limb_grid((30, 110, 120), (5.0, 1.3, 1.2)))
    found = answer(with_source(thick.volume, kernel="B70f"), OPTIONS, segmenter=GreySegmenter("ct"))
    assert {"sharp-kernel", "thick-slices"} <= codes(found)
    assert found.status == "positive"
    soft = answer(with_source(thick.volume, kernel="B30f"), OPTIONS, segmenter=GreySegmenter("ct"))
    assert "sharp-kernel" not in codes(soft)


def test_what_is_no_scan_of_a_limb_is_refused() -> None:
    limb = make_limb("ct")
    with pytest.raises(InputError, match="one slice"):
        answer(make_limb("ct", limb_grid((1, 110, 120))).volume, OPTIONS, segmenter=GreySegmenter("ct"))
    shifted = replace(limb.volume, array=(limb.volume.array + 1024).astype(np.int16))
    with pytest.raises(NotThisTaskError, match="not Hounsfield units"):
        answer(shifted, OPTIONS, segmenter=GreySegmenter("ct"))
    with pytest.raises(InputError, match="found PT"):
        answer(replace(limb.volume, modality="PT"), OPTIONS, segmenter=GreySegmenter("ct"))
    broken = replace(limb.volume, array=limb.volume.array.astype(np.float32))
    broken.array[3, 4, 5] = np.nan
    with pytest.raises(InputError, match="not numbers"):
        answer(broken, OPTIONS, segmenter=GreySegmenter("ct"))


def test_outside_the_training_range_nothing_is_reported_unless_asked_for(ct: Limb) -> None:
    found = answer(ct.volume, OPTIONS, segmenter=GreySegmenter("ct", ood=FAR))
    assert found.status == "abstained"
    assert "outside the model's training range (score 4.00, threshold 2.00)" in found.headline
    assert [*found.masks] == ["bone"]
    assert found.regions[0].ood is not None
    assert listed(found) == ()
    assert found.detail_as(LimbReading).probability is None
    (scores,) = found.detail_as(LimbReading).scores
    assert scores.runs == ()
    assert len(scores.withheld_runs) == 1
    assert "out-of-distribution" in codes(found)
    asked = answer(ct.volume, Options(report_ood=True), segmenter=GreySegmenter("ct", ood=FAR))
    assert asked.status == "positive"
    assert asked.headline.startswith("Caution: the scan is outside")
    near = answer(ct.volume, OPTIONS, segmenter=GreySegmenter("ct", ood=replace(FAR, score=1.0)))
    assert near.status == "positive"
    assert near.regions[0].ood is not None


@pytest.mark.parametrize("is_there", [True, False])
def test_limits_are_asked_of_pictures_like_those_of_training(is_there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tumour with the largest margin around it, or the middle of the body, black beyond."""
    monkeypatch.setattr(outline, "MOST_ASKED", 500)
    segmenter = GreySegmenter("ct", ood=replace(FAR, score=1.0))
    limb = make_limb("ct", limb_grid((60, 200, 210)), tumours=((CENTRE_LPS_MM, RADII_MM),) if is_there else ())
    answer(limb.volume, OPTIONS, segmenter=segmenter)
    pictures = np.concatenate([block for block in segmenter.blocks if block.shape[2:] == (160, 160)])
    slices = 60 * 4.0 / SLICE_MM
    height = min(slices, 2 * (RADII_MM[2] + VIEW_MM) / SLICE_MM) if is_there else slices
    assert len(pictures) == pytest.approx(height, abs=4)
    seen = np.asarray(pictures.any(axis=(0, 1)))
    used = [np.flatnonzero(np.asarray(seen.any(axis=axis))) for axis in (1, 0)]
    sides_mm = [np.ptp(line) * 500 / 256 for line in used]
    wide = [2 * (RADII_MM[axis] + VIEW_MM) if is_there else 2 * SKIN_MM for axis in (1, 0)]
    assert all(side < side_mm + 8 for side, side_mm in zip(sides_mm, wide, strict=True))
    if not is_there:
        assert sides_mm == pytest.approx(wide, abs=8)
        assert [line.mean() for line in used] == pytest.approx((79.5, 79.5), abs=1)
    monkeypatch.undo()
    fewer = GreySegmenter("ct", ood=replace(FAR, score=1.0))
    answer(limb.volume, OPTIONS, segmenter=fewer)
    some = np.concatenate([block for block in fewer.blocks if block.shape[2:] == (160, 160)])
    assert len(some) == MOST_ASKED < len(pictures)
    assert np.array_equal(some[[0, -1]], pictures[[0, -1]])


def test_a_patient_of_the_training_is_known(ct: Limb) -> None:
    found = answer(with_source(ct.volume, identifier="SYN_1"), OPTIONS, segmenter=GreySegmenter("ct"))
    assert found.headline.endswith("This patient was in the training set.")
    assert "training-patient" in codes(found)
    other = answer(with_source(ct.volume, identifier="SYN_2"), OPTIONS, segmenter=GreySegmenter("ct"))
    assert "training" not in other.headline


def test_the_threshold_is_that_of_the_card_or_of_the_options(ct: Limb) -> None:
    volumes = [
        listed(answer(ct.volume, Options(threshold=threshold), segmenter=GreySegmenter("ct")))[0].volume_ml
        for threshold in (0.2, None, 0.9)
    ]
    assert volumes[0] > volumes[1] > volumes[2]


def test_a_demo_model_says_nothing_of_a_patient(ct: Limb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limb_read, "find_card", lambda _: limb_card("ct", is_demo=True))
    found = answer(ct.volume, OPTIONS)
    assert found.status == "not_assessed"
    assert found.headline.startswith(NO_MODEL)
    assert "demo-model-silent" in codes(found)
    assert found.models == ()
    assert [*found.masks] == ["bone"]


@pytest.mark.parametrize(
    ("modality", "changes", "message"),
    [
        ("mr", {}, "trained on MR, and the scan is CT"),
        ("ct", {"task": "ct_metastasis"}, "is of task ct_metastasis"),
        ("ct", {"output": Classes(("a", "b"), "b", (1.0,))}, "that gives a map 'lesion'"),
        ("ct", {"inputs": None}, "train it again with this version"),
    ],
)
def test_a_model_of_something_else_is_refused(
    ct: Limb,
    monkeypatch: pytest.MonkeyPatch,
    modality: Literal["mr", "ct"],
    changes: dict[str, Any],
    message: str,
) -> None:
    card = limb_card(modality, **{name: value for name, value in changes.items() if value is not None})
    if "inputs" in changes:
        made = Preprocessing("osteon.systems.limb_sarcoma.prepare", {"pixel_mm": 1.0, "slice_mm": 3.27}, "others")
        image = msgspec.structs.replace(card.image, preprocessing=made)
        card = limb_card(modality, inputs={"image": image})
    monkeypatch.setattr(limb_read, "find_card", lambda _: card)
    with pytest.raises(WeightsError, match=message):
        answer(ct.volume, Options(model="some.model"))


def test_a_model_may_be_of_both_modalities(ct: Limb, monkeypatch: pytest.MonkeyPatch) -> None:
    made = msgspec.structs.replace(
        limb_card("ct").image.preprocessing,
        parameters={**limb_card("ct").image.preprocessing.parameters, "modality": ["ct", "mr"]},
    )
    both = limb_card(inputs={"image": msgspec.structs.replace(limb_card().image, preprocessing=made)}, is_demo=True)
    monkeypatch.setattr(limb_read, "find_card", lambda _: both)
    for volume in (ct.volume, make_limb().volume):
        assert "demo-model-silent" in codes(answer(volume, OPTIONS))


def test_a_model_that_is_not_installed_is_said(ct: Limb) -> None:
    with pytest.raises(UnknownLabelError, match="limb_sarcoma needs a model for CT; name one with --model"):
        answer(ct.volume, Options(model="none.at_all"))


def test_the_least_volume_of_the_card_counts(ct: Limb) -> None:
    segmenter = GreySegmenter("ct")
    segmenter.card = limb_card("ct", output=Maps((MapOutput("lesion", least_mm3=1e6),)))
    found = answer(ct.volume, OPTIONS, segmenter=segmenter)
    assert found.headline.startswith("Nothing outlined: no piece of 1000 ml or more (1 smaller piece left out)")


def test_nobody_gets_this_system_without_asking_for_it() -> None:
    for modality in ("MR", "CT"):
        assert best_system(Header(kind="volume", modality=modality)).stem != "limb_sarcoma"
