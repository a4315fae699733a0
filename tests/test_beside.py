"""Work beside the main thread: what it returns, raises and leaves behind."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from osteon import _beside
from osteon._beside import beside
from osteon.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["two processors", "one processor"])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    count = 2 if request.param == "two processors" else 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)
    return str(request.param)


@pytest.mark.usefixtures("processors")
def test_the_result_comes_back_after_the_wait(tmp_path: Path) -> None:
    place = tmp_path / "made here"

    def work(wait: Callable[[], None]) -> str:
        wait()
        return place.read_text("utf-8")

    with beside(work) as part:
        place.write_text("before the work goes on", "utf-8")
        part.go_on()
        assert part.result() == "before the work goes on"


@pytest.mark.usefixtures("processors")
def test_what_it_raises_is_raised_here() -> None:
    def work(_: Callable[[], None]) -> None:
        raise InputError("no such thing")

    with beside(work) as part, pytest.raises(InputError, match="no such thing"):
        part.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be copied here")
def test_it_ends_with_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)

    def slow(_: Callable[[], None]) -> None:
        (tmp_path / "number").write_text(str(os.getpid()), "utf-8")
        time.sleep(60)

    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt), beside(slow):
        while not (tmp_path / "number").exists() or not (tmp_path / "number").read_text("utf-8"):
            time.sleep(0.01)
        raise KeyboardInterrupt
    assert time.perf_counter() - start < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "number").read_text("utf-8")), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be copied here")
@pytest.mark.parametrize("how", ["it ends", "it is stuck"])
def test_what_a_copy_does_not_finish_is_done_here(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(_beside, "STUCK_S", 0.2)
    lock, me = threading.Lock(), os.getpid()

    def work(_: Callable[[], None]) -> int:
        if os.getpid() != me and how == "it ends":
            os._exit(1)
        with lock:
            return os.getpid()

    lock.acquire()
    with beside(work) as part:  # the copy has the lock as it is now: held, and nobody there to let it go
        lock.release()
        assert part.result() == me


class _TwoPartsError(Exception):
    """Cannot be made again from its message alone, as some of pydicom's and of our own cannot."""

    def __init__(self, what: str, *, where: str) -> None:
        super().__init__(f"{what} at {where}")


@pytest.mark.usefixtures("processors")
def test_an_error_that_cannot_travel_is_raised_all_the_same() -> None:
    def work(_: Callable[[], None]) -> None:
        raise _TwoPartsError("a fault", where="(0018,9306)")

    with pytest.raises(_TwoPartsError, match="a fault at"), beside(work) as part:
        part.result()


@pytest.mark.usefixtures("processors")
def test_what_the_system_said_comes_with_the_error() -> None:
    """By it a full disk is known, whichever file met it."""

    def work(_: Callable[[], None]) -> None:
        raise OutputError("seg.dcm cannot be written") from OSError(28, "No space left on device")

    with pytest.raises(OutputError) as caught, beside(work) as part:
        part.result()
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == 28
