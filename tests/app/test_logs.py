"""No words of a library reach the terminal: they may quote a header."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import logging, warnings
from osteon.app.cli.terminal import keep_libraries_quiet
keep_libraries_quiet()
warnings.warn("The string 'Secret^Name' is unlikely to be a name")
logging.getLogger("highdicom").warning("Secret^Name")
logging.getLogger("osteon.weights").warning("model folder left out")
"""


def run(debug: str) -> str:
    environment = {"OSTEON_DEBUG": debug, "PATH": ""}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    return done.stderr


def test_only_our_own_warnings_are_shown() -> None:
    assert run("") == "warning: model folder left out\n"


def test_debugging_shows_everything() -> None:
    assert run("1").count("Secret^Name") == 2
