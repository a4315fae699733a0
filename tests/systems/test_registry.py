"""A system may make data sets and train before there is a model of it that reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from osteon.data.system import Header, Match, System
from osteon.errors import UnknownLabelError, UnsupportedError
from osteon.reading import CaseOptions, read_case
from osteon.systems import registry

TRAINED = System(stem="trained", summary="", reads=("volume",), accepts=lambda _: Match(1.0, "everything"))


def test_a_system_without_a_model_is_no_reader(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert not TRAINED.is_reader
    with pytest.raises(UnsupportedError, match="cannot read images yet"):
        TRAINED.read(None, None, lambda *_: None)
    monkeypatch.setitem(registry.SYSTEMS, "trained", TRAINED)
    assert registry.system("trained") is TRAINED
    # the image is not opened: there is none
    with pytest.raises(UnsupportedError, match=r"task trained cannot read .* Tasks that read: ct_osteosarcoma, .*bone"):
        read_case(tmp_path / "none", tmp_path / "result", options=CaseOptions(task="trained"))


def test_what_does_not_read_is_never_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    header = Header(kind="volume", modality="CT")
    chosen = registry.best_system(header)
    monkeypatch.setitem(registry.SYSTEMS, "trained", TRAINED)
    assert registry.best_system(header) is chosen


def test_readers_are_found_by_their_stem() -> None:
    assert registry.reader("bone") is registry.SYSTEMS["bone"]
    assert set(registry.READERS) <= set(registry.SYSTEMS)
    with pytest.raises(UnknownLabelError, match="bone"):
        registry.reader("bones")
