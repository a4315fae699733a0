"""A result is there whole or not at all, whatever goes wrong."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from osteon.errors import OutputError
from osteon.reading.case import new_result


def leftovers(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name.startswith("."))


def write_result(path: Path, text: str, *, replace: bool = False) -> None:
    with new_result(path, replace=replace) as work:
        (work / "findings.json").write_text(text)


def test_it_appears_whole(tmp_path: Path) -> None:
    with new_result(tmp_path / "deep" / "result") as work:
        (work / "findings.json").write_text("{}")
        assert not (tmp_path / "deep" / "result").exists()
    assert (tmp_path / "deep" / "result" / "findings.json").read_text() == "{}"
    assert leftovers(tmp_path / "deep") == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_stays_when_the_work_breaks(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), new_result(tmp_path / "result") as work:
        (work / "half").write_text("x")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_stays_unless_replaced(tmp_path: Path) -> None:
    write_result(tmp_path / "r", "old")
    with pytest.raises(OutputError, match="already holds a result"):
        write_result(tmp_path / "r", "new")
    with pytest.raises(ValueError, match="broken"), new_result(tmp_path / "r", replace=True):
        raise ValueError("broken")
    assert (tmp_path / "r" / "findings.json").read_text() == "old"
    write_result(tmp_path / "r", "new", replace=True)
    assert (tmp_path / "r" / "findings.json").read_text() == "new"
    assert leftovers(tmp_path) == []


def test_what_is_not_a_result_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, words in (("holiday", "holds no osteon result"), ("file", "a file of that name")):
        with pytest.raises(OutputError, match=words):
            write_result(tmp_path / name, "new", replace=True)
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_result(tmp_path / "file" / "result", "new")
    assert (tmp_path / "holiday" / "photo.jpg").exists()


def test_an_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    write_result(tmp_path / "r", "new")
    assert (tmp_path / "r" / "findings.json").exists()


def test_a_disk_that_refuses_more_is_a_clear_error(tmp_path: Path) -> None:
    code = """
import signal, sys
from pathlib import Path
from osteon.errors import OutputError
from osteon.reading.case import new_result
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
try:
    with new_result(Path(sys.argv[1])) as work:
        (work / "volume").write_bytes(bytes(1_000_000))
except OutputError as error:
    sys.exit(str(error))
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "r")],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert run.returncode == 1
    assert "cannot be written" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_reading_left_is_removed_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from osteon.reading.case import new_result\n"
        "with new_result(Path(sys.argv[1])) as work:\n"
        "    (work / 'seg.dcm').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "first")], check=False)
    (left,) = leftovers(tmp_path)
    assert left.startswith(".osteon-")
    assert left.endswith(".part")
    with caplog.at_level("WARNING", logger="osteon"), new_result(tmp_path / "other") as work:
        (work / "findings.json").write_text("{}")
        with new_result(tmp_path / "third"):  # does not take what another is at work on
            pass
        assert work.is_dir()
    assert leftovers(tmp_path) == []
    assert left in caplog.text
