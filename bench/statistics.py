"""Statistics: osteon against what a person would write with numpy and scikit-learn.

Run ``python -m bench.statistics [--quick] [--json FILE]``. Both sides run in one process on the same scores. The
rows of the bootstrap are extrapolated, and say so: the plain loop runs a few resamples and its time is multiplied up to
the number that osteon runs; equality is asked of those few.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.measuring import Row, Timed, print_head, print_rows, timed, write_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATS, SEED, SECONDS_ALLOWED = 2000, 1, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Images of patients with a truth and two scores."""

    truth: NDArray[np.bool_] = field(repr=False)
    first: NDArray[np.float64] = field(repr=False)
    second: NDArray[np.float64] = field(repr=False)
    patient: NDArray[np.int64] = field(repr=False)


def make_cohort(patients: int, images: int) -> Cohort:
    """Every patient has at least one image; scores have four decimals, so some tie."""
    rng = np.random.default_rng(SEED)
    patient = np.concatenate([np.arange(patients), rng.integers(0, patients, images - patients)])
    truth = rng.random(images) < rng.choice([0.1, 0.8], patients)[patient]
    level = rng.normal(0, 0.5, patients)[patient]
    first, second = (np.round(truth * gain + level + rng.normal(size=images), 4) for gain in (1.2, 1.0))
    return Cohort(truth, first, second, patient)


def plain_bootstrap(cohort: Cohort, repeats: int) -> NDArray[np.float64]:
    """Draw patients, gather their images, ask scikit-learn, again and again; drawn as osteon draws."""
    from sklearn.metrics import roc_auc_score

    order = np.argsort(cohort.patient, kind="stable")
    patients = int(cohort.patient.max()) + 1
    images = np.split(order, np.cumsum(np.bincount(cohort.patient))[:-1])
    areas = np.empty(repeats)
    for repeat in range(repeats):
        picks = np.random.default_rng((SEED, repeat)).integers(0, patients, patients)
        drawn = np.concatenate([images[pick] for pick in picks])
        areas[repeat] = roc_auc_score(cohort.truth[drawn], cohort.first[drawn])
    return areas


def bench_bootstrap(cohort: Cohort, plain_repeats: int) -> list[Row]:
    """Interval of the AUC over resampled patients."""
    from osteon.metrics.bootstrap import Resampling, draw_patients, patient_bootstrap
    from osteon.metrics.bootstrap_measures import evaluated, statistic

    arguments = (cohort.truth, cohort.first, cohort.patient)
    how = Resampling(repeats=REPEATS, seed=SEED)
    patient_bootstrap("auc", *arguments, resampling=replace(how, repeats=2))  # compiles
    ours = timed(lambda: patient_bootstrap("auc", *arguments, resampling=how), runs=3)
    bca = timed(lambda: patient_bootstrap("auc", *arguments, resampling=replace(how, method="bca")))
    plain_bootstrap(cohort, 1)  # imports
    few = timed(lambda: plain_bootstrap(cohort, plain_repeats))
    theirs = Timed(few.result, few.seconds * REPEATS / plain_repeats, few.peak_mb)
    cases = evaluated(*arguments)
    same = statistic("auc", cases)(draw_patients(cases.patients, range(plain_repeats), seed=SEED))
    differing = int(np.count_nonzero(np.abs(same - few.result) > 1e-12))
    against = f"sklearn loop, {plain_repeats} of {REPEATS} timed"
    step = f"patient bootstrap of AUC{'' if ours.seconds <= SECONDS_ALLOWED else ' SLOW'}"
    return [
        Row.of(step, against, ours, theirs, differing=differing),
        Row.of("patient bootstrap of AUC, BCa", against, bca, theirs),
    ]


def pairwise_delong(cohort: Cohort, block: int = 500) -> tuple[float, float]:
    """Difference of two areas and its standard error from every pair, a block of positives at a time."""
    aucs, of_positives, of_negatives = [], [], []
    for score in (cohort.first, cohort.second):
        x, y = score[cohort.truth], score[~cohort.truth]
        rows, columns = np.empty(x.size), np.zeros(y.size)
        for start in range(0, x.size, block):
            part = x[start : start + block, np.newaxis]
            won = (part > y) + 0.5 * (part == y)
            rows[start : start + block] = won.mean(axis=1)
            columns += won.sum(axis=0)
        aucs.append(float(rows.mean()))
        of_positives.append(rows)
        of_negatives.append(columns / x.size)
    positives, negatives = np.array(of_positives), np.array(of_negatives)
    covariance = np.cov(positives) / positives.shape[1] + np.cov(negatives) / negatives.shape[1]
    return aucs[0] - aucs[1], math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])


def bench_delong(cohort: Cohort) -> list[Row]:
    """The paired test of two areas."""
    from osteon.metrics.delong import compare_paired

    compare_paired(cohort.truth[:50], cohort.first[:50], cohort.second[:50])  # imports
    ours = timed(lambda: compare_paired(cohort.truth, cohort.first, cohort.second), runs=5)
    theirs = timed(lambda: pairwise_delong(cohort))
    clustered = timed(lambda: compare_paired(cohort.truth, cohort.first, cohort.second, patients=cohort.patient))
    difference, error = theirs.result
    found = (ours.result.difference, ours.result.difference / ours.result.statistic)
    equal = bool(np.allclose(found, (difference, error), rtol=1e-9))
    against = "all pairs in blocks, numpy"
    return [
        Row.of("DeLong, paired", against, ours, theirs, target=20, equal=equal),
        Row.of("Obuchowski (clustered), paired", "DeLong, paired", clustered, ours),
    ]


def run(*, quick: bool) -> list[Row]:
    """Every row of the bench, printed as it is measured."""
    patients, images, scores = (500, 1500, 4000) if quick else (10_000, 30_000, 100_000)
    print(f"{patients} patients, {images} images, {REPEATS} resamples (at most {SECONDS_ALLOWED:g} s); {scores} scores")
    print_head()
    rows = bench_bootstrap(make_cohort(patients, images), plain_repeats=10 if quick else 100)
    print_rows(rows)
    more = bench_delong(make_cohort(scores // 3, scores))
    print_rows(more)
    return rows + more


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a target was missed, but never with --quick, whose sizes mean nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that the bench runs")
    options = parser.parse_args(arguments)
    rows = run(quick=options.quick)
    if options.json:
        write_rows(rows, options.json)
    in_time = rows[0].seconds <= SECONDS_ALLOWED
    return 0 if options.quick or (in_time and all(row.reached and row.equal is not False for row in rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
