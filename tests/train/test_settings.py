"""Settings are whole, checked and distinguished."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from osteon.errors import InputError, OsteonError, UnknownLabelError
from osteon.io.settings_file import parse_assignments, read_settings_file
from osteon.systems.histology.recipe import RECIPE as TILES
from osteon.train.objectives import settings_of
from osteon.train.settings import CONFIGURATIONS, ClassifySettings
from tests.train.quick import femur, legs, segmenter, slices


def test_the_defaults_are_those_of_the_paper() -> None:
    settings = legs()
    assert (settings.batch, settings.image_size, settings.epochs, settings.patience) == (16, 256, 75, 5)
    assert (settings.learning_rate, settings.final_rate, settings.cosine_epochs) == (1e-5, 1e-6, 50)
    assert settings.pretrained == "embedded"


def test_scratch_is_short_and_knows_nothing() -> None:
    settings = legs(strategy="scratch", architecture="densenet121")
    assert (settings.epochs, settings.pretrained) == (15, "none")
    assert settings.weights_source is None


def test_weights_are_a_word_or_a_file() -> None:
    assert legs().weights_source == "embedded"
    assert legs(pretrained="hub").weights_source == "hub"
    assert legs(pretrained="a/b.safetensors").weights_source == Path("a/b.safetensors")


def test_loss_augmentation_and_curation_follow_from_the_configuration() -> None:
    found = {
        name: (settings.loss, settings.augments, settings.curates)
        for name in CONFIGURATIONS
        for settings in [legs(configuration=name)]
    }
    assert found == {
        "C": ("cross_entropy", False, False),
        "F": ("focal", False, False),
        "CA": ("cross_entropy", True, False),
        "CE": ("cross_entropy", False, True),
        "CAE": ("cross_entropy", True, True),
        "FAE": ("focal", True, True),
    }


def test_a_document_comes_back() -> None:
    settings = legs(strategy="g-lf", seed=7, images_per_epoch=40, precision="bf16-mixed")
    assert ClassifySettings.of(settings.document()) == settings


@pytest.mark.parametrize(
    ("architecture", "schedule", "epochs"),
    [("resnext50", "steps", 60), ("vit_tiny", "warm_steps", 80), ("vit_tiny_resnext50", "steps", 60)],
)
def test_slices_are_trained_as_in_the_thesis(architecture: str, schedule: str, epochs: int) -> None:
    settings = slices(architecture=architecture, pretrained="hub")
    assert (settings.positive, settings.image_size, settings.batch) == ("metastasis", 224, 8)
    assert (settings.loss, settings.focal_gamma, settings.augments, settings.curates) == ("focal", 2.0, True, False)
    assert (settings.augmentation, settings.optimiser) == ("rotation_flips", "adam")
    assert (settings.schedule, settings.epochs, settings.learning_rate) == (schedule, epochs, 0.01)
    assert not settings.stretch
    assert ClassifySettings.of(settings.document()) == settings
    assert set(settings.document()) == {"objective", *(entry.name for entry in dataclasses.fields(settings))}


def test_the_femur_is_trained_as_in_its_paper() -> None:
    settings = femur(architecture="alexnet_femur")
    assert (settings.positive, settings.image_size, settings.batch) == ("malignant", 224, 32)
    assert (settings.strategy, settings.pretrained, settings.schedule) == ("scratch", "none", "constant")
    assert (settings.optimiser, settings.learning_rate, settings.epochs, settings.patience) == ("sgd", 0.01, 100, 15)
    assert (settings.loss, settings.augments, settings.augmentation) == ("cross_entropy", True, "femur")
    assert not settings.stretch
    assert ClassifySettings.of(settings.document()) == settings


def test_for_the_femur_shipped_weights_are_fine_tuned_gently() -> None:
    tuned = femur()
    assert (tuned.architecture, tuned.strategy, tuned.pretrained) == ("mobilenet_v2", "ft", "embedded")
    assert (tuned.schedule, tuned.optimiser, tuned.learning_rate, tuned.patience) == ("cosine", "adam", 1e-4, 5)
    random = femur(strategy="scratch")
    assert (random.schedule, random.optimiser, random.learning_rate, random.pretrained) == (
        "constant",
        "sgd",
        0.01,
        "none",
    )


def test_what_is_asked_for_goes_before_what_follows() -> None:
    chosen = slices(architecture="vit_tiny", pretrained="none", epochs=6, batch=4)
    assert (chosen.schedule, chosen.epochs, chosen.batch) == ("warm_steps", 6, 4)
    constant = slices(architecture="vit_tiny", pretrained="none", schedule="cosine")
    assert (constant.epochs, constant.learning_rate) == (75, 1e-5)
    assert legs(strategy="", epochs=None) == legs()
    with pytest.raises(UnknownLabelError, match="not of ct_osteosarcoma"):
        legs(task="mri_femur")


def test_settings_are_checked_where_they_are_replaced() -> None:
    with pytest.raises(InputError, match=">= 1"):
        dataclasses.replace(legs(), batch=0)
    with pytest.raises(InputError, match="incomplete"):
        ClassifySettings.of({"task": "a"})


def test_settings_of_another_version_are_reported() -> None:
    assert settings_of(legs().document()) == legs()
    assert settings_of(segmenter().document()) == segmenter()
    with pytest.raises(InputError, match="another version"):
        settings_of({name: value for name, value in legs().document().items() if name != "objective"})


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"strategy": "lpft"}, "did you mean 'lp-ft'"),
        ({"architecture": "mobilnet_v2"}, "did you mean 'mobilenet_v2'"),
        ({"configuration": "CAF"}, "known: C, CA"),
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"precision": 16}, "precision 16 does not exist"),
        ({"batch": -1}, "batch is -1: expected `int` >= 1"),
        ({"batch": "many"}, "expected `int`, got `str`"),
        ({"batch": 2.5}, "expected `int`"),
        ({"seed": True}, "expected `int`"),
        ({"learning_rate": "nan"}, "> 0"),
        ({"learning_rate": 1e-7}, "rates only fall"),
        ({"plateau_factor": 1}, "< 1"),
        ({"strategy": "scratch", "pretrained": "hub"}, "random weights"),
        ({"architecture": "resnet18"}, "choose pretrained hub"),
        ({"devices": 3}, "shared evenly"),
        ({"images_per_epoch": 1}, ">= 2"),
        ({"positive": ["a"]}, "expected `str`"),
        ({"schedule": "step"}, "did you mean 'steps'"),
        ({"optimiser": "sdg"}, "did you mean 'sgd'"),
        ({"architecture": "inception_v3", "pretrained": "hub", "image_size": 64}, "needs at least 75"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(OsteonError, match=says):
        legs(**values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'strategy = "g-lf"\nlearning_rate = 1e-4\nprecision = 32\n'),
        ("a.yaml", "strategy: g-lf\nlearning_rate: 1e-4\nprecision: 32\n"),
        ("a.json", '{"strategy": "g-lf", "learning_rate": 1e-4, "precision": 32}'),
    ],
)
def test_a_file_says_what_the_values_are(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    settings = legs(**read_settings_file(tmp_path / name))
    assert (settings.strategy, settings.learning_rate, settings.precision) == ("g-lf", 1e-4, "32")


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "a ="), ("a.yaml", "a: [1"), ("a.yaml", "- 1"), ("a.toml", "[a]\nb=1"), ("a.txt", "")]
)
def test_a_file_that_is_not_a_table_is_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=name):
        read_settings_file(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.toml"):
        read_settings_file(tmp_path / "gone.toml")


def test_assignments_need_a_name_and_a_sign() -> None:
    assert parse_assignments(["pretrained=a=b"]) == {"pretrained": "a=b"}
    for text in ("batch", "=8"):
        with pytest.raises(InputError, match="name=value"):
            parse_assignments([text])


def test_none_is_said_with_a_word() -> None:
    assert legs(images_per_epoch="none").images_per_epoch is None
    with pytest.raises(UnknownLabelError):
        legs(device="none")


def test_the_defaults_of_segmenters_are_those_of_the_thesis() -> None:
    settings = segmenter()
    assert (settings.epochs, settings.batch, settings.rates) == (60, 8, (0.01, 0.005, 0.001))
    assert (settings.lesion_weight, settings.bone_weight, settings.loss, settings.dice_weight) == (0.7, 0.3, "bce", 0.0)
    assert settings.outputs == ("lesion", "bone")


def test_outputs_follow_from_the_architecture() -> None:
    assert segmenter(architecture="unet").outputs == ("lesion",)
    assert segmenter(architecture="unet_then_attunet").outputs == ("lesion", "bone")


def test_channels_follow_from_the_neighbours() -> None:
    assert [segmenter(neighbours=each).input_channels for each in (0, 1, 2)] == [1, 3, 5]
    assert segmenter(channels=3).input_channels == 3


def test_joining_the_validation_part_is_said_and_changes_what_is_kept_only_where_it_is_chosen() -> None:
    plain, joined = segmenter(selection="last"), segmenter(selection="last", joins_validation="yes")
    assert "joins_validation" not in plain.document()
    assert joined.decisive == plain.decisive | {"joins_validation": True}
    assert settings_of(joined.document()) == joined
    assert plain.warnings == legs().warnings == ()
    assert "learnt from its validation part" in joined.warnings[0]


def test_settings_come_back_from_text_and_from_json() -> None:
    settings = segmenter(rates="0.1,0.01", augments="no", batch="4", images_per_epoch="none", precision=32)
    assert (settings.rates, settings.augments, settings.batch, settings.images_per_epoch) == (
        (0.1, 0.01),
        False,
        4,
        None,
    )
    assert settings.precision == "32"
    assert settings_of(json.loads(json.dumps(settings.document()))) == settings
    assert dataclasses.replace(settings, rates=(0.5,)).rates == segmenter(rates=0.5).rates
    assert dataclasses.replace(settings, augments=True).augments


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image_size": 100}, "multiple of 16"),
        ({"crop": 100}, "multiple of 16"),
        ({"crop": 240}, "at most image_size"),
        ({"batch": 0}, ">= 1"),
        ({"epochs": 2.5}, "expected `int`"),
        ({"epochs": True}, "expected `int`"),
        ({"rates": "fast"}, "expected `float`"),
        ({"rates": []}, "length >= 1"),
        ({"rates": "0.1,-1"}, "> 0"),
        ({"rates": "0.1,inf"}, "a finite number"),
        ({"augments": "perhaps"}, "expected `bool`"),
        ({"threshold": 1.0}, "< 1"),
        ({"momentum": 1.0}, "< 1"),
        ({"lesion_weight": 0, "bone_weight": 0}, "nothing would be learnt"),
        ({"dice_weight": -1}, ">= 0"),
        ({"draw": "equal"}, "images_per_epoch"),
        ({"images_per_epoch": 1}, ">= 2"),
        ({"devices": 3}, "evenly"),
        ({"neighbours": 1, "channels": 3}, "each slice is one channel"),
        ({"neighbours": -1}, ">= 0"),
        ({"margin": 1.0}, "< 1"),
        ({"scaling": 0.2, "augments": False}, "leave one of them out"),
        ({"intensity": -0.1}, ">= 0"),
        ({"joins_validation": True}, "add selection=last"),
    ],
)
def test_what_no_segmenter_can_be_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        segmenter(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"architecture": "mobilenet_v2"},
        {"optimiser": "adamw"},
        {"channels": 2},
        {"loss": 1.5},
        {"task": "ct_osteosarcoma"},
        {"epoch": 3},
    ],
)
def test_names_that_do_not_exist_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UnknownLabelError):
        segmenter(**values)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.toml", 'strategy = "g-lf"\r\nlearning_rate = 1e-4\r\nepochs = 20.0\r\n'),
        ("a.yaml", "strategy: g-lf\r\nlearning_rate: 1e-4\r\nepochs: '20.0'\r\n"),
        ("a.json", '{"strategy": "g-lf", "learning_rate": 1e-4, "epochs": 20.0}'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_editors_write_settings_in_many_ways(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    (tmp_path / name).write_bytes(text.encode(encoding))
    settings = legs(**read_settings_file(tmp_path / name))
    assert (settings.strategy, settings.learning_rate, settings.epochs) == ("g-lf", 1e-4, 20)


def test_another_encoding_of_a_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes('strategy = "l\u00e4"'.encode("latin-1"))
    with pytest.raises(InputError, match=r"a\.toml is not UTF-8"):
        read_settings_file(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", "20.5"),
        ("epochs", "x"),
        ("epochs", True),
        ("epochs", [2]),
        ("batch", {"a": 1}),
        ("learning_rate", "0,1"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_setting(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{name} is "):
        legs(**{name: value})


@pytest.mark.parametrize("value", ["2", 2, 2.0, "2.0", [2], (2,), "2, 4.0"])
def test_a_list_of_one_may_be_given_bare(value: object) -> None:
    found = TILES.settings({"epochs": value}).epochs
    assert found == ((2, 4) if value == "2, 4.0" else (2,))
    with pytest.raises(InputError, match=r"^epochs is "):
        TILES.settings({"epochs": "two"})
