"""Seconds, memory and the table of a bench."""

from __future__ import annotations

import json
import statistics
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Row", "Timed", "own_peak_mb", "print_head", "print_rows", "timed", "write_rows"]

_Result = TypeVar("_Result")
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Timed(Generic[_Result]):
    """What a call gave and took.

    Attributes:
        result: of the last run.
        seconds: median of the runs.
        peak_mb: largest memory of the process during the runs, in MiB.
    """

    result: _Result
    seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a bench.

    Attributes:
        step: what was done.
        against: what a person would run instead.
        seconds: of osteon.
        ratio: seconds of the other over seconds of osteon.
        peak_mb: largest memory of the process with osteon, in MiB.
        target_ratio: that must be reached; None for a line that only informs.
        equal: whether both gave the same; None where that cannot be asked.
        against_seconds: of the other.
        against_peak_mb: of the other.
        differing: voxels (or values) that differ; None where that cannot be asked.
    """

    step: str
    against: str
    seconds: float
    ratio: float
    peak_mb: float
    target_ratio: float | None
    equal: bool | None
    against_seconds: float
    against_peak_mb: float
    differing: int | None = None

    @classmethod
    def of(
        cls,
        step: str,
        against: str,
        ours: Timed[Any],
        theirs: Timed[Any],
        *,
        target: float | None = None,
        differing: int | None = None,
        equal: bool | None = None,
    ) -> Row:
        """A line from two timings."""
        return cls(
            step=step,
            against=against,
            seconds=ours.seconds,
            ratio=theirs.seconds / ours.seconds,
            peak_mb=ours.peak_mb,
            target_ratio=target,
            equal=equal if differing is None or equal is not None else differing == 0,
            against_seconds=theirs.seconds,
            against_peak_mb=theirs.peak_mb,
            differing=differing,
        )

    @property
    def reached(self) -> bool:
        """Whether the target, if there is one, was reached."""
        return self.target_ratio is None or self.ratio >= self.target_ratio


def own_peak_mb() -> float:
    """Largest memory this process ever held, in MiB.

    Linux's ``ru_maxrss`` starts at the parent's memory when a process is spawned; VmHWM belongs to the program alone.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
        return float(fields["VmHWM"].split()[0]) / 1024
    import resource

    # macOS counts in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB


def timed(work: Callable[[], _Result], *, runs: int = 1) -> Timed[_Result]:
    """Run something and watch time and memory; the memory is looked at every 5 ms."""
    process = psutil.Process()
    peak = process.memory_info().rss
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    seconds = []
    try:
        for _ in range(runs):
            start = time.perf_counter()
            result = work()
            seconds.append(time.perf_counter() - start)
    finally:
        stop.set()
        watcher.join()
    peak = max(peak, process.memory_info().rss)
    return Timed(result=result, seconds=statistics.median(seconds), peak_mb=peak / _MIB)


def print_head() -> None:
    """Print the heads of the table."""
    heads = f"{'its s':>8} {'osteon s':>9} {'ratio':>7} {'target':>12} {'its MiB':>8} {'MiB':>6}"
    print(f"{'step':34} {'against':36} {heads}  equal", flush=True)


def print_rows(rows: list[Row]) -> None:
    """Print lines of the table."""
    for row in rows:
        target = "" if row.target_ratio is None else f"{row.target_ratio:g}x{'' if row.reached else ' MISSED'}"
        equal = {True: "yes", False: "NO", None: "-"}[row.equal]
        differ = "" if row.differing is None else f" ({row.differing} differ)"
        times = f"{row.against_seconds:8.3f} {row.seconds:9.4f} {row.ratio:6.1f}x {target:>12}"
        memory = f"{row.against_peak_mb:8.0f} {row.peak_mb:6.0f}"
        print(f"{row.step:34} {row.against:36} {times} {memory}  {equal}{differ}", flush=True)


def write_rows(rows: list[Row], path: Path) -> None:
    """Write the lines of a bench as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
