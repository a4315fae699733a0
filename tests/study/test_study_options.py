"""An option that a study does not take is refused, by name, before anything is read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from osteon.app.cli.program import build
from osteon.app.cli.terminal import EXIT_USAGE, run_guarded


@pytest.mark.parametrize(
    ("task", "words", "says"),
    [
        ("ct_osteosarcoma", ["--set-classifier", "batch=2"], "--set-classifier: not of the study ct_osteosarcoma"),
        ("ct_metastasis", ["--strategy", "ft", "--arch", "x"], "--strategy, --arch: not of the study ct_metastasis"),
        ("mri_femur", ["--pretrained", "hub", "--also", "x"], "--pretrained, --also: not of the study mri_femur"),
        ("histology", ["--set-baseline", "seed=2", "--skip-unreadable"], "--set-baseline, --skip-unreadable"),
    ],
)
def test_options_of_other_studies_are_refused(
    task: str,
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = ["--data", str(tmp_path / "none"), "-o", str(tmp_path / "study")]
    monkeypatch.setattr(sys, "argv", ["osteon", "study", task, *place, *words])
    monkeypatch.setenv("COLUMNS", "200")
    assert run_guarded(build()) == EXIT_USAGE
    assert says in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "study").exists()
