"""The packaged model says of real bodies that they are outside its training range; it knows phantoms only."""

from __future__ import annotations

from pathlib import Path

import pytest

from osteon.data.options import silent
from osteon.io import open_volume
from osteon.io.settings_file import read_settings_file
from osteon.ops.legs import find_legs
from osteon.predict.predictor import Predictor
from osteon.systems.ct_osteosarcoma.read import DEFAULT_MODEL, classify_leg
from osteon.systems.ct_osteosarcoma.recipe import RECIPE
from osteon.weights import find_card


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "force", "legs"),
    [("vhf_ankle_ct_dicom", False, 2), ("totalseg_ct/example_ct_dicom", True, 1), ("vhf_pelvis_5slice_ct", True, 1)],
)
def test_real_bodies_are_unlike_its_training(shared_data: Path, name: str, force: bool, legs: int) -> None:
    card = find_card(DEFAULT_MODEL)
    classifier = Predictor.load(card, device="cpu")
    point = card.operating_point
    assert point is not None
    volume = open_volume(shared_data / name, modality="CT")
    search = find_legs(volume, force=force)
    assert len(search.legs) == legs
    for leg in search.legs:
        region, scores = classify_leg(volume, leg, classifier, territory=leg.mask(), point=point, progress=silent)
        assert region.ood is not None
        assert region.ood.is_ood
        assert scores.runs == ()


def test_its_card_says_what_was_measured_on_phantoms() -> None:
    card = find_card(DEFAULT_MODEL)
    found = {result.metric.split(",")[0].split(" (")[0]: result for result in card.results}
    for metric in ("sensitivity", "specificity", "Brier score", "calibration slope", "expected calibration error"):
        assert found[metric].interval is not None
    # plumbing, not performance: the extents are found, healthy legs are left alone
    for metric, least in (("legs with tumour found", 0.7), ("legs without tumour left alone", 0.7)):
        value = found[metric].value
        assert value is not None
        assert value > least
    dice = found["Dice of predicted and tumour slices"].value
    assert dice is not None
    assert dice > 0.6
    assert card.training.details["settings"]["strategy"] == "ft"
    assert sum(member["patients"]["train"] for member in card.training.details["members"]) >= 3 * 60


def test_the_script_that_makes_it_has_its_settings() -> None:
    scripts = Path(__file__).resolve().parents[3] / "scripts"
    asked = RECIPE.settings(read_settings_file(scripts / "demo_model.toml")).decisive
    card = find_card(DEFAULT_MODEL)
    kept = card.training.details["settings"]
    assert {name: value for name, value in asked.items() if kept.get(name, value) != value} == {}
    words = (scripts / "demo_model.sh").read_text(encoding="utf-8")
    assert f"--name {card.name} --version {card.version}" in words
    assert card.statement in words
