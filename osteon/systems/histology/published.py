"""What the histology paper prints, and what of it cannot be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["PrintedFinding", "printed_accuracy", "printed_findings", "printed_histology", "share_fits"]


@dataclass(frozen=True, slots=True)
class PrintedFinding:
    """Something printed that was held against arithmetic.

    Attributes:
        printed: what stands there.
        holds: whether it can be what it is called.
        finding: one or two sentences.
    """

    printed: str
    holds: bool
    finding: str


@cache
def printed_histology() -> dict[str, Any]:
    """The printed values, texts with their decimals."""
    text = files("osteon.systems.histology").joinpath("published.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def printed_accuracy(architecture: str, augmentation: str) -> str:
    """Accuracy that the paper prints for a network with an augmentation, per cent; "" where it prints none."""
    document = printed_histology()
    best, plain = document["best"], document["without_augmentation"]
    if (architecture, augmentation) == (best["network"], best["augmentation"]):
        return str(best["accuracy"])
    return str(plain["accuracy"]) if (architecture, augmentation) == (plain["network"], "none") else ""


def share_fits(text: str, whole: int, *, cut: bool = False) -> int | None:
    """Which count of a whole gives a printed share, rounded as printed (or cut off); None where none does.

    Example:
        >>> share_fits("0.9118", 114), share_fits("0.9118", 102), share_fits("0.9411", 102, cut=True)
        (None, 93, 96)
    """
    decimals = len(text.partition(".")[2])
    unit = 10**-decimals
    value = float(text)
    for count in range(whole + 1):
        share = count / whole
        if (value <= share + 1e-12 < value + unit) if cut else abs(share - value) <= unit / 2 + 1e-12:
            return count
    return None


def printed_findings() -> tuple[PrintedFinding, ...]:
    """The printed best values against the number of tiles they are said to be measured on.

    Example:
        >>> [finding.holds for finding in printed_findings()]
        [False, False]
    """
    document = printed_histology()
    best, tiles = document["best"], document["tiles"]
    total = sum(tiles.values())
    judged = round(total * document["validation_share"])
    accuracy = f"{float(best['accuracy']) / 100:.4f}"
    near = [size for size in range(judged - 14, judged + 15) if share_fits(accuracy, size) is not None]
    tumours = round(judged * (1 - tiles["non_tumour"] / total))
    missed = best["false_negatives"]
    needed = [
        size for size in range(missed, 4 * judged) if share_fits(best["tumour_recall"], size, cut=True) == size - missed
    ]
    sizes = ", ".join(map(str, needed))
    binary = share_fits(best["tumour_recall"], near[0], cut=True) if near else None
    same = (
        f" {near[0]} tiles in all fit both: {share_fits(accuracy, near[0])} right of {near[0]}, and "
        f"{binary} of {near[0]} with tumour and none told apart, so 0.9411 is probably the accuracy of tumour against "
        f"none; the recall with {missed} missed of about {round(near[0] * tumours / judged)} tumour tiles would be "
        f"about {1 - missed / round(near[0] * tumours / judged):.2f}."
        if near and binary == near[0] - missed
        else ""
    )
    return (
        PrintedFinding(
            f"accuracy {best['accuracy']} % on a tenth of {total} tiles",
            share_fits(accuracy, judged) is not None,
            f"No count of {judged} tiles gives it; of sizes near a tenth {', '.join(map(str, near)) or 'none'} does. "
            "It is besides the best validation accuracy of many runs, reported on the tiles it was selected by.",
        ),
        PrintedFinding(
            f"recall {best['tumour_recall']} with {missed} false negatives, precision {best['tumour_precision']}",
            tumours in needed,
            f"{missed} missed and that recall need {sizes} tumour tiles; a tenth of the set has about {tumours}.{same}",
        ),
    )
