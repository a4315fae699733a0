"""Settings are whole, checked and told apart."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from osteon.errors import InputError, OsteonError, UnknownLabelError
from osteon.train.run_folder import claim_folder, digest
from osteon.train.settings import CONFIGURATIONS, TrainSettings, parse_assignments, read_settings_file

OLD_DIGESTS = (
    "3d35fafdbab85004532ff93c6c34f08f355a31fb5138fcc83db545140949db90",
    "38bdc26c2d02869d1c8ee74a00a085fc653484653b657d623a62a3259cabe19c",
)


def test_the_defaults_are_those_of_the_paper() -> None:
    settings = TrainSettings()
    assert (settings.batch, settings.image_size, settings.epochs, settings.patience) == (16, 256, 75, 5)
    assert (settings.learning_rate, settings.final_rate, settings.cosine_epochs) == (1e-5, 1e-6, 50)
    assert settings.pretrained == "embedded"


def test_scratch_is_short_and_knows_nothing() -> None:
    settings = TrainSettings(strategy="scratch", architecture="densenet121")
    assert (settings.epochs, settings.pretrained) == (15, "none")
    assert settings.weights_source is None


def test_weights_are_a_word_or_a_file() -> None:
    assert TrainSettings().weights_source == "embedded"
    assert TrainSettings(pretrained="hub").weights_source == "hub"
    assert TrainSettings(pretrained="a/b.safetensors").weights_source == Path("a/b.safetensors")


def test_loss_augmentation_and_curation_follow_from_the_configuration() -> None:
    found = {
        name: (settings.loss, settings.augments, settings.curates)
        for name in CONFIGURATIONS
        for settings in [TrainSettings.of({"configuration": name})]
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
    settings = TrainSettings(strategy="g-lf", seed=7, images_per_epoch=40, precision="bf16-mixed")
    assert TrainSettings.of(settings.document()) == settings


def test_the_identity_of_old_runs_is_what_it_was() -> None:
    """Hashes of settings as they were before there was a second task: a run that was made then goes on."""
    assert digest(TrainSettings().document()) == OLD_DIGESTS[0]
    changed = TrainSettings(strategy="g-lf", configuration="FAE", seed=3, batch=8, epochs=3, image_size=64)
    assert digest(changed.document()) == OLD_DIGESTS[1]
    assert "schedule" not in changed.document()
    assert TrainSettings(schedule="steps").document()["schedule"] == "steps"
    assert digest(TrainSettings(optimiser="sgd").document()) != OLD_DIGESTS[0]


def test_a_run_whose_settings_were_left_out_is_told_from_one_whose_were_not(tmp_path: Path) -> None:
    plain, stepped = (
        TrainSettings().document(),
        TrainSettings(schedule="steps", learning_rate=1e-5, epochs=75).document(),
    )
    for number, (first, second) in enumerate(((plain, stepped), (stepped, plain))):
        folder = tmp_path / str(number)
        claim_folder(folder, {"settings": first, "split_sha256": ""}, free=())
        claim_folder(folder, {"settings": first, "split_sha256": ""}, free=())
        with pytest.raises(InputError, match="schedule"):
            claim_folder(folder, {"settings": second, "split_sha256": ""}, free=())


@pytest.mark.parametrize(
    ("architecture", "schedule", "epochs"),
    [("resnext50", "steps", 60), ("vit_tiny", "warm_steps", 80), ("vit_tiny_resnext50", "steps", 60)],
)
def test_slices_are_trained_as_in_the_thesis(architecture: str, schedule: str, epochs: int) -> None:
    settings = TrainSettings(task="ct_metastasis_slices", architecture=architecture, pretrained="hub")
    assert (settings.positive, settings.image_size, settings.batch) == ("metastasis", 224, 8)
    assert (settings.loss, settings.focal_gamma, settings.augments, settings.curates) == ("focal", 2.0, True, False)
    assert (settings.augmentation, settings.optimiser) == ("rotation_flips", "adam")
    assert (settings.schedule, settings.epochs, settings.learning_rate) == (schedule, epochs, 0.01)
    assert not settings.is_stretched
    assert TrainSettings.of(settings.document()) == settings
    assert set(settings.document()) == {entry.name for entry in dataclasses.fields(settings)}


def test_the_femur_is_trained_as_in_its_paper() -> None:
    settings = TrainSettings(task="mri_femur", architecture="alexnet_femur")
    assert (settings.positive, settings.image_size, settings.batch) == ("malignant", 224, 32)
    assert (settings.strategy, settings.pretrained, settings.schedule) == ("scratch", "none", "constant")
    assert (settings.optimiser, settings.learning_rate, settings.epochs, settings.patience) == ("sgd", 0.01, 100, 15)
    assert (settings.loss, settings.augments, settings.augmentation) == ("cross_entropy", True, "femur")
    assert not settings.is_stretched
    assert TrainSettings.of(settings.document()) == settings


def test_for_the_femur_shipped_weights_are_fine_tuned_gently() -> None:
    tuned = TrainSettings(task="mri_femur")
    assert (tuned.architecture, tuned.strategy, tuned.pretrained) == ("mobilenet_v2", "ft", "embedded")
    assert (tuned.schedule, tuned.optimiser, tuned.learning_rate, tuned.patience) == ("cosine", "adam", 1e-4, 5)
    assert tuned.changed({"architecture": "googlenet"}) == TrainSettings(task="mri_femur", architecture="googlenet")
    random = tuned.changed({"strategy": "scratch"})
    assert (random.schedule, random.optimiser, random.learning_rate, random.pretrained) == (
        "constant",
        "sgd",
        0.01,
        "none",
    )


def test_what_followed_from_an_architecture_or_a_task_follows_from_the_next() -> None:
    first = TrainSettings(task="ct_metastasis_slices", architecture="vit_tiny", pretrained="none", batch=4, seed=3)
    second = first.changed({"architecture": "resnext50"})
    assert (second.schedule, second.epochs, second.batch, second.seed) == ("steps", 60, 4, 3)
    chosen = first.changed({"epochs": 6}).changed({"architecture": "resnext50"})
    assert (chosen.schedule, chosen.epochs) == ("steps", 6)
    constant = first.changed({"schedule": "cosine"})
    assert (constant.epochs, constant.learning_rate) == (75, 1e-5)
    assert TrainSettings(task="ct_metastasis_slices").changed({"task": "ct_osteosarcoma"}) == TrainSettings()


def test_another_strategy_brings_its_own_epochs_and_weights() -> None:
    changed = TrainSettings(seed=4).changed({"strategy": "scratch"})
    assert (changed.epochs, changed.pretrained, changed.seed) == (15, "none", 4)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"strategy": "lpft"}, "did you mean 'lp-ft'"),
        ({"architecture": "mobilnet_v2"}, "did you mean 'mobilenet_v2'"),
        ({"configuration": "CAF"}, "known: C, CA"),
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"precision": 16}, "precision '16' does not exist"),
        ({"batch": -1}, "at least 1"),
        ({"batch": "many"}, "whole number"),
        ({"batch": 2.5}, "whole number"),
        ({"seed": True}, "whole number"),
        ({"learning_rate": "nan"}, "above 0"),
        ({"learning_rate": 1e-7}, "rates only fall"),
        ({"plateau_factor": 1}, "between 0 and 1"),
        ({"strategy": "scratch", "pretrained": "hub"}, "random weights"),
        ({"architecture": "resnet18"}, "choose pretrained hub"),
        ({"devices": 3}, "shared evenly"),
        ({"images_per_epoch": 1}, "at least 2"),
        ({"positive": ["a"]}, "text"),
        ({"task": "ct_metastasis"}, "did you mean 'ct_metastasis_slices'"),
        ({"schedule": "step"}, "did you mean 'steps'"),
        ({"optimiser": "sdg"}, "did you mean 'sgd'"),
        ({"architecture": "inception_v3", "pretrained": "hub", "image_size": 64}, "needs at least 75"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(OsteonError, match=says):
        TrainSettings.of(values)


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
    settings = TrainSettings.of(read_settings_file(tmp_path / name))
    assert (settings.strategy, settings.learning_rate, settings.precision) == ("g-lf", 1e-4, "32")


@pytest.mark.parametrize(
    ("name", "text"), [("a.toml", "a ="), ("a.yaml", "a: [1"), ("a.yaml", "- 1"), ("a.toml", "[a]\nb=1"), ("a.txt", "")]
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, text: str) -> None:
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
    assert TrainSettings.of({"images_per_epoch": "none"}).images_per_epoch is None
    with pytest.raises(UnknownLabelError):
        TrainSettings.of({"device": "none"})
