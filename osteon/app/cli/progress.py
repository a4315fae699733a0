"""Progress on stderr: a bar for a person, nothing drawn when output is piped or quiet."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osteon.app.cli.failure import end_if_stopped, ending_between_steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon.reading import Progress

__all__ = ["shown_progress"]


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[Progress]:
    """A function ``(step, done, total)`` that draws a bar a step where somebody looks, and ends a stopped program."""
    if quiet or not sys.stderr.isatty():
        with ending_between_steps():
            yield lambda *_: end_if_stopped()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with ending_between_steps(), Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def advance(step: str, done: int, total: int) -> None:
            end_if_stopped()
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield advance
