"""How tissues look, between the cells and in the cells themselves (``tables/tissue_appearance.json``), by patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from osteon_phantoms.spec import table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.slides.spec import SlideHabit

__all__ = ["appearances", "draw_patches"]

_TABLE: Final = table("tissue_appearance")
_DTYPE: Final = np.dtype([(name, np.float64) for name in _TABLE["fields"]])
_FACTORS: Final = (
    "cells", "nucleus", "lace", "mineral", "beam", "gap", "tear", "cosine", "sine", "stain_h", "stain_e", "red",
)  # fmt: skip
_PATCH_DTYPE: Final = np.dtype([
    *((name, np.int64) for name in _TABLE["appearances"]), *((name, np.float64) for name in _FACTORS),
])  # fmt: skip
"""Of a patch: numbers of the appearances of each class, and factors of them."""


def appearances(habit: SlideHabit) -> NDArray[np.void]:
    """All appearances as a table, changed by the habit of a tumour."""
    rows = []
    for kind, entries in _TABLE["appearances"].items():
        for entry in entries.values():
            values = tuple(entry.get(name, default) for name, (default, _) in _TABLE["fields"].items())
            row = np.array([values], dtype=_DTYPE)
            if kind == "viable":
                row["density"] *= habit.cellularity / habit.nucleus_size**2
                row["nucleus_um"] *= habit.nucleus_size
                row["lace_width"] *= habit.osteoid
                row["nucleus_h"] *= habit.chromatin
                for name in ("nucleus_cv", "nucleus_h_cv", "lobes"):
                    row[name] *= habit.pleomorphism
            if kind == "non_viable":
                row["density"] *= habit.mummies
                row["lace_width"] *= 0.5 + 0.5 * habit.osteoid
            if kind != "non_tumour":
                row["lace_mineral"] *= habit.mineral
            rows.append(row)
    return np.concatenate(rows)


def draw_patches(generator: np.random.Generator, count: int, habit: SlideHabit) -> NDArray[np.void]:
    """How tissue looks in each of some patches; a patient's tumour keeps to some of the appearances."""
    patches = np.zeros(count, _PATCH_DTYPE)
    first = 0
    for kind, entries in _TABLE["appearances"].items():
        shares = np.array(_TABLE["shares"][kind])
        if kind != "non_tumour":
            # one growth pattern prevails in a tumour, others are seen beside it
            shares = generator.dirichlet(shares * 3)
        patches[kind] = first + generator.choice(len(entries), size=count, p=shares)
        first += len(entries)
    patches["beam"] = np.where(generator.random(count) < 0.45, generator.uniform(0.08, 0.4, count), 0)
    patches["gap"] = np.where(generator.random(count) < 0.6, generator.uniform(0.01, 0.09, count), 0)
    patches["tear"] = np.where(generator.random(count) < 0.35, generator.uniform(1.0, 2.2, count), 9)
    turn = generator.uniform(0, np.pi, count)
    patches["cosine"], patches["sine"] = np.cos(turn), np.sin(turn)
    for name, spread in (("cells", 0.16), ("nucleus", 0.06), ("lace", 0.25)):
        patches[name] = np.exp(generator.normal(0, spread, count))
    patches["mineral"] = generator.uniform(0.4, 1.3, count) * min(1.0, habit.mineral + 0.2)
    patches["stain_h"] = np.exp(generator.normal(0, 0.12, count))
    patches["red"] = generator.uniform(0, 0.9) * generator.uniform(0.7, 1, count)
    patches["stain_e"] = np.exp(generator.normal(0, 0.08, count))
    return patches
