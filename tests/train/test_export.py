"""From a run to a model that reads: what is shipped is what was measured."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from osteon.data import ImageRow, Manifest, Predictions
from osteon.data.options import silent
from osteon.errors import InputError, UnknownLabelError
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.classification import choose_points
from osteon.ops.runs import smooth_scores
from osteon.predict.predictor import Predictor, grey_crops
from osteon.systems.ct_osteosarcoma.recipe import RECIPE
from osteon.train.export.card import OPEN, CardText, ExportOptions, claim_document, claim_markdown, complete_text
from osteon.train.export.classes import ClassMember, class_member
from osteon.train.export.results import ReadScores, choose_point, point_warnings, read_scores, validation_points
from osteon.train.export.results import test_results as results_of_test
from osteon.train.export.run import CLAIM_NAME, export_run
from osteon.train.objectives.classify import CLASSIFY
from osteon.train.run import RunData, open_run
from osteon.weights import ModelCard, read_card, read_limits, verify_card

FEW = Resampling(repeats=50)


@pytest.fixture(scope="module")
def data(toy_run: tuple[Path, Path]) -> RunData:
    return open_run(*toy_run)


@pytest.fixture(scope="module")
def card(data: RunData, tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    out = tmp_path_factory.mktemp("models") / "mine"
    return export_run(data, out, RECIPE, options=ExportOptions(resampling=FEW, golden="images"))


def test_the_model_is_whole_and_reproduces_itself(card: ModelCard) -> None:
    assert card.folder.name == "mine"
    assert card.name == "densenet_small.mine"
    assert len(card.members) == 2
    assert len(card.classes.temperatures) == 2
    assert (card.image.rows, card.image.columns) == (32, 32)
    assert verify_card(card) < 1e-4
    assert read_card(card.folder) == card


def test_results_are_those_of_the_shipped_weights(card: ModelCard, data: RunData) -> None:
    """The model is loaded as a reader loads it and evaluated by scikit-learn on the test part."""
    rows = data.split.rows(data.manifest, 0).test
    crops = CLASSIFY.load(data.manifest, data.run.settings, None).crops(rows)
    probability = Predictor.load(card, device="cpu", runtime="torch").scores(crops).positive
    truth = data.manifest.truth("tumour")[rows]
    found = {entry.metric: entry for entry in card.results}
    auc = found["ROC AUC, images"]
    assert auc.value == pytest.approx(roc_auc_score(truth, probability), abs=1e-6)
    assert (auc.patients, auc.images) == (2, len(rows))
    assert found["Brier score, images"].value == pytest.approx(np.mean((probability - truth) ** 2), abs=1e-5)
    assert card.operating_point is not None
    threshold = card.operating_point.threshold
    sensitivity = found[f"sensitivity, images, >= {threshold:.4g}"]
    assert sensitivity.value == pytest.approx(np.mean(probability[truth] >= threshold))


def test_the_card_says_how_it_came_about(card: ModelCard, data: RunData) -> None:
    training = card.training.details
    assert card.training.split_sha256 == data.split_sha256
    assert training["settings"]["architecture"] == "densenet_small"
    assert [entry["fold"] for entry in training["members"]] == [0, 1]
    assert training["members"][0]["patients"]["test"] == 2
    assert {entry["name"] for entry in training["operating_points"]} == {
        "youden",
        "sensitivity_0.95",
        "specificity_0.95",
    }
    assert card.operating_point is not None
    youden = next(entry for entry in training["operating_points"] if entry["name"] == "youden")
    assert card.operating_point.threshold == pytest.approx(youden["threshold"])  # from validation, unless asked
    assert "validation" in card.operating_point.source
    assert training["warnings"] == list(data.split.warnings)
    assert not card.is_demo  # the toy manifest has no column "synthetic"
    assert "LicenseRef" in card.licence


def test_it_knows_its_limits(card: ModelCard) -> None:
    limits = read_limits(card)
    assert limits is not None
    assert len(limits.spaces) == 2
    assert limits.known.validation_patients == 10


def test_claim_items_are_filled_or_open(card: ModelCard) -> None:
    assert card.claim_2024 is not None
    items = card.claim_2024.items
    assert [item.number for item in items] == list(range(1, 45))
    answers = {item.number: item for item in items}
    assert answers[44].status == "open"
    assert answers[27].answer.startswith("mean of the calibrated probabilities of 2 networks")
    page = (card.folder / CLAIM_NAME).read_text(encoding="utf-8")
    assert "10.1148/ryai.240300" in page
    assert page.count(OPEN) == sum(item.status == "open" for item in items)


def test_an_answer_without_an_item_is_a_fault() -> None:
    with pytest.raises(KeyError):
        claim_document({"weather": "fine"})
    assert "| 44 |" in claim_markdown("a.b", claim_document({}))


def test_one_fold_with_a_point_from_validation(data: RunData, tmp_path: Path) -> None:
    options = ExportOptions(
        name="densenet_small.one", folds=(1,), operating_point="youden", trust=False, resampling=FEW
    )
    one = export_run(data, tmp_path / "x", RECIPE, options=options)
    assert one.name == "densenet_small.one"
    assert len(one.members) == 1
    assert one.out_of_distribution is None
    point = one.operating_point
    assert point is not None
    assert point.gaussian_sigma_slices == 0  # the toy images name no slices
    table = data.run.folds[1].predictions
    assert table is not None
    validation = table.of(part="validation")
    # the threshold is one that the shipped, rounded weights gave to a validation image
    assert np.abs(validation.probability - point.threshold).min() < 0.02
    assert "synthetic" in one.golden.description


def test_a_model_is_replaced_but_nothing_else(data: RunData, tmp_path: Path) -> None:
    options = ExportOptions(folds=(0,), trust=False, resampling=FEW, threshold=0.4)
    export_run(data, tmp_path / "m", RECIPE, options=options)
    assert export_run(data, tmp_path / "m", RECIPE, options=options).operating_point.threshold == 0.4  # type: ignore[union-attr]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="other things"):
        export_run(data, tmp_path / "notes", RECIPE, options=options)
    assert (tmp_path / "notes" / "a.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("Our CT of 2024.", "Trained on synthetic images only. It has never seen a patient. Our CT of 2024."),
        ("Synthetic phantoms, four centres.", "Synthetic phantoms, four centres."),
        ("", "Trained on synthetic images only. It has never seen a patient."),
    ],
)
def test_that_images_are_synthetic_cannot_be_worded_away(data: RunData, given: str, said: str) -> None:
    words = CardText(statement=given)
    assert complete_text(words, data.manifest, is_demo=True, elsewhere="x").statement == said
    assert given in complete_text(words, data.manifest, is_demo=False, elsewhere="x").statement


@pytest.mark.parametrize(
    ("threshold", "said"), [(1.0, "no image of the validation parts"), (0.0, "every image of the validation parts")]
)
def test_a_threshold_that_predicts_all_alike_is_warned_of(
    data: RunData, tmp_path: Path, threshold: float, said: str
) -> None:
    options = ExportOptions(folds=(0,), trust=False, resampling=FEW, threshold=threshold)
    warnings = export_run(data, tmp_path / "m", RECIPE, options=options).training.details["warnings"]
    assert said in warnings[-1]
    assert "--threshold" in warnings[-1]


def test_without_a_wish_the_point_is_youdens_or_one_half_where_it_has_none() -> None:
    truth, useless = np.array([True, False] * 3), np.full(6, 0.7)
    for score in (np.array([0.3, 0.1, 0.25, 0.2, 0.28, 0.05]), useless):
        scores = ReadScores(np.arange(6), score, is_smoothed=False)
        point = choose_point(choose_points(truth, score), scores, wanted="", threshold=None)
        if score is useless:
            assert point.threshold == 0.5
            assert "predicting all images the same" in point.source
            assert "every image" in point_warnings(point, scores)[0]
        else:
            assert point.threshold == 0.25  # every score is below one half: 0.95 would find nothing
            assert point_warnings(point, scores) == ()
            paper = choose_point(choose_points(truth, score), scores, wanted="paper", threshold=None)
            assert "no image" in point_warnings(paper, scores)[0]


def test_wrong_wishes_are_refused(data: RunData, tmp_path: Path) -> None:
    for options, message in (
        (ExportOptions(name="resnet18.mine"), "densenet_small.TAG"),
        (ExportOptions(folds=(7,)), "folds 0 to 1"),
        (ExportOptions(threshold=1.5, folds=(0,)), "between 0 and 1"),
        (ExportOptions(golden="both", folds=(0,), trust=False, resampling=FEW), "auto, images or pattern"),
    ):
        with pytest.raises(InputError, match=message):
            export_run(data, tmp_path / "x", RECIPE, options=options)
    with pytest.raises(UnknownLabelError, match="youden"):
        export_run(data, tmp_path / "x", RECIPE, options=ExportOptions(operating_point="yuden", folds=(0,)))
    assert not (tmp_path / "x").exists()


def test_other_data_is_refused(toy_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, dataset = toy_run
    changed = tmp_path / "changed"
    changed.mkdir()
    text = (dataset / "manifest.csv").read_text().replace("tumour", "healthy", 1)
    (changed / "manifest.csv").write_text(text)
    with pytest.raises(InputError, match=r"no splits\.json"):
        open_run(run, changed)
    split = json.loads((dataset / "splits.json").read_text())
    split["manifest_sha256"] = ""
    (changed / "splits.json").write_text(json.dumps(split))
    with pytest.raises(InputError, match="other patients, labels or folds"):
        open_run(run, changed)


def _slices(numbers: list[int]) -> Manifest:
    rows = tuple(
        ImageRow(image=f"{n}.png", patient="p", label="x", plane="axial", extra={"slice": str(n), "leg": "left"})
        for n in numbers
    )
    return Manifest(Path(), rows)


def test_slices_are_smoothed_as_at_reading() -> None:
    manifest = _slices([12, 10, 11, 13, 20, 21])
    images = manifest.column("image")
    probability = np.array([0.9, 0.1, 0.8, 0.7, 1.0, 0.0])
    found = read_scores(manifest, images, np.zeros(6, dtype=np.int64), probability)
    first = smooth_scores([0.1, 0.8, 0.9, 0.7])
    second = smooth_scores([1.0, 0.0])
    assert found.is_smoothed
    assert found.score == pytest.approx([first[2], first[0], first[1], first[3], *second])


def test_each_fifth_slice_is_not_smoothed() -> None:
    manifest = _slices([5, 10, 15])
    found = read_scores(manifest, manifest.column("image"), np.zeros(3, dtype=np.int64), np.array([0.1, 0.9, 0.3]))
    assert not found.is_smoothed
    assert found.score.tolist() == [0.1, 0.9, 0.3]


def _leg_tables() -> tuple[Manifest, Predictions]:
    """Six patients with two legs of 12 slices; the right legs of the first three have tumour in slices 4 to 7."""
    generator = np.random.default_rng(3)
    rows, truth, margin = [], [], []
    for patient in range(6):
        for leg in ("left", "right"):
            for number in range(12):
                sick = patient < 3 and leg == "right" and 4 <= number < 8
                name = f"{patient}-{leg}-{number}.png"
                extra = {"slice": str(number), "leg": leg}
                label = "tumour" if sick else "healthy"
                rows.append(ImageRow(image=name, patient=f"p{patient}", label=label, plane="axial", extra=extra))
                truth.append(int(sick))
                margin.append(generator.normal(3 if sick else -3, 2))
    count = len(rows)
    manifest = Manifest(Path(), tuple(rows))
    logits = np.column_stack([np.zeros(count), margin]).astype(np.float32)
    tables = [
        Predictions(
            image=manifest.column("image"),
            patient=manifest.column("patient"),
            series=manifest.column("series"),
            truth=np.array(truth),
            logits=logits,
            fold=np.zeros(count, dtype=np.int64),
            part=np.full(count, part),
            temperature=np.ones(count),
            classes=("healthy", "tumour"),
            positive="tumour",
        )
        for part in ("validation", "test")
    ]
    return manifest, Predictions.joined(tables)


def test_results_of_legs_at_the_point_of_legs() -> None:
    manifest, table = _leg_tables()
    points, scores = validation_points(manifest, [table])
    point = choose_point(points, scores, wanted="legs", threshold=None)
    smoothed = [smooth_scores(leg) for leg in table.of(part="test").probability.reshape(12, 12)]
    sick = [patient < 3 and leg == 1 for patient in range(6) for leg in range(2)]
    highest = np.array([line[4:8].max() if ill else line.max() for line, ill in zip(smoothed, sick, strict=True)])
    assert "share of other legs left alone" in point.source
    entries = results_of_test(manifest, [table], scheme="holdout", point=point, resampling=FEW, is_synthetic=True)
    found = {entry.metric.split(" (")[0].split(",")[0]: entry for entry in entries}
    assert found["legs with tumour found"].value == np.mean(highest[sick] >= point.threshold)
    predicted = [set(np.flatnonzero(line >= point.threshold).tolist()) for line in smoothed]
    dice = [2 * len(line & {4, 5, 6, 7}) / (len(line) + 4) for line, ill in zip(predicted, sick, strict=True) if ill]
    assert found["Dice of predicted and tumour slices"].value == pytest.approx(np.mean(dice), abs=1e-6)
    assert found["legs with tumour found"].images == 144


def test_shares_that_training_changed_are_told_to_the_network(data: RunData) -> None:
    fold = data.run.folds[0]
    rows = data.split.rows(data.manifest, 0)
    share = data.manifest.truth("tumour")[rows.train].mean()
    pixels = CLASSIFY.load(data.manifest, data.run.settings, None)

    def load(**changes: object) -> ClassMember:
        run = dataclasses.replace(data.run, settings=dataclasses.replace(data.run.settings, **changes))
        one = dataclasses.replace(data, run=run)
        inputs = grey_crops(data.run.settings.image_size)
        return class_member(one, fold, pixels, inputs=inputs, device="cpu", half=False, bank=0, progress=silent)

    plain = load(images_per_epoch=None, class_weights="none")
    assert not any(plain.offsets)
    for changes in ({"images_per_epoch": 8}, {"images_per_epoch": None, "class_weights": "balanced"}):
        told = load(**changes)
        shift = np.log(share / (1 - share))
        positive = data.run.classes.index("tumour")
        assert told.offsets[positive] - told.offsets[1 - positive] == pytest.approx(shift)
        np.testing.assert_allclose(
            told.predictions.logits - plain.predictions.logits, [told.offsets] * len(told.predictions), atol=1e-5
        )


def test_a_point_of_legs_needs_slices(data: RunData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs axial slices"):
        options = ExportOptions(operating_point="legs", trust=False, resampling=FEW)
        export_run(data, tmp_path / "x", RECIPE, options=options)
    with pytest.raises(InputError, match="reference images"):
        export_run(data, tmp_path / "x", RECIPE, options=ExportOptions(references=3))
