"""All pairs above a cosine among many vectors: osteon against plain blocked matrix products.

Run ``python -m bench.pair_search [--rows N] [--case NAME] [--json FILE]``; 100,000 rows of 1,280 take some minutes a
case, nearly all of it numpy's. Both sides run in one process on the same vectors, osteon first, so that its memory
holds nothing of the other.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.measuring import Row, print_head, print_rows, timed, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FULL_ROWS, WIDTH, THRESHOLD = 100_000, 1280, 0.95
TARGET_RATIO, TARGET_MB = 4.0, 2048.0
CASES = ("falling", "rectified", "isotropic", "labelled")
_BLOCK = 512


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors to search.

    Attributes:
        vectors: (n, 1280) float32.
        labels: (n,) classes, or None where all pairs are asked for.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] | None = field(repr=False)


def make_embeddings(case: str, rows: int) -> Embeddings:
    """Made vectors with one planted near duplicate for each hundred rows.

    The variance of component k falls as 1 / (1 + k / 2), except for ``isotropic``; ``rectified`` turns that spectrum
    into a random basis and keeps what is positive, as the pooled output of a ReLU; ``labelled`` is ``falling`` with two
    labels, 30 % of the one.
    """
    random = np.random.default_rng(1)
    vectors = random.standard_normal((rows, WIDTH), dtype=np.float32)
    if case != "isotropic":
        vectors *= (1 / np.sqrt(1 + np.arange(WIDTH) / 2)).astype(np.float32)
    if case == "rectified":
        turn = np.linalg.qr(random.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
        for start in range(0, rows, _BLOCK):
            vectors[start : start + _BLOCK] = np.maximum(vectors[start : start + _BLOCK] @ turn + 0.05, 0)
    copies = rows // 100
    noise = random.standard_normal((copies, WIDTH), dtype=np.float32)
    noise *= 0.1 * np.linalg.norm(vectors[:copies], axis=1, keepdims=True) / WIDTH**0.5
    vectors[rows - copies :] = vectors[:copies] + noise
    return Embeddings(vectors, (random.random(rows) < 0.3).astype(np.int64) if case == "labelled" else None)


def by_numpy(made: Embeddings) -> NDArray[np.int64]:
    """Pairs as a person would look for them, shape (m, 3): rows, and the cosine in units of 1e-9."""
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    found = []
    for start in range(0, len(unit), _BLOCK):
        cosines = unit[start : start + _BLOCK] @ unit.T
        first, second = np.nonzero(cosines >= THRESHOLD)
        values = cosines[first, second]
        first += start
        keep = first < second
        if made.labels is not None:
            keep &= made.labels[first] != made.labels[second]
        found.append(np.stack([first, second, np.rint(values * 1e9).astype(np.int64)], axis=1)[keep])
    return np.concatenate(found)


def by_osteon(made: Embeddings) -> NDArray[np.int64]:
    """The same with osteon."""
    from osteon.curation.pairs import similar_pairs

    pairs = similar_pairs(made.vectors, threshold=THRESHOLD, different=made.labels)
    print(
        f"  {pairs.method}, {pairs.components} components, {pairs.checked} worked out, {len(pairs)} pairs", flush=True
    )
    return np.stack([pairs.first, pairs.second, np.rint(pairs.cosine * 1e9).astype(np.int64)], axis=1)


def differing_pairs(one: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Pairs that only one side has, but for those that float32 cannot tell from the threshold."""
    clear = [
        {(i, j) for i, j, value in pairs.tolist() if abs(value - THRESHOLD * 1e9) > 1e9 * 1e-5}
        for pairs in (one, other)
    ]
    return len(clear[0] ^ clear[1])


def run(cases: Sequence[str], rows: int) -> list[Row]:
    """All lines of the table."""
    from osteon.curation.pairs import similar_pairs

    # compiled code is made on the first call of a process
    similar_pairs(np.eye(8, dtype=np.float32), method="pruned", different=range(8))
    print_head()
    table = []
    for case in cases:
        made = make_embeddings(case, rows)
        ours = timed(lambda made=made: by_osteon(made))  # type: ignore[misc]
        theirs = timed(lambda made=made: by_numpy(made))  # type: ignore[misc]
        differing = differing_pairs(ours.result, theirs.result)
        step = f"pairs of {rows:,} x {WIDTH:,}, {case}"
        table.append(
            Row.of(step, "numpy, blocks of all products", ours, theirs, target=TARGET_RATIO, differing=differing)
        )
        print_rows(table[-1:])
        del made
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when pairs differ or, at full size, when a target of time or memory was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=FULL_ROWS, help="vectors; targets hold for 100,000")
    parser.add_argument("--case", choices=CASES, action="append", help="one case; may be given again; all by default")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    rows = run(options.case or CASES, options.rows)
    if options.json:
        write_rows(rows, options.json)
    small = options.rows < FULL_ROWS
    good = all(row.equal and (small or (row.reached and row.peak_mb < TARGET_MB)) for row in rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
