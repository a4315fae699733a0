"""The system ct_metastasis up to its Answer, with a segmenter that knows the truth."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import ModelUse, RegionOod, Volume
from osteon.data.system import NO_MODEL, Header
from osteon.errors import InputError, NotThisTaskError, UnknownLabelError, WeightsError
from osteon.geometry import Grid
from osteon.mesh import bounds_lps_mm
from osteon.ops.series_images import slice_frame, windowed
from osteon.predict.predictor import PAPER_POINT, Predictor, Scores
from osteon.systems.ct_metastasis import read as ct_metastasis
from osteon.systems.ct_metastasis.options import Options
from osteon.systems.ct_metastasis.read import answer
from osteon.systems.ct_metastasis.text import LesionReading
from osteon.systems.registry import best_system
from osteon.weights import Classes, MapOutput, OperatingPoint
from tests.cards import segmenter_card
from tests.surface_measures import is_watertight
from tests.trunk_truth import SHAPE, TrueSegmenter, Trunk, axes, make_trunk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from osteon.data import Answer
    from osteon.data.options import Progress
    from osteon.systems.ct_metastasis.text import Lesion

OPTIONS = Options()


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return make_trunk()


@pytest.fixture(scope="module")
def told(trunk: Trunk) -> Answer:
    return answer(trunk.volume, OPTIONS, segmenter=trunk.segmenter())


def listed(told: Answer) -> tuple[Lesion, ...]:
    return told.detail_as(LesionReading).lesions


def codes(told: Answer) -> set[str]:
    return {notice.code for notice in told.notices}


def test_lesions_are_listed_with_what_is_true_of_them(trunk: Trunk, told: Answer) -> None:
    assert [lesion.identifier for lesion in listed(told)] == ["lesion-1", "lesion-2"]
    for lesion, value in zip(listed(told), (1, 2), strict=True):
        where = trunk.lesion == value
        truth_ml = np.count_nonzero(where) * np.prod(trunk.spacing_mm) / 1000
        assert lesion.volume_ml == pytest.approx(truth_ml, rel=0.02)
        assert lesion.mean_hu == pytest.approx(trunk.array[where].mean(), abs=2)
        slices = np.flatnonzero(where.any(axis=(1, 2)))
        assert lesion.slices == (slices[0], slices[-1] + 1)
    lytic, blastic = listed(told)
    assert (lytic.density_pattern, blastic.density_pattern) == ("lytic", "blastic")
    assert (lytic.site, blastic.site) == ("vertebra", "rib")
    assert 18 <= lytic.diameter_mm <= 21.5  # a ball of 18 mm in voxels of 3 x 1.75 x 1.75 mm
    reference_bone = told.detail_as(LesionReading).reference_bone
    assert reference_bone is not None
    assert reference_bone.median_hu == pytest.approx(170, abs=6)


def test_findings_masks_and_lesions_name_the_same_things(told: Answer) -> None:
    bone, lesions = told.masks.values()
    assert (bone.name, lesions.name) == ("bone", "lesions")
    assert [finding.identifier for finding in told.findings] == ["lesion-1", "lesion-2", "bone"]
    for lesion, finding, label in zip(listed(told), told.findings, lesions.labels, strict=False):
        assert finding.segment == ("lesions", label.value)
        assert finding.tracking_uid == label.tracking_uid
        assert finding.probability == lesion.probability == pytest.approx(1.0)
        inside = lesions.of(label.value)
        assert finding.box is not None
        assert np.count_nonzero(inside[finding.box.slices]) == np.count_nonzero(inside)
        assert lesion.volume_ml * 1000 == pytest.approx(inside.sum() * lesions.grid.voxel_volume_mm3)
        assert inside[lesion.key_slice].sum() == inside.sum(axis=(1, 2)).max()
    assert not (lesions.array[bone.array == 0] > 0).any()
    assert told.findings[-1].tracking_uid == bone.labels[0].tracking_uid
    assert told.findings[0].site is not None
    assert told.findings[0].site.meaning == "Vertebra"
    assert "1 sclerotic, 1 lytic" in told.headline


def test_bone_is_the_truth_but_for_its_rim(trunk: Trunk, told: Answer) -> None:
    found = told.masks["bone"].array > 0
    assert np.count_nonzero(found & trunk.bone) * 2 / (found.sum() + trunk.bone.sum()) > 0.97
    assert np.count_nonzero(found & trunk.bone) > 0.99 * np.count_nonzero(trunk.bone)


def test_slices_are_called_by_their_lesion_area(trunk: Trunk, told: Answer) -> None:
    (scores,) = told.detail_as(LesionReading).scores
    assert scores.source == "segmentation"
    assert scores.agreement is None
    assert scores.by_segmentation is not None
    area = np.count_nonzero(trunk.lesion, axis=(1, 2)) * 1.75**2
    assert np.array_equal(scores.by_segmentation, area[scores.slices] >= 20)
    assert "no-slice-classifier" not in codes(told)
    assert set(scores.slices) == set(np.flatnonzero(trunk.bone.any(axis=(1, 2))))


def test_surfaces_are_closed_and_lie_where_the_lesions_are(told: Answer) -> None:
    whole, *lesions = told.surfaces.values()
    assert [*told.surfaces] == ["skeleton", "lesion_1", "lesion_2"]
    for surface, finding in zip(lesions, told.findings, strict=False):
        assert is_watertight(surface)
        assert finding.box is not None
        low, high = finding.box.bounds_lps_mm(told.masks["bone"].grid)
        at_least, at_most = bounds_lps_mm([surface])
        assert (at_least > low - 1).all()
        assert (at_most < high + 1).all()
    skeleton = bounds_lps_mm([whole])
    for lesion in lesions:
        low, high = bounds_lps_mm([lesion])
        assert (low > skeleton[0] - 2).all()
        assert (high < skeleton[1] + 2).all()


@pytest.mark.parametrize("flips", [(False, True, False), (True, False, True)])
def test_another_order_of_the_voxels_gives_the_same_patient(
    trunk: Trunk, told: Answer, flips: tuple[bool, ...]
) -> None:
    """The same patient, stored with rows to the front, columns to the right or slices to the feet."""
    steps = tuple(-1 if flip else 1 for flip in flips)
    grid = trunk.volume.grid
    signs = np.diag(steps)
    first = [n - 1 if flip else 0 for n, flip in zip(SHAPE, flips, strict=True)]
    turned = Grid.from_axes(
        shape=SHAPE,
        spacing_mm=grid.spacing_mm,
        directions=signs @ grid.directions,
        origin_lps_mm=grid.to_lps_mm(first).tolist(),
    )
    index = tuple(slice(None, None, step) for step in steps)
    volume = Volume(trunk.array[index], turned, modality="CT", unit="HU")
    upright = Volume(trunk.array[:: steps[0]], grid, modality="CT", unit="HU")
    masks = {"bone": trunk.bone[:: steps[0]], "lesion": trunk.lesion[:: steps[0]] > 0}
    other = answer(volume, OPTIONS, segmenter=TrueSegmenter(upright, masks))
    for one, two in zip(told.findings, other.findings, strict=True):
        if one.box is not None and two.box is not None:
            for a, b in zip(one.box.bounds_lps_mm(grid), two.box.bounds_lps_mm(turned), strict=True):
                assert np.allclose(a, b, atol=1.8)  # a pixel, as images are padded on one side
    assert [lesion.site for lesion in listed(other)] == [lesion.site for lesion in listed(told)]
    assert np.array_equal(other.masks["lesions"].array[index] > 0, told.masks["lesions"].array > 0)


def test_thin_slices_are_taken_every_other_and_lesions_keep_their_size(trunk: Trunk, told: Answer) -> None:
    thin = Trunk(
        np.repeat(trunk.array[15:40], 4, axis=0),
        np.repeat(trunk.bone[15:40], 4, axis=0),
        np.repeat(trunk.lesion[15:40], 4, axis=0),
        (0.75, 1.75, 1.75),
    )
    other = answer(thin.volume, OPTIONS, segmenter=thin.segmenter())
    assert "slices-taken" in codes(other)
    for one, two in zip(listed(told), listed(other), strict=True):
        assert two.volume_ml == pytest.approx(one.volume_ml, rel=0.08)


def test_thick_slices_are_read_with_a_warning(trunk: Trunk) -> None:
    thick = Trunk(trunk.array[::2], trunk.bone[::2], trunk.lesion[::2], (6.0, 1.75, 1.75))
    other = answer(thick.volume, OPTIONS, segmenter=thick.segmenter())
    text = next(notice.text for notice in other.notices if notice.code == "thick-slices")
    assert "6.0 mm apart: lesions below 12 mm" in text
    assert len(listed(other)) == 2


def test_a_single_slice_is_read_with_a_warning(trunk: Trunk) -> None:
    one = Trunk(trunk.array[24:25], trunk.bone[24:25], trunk.lesion[24:25])
    other = answer(one.volume, OPTIONS, segmenter=one.segmenter())
    assert "single-slice" in codes(other)
    assert len(listed(other)) == 2
    assert {lesion.site for lesion in listed(other)} == {"not determined"}
    assert not any(lesion.is_cut for lesion in listed(other))


def test_metal_is_told_and_lesions_near_it_are_marked(trunk: Trunk) -> None:
    z, y, x = axes()
    screw = np.broadcast_to((np.abs(y - 52) < 3) & (np.abs(x + 14) < 4) & (np.abs(z - 73) < 6), SHAPE)
    other = trunk.with_hu(screw, 3071)
    found = answer(other.volume, OPTIONS, segmenter=other.segmenter())
    assert "metal" in codes(found)
    text = next(notice.text for notice in found.notices if notice.code == "lesions-near-metal")
    assert "Lesion 1 is within 10 mm of metal" in text
    assert [lesion.near_metal for lesion in listed(found)] == [True, False]
    assert "may be an artefact" in found.findings[0].statement
    assert found.masks["implant"].array[screw].all()
    assert not found.masks["bone"].array[screw].any()
    assert [finding.identifier for finding in found.findings][-2:] == ["bone", "implant"]
    assert not found.findings[-1].is_abnormal
    assert [*found.surfaces][:2] == ["skeleton", "implant"]


def test_metal_that_the_network_takes_for_a_lesion_is_none(trunk: Trunk) -> None:
    z, y, x = axes()
    stem = np.broadcast_to((np.abs(y - 52) < 8) & (np.abs(x + 4) < 8) & (np.abs(z - 103) < 9), SHAPE)
    other = trunk.with_hu(stem, 3071)
    around = np.broadcast_to((np.abs(y - 52) < 11) & (np.abs(x + 4) < 11) & (np.abs(z - 103) < 12), SHAPE)
    found = answer(other.volume, OPTIONS, segmenter=other.segmenter(lesion=(trunk.lesion > 0) | around))
    assert len(listed(found)) == 2
    assert not found.masks["lesions"].array[around].any()


def test_a_lesion_that_destroyed_the_bone_is_kept_where_the_network_sees_bone(trunk: Trunk) -> None:
    """Soft tissue in place of a length of rib: nothing is dense there, and the network still outlines the bone."""
    _, y, x = axes()
    gone = np.broadcast_to((np.abs(y + 10) < 14) & (x > 60), SHAPE) & trunk.bone
    destroyed = replace(trunk.with_hu(gone, 45), lesion=np.where(gone, 2, trunk.lesion).astype(np.uint8))
    found = answer(destroyed.volume, OPTIONS, segmenter=destroyed.segmenter())
    assert found.masks["lesions"].array[gone].mean() > 0.5
    assert (found.masks["bone"].array[found.masks["lesions"].array > 0] == 1).all()


def test_a_vessel_brighter_than_bone_becomes_neither_bone_nor_lesion(trunk: Trunk) -> None:
    """An aorta of 350 HU against the spine, which the network takes for bone and for lesion."""
    _, y, x = axes()
    aorta = np.broadcast_to((y - 20) ** 2 + (x - 12) ** 2 < 11**2, SHAPE)
    other = trunk.with_hu(aorta & ~trunk.bone, 350)
    wrong = other.segmenter(bone=trunk.bone | aorta, lesion=(trunk.lesion > 0) | aorta)
    found = answer(other.volume, OPTIONS, segmenter=wrong)
    assert "contrast-left-out" in codes(found)
    assert len(listed(found)) == 2
    vessel = aorta & ~trunk.bone
    assert np.count_nonzero(found.masks["bone"].array[vessel]) < 0.02 * np.count_nonzero(vessel)


def test_what_the_lesion_map_shows_away_from_bone_is_not_a_lesion(trunk: Trunk) -> None:
    z, y, x = axes()
    bowel = np.broadcast_to((z - 73) ** 2 + (y + 30) ** 2 + x**2 < 10**2, SHAPE)
    wrong = trunk.segmenter(lesion=(trunk.lesion > 0) | bowel)
    assert len(listed(answer(trunk.volume, OPTIONS, segmenter=wrong))) == 2


def test_a_healthy_trunk_has_no_lesion_and_no_mask_of_them(trunk: Trunk) -> None:
    healthy = answer(trunk.volume, OPTIONS, segmenter=trunk.segmenter(lesion=np.zeros(SHAPE, dtype=bool)))
    assert listed(healthy) == ()
    assert [*healthy.masks] == ["bone"]
    assert healthy.headline.startswith("No bone lesion of ")
    assert [finding.is_abnormal for finding in healthy.findings] == [False]


def test_a_threshold_applies_to_the_lesion_map(trunk: Trunk) -> None:
    class Half(TrueSegmenter):
        def maps(self, images: np.ndarray) -> dict[str, np.ndarray]:
            maps = super().maps(images)
            return {**maps, "lesion": maps["lesion"] * np.float32(0.4)}

    masks = {"bone": trunk.bone, "lesion": trunk.lesion > 0}
    assert not listed(answer(trunk.volume, OPTIONS, segmenter=Half(trunk.volume, masks)))
    low = answer(trunk.volume, Options(threshold=0.2), segmenter=Half(trunk.volume, masks))
    assert len(listed(low)) == 2
    assert listed(low)[0].probability == pytest.approx(0.4, abs=0.01)
    assert low.configuration["threshold_source"] == "chosen for this reading"


def test_no_bone_in_the_field_is_told_before_and_after_the_network(trunk: Trunk) -> None:
    soft = Trunk(np.where(trunk.array > 90, trunk.array % 50, trunk.array).astype(np.int16), trunk.bone, trunk.lesion)
    with pytest.raises(NotThisTaskError, match="No bone in the field of view: no voxel reaches 150 HU"):
        answer(soft.volume, OPTIONS, segmenter=trunk.segmenter())
    nothing = np.zeros(SHAPE, dtype=bool)
    specks = replace(soft, array=np.where(np.random.default_rng(3).random(SHAPE) < 1e-3, 400, soft.array))
    with pytest.raises(NotThisTaskError, match="No bone in the field of view: less than 1 ml is as dense as bone"):
        answer(specks.volume, OPTIONS, segmenter=specks.segmenter())
    forced = answer(specks.volume, Options(force=True), segmenter=specks.segmenter(bone=nothing))
    assert listed(forced) == ()


def test_where_no_model_may_speak_there_is_bone_and_nothing_else(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The volume is none of osteon's phantoms, and the models that are installed are demos."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a model was loaded")

    monkeypatch.setattr(Predictor, "load", refuse)
    silent = answer(trunk.volume, OPTIONS)
    assert silent.status == "not_assessed"
    assert silent.headline.startswith(f"{NO_MODEL} Bone in the field of view: ")
    assert (silent.models, silent.is_demo) == ((), False)
    assert [*silent.masks] == ["bone"]
    assert [*silent.surfaces] == ["skeleton"]
    assert [finding.identifier for finding in silent.findings] == ["bone"]
    assert "demo-model-silent" in codes(silent)
    assert silent.configuration["demo_on_patient"] is False
    reading = silent.detail_as(LesionReading)
    assert (reading.scores, reading.lesions) == ((), ())


def test_a_volume_with_nan_is_refused(trunk: Trunk) -> None:
    array = trunk.array.astype(np.float32)
    array[7, 3, 3] = np.nan
    volume = Volume(array, trunk.volume.grid, modality="CT", unit="HU")
    with pytest.raises(InputError, match="slice 8 holds values that are not numbers"):
        answer(volume, OPTIONS, segmenter=trunk.segmenter())


def test_another_modality_unit_scale_or_plane_is_refused(trunk: Trunk) -> None:
    volume, segmenter = trunk.volume, trunk.segmenter()
    with pytest.raises(InputError, match="found MR"):
        answer(replace(volume, modality="MR"), OPTIONS, segmenter=segmenter)
    with pytest.raises(InputError, match="an image without a modality"):
        answer(replace(volume, modality=""), OPTIONS)
    picture = np.clip((trunk.array + 450) / 6, 0, 255).astype(np.int16)
    with pytest.raises(NotThisTaskError, match="asked for a CT of the trunk in Hounsfield units, but nothing has the"):
        answer(replace(volume, array=picture), OPTIONS, segmenter=segmenter)
    sagittal = Grid.from_axes(shape=SHAPE, spacing_mm=(3.0, 2.0, 2.0), directions=[(1, 0, 0), (0, 0, -1), (0, 1, 0)])
    with pytest.raises(NotThisTaskError, match="reads axial slices"):
        answer(replace(volume, grid=sagittal), OPTIONS, segmenter=segmenter)


def test_a_missing_or_wrong_model_is_told_with_what_to_do(trunk: Trunk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ct_metastasis, "DEFAULT_SEGMENTER", "hybrid_attunetpp.nowhere")
    with pytest.raises(UnknownLabelError, match="needs a segmentation model; name one with --model"):
        answer(trunk.volume, OPTIONS)
    with pytest.raises(WeightsError, match="is a classifier of task ct_osteosarcoma: name another one with --model"):
        answer(trunk.volume, Options(model="mobilenet_v2.phantom"))


@dataclass
class Caller:
    """A slice classifier that suspects some slices, and keeps what it was shown; a score above 2 is far away."""

    predicted: set[int]
    score: float | None = None
    card: object = None
    name: str = "caller"
    size: tuple[int, int] = (112, 160)
    shown: list[np.ndarray] = field(default_factory=list)

    def scores(self, blocks: Iterable[np.ndarray], *, progress: Progress, total: int) -> Scores:
        self.shown = list(blocks)
        progress("classifying slices", total, total)
        probability = np.array([0.99 if n in self.predicted else 0.01 for n in range(total)], dtype=np.float32)
        both = np.stack([1 - probability, probability], axis=1)
        distance = None if self.score is None else np.full(total, self.score, dtype=np.float32)
        return Scores(Classes(("normal", "metastasis"), "metastasis"), both, both[:, None], distance=distance)

    def ood(self, distance: np.ndarray | None) -> RegionOod | None:
        return None if distance is None else RegionOod(float(np.median(distance)), 2.0, 2.0, 0.05)

    def operating_point(self) -> OperatingPoint:
        return PAPER_POINT

    def use(self) -> ModelUse:
        return ModelUse("caller", "1.0.0", "11" * 32, "none", "cpu", is_demo=True, statement="It suspects slices.")


def test_a_classifier_of_slices_is_asked_and_compared_with_the_outlines(trunk: Trunk, told: Answer) -> None:
    (alone,) = told.detail_as(LesionReading).scores
    assert alone.by_segmentation is not None
    outlined = np.flatnonzero(alone.by_segmentation)
    caller = Caller(predicted={*outlined.tolist(), 0, 1, 2, 3})
    found = answer(trunk.volume, OPTIONS, segmenter=trunk.segmenter(), classifier=caller)  # type: ignore[arg-type]
    (scores,) = found.detail_as(LesionReading).scores
    assert scores.source == "classifier"
    positive = scores.smoothed >= scores.threshold
    assert scores.agreement == pytest.approx((positive == alone.by_segmentation).mean())
    assert "slices" not in found.headline
    assert codes(found) & {"slices-and-outlines", "slices-contradict-outlines"}
    assert found.is_demo
    assert [use.name for use in found.models] == ["truth", "caller"]
    images = np.concatenate(caller.shown)
    wanted = slice_frame(SHAPE[1:], (1.75, 1.75), size=caller.size).images(windowed(trunk.array[scores.slices]))
    assert np.array_equal(images, wanted.astype(np.float32) / np.float32(255))


def test_of_a_series_out_of_distribution_the_bone_is_told_and_nothing_else(trunk: Trunk, told: Answer) -> None:
    far = Caller(predicted=set(range(20, 30)), score=3.0)
    segmenter = trunk.segmenter()
    found = answer(trunk.volume, OPTIONS, segmenter=segmenter, classifier=far)  # type: ignore[arg-type]
    assert found.status == "abstained"
    assert found.headline.startswith("No assessment: the series is outside the model's training range (score 3.00,")
    assert "Bone" in found.headline
    assert [*found.masks] == ["bone"]
    assert segmenter.asked == 0, "no lesion is looked for"
    assert np.array_equal(found.masks["bone"].array > 0, told.masks["bone"].array > 0)
    reading = found.detail_as(LesionReading)
    (scores,) = reading.scores
    assert (scores.runs, reading.lesions) == ((), ())
    assert scores.withheld_runs
    (region,) = found.regions
    assert region.ood is not None
    assert region.ood.is_ood
    assert "out-of-distribution" in codes(found)
    assert [use.name for use in found.models] == ["truth", "caller"]


def test_a_series_out_of_distribution_is_reported_when_that_is_asked_for(trunk: Trunk, told: Answer) -> None:
    far = Caller(predicted=set(range(20, 30)), score=3.0)
    asked = replace(OPTIONS, report_ood=True)
    found = answer(trunk.volume, asked, segmenter=trunk.segmenter(), classifier=far)  # type: ignore[arg-type]
    assert found.status == "positive"
    assert found.headline.startswith(told.headline)
    assert found.headline.endswith("reported because that was asked for.")
    assert len(listed(found)) == len(listed(told))
    assert "out-of-distribution" in codes(found)
    near = Caller(predicted=set(range(20, 30)), score=1.0)
    plain = answer(trunk.volume, OPTIONS, segmenter=trunk.segmenter(), classifier=near)  # type: ignore[arg-type]
    assert plain.headline == told.headline
    assert plain.regions[0].ood is not None
    assert "out-of-distribution" not in codes(plain)


def test_slices_that_contradict_the_outlines_are_said_to_in_the_details(trunk: Trunk) -> None:
    every, none = Caller(predicted=set(range(60))), np.zeros(SHAPE, dtype=bool)
    segmenter = trunk.segmenter(lesion=none)
    found = answer(trunk.volume, OPTIONS, segmenter=segmenter, classifier=every)  # type: ignore[arg-type]
    assert found.headline == "No bone lesion of 40 mm3 or more detected."
    notice = next(one for one in found.notices if one.code == "slices-contradict-outlines")
    assert notice.level == "warning"
    shown = len(found.detail_as(LesionReading).scores[0].slices)
    assert f"contradict each other: the classifier suspects {shown} of {shown} slices, the outlines 0" in notice.text


def test_lesions_too_small_for_the_list_are_not_said_to_be_none(trunk: Trunk) -> None:
    tiny = np.zeros(SHAPE, dtype=np.bool_)
    tiny[24, 98:100, 103:105] = True  # 36.8 mm3
    found = answer(trunk.volume, OPTIONS, segmenter=trunk.segmenter(lesion=tiny))
    assert found.headline == "No bone lesion of 40 mm3 or more detected; 1 smaller one is not listed."
    assert found.detail_as(LesionReading).not_listed == 1
    assert next(one.text for one in found.notices if one.code == "small-lesions").endswith("one was outlined.")


def test_the_card_decides_thresholds_and_a_missing_classifier_is_reported(
    trunk: Trunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = (MapOutput("lesion", 0.35, "best Dice on validation", least_mm3=450.0), MapOutput("bone", 0.6))
    segmenter = trunk.segmenter()
    segmenter.card = segmenter_card(maps)

    def find(name: str) -> object:
        if name == ct_metastasis.DEFAULT_SEGMENTER:
            return segmenter.card
        raise UnknownLabelError(f"no model {name!r}")

    monkeypatch.setattr(ct_metastasis, "find_card", find)
    monkeypatch.setattr(Predictor, "load", lambda *_, **__: segmenter)
    found = answer(trunk.volume, Options(demo_on_patient=True))
    lesions = found.configuration["lesions"]
    assert isinstance(lesions, dict)
    assert (lesions["threshold"], lesions["bone_threshold"], lesions["min_volume_mm3"]) == (0.35, 0.6, 450.0)
    assert found.configuration["threshold_source"] == "best Dice on validation"
    assert "no-slice-classifier" in codes(found)


def test_a_model_without_the_maps_is_refused(trunk: Trunk) -> None:
    segmenter = trunk.segmenter()
    segmenter.truth["tumour"] = segmenter.truth.pop("lesion")
    with pytest.raises(WeightsError, match=r"no map 'lesion' \(it gives bone, tumour\)"):
        answer(trunk.volume, OPTIONS, segmenter=segmenter)


def test_the_legs_stay_the_default_and_name_this_system_where_they_refuse(trunk: Trunk) -> None:
    legs = best_system(Header(kind="volume", modality="CT"))
    assert legs.stem == "ct_osteosarcoma"
    with pytest.raises(NotThisTaskError, match="--task ct_metastasis"):
        legs.read(trunk.volume, legs.options(), lambda *_: None)
