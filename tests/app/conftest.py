"""The program, run inside the test's own process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from osteon.app.cli.failure import run_guarded
from osteon.app.cli.program import build


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def osteon(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run ``osteon WORDS`` and give exit code, stdout and stderr."""

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["osteon", *map(str, words)])
        code = run_guarded(build())
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run
