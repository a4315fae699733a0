"""A piece of work beside the main thread, on another processor: what is pure Python gains nothing from threads."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from osteon.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

__all__ = ["Beside", "beside"]

_Result = TypeVar("_Result")


class Beside(Generic[_Result]):
    """Work that goes on elsewhere; made by `beside`."""

    def __init__(self, pipe: Connection | None, work: Callable[[Callable[[], None]], _Result]) -> None:
        """Keep the end of the pipe; without one the work is done when its result is asked for."""
        self._pipe, self._work = pipe, work

    def go_on(self) -> None:
        """Let the work pass the place where it waits."""
        if self._pipe is not None:
            with suppress(BrokenPipeError):  # it waits for nothing and has ended already
                self._pipe.send(None)

    def result(self) -> _Result:
        """What the work returns, once it is done.

        Raises:
            BackendError: its process ended without a word, as for want of memory.
            Exception: what the work raised.
        """
        if self._pipe is None:
            return self._work(lambda: None)
        try:
            is_done, value = self._pipe.recv()
        except EOFError as error:
            raise BackendError(
                "a process that wrote a part of the result ended without a word: perhaps the memory did not suffice"
            ) from error
        if not is_done:
            raise value
        result: _Result = value
        return result


@contextmanager
def beside(work: Callable[[Callable[[], None]], _Result], *, here: bool = False) -> Iterator[Beside[_Result]]:
    """Do a piece of work in a copy of this process while the block runs; at the end of the block it is over or stopped.

    The copy sees everything as it is now and changes nothing here but files. It must not use what has threads of its
    own from before, as OpenCV or a network's runtime. Where processes cannot be copied (other systems than Linux) or
    there is one processor only, the work is done when its result is asked for.

    Args:
        work: gets a function that waits for `Beside.go_on`; returns or raises what can be pickled.
        here: do it in this process, when its result is asked for: it is not worth a copy.

    Example:
        >>> with beside(lambda wait: 6 * 7) as answer:
        ...     answer.result()
        42
    """
    if here or sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2:
        yield Beside(None, work)
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_do, args=(work, theirs, ours), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads that the copy does not have, nor ask for
        process.start()
    theirs.close()
    try:
        yield Beside(ours, work)
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
    pipe.send((True, task.result()) if error is None else (False, error))
