"""From an error to a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from typing import TYPE_CHECKING

from osteon._optional import MissingPackageError
from osteon.app.cli.terminal import printable
from osteon.errors import OsteonError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_OK", "EXIT_SKIPPED", "run_guarded"]

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2  # typer's own
EXIT_SKIPPED = 3
EXIT_INTERRUPTED = 130


def run_guarded(program: Callable[[], object]) -> int:
    """Run a program; turn what it raises into one message on stderr and an exit code.

    Set ``OSTEON_DEBUG=1`` to see the traceback too.
    """
    code = EXIT_OK
    try:
        program()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else EXIT_OK
    except KeyboardInterrupt:
        code = _say("interrupted: nothing half-written was left; the same command starts again", EXIT_INTERRUPTED)
    except (OsteonError, MissingPackageError) as error:
        code = _say(f"error: {error}", EXIT_ERROR)
    except MemoryError:
        code = _say(
            "error: the memory of this machine does not suffice for this input; nothing was written", EXIT_ERROR
        )
    except BrokenPipeError:
        sys.stderr.close()
        code = EXIT_ERROR
    except Exception as error:
        kind = type(error).__name__
        code = _say(f"internal error ({kind}): this is a fault of osteon. OSTEON_DEBUG=1 shows where", EXIT_ERROR)
    return code


def _say(message: str, code: int) -> int:
    if os.environ.get("OSTEON_DEBUG"):
        traceback.print_exc()
    sys.stderr.write(printable(message) + "\n")
    return code
