"""Compiled passes over sorted images behind the patient bootstrap: one resample is one row of patient counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osteon._compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["auc_of_counts", "pr_auc_of_counts", "sums_of_counts"]


@compiled
def auc_of_counts(
    counts: NDArray[Any], patient: NDArray[Any], positive: NDArray[Any], opens: NDArray[Any], out: NDArray[Any]
) -> None:
    """Area under the ROC curve of every resample, ties counted half, in whole numbers up to the last division.

    Args:
        counts: (resamples, patients) int32, how often each patient was drawn.
        patient: (n,) int32, patient of each image, images by rising score.
        positive: (n,) int8, 1 for a positive image.
        opens: (n,) int8, 1 where a score differs from the one before.
        out: (resamples,) float64 to write; NaN when a class is missing.
    """
    for r in range(counts.shape[0]):
        row = counts[r]
        twice_won, positives, negatives, tied_positives, tied_negatives = 0, 0, 0, 0, 0
        for i in range(patient.size):
            if opens[i]:
                twice_won += tied_positives * (2 * negatives + tied_negatives)
                positives += tied_positives
                negatives += tied_negatives
                tied_positives, tied_negatives = 0, 0
            drawn = row[patient[i]]
            # no branch: the class of the next image by score cannot be foretold
            won = drawn * positive[i]
            tied_positives += won
            tied_negatives += drawn - won
        twice_won += tied_positives * (2 * negatives + tied_negatives)
        positives += tied_positives
        negatives += tied_negatives
        pairs = positives * negatives
        out[r] = twice_won / (2 * pairs) if pairs > 0 else float("nan")


@compiled
def pr_auc_of_counts(
    counts: NDArray[Any], patient: NDArray[Any], positive: NDArray[Any], opens: NDArray[Any], out: NDArray[Any]
) -> None:
    """Average precision of every resample; arguments as of ``auc_of_counts``."""
    for r in range(counts.shape[0]):
        row = counts[r]
        caught, called, before = 0, 0, 0
        area = 0.0
        for i in range(patient.size - 1, -1, -1):
            drawn = row[patient[i]]
            caught += drawn * positive[i]
            called += drawn
            if opens[i] and caught > before:
                area += (caught - before) * (caught / called)
                before = caught
        out[r] = area / caught if 0 < caught < called else float("nan")


@compiled
def sums_of_counts(counts: NDArray[Any], table: NDArray[Any], out: NDArray[Any]) -> None:
    """Sums over the drawn patients: ``counts @ table``, always in the same order and without threads of its own.

    Args:
        counts: (resamples, patients) int32, how often each patient was drawn.
        table: (patients, columns) float64.
        out: (resamples, columns) float64 to write.
    """
    for r in range(counts.shape[0]):
        sums = out[r]
        sums[:] = 0.0
        for p in range(table.shape[0]):
            drawn = counts[r, p]
            if drawn:
                for c in range(table.shape[1]):
                    sums[c] += drawn * table[p, c]
