"""What the paper on femoral tumours prints, and why it cannot be so.

References:
    Spec mri-femur, section 4.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from osteon.metrics.consistency import check
from osteon.report.tables import Table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MEASURES", "PrintedFemur", "femur_checks", "printed_femur"]

MEASURES: Final = {
    "accuracy": "accuracy",
    "precision": "precision",
    "sensitivity": "tpr",
    "specificity": "tnr",
    "f1": "f1",
    "auc": "auc",
}
"""Name in the tables -> name in ``osteon.metrics.classification``; the ROC curve, the seventh, is a picture."""

_MEANS = (
    "The paper does not say whether its numbers are means over ten folds or of 200 test images. For means over folds "
    "in which the classes have equal shares an accuracy above both rates is impossible too; over any folds a mean AUC "
    "is at least mean sensitivity + mean specificity - 1, here {least}."
)


@dataclass(frozen=True, slots=True)
class PrintedFemur:
    """A row of the paper's table.

    Attributes:
        network: name in ``osteon.nets``.
        name: in the paper.
        values: measure -> text as printed; precision is not.
    """

    network: str
    name: str
    values: Mapping[str, str] = field(repr=False)


def printed_femur() -> dict[str, PrintedFemur]:
    """The rows by network.

    Example:
        >>> printed_femur()["alexnet_femur"].values["accuracy"]
        '98.34'
    """
    return {
        row["network"]: PrintedFemur(row["network"], row["name"], {name: row[name] for name in MEASURES if name in row})
        for row in _document()["rows"]
    }


@cache
def _document() -> dict[str, Any]:
    text = files("osteon.systems.mri_femur").joinpath("published.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def femur_checks() -> Table:
    """Every printed row held against arithmetic."""
    rows: list[tuple[str, ...]] = []
    records: list[dict[str, object]] = []
    least: list[str] = []
    for printed in printed_femur().values():
        found = check(**dict(printed.values))  # type: ignore[arg-type]  # of names that it knows
        sentences = [f"{one.message[0].upper()}{one.message[1:]}." for one in found.violations]
        said = ", ".join(f"{name} {text}" for name, text in printed.values.items())
        point = [float(printed.values[name]) / 100 for name in ("sensitivity", "specificity")]
        least.append(f"{sum(point) - 1:.3f} ({printed.name})")
        rows.append((printed.name, said, "yes" if found.possible else "NO", " ".join(sentences)))
        records.append(
            {
                "network": printed.network,
                "can_be_true": found.possible,
                "least_auc": found.auc_range[0] if found.auc_range else None,
                "violations": len(found.violations),
                "finding": " ".join(sentences),
            }
        )
    return Table(
        "printed",
        "The printed values, held against arithmetic",
        ("Network", "Printed", "Can be true", "Finding"),
        tuple(rows),
        notes=(
            "Facts of the paper alone; no image is needed. Any set of shares of both classes is allowed.",
            _MEANS.format(least=" and ".join(least)),
        ),
        records=tuple(records),
    )
