"""A piece of work beside the main thread, on another processor: what is pure Python gains nothing from threads."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

__all__ = ["Beside", "beside"]

STUCK_S = 20.0
"""A copy that is waited for and takes no processor time for so long is stuck: at a lock that a thread held which it
does not have."""

_LOOK_EVERY_S = 0.5

_Result = TypeVar("_Result")


class Beside(Generic[_Result]):
    """Work that goes on elsewhere; made by `beside`."""

    def __init__(
        self,
        work: Callable[[Callable[[], None]], _Result],
        process: ForkProcess | None = None,
        pipe: Connection | None = None,
    ) -> None:
        """Keep the copy and the end of its pipe; without one the work is done when its result is asked for."""
        self._work, self._process, self._pipe = work, process, pipe

    def go_on(self) -> None:
        """Let the work pass the place where it waits."""
        if self._pipe is not None:
            with suppress(BrokenPipeError):  # it waits for nothing and has ended already
                self._pipe.send(None)

    def result(self) -> _Result:
        """What the work returns, once it is done.

        A copy that ended without a word, or is stuck, is given up, and the work is done in this process from its start.

        Raises:
            Exception: what the work raised.
        """
        with suppress(EOFError):
            if self._process is not None and self._pipe is not None and self._answers(self._process, self._pipe):
                is_done, value = self._pipe.recv()
                if not is_done:
                    error, cause = value
                    raise error from cause
                result: _Result = value
                return result
        if self._process is not None:
            self._process.kill()
            self._process.join()
        return self._work(lambda: None)

    def _answers(self, process: ForkProcess, pipe: Connection) -> bool:
        """Wait for an answer of the copy; False when it is stuck."""
        used, since = _processor_time(process.pid), time.monotonic()
        while not pipe.poll(_LOOK_EVERY_S):
            now = _processor_time(process.pid)
            if now != used:
                used, since = now, time.monotonic()
            elif time.monotonic() - since > STUCK_S:
                return False
        return True


@contextmanager
def beside(work: Callable[[Callable[[], None]], _Result], *, here: bool = False) -> Iterator[Beside[_Result]]:
    """Do a piece of work in a copy of this process while the block runs; at the end of the block it is over or stopped.

    The copy sees everything as it is now and changes nothing here but files. It must not use what has threads of its
    own from before, as OpenCV or a network's runtime. Where processes cannot be copied (other systems than Linux) or
    there is one processor only, the work is done when its result is asked for.

    Args:
        work: gets a function that waits for `Beside.go_on`; returns or raises what can be pickled. It may be begun
            twice: it replaces what an earlier begin left.
        here: do it in this process, when its result is asked for: it is not worth a copy.

    Example:
        >>> with beside(lambda wait: 6 * 7) as answer:
        ...     answer.result()
        42
    """
    if here or sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        yield Beside(work)
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_do, args=(work, theirs, ours), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the copy does not have, nor ask for
        process.start()
    theirs.close()
    try:
        yield Beside(work, process, ours)
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def _do(work: Callable[[Callable[[], None]], _Result], pipe: Connection, other_end: Connection) -> None:
    other_end.close()  # so that the end of the first process ends this one's waiting
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(work, pipe.recv)
        error = task.exception()
    if error is None:
        pipe.send((True, task.result()))
        return
    # an error that cannot travel is met again where the result is asked for
    with suppress(Exception):
        told = error, error.__cause__  # which an error loses on the way
        pickle.loads(pickle.dumps(told))  # noqa: S301 - of this process
        pipe.send((False, told))


def _processor_time(number: int | None) -> tuple[str, ...]:
    """Ticks that a process has used by itself and in the system; always another value while it waits for a disk."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:  # no such file system, or the process has ended
        return (str(time.monotonic()),)
    is_at_disk = fields[0] == "D"
    return (str(time.monotonic()),) if is_at_disk else tuple(fields[11:13])
