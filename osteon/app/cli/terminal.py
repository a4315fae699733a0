"""What reaches the terminal: lines, progress, exit codes. No file or tag may move the cursor or fake a line."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from osteon._optional import MissingPackageError
from osteon.errors import OsteonError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from osteon.reading import Progress

__all__ = [
    "EXIT_ERROR",
    "EXIT_OK",
    "EXIT_SKIPPED",
    "clean_up_when_stopped",
    "keep_libraries_quiet",
    "run_guarded",
    "say",
    "shown_progress",
    "tolerate_any_text",
]


EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2  # typer's own
EXIT_SKIPPED = 3  # done, but a part was left out; or the answer is no
_EXIT_INTERRUPTED = 130
_WANTS_JSON = "--json"

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_stopped_by: list[int] = []
"""Signals that came: what a compiled library makes of the exception may be another error."""

_waiting: list[bool] = []
"""Not empty while work with progress goes on."""

_SIGNAL_EXITS = tuple(128 + number for number in _SIGNALS)
_NO_MEMORY = "error: the memory of this machine does not suffice for this input; nothing was written"
_LOOK_AT = "check the disks of input and output, and where the output of this command goes"
_INTERRUPTED = "interrupted: nothing half-written was left; the same command starts again"


def _printable(text: str) -> str:
    r"""A line with every character that does not show written as an escape.

    File names and DICOM tags come from anyone and end up in messages.

    Example:
        >>> _printable("a\x1b[31mb\nc")
        'a\\x1b[31mb\\nc'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    typer.echo(_printable(text), err=err)


def tolerate_any_text() -> None:
    """Write characters that the terminal's encoding lacks as escapes, as stderr always does."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def clean_up_when_stopped() -> None:
    """Let a scheduler's SIGTERM or a closed terminal end the program as Ctrl-C does: temporary folders are removed."""

    def stop(number: int, _: object) -> None:
        _stopped_by.append(number)
        if not _waiting or len(_stopped_by) > 1:
            _end_if_stopped()

    for number in (signal.SIGINT, *_SIGNALS):
        # under nohup it is ignored, and stays so
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, stop)


@contextmanager
def _ending_between_steps() -> Iterator[None]:
    """Let a signal wait for the next step of the progress: an exception amid a library may be swallowed, or printed.

    A second signal ends the program at once.
    """
    _waiting.append(True)
    try:
        yield
        _end_if_stopped()
    finally:
        _waiting.pop()


def _end_if_stopped() -> None:
    """Raise when a signal came.

    Raises:
        SystemExit: with 128 and the number of the signal.
    """
    if _stopped_by:
        raise SystemExit(128 + _stopped_by[0])


def run_guarded(program: Callable[[], object]) -> int:
    """Run a program; turn what it raises into one message on stderr and an exit code.

    Where the command line asks for ``--json``, stdout gets the failure as a JSON object: status "failed", the kind of
    error, its message, and the exit code. Set ``OSTEON_DEBUG=1`` to see the traceback too.
    """
    code = EXIT_OK
    try:
        program()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else EXIT_OK
        if code == _EXIT_INTERRUPTED or code in _SIGNAL_EXITS:
            code = _say(_INTERRUPTED, code)
        elif code == EXIT_USAGE and _WANTS_JSON in sys.argv[1:]:
            _print_failure("the command line is not valid: stderr says why", code)
    except KeyboardInterrupt:
        code = _say(_INTERRUPTED, _EXIT_INTERRUPTED)
    except UsageError as error:
        code = _say(f"error: {error}", EXIT_USAGE)
    except (OsteonError, MissingPackageError) as error:
        code = _say(f"error: {error}", EXIT_ERROR)
    except MemoryError:
        code = _say(_NO_MEMORY, EXIT_ERROR)
    except BrokenPipeError:
        sys.stderr.close()
        code = EXIT_ERROR
    except OSError as error:
        reason = error.strerror or type(error).__name__
        code = _say(f"error: the system refused to read or write something ({reason}): {_LOOK_AT}", EXIT_ERROR)
    except Exception as error:
        if _stopped_by:
            return _say(_INTERRUPTED, 128 + _stopped_by[0])
        kind = type(error).__name__
        code = _say(f"internal error ({kind}): this is a fault of osteon. OSTEON_DEBUG=1 shows where", EXIT_ERROR)
    return code


def _say(message: str, code: int) -> int:
    if os.environ.get("OSTEON_DEBUG"):
        traceback.print_exc()
    sys.stderr.write(_printable(message) + "\n")
    if _WANTS_JSON in sys.argv[1:]:
        _print_failure(message.removeprefix("error: "), code)
    return code


def _print_failure(message: str, code: int) -> None:
    """What a program that reads stdout gets in place of the answer."""
    error = sys.exc_info()[1]
    kind = (
        type(error).__name__ if isinstance(error, Exception) else "UsageError" if code == EXIT_USAGE else "Interrupted"
    )
    failure = {"status": "failed", "error": {"kind": kind, "message": message}, "exit_code": code}
    with suppress(OSError, ValueError):  # stdout may be closed
        sys.stdout.write(json.dumps(failure) + "\n")
        sys.stdout.flush()


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """A function ``(step, done, total)`` that draws a bar a step where somebody looks, and ends a stopped program."""
    if quiet or not sys.stderr.isatty():
        with _ending_between_steps():
            yield lambda *_: _end_if_stopped()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    share = TextColumn("{task.percentage:>3.0f} %")
    columns = (TextColumn("{task.description:<28}"), BarColumn(), share, TimeElapsedColumn())
    with _ending_between_steps(), Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def advance(step: str, done: int, total: int) -> None:
            _end_if_stopped()
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield advance


def keep_libraries_quiet() -> None:
    """Send warnings of osteon to stderr; drop warnings and log lines of libraries, which may quote patient text.

    ``OSTEON_DEBUG=1`` lets everything through.
    """
    if os.environ.get("OSTEON_DEBUG"):
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    own = logging.getLogger("osteon")
    if not own.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("warning: %(message)s"))
        own.addHandler(handler)
        own.propagate = False
