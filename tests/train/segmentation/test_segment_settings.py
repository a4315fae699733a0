"""Settings are the paper's by default, come back from text, and refuse what cannot be trained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon.train.segmentation.settings import SegmentSettings


def test_defaults_are_those_of_the_thesis() -> None:
    settings = SegmentSettings()
    assert (settings.epochs, settings.batch, settings.rates) == (60, 8, (0.01, 0.005, 0.001))
    assert (settings.lesion_weight, settings.bone_weight, settings.loss, settings.dice_weight) == (0.7, 0.3, "bce", 0.0)
    assert settings.outputs == ("lesion", "bone")


def test_rates_fall_after_each_equal_share_of_the_epochs() -> None:
    settings = SegmentSettings()
    assert [settings.rate(epoch) for epoch in range(60)] == [0.01] * 20 + [0.005] * 20 + [0.001] * 20
    short = SegmentSettings(epochs=4, rates=(0.1, 0.2, 0.3))
    assert [short.rate(epoch) for epoch in range(4)] == [0.1, 0.1, 0.2, 0.3]
    assert SegmentSettings(epochs=1).rate(0) == 0.01


def test_outputs_follow_from_the_architecture() -> None:
    assert SegmentSettings(architecture="unet").outputs == ("lesion",)
    assert SegmentSettings(architecture="unet_then_attunet").outputs == ("lesion", "bone")


def test_settings_come_back_from_text_and_from_json() -> None:
    settings = SegmentSettings.of(
        {"rates": "0.1,0.01", "augments": "no", "batch": "4", "images_per_epoch": "none", "precision": 32}
    )
    assert (settings.rates, settings.augments, settings.batch, settings.images_per_epoch) == (
        (0.1, 0.01),
        False,
        4,
        None,
    )
    assert settings.precision == "32"
    assert SegmentSettings.of(json.loads(json.dumps(settings.document()))) == settings
    assert settings.changed({"rates": 0.5}).rates == (0.5,)
    assert settings.changed({"augments": True}).augments


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"image_size": 100}, "multiple of 16"),
        ({"crop": 100}, "multiple of 16"),
        ({"crop": 240}, "at most image_size"),
        ({"batch": 0}, "at least 1"),
        ({"epochs": 2.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"rates": "fast"}, "parted by commas"),
        ({"rates": []}, "at least one"),
        ({"rates": "0.1,-1"}, "above 0"),
        ({"augments": "perhaps"}, "yes or no"),
        ({"threshold": 1.0}, "between 0 and 1"),
        ({"momentum": 1.0}, "below 1"),
        ({"channels": 2}, "grey"),
        ({"lesion_weight": 0, "bone_weight": 0}, "nothing would be learnt"),
        ({"dice_weight": -1}, "0 or more"),
        ({"draw": "equal"}, "images_per_epoch"),
        ({"images_per_epoch": 1}, "at least 2"),
        ({"devices": 3}, "evenly"),
        ({"loss": 1.5}, "a text"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        SegmentSettings.of(values)


@pytest.mark.parametrize(
    "values", [{"architecture": "mobilenet_v2"}, {"optimiser": "adamw"}, {"task": "ct_osteosarcoma"}, {"epoch": 3}]
)
def test_names_that_do_not_exist_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UnknownLabelError):
        SegmentSettings.of(values)
