"""``osteon read`` of the demo series as a whole process: warm, and cold with an empty page cache.

Run ``python -m bench.read_demo [--quick] [--json FILE]`` on a machine that does nothing else, after ``make demo``.

The series is that of ``osteon demo``: 280 slices of 512 x 512. Steps are those of run.json; "start, and what is
between" is the time of the process outside them: Python and its packages, hashes of the inputs, the folder's move.

* warm: the fastest of three runs after one that does not count; at most 9 s and 1,000 MB (10^6 bytes), the copy of the
  process that writes DICOM objects beside not counted.
* cold: the files of Python, its packages, osteon and the series are put out of the page cache before (Linux; a file
  that another process has mapped stays). What set-up compiled is on the disk. At most 15 s.
"""

from __future__ import annotations

import argparse
import json
import os
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import osteon
from bench.measuring import Row, Timed, print_head, print_rows, write_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WARM_S, COLD_S, MOST_MB = 9.0, 15.0, 1000.0
BETWEEN = "start, and what is between"


def demo_series(folder: Path, *, quick: bool) -> Path:
    """The series of ``osteon demo``; with quick a coarse one of the same patient."""
    from osteon_phantoms import demo_spec, make_leg_ct
    from osteon_phantoms.files import write_ct_phantom

    return write_ct_phantom(make_leg_ct(demo_spec(1, coarse=quick)), folder).dicom


def read_once(series: Path, result: Path) -> tuple[Mapping[str, float], float]:
    """Seconds by step of one process, all of them under "whole process", and its largest memory in MB."""
    command = [sys.executable, "-m", "osteon", "read", str(series), "-o", str(result), "--replace", "-q"]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    whole = time.perf_counter() - start
    run = json.loads((result / "run.json").read_text("utf-8"))
    steps: dict[str, float] = dict(run["runtime_seconds"])
    return {BETWEEN: whole - sum(steps.values()), **steps, "whole process": whole}, float(run["peak_rss_mb"])


def empty_page_cache(series: Path) -> None:
    """Ask the system to forget the files that a reading needs."""
    os.sync()
    for path in needed_files(series):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def needed_files(series: Path) -> Iterator[Path]:
    """Files of Python, its packages, osteon, the caches of this user, and the series."""
    from platformdirs import user_cache_path

    roots = {
        Path(sysconfig.get_path("stdlib")),
        Path(sysconfig.get_config_var("LIBDIR") or sys.prefix),
        *map(Path, site.getsitepackages()),
        Path(osteon.__file__).parent,
        user_cache_path("osteon"),
        series,
    }
    for root in roots:
        for folder, _, names in os.walk(root):
            yield from (path for name in names if (path := Path(folder, name)).is_file() and os.access(path, os.R_OK))


def rows_of(runs: Sequence[tuple[Mapping[str, float], float]], cold: tuple[Mapping[str, float], float]) -> list[Row]:
    """A line a step, warm against cold, and one for each limit."""
    warm, _ = min(runs, key=lambda run: run[0]["whole process"])
    peak_mb = max(peak for _, peak in runs)
    rows = [
        Row.of(step, "the same, cold", Timed(None, seconds, peak_mb), Timed(None, cold[0].get(step, 0.0), cold[1]))
        for step, seconds in warm.items()
        if seconds > 0.005
    ]
    limits = (("warm", warm, WARM_S), ("cold", cold[0], COLD_S))
    for name, steps, most_s in limits:
        ours = Timed(None, steps["whole process"], peak_mb)
        rows.append(
            Row.of(f"whole process, {name}", f"at most {most_s:g} s", ours, Timed(None, most_s, MOST_MB), target=1)
        )
    # a row of memory: the ratio is that of megabytes, not of seconds
    memory = Timed(None, peak_mb, peak_mb)
    return [*rows, Row.of("memory in MB", f"at most {MOST_MB:g}", memory, Timed(None, MOST_MB, MOST_MB), target=1)]


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a limit was passed, but never with --quick."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="a small series, once, to see that the bench runs")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        series, result = demo_series(Path(scratch) / "patient", quick=options.quick), Path(scratch) / "result"
        read_once(series, result)
        runs = [read_once(series, result) for _ in range(1 if options.quick else 3)]
        empty_page_cache(series)
        cold = read_once(series, result)
    rows = rows_of(runs, cold)
    print_head()
    print_rows(rows)
    if options.json:
        write_rows(rows, options.json)
    return 0 if options.quick or all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
