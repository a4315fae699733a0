"""What is said of a marked lesion on MR, with a small network whose answer the test decides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import nibabel as nib
import numpy as np
import pytest

from osteon.data import Answer, SliceReading, SliceScores, Volume
from osteon.data.phantom_mark import mark_grey
from osteon.data.system import Header
from osteon.errors import GeometryMismatchError, InputError, NotThisTaskError, UnknownLabelError, WeightsError
from osteon.geometry import Box, Grid
from osteon.ops.mr_region import PlaneBox, lesion_crop, lesion_in_box, normalise
from osteon.predict.predictor import Predictor
from osteon.systems.mri_femur.options import Options
from osteon.systems.mri_femur.read import DEFAULT_MODEL, answer, mark_lesion, region_options
from osteon.systems.mri_femur.text import headline
from osteon.systems.registry import best_system, system
from osteon.weights import ModelCard, find_card
from tests.cards import plain_card
from tests.femur_card import SIZE, femur_card

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = Grid.from_axes(shape=(3, 80, 96), spacing_mm=(4.0, 0.5, 0.5))
BOX = (28, 38, 52, 62)


def knee(*, modality: str = "MR", is_in_mm: bool = True) -> Volume:
    """Three slices; on the second a bright disk of radius 10 pixels, on the third one of radius 6."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:80, 0:96]
    array = rng.normal(200, 12, GRID.shape)
    for index, radius in ((1, 10), (2, 6)):
        array[index][(y - 40) ** 2 + (x - 50) ** 2 <= radius**2] += 300
    return Volume(np.rint(array).astype(np.int16), GRID if is_in_mm else replace(GRID, unit="pixel"), modality)


def phantom() -> Volume:
    """The same with the mark of a phantom."""
    made = knee()
    mark_grey(made.array)
    return made


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return femur_card(tmp_path_factory.mktemp("models"), limit=1e6)


@pytest.fixture(scope="module")
def classifier(card: ModelCard) -> Predictor:
    return Predictor.load(card, device="cpu", runtime="torch")


def evaluated(volume: Volume, classifier: Predictor, **options: Any) -> Any:  # noqa: ANN401 - fields of an answer
    chosen = replace(Options(box=BOX, slice_number=2), **options)
    return answer(volume, chosen, classifier=classifier)


def score(said: Answer) -> SliceScores:
    return said.detail_as(SliceReading).scores[0]


def test_the_answer_by_hand(classifier: Predictor) -> None:
    volume = knee()
    said = evaluated(volume, classifier)
    image = normalise(volume.array[1])
    options = region_options(classifier.card, size=SIZE)
    assert (options.margin_px, options.size, options.opening_px) == (12, SIZE, 2)
    region = lesion_in_box(image, PlaneBox(*BOX), options=options)
    found = classifier.scores(lesion_crop(image, region, options=options)[None])
    (scores,) = said.detail_as(SliceReading).scores
    probability = float(found.positive[0])
    assert scores.probability.tolist() == [pytest.approx(probability, abs=1e-6)]
    assert scores.slices.tolist() == [1]
    assert scores.threshold == 0.4
    assert scores.runs == (((1, 2),) if probability >= 0.4 else ())
    assert scores.spread is not None
    assert scores.sets[0] in {"benign", "malignant", "either", "neither"}
    (finding,) = said.findings
    assert finding.probability == pytest.approx(probability, abs=1e-6)
    # a disk of radius 10 pixels is 21 pixels of 0.5 mm across, and the box is its own
    assert finding.box == Box((1, 30, 40), (2, 51, 61))
    sizes = {m.concept.value: m.value for m in finding.measurements}
    assert sizes["103339001"] == pytest.approx(10.5, abs=0.3)
    assert sizes["42798000"] == pytest.approx(np.pi * 5.25**2, rel=0.1)
    assert said.regions[0].box == Box((1, 18, 28), (2, 63, 73))
    assert said.regions[0].present.tolist() == [False, True, False]
    (mask,) = said.masks.values()
    assert not mask.is_drawn
    assert mask.array[[0, 2]].sum() == 0
    assert np.array_equal(mask.array[1] > 0, region.mask)
    assert finding.segment == ("lesion", 1)
    assert finding.tracking_uid == mask.labels[0].tracking_uid  # of an image without a series, too
    predicted = "malignant" if probability >= 0.4 else "benign"
    assert f"Lesion on slice 2: predicted {predicted} (probability of malignant {probability:.2f}, threshold 0.40)" in (
        said.headline
    )
    (heat,) = said.detail_as(SliceReading).heat_maps
    assert heat.crop.shape == heat.heat.shape == (SIZE, SIZE)
    assert heat.extent_mm == (22.5, 22.5)
    assert heat.members == 2
    assert said.configuration["drawn_box"] == "28,38,52,62"
    assert {notice.code for notice in said.notices} == {"outlined"}


def test_a_threshold_is_the_persons_if_there_is_one(classifier: Predictor) -> None:
    low, high = (evaluated(knee(), classifier, threshold=value) for value in (0.0, 1.0))
    assert "predicted malignant" in low.headline
    assert "predicted benign" in high.headline
    assert score(low).runs == ((1, 2),)
    assert low.configuration["threshold_source"] == "chosen for this reading"


def test_a_mask_is_taken_as_drawn(classifier: Predictor, tmp_path: Path) -> None:
    volume = knee()
    drawn = np.zeros(GRID.shape, np.uint8)
    drawn[0, 60:64, 60:64] = 1
    drawn[1, 31:50, 41:60] = 1
    drawn[1, 5, 5] = 1  # a speck beside it
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ GRID.affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(drawn.transpose(2, 1, 0), affine), tmp_path / "mask.nii.gz")
    said = evaluated(volume, classifier, box=None, slice_number=None, mask=tmp_path / "mask.nii.gz")
    assert said.findings[0].box == Box((1, 31, 41), (2, 50, 60))
    assert said.masks["lesion"].is_drawn
    assert said.masks["lesion"].array.sum() == 19 * 19
    sizes = {m.concept.value: m.value for m in said.findings[0].measurements}
    assert sizes["42798000"] == pytest.approx(19 * 19 / 4)
    assert [notice.code for notice in said.notices] == ["slice-chosen", "largest-part"]
    assert cv2.imwrite(str(tmp_path / "mask.png"), drawn[1] * 255)
    flat = evaluated(volume, classifier, box=None, slice_number=2, mask=tmp_path / "mask.png")
    assert np.array_equal(flat.masks["lesion"].array, said.masks["lesion"].array)
    assert score(flat).probability == score(said).probability


def test_what_is_unlike_training_is_withheld(tmp_path: Path) -> None:
    strict = Predictor.load(femur_card(tmp_path, limit=1e-3), device="cpu", runtime="torch")
    said = evaluated(knee(), strict, threshold=0.0)
    assert said.regions[0].ood.is_ood
    assert said.findings[0].probability is None
    assert (score(said).runs, score(said).withheld_runs) == (
        (),
        ((1, 2),),
    )
    assert "is outside the model's training range" in said.headline
    assert said.headline.startswith("No assessment of benign or malignant: the lesion on slice 2 is")
    assert "predicted" not in said.headline
    assert "out-of-distribution" in {notice.code for notice in said.notices}
    assert said.findings[0].measurements  # the size is measured without the model
    asked = evaluated(knee(), strict, threshold=0.0, report_ood=True)
    assert asked.findings[0].probability is not None
    assert asked.headline.startswith("Lesion on slice 2: predicted malignant")
    assert "reported because that was asked for" in asked.headline


def test_without_millimetres_no_length_is_given(classifier: Predictor) -> None:
    volume = knee(modality="", is_in_mm=False)
    said = evaluated(volume, classifier)
    assert said.findings[0].measurements == ()
    assert "21 x 21 pixels" in said.findings[0].statement
    assert "mm" not in said.findings[0].statement.replace("millimetres", "")
    assert {"modality-not-known", "outlined"} <= {notice.code for notice in said.notices}


def test_what_is_not_an_mri_is_read_by_force_only(classifier: Predictor) -> None:
    with pytest.raises(NotThisTaskError, match=r"asked for an MRI, but the images are CT\..*--force"):
        evaluated(knee(modality="CT"), classifier)
    (warning,) = [n for n in evaluated(knee(modality="CT"), classifier, force=True).notices if n.level == "warning"]
    assert warning.code == "check-failed-forced"
    air = knee(modality="")
    array = air.array.copy()
    array[:, :30] = -1000
    array[:, 30:] = np.where(array[:, 30:] > 400, 700, 40) + array[:, 30:] // 10
    with pytest.raises(NotThisTaskError, match=r"go from -1000 to 7.., as those of a CT in Hounsfield units"):
        evaluated(replace(air, array=array), classifier)


def test_an_outline_along_the_edge_of_its_box_gives_no_size(classifier: Predictor) -> None:
    whole = evaluated(knee(), classifier)
    assert len(whole.findings[0].measurements) == 2
    cut = evaluated(knee(), classifier, box=(40, 30, 60, 60))
    assert "Its outline is not reliable: it was not measured." in cut.findings[0].statement
    assert cut.findings[0].measurements == ()
    (told,) = [n for n in cut.notices if n.code == "outline-not-reliable"]
    assert "runs along its edge" in told.text
    with pytest.raises(InputError, match=r"2 x 2 pixels: nothing can be outlined"):
        evaluated(knee(), classifier, box=(40, 50, 42, 52))


def test_a_lesion_that_cannot_be_outlined_is_still_judged(classifier: Predictor) -> None:
    volume = knee()
    array = volume.array.copy()
    array[1] = 200
    array[1, 28:52, 38:62:2] = 500  # lines: the opening leaves nothing of them
    said = evaluated(replace(volume, array=array), classifier)
    assert said.masks == {}
    assert said.findings[0].segment is None
    assert said.findings[0].box == Box((1, 28, 38), (2, 52, 62))
    assert "no-outline" in {notice.code for notice in said.notices}


def test_a_single_slice_needs_no_number(classifier: Predictor) -> None:
    volume = knee()
    one = Volume(volume.array[1:2], volume.grid.crop((1, 0, 0), (2, 80, 96)), "MR")
    said = evaluated(one, classifier, slice_number=None)
    assert "Lesion: predicted" in said.headline
    assert score(evaluated(volume, classifier)).probability == score(said).probability


def nifti_mask(path: Path, array: NDArray[np.uint8], grid: Grid = GRID) -> Path:
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    nib.save(nib.Nifti1Image(array.transpose(2, 1, 0), affine), path)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, r"there is no lesion box.*--box R0,C0,R1,C1.*--slice N \(1 to 3\).*--mask FILE.*80 rows and 96 columns"),
        ({"box": BOX, "mask": Path("mask.png")}, "both given"),
        ({"box": BOX}, r"is on one slice, the series has 3: say which with --slice N \(1 to 3\)"),
        ({"box": BOX, "slice_number": 4}, "--slice 4 was asked for; the series has 3 slices, counted from 1"),
        ({"box": BOX, "slice_number": 0}, "--slice 0 was asked for"),
        ({"box": (52, 38, 28, 62), "slice_number": 1}, "is empty"),
        ({"box": (28, 38, 28, 62), "slice_number": 1}, "is empty"),
        ({"box": (28, 38, 81, 62), "slice_number": 1}, "outside the image of 80 rows and 96 columns"),
        ({"box": (-1, 38, 52, 62), "slice_number": 1}, "outside the image"),
        ({"mask": Path("nothing.png"), "slice_number": 1}, "the mask nothing.png cannot be read"),
    ],
)
def test_marks_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mark_lesion(knee(), Options(**options))


def test_masks_that_cannot_be_are_refused(tmp_path: Path) -> None:
    def refused(
        words: str, *, volume: Volume | None = None, kind: type[InputError] = InputError, **options: object
    ) -> None:
        with pytest.raises(kind, match=words):
            mark_lesion(volume or knee(), Options(**cast("dict[str, Any]", options)))

    small = tmp_path / "small.png"
    assert cv2.imwrite(str(small), np.full((40, 48), 255, np.uint8))
    refused("has 40 x 48 pixels, its image has 80 x 96", mask=small, slice_number=1)
    black = tmp_path / "black.png"
    assert cv2.imwrite(str(black), np.zeros((80, 96), np.uint8))
    refused("marks no lesion", mask=black, slice_number=1)
    refused(r"a mask that is a picture is on one slice", mask=black)
    colour = tmp_path / "colour.png"
    assert cv2.imwrite(str(colour), np.dstack([np.zeros((80, 96), np.uint8)] * 2 + [np.full((80, 96), 255, np.uint8)]))
    refused("is coloured", mask=colour, slice_number=1)
    empty = nifti_mask(tmp_path / "empty.nii.gz", np.zeros(GRID.shape, np.uint8))
    refused("marks no lesion: every voxel", mask=empty)
    one = np.zeros(GRID.shape, np.uint8)
    one[1, 30:40, 30:40] = 1
    third = nifti_mask(tmp_path / "third.nii.gz", one)
    refused("marks nothing on slice 3; it marks slices 2 to 2", mask=third, slice_number=3)
    refused("give the mask as a PNG of 80 x 96 pixels", volume=knee(is_in_mm=False), mask=third)
    other = nifti_mask(
        tmp_path / "other.nii.gz", one[:, ::2, ::2].copy(), Grid.from_axes(shape=(3, 40, 48), spacing_mm=(4, 1, 1))
    )
    refused("the mask other.nii.gz and its image must be on one grid", kind=GeometryMismatchError, mask=other)
    labels = nifti_mask(tmp_path / "labels.nii.gz", (one * 7).astype(np.uint8))
    refused("holds the values 0, 7: a mask holds 0 and 1.*Write a mask of each", mask=labels)


def test_models_of_other_tasks_are_refused(card: ModelCard) -> None:
    options = Options(box=BOX, slice_number=2, model="mobilenet_v2.phantom")
    with pytest.raises(
        WeightsError, match=r"tells benign from malignant, but mobilenet_v2\.phantom is of task ct_osteo"
    ):
        answer(knee(), options)
    with pytest.raises(UnknownLabelError, match="mri_femur needs a model of its task"):
        answer(knee(), replace(options, model="nobody.knows"))
    other = plain_card()
    with pytest.raises(WeightsError, match=r"takes crops of osteon\.ops\.crops\.leg_crops"):
        region_options(other, size=SIZE)


def test_the_mark_is_asked_for_before_any_model_is_loaded() -> None:
    with pytest.raises(InputError, match="there is no lesion box"):
        answer(knee(), Options(model="nobody.knows"))


def test_the_folder_of_a_card_is_enough(card: ModelCard) -> None:
    steps: list[str] = []
    said = answer(
        phantom(),
        Options(box=BOX, slice_number=2, model=str(card.folder), device="cpu"),
        lambda step, done, total: steps.append(step),
    )
    assert said.task == "mri_femur"
    assert "heat map" in steps
    assert said.models[0].members == 2


@pytest.mark.parametrize(("logit", "words"), [(9.0, "malignant > 0.99"), (-9.0, "malignant < 0.01")])
def test_no_probability_is_rounded_to_certainty(classifier: Predictor, logit: float, words: str) -> None:
    said = evaluated(knee(), classifier)
    value = np.array([1 / (1 + np.exp(-logit))], np.float32)
    sure = replace(score(said), probability=value, smoothed=value)
    assert words in headline(sure, knee(), ood=None, is_withheld=False)


def test_the_shipped_model_takes_the_crops_of_this_task() -> None:
    card = find_card(DEFAULT_MODEL)
    assert (card.task, card.classes.positive, card.is_demo) == ("mri_femur", "malignant", True)
    options = region_options(card, size=card.image.rows)
    assert (options.size, options.margin_px, options.masked) == (224, 20, False)
    steps: list[str] = []
    said = answer(phantom(), Options(box=BOX, slice_number=2, device="cpu"), lambda step, *_: steps.append(step))
    assert said.models[0].name == DEFAULT_MODEL
    assert said.regions[0].ood is not None
    assert len(said.detail_as(SliceReading).heat_maps) == 1


def test_a_demo_model_says_nothing_of_a_patient(card: ModelCard) -> None:
    chosen = Options(box=BOX, slice_number=2, model=str(card.folder), device="cpu")
    said = answer(knee(), chosen)
    assert said.headline.startswith(
        "No assessment: only a demo model is installed. A lesion was marked on slice 2. It measures"
    )
    assert (said.status, said.models, said.classes, said.is_demo) == ("not_assessed", (), None, False)
    assert said.detail_as(SliceReading).scores == ()
    assert said.findings[0].probability is None
    assert said.masks["lesion"].array.any()
    assert "demo-model-silent" in {each.code for each in said.notices}
    asked = answer(knee(), replace(chosen, demo_on_patient=True))
    assert asked.is_demo
    assert asked.classes is not None


def test_mr_is_routed_here() -> None:
    assert best_system(Header(kind="volume", modality="MR")) is system("mri_femur")
    with pytest.raises(InputError, match="no system reads images without a modality"):
        best_system(Header(kind="picture"))  # only a person knows what it shows
