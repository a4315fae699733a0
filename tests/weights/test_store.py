"""Models are found by name in the packaged and the user's folder, without torch."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from osteon.errors import UnknownLabelError, WeightsError
from osteon.weights import card_problems, find_card, list_cards
from osteon.weights.store import MODELS_VARIABLE, model_folders

if TYPE_CHECKING:
    from osteon.weights import ModelCard


@pytest.fixture
def users_card(random_card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    monkeypatch.setenv(MODELS_VARIABLE, str(random_card.folder.parent))
    return random_card


def test_a_users_model_is_listed_and_found(users_card: ModelCard) -> None:
    assert users_card.name in [card.name for card in list_cards()]
    assert find_card(users_card.name) == users_card
    assert model_folders()[1] == users_card.folder.parent


def test_a_model_is_found_by_folder_and_by_card(random_card: ModelCard) -> None:
    assert find_card(str(random_card.folder)) == random_card
    assert find_card(random_card.folder / "card.json") == random_card
    with pytest.raises(WeightsError, match="cannot be read"):
        find_card(random_card.folder / "elsewhere")


def test_a_model_folder_here_needs_no_slash(random_card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(random_card.folder.parent)
    (here := Path("MODEL")).symlink_to(random_card.folder)
    assert find_card(str(here)).weights.sha256 == random_card.weights.sha256
    with pytest.raises(UnknownLabelError, match="no model 'NONE'"):
        find_card("NONE")


def test_an_unknown_name_is_answered_with_the_nearest(users_card: ModelCard) -> None:
    with pytest.raises(UnknownLabelError, match=r"did you mean 'densenet_small\.random_test'"):
        find_card("densenet_small.randomtest")


def test_no_folder_at_all_is_not_a_failure(tmp_path: Path) -> None:
    folders = (tmp_path / "absent",)
    assert list_cards(folders=folders) == ()
    assert card_problems(folders=folders) == ()
    with pytest.raises(UnknownLabelError, match="absent"):
        find_card("a.b", folders=folders)


def test_broken_and_doubled_cards_are_left_out_with_a_reason(
    random_card: ModelCard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = random_card.folder.parent
    (first / "broken.model").mkdir()
    (first / "broken.model" / "card.json").write_text("{}", encoding="utf-8")
    second = tmp_path / "second"
    shutil.copytree(random_card.folder, second / random_card.name)
    with caplog.at_level(logging.WARNING):
        cards = list_cards(folders=(first, second))
    assert [card.folder for card in cards] == [random_card.folder]
    assert len(caplog.records) == 2
    reasons = {problem.folder.name: problem.reason for problem in card_problems(folders=(first, second))}
    assert "not a valid model card" in reasons["broken.model"]
    assert "belongs to" in reasons[random_card.name]
    with pytest.raises(WeightsError, match="not a valid model card"):
        find_card("broken.model", folders=(first,))


def test_the_default_user_folder_is_in_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODELS_VARIABLE, raising=False)
    packaged, users = model_folders()
    assert packaged.parts[-3:] == ("osteon", "weights", "cards")
    assert users.parts[-2:] == ("osteon", "models")


def test_listing_does_not_import_torch() -> None:
    program = (
        "import sys, osteon.weights; osteon.weights.list_cards(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'openvino')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
