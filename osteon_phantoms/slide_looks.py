"""How tissues look: a table of what is between the cells and of the cells themselves, and how it varies by patch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from osteon_phantoms.slide_spec import SlideHabit

__all__ = ["LOOKS", "PATCH_DTYPE", "Look", "look_records", "patch_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One kind of tissue. Densities are optical, base 10; lengths in um; numbers of things are of a mm2.

    Attributes:
        h: haematoxylin of the matrix.
        e: eosin of the matrix.
        r: blood in the matrix.
        cloud: depth of slow variation.
        cloud_um: its scale.
        grain: depth of fine variation.
        grain_um: its scale.
        fibre: depth of streaks.
        fibre_um: their width.
        fibre_wave: how wavy.
        bundle_um: width of bundles, 0 none.
        cleft: open gap between bundles, as a share of their width.
        fat_um: size of fat vacuoles, 0 none.
        fat_wall_um: half the wall between two.
        fat_share: of the places of a vacuole that have one.
        lace_um: scale of osteoid or bone, 0 none.
        lace_width: of its strands, against the scale.
        lace_h: their haematoxylin.
        lace_e: their eosin.
        lace_mineral: how much of them is calcified.
        lace_cells: cells within them.
        beam: how far grown bone that runs through a patch is seen in this tissue.
        beam_least: bone that is always there, against its scale.
        pore_um: scale of open spaces, 0 none.
        pore_cut: from which value of noise space is open; higher is less.
        density: cells.
        cluster: how unevenly they lie.
        nucleus_um: mean radius of nuclei.
        nucleus_cv: spread of its logarithm.
        aspect: length to width.
        nucleus_h: haematoxylin of nuclei.
        nucleus_e: eosin of nuclei.
        nucleus_h_cv: its relative spread.
        lobes: how irregular the outline may be.
        ring: share of a nucleus's stain that is only its rim.
        align: share of the nuclei that follow the fibres.
        body: size of the cell against its nucleus, 0 not drawn.
        body_h: haematoxylin of the cell.
        body_e: eosin of the cell.
        small_density: of small round things.
        small_cluster: how unevenly they lie.
        small_um: their radius.
        small_h: their haematoxylin.
        small_e: their eosin.
        small_r: their blood.
        vessel_density: of vessels.
        vessel_um: half their length.
        vessel_blood: share of them that hold blood.
    """

    h: float = 0.03
    e: float = 0.15
    r: float = 0.0
    cloud: float = 0.25
    cloud_um: float = 90.0
    grain: float = 0.15
    grain_um: float = 5.0
    fibre: float = 0.0
    fibre_um: float = 6.0
    fibre_wave: float = 1.0
    bundle_um: float = 0.0
    cleft: float = 0.0
    fat_um: float = 0.0
    fat_wall_um: float = 1.2
    fat_share: float = 1.0
    lace_um: float = 0.0
    lace_width: float = 0.2
    lace_h: float = 0.03
    lace_e: float = 0.33
    lace_mineral: float = 0.0
    lace_cells: float = 0.0
    beam: float = 1.0
    beam_least: float = 0.0
    pore_um: float = 0.0
    pore_cut: float = 2.0
    density: float = 500.0
    cluster: float = 0.3
    nucleus_um: float = 3.5
    nucleus_cv: float = 0.12
    aspect: float = 1.2
    nucleus_h: float = 0.7
    nucleus_e: float = 0.05
    nucleus_h_cv: float = 0.2
    lobes: float = 0.05
    ring: float = 0.0
    align: float = 0.0
    body: float = 0.0
    body_h: float = 0.05
    body_e: float = 0.12
    small_density: float = 0.0
    small_cluster: float = 0.8
    small_um: float = 3.2
    small_h: float = 0.0
    small_e: float = 0.0
    small_r: float = 0.0
    vessel_density: float = 0.0
    vessel_um: float = 22.0
    vessel_blood: float = 0.5


_RED_CELLS: Final = {"small_um": 3.1, "small_e": 0.1, "small_r": 0.5}
_LYMPHOCYTES: Final = {"small_um": 3.0, "small_h": 0.75, "small_e": 0.05}
_CRUMBS: Final = {"small_um": 1.0, "small_h": 0.4, "small_e": 0.1}
_GHOSTS: Final = {
    "nucleus_h": 0.13, "nucleus_e": 0.17, "nucleus_h_cv": 0.3, "lobes": 0.3, "nucleus_cv": 0.38, "aspect": 1.35,
}  # fmt: skip
"""Dead cells: one colour throughout, no nucleus to be told from its cell."""

LOOKS: Final[dict[str, dict[str, Look]]] = {
    "non_tumour": {
        "fatty marrow": Look(
            h=0.02, e=0.13, fat_um=84, fat_wall_um=1.1, fat_share=0.95, density=5200, cluster=1.1, nucleus_um=2.9,
            nucleus_h=0.8, body=1.4, body_h=0.06, body_e=0.1, small_density=2500, **_RED_CELLS, vessel_density=1.5,
        ),
        "cellular marrow": Look(
            h=0.04, e=0.16, fat_um=58, fat_wall_um=4.5, fat_share=0.7, density=6000, cluster=0.5, nucleus_um=3.0,
            nucleus_cv=0.18, nucleus_h=0.8, nucleus_h_cv=0.3, body=1.5, body_h=0.06, body_e=0.16, small_density=4200,
            **_RED_CELLS, vessel_density=3, vessel_um=26, vessel_blood=0.8,
        ),
        "cortical bone": Look(
            h=0.03, e=0.10, beam_least=1.9, fibre=0.4, pore_um=26, pore_cut=0.4, density=900, nucleus_um=2.7,
            aspect=2, small_density=800, **_RED_CELLS,
        ),
        "trabecular bone": Look(
            h=0.02, e=0.11, beam_least=0.55, fat_um=84, fat_share=0.9, density=2500, cluster=1.1, nucleus_um=2.9,
            small_density=1500, **_RED_CELLS,
        ),
        "muscle": Look(
            h=0.03, e=0.33, cloud=0.12, cloud_um=200, grain=0.10, grain_um=3, fibre=0.12, fibre_um=4, fibre_wave=0.6,
            bundle_um=46, cleft=0.09, density=420, nucleus_um=2.6, aspect=3.0, nucleus_h=0.7, align=0.95,
            vessel_density=2, vessel_um=16, vessel_blood=0.6, beam=0,
        ),
        "fibrous": Look(
            h=0.03, e=0.27, cloud=0.18, cloud_um=110, fibre=0.35, fibre_um=5, fibre_wave=1.4, bundle_um=38, cleft=0.05,
            density=750, nucleus_um=2.5, aspect=3.2, nucleus_h=0.7, align=0.9, vessel_density=5, vessel_um=20, beam=0,
        ),
        "loose stroma": Look(
            h=0.04, e=0.11, cloud=0.4, cloud_um=70, fibre=0.7, fibre_um=5, fibre_wave=1.1, bundle_um=11, cleft=0.36,
            density=850, nucleus_um=2.5, aspect=2.6, nucleus_h=0.7, align=0.6, small_density=600, small_cluster=1.5,
            **_LYMPHOCYTES, vessel_density=7, vessel_um=26, vessel_blood=0.6,
        ),
        "blood": Look(
            h=0.0, e=0.04, r=0.12, cloud=0.25, density=120, nucleus_um=3.2, nucleus_h=0.7, lobes=0.25,
            small_density=15000, small_cluster=0.35, **_RED_CELLS, pore_um=60, pore_cut=1.7, beam=0.5,
        ),
        "cartilage": Look(
            h=0.2, e=0.17, cloud=0.2, cloud_um=300, grain=0.05, density=210, nucleus_um=4.4, nucleus_h=0.6,
            aspect=1.4, body=1.8, body_h=-0.16, body_e=-0.14, cluster=0.9, beam=0.4,
        ),
    },
    "non_viable": {
        "lace without cells": Look(
            h=0.04, e=0.12, cloud=0.3, grain=0.25, pore_um=13, pore_cut=0.55, lace_um=46, lace_width=0.42, lace_e=0.20,
            lace_h=0.02, lace_mineral=0.1, density=500, nucleus_um=4.2, **_GHOSTS, small_density=900, **_CRUMBS,
            fat_um=60, fat_share=0.06,
        ),
        "mineral scaffold": Look(
            h=0.04, e=0.13, cloud=0.3, lace_um=60, lace_width=0.55, lace_e=0.24, lace_h=0.05, lace_mineral=0.9,
            density=400, nucleus_um=4.0, **_GHOSTS, pore_um=24, pore_cut=0.9, small_density=500, **_CRUMBS,
        ),
        "ghost cells": Look(
            h=0.06, e=0.16, cloud=0.25, cloud_um=150, grain=0.3, grain_um=4, density=2600, nucleus_um=5.2, **_GHOSTS,
            pore_um=9, pore_cut=1.0, lace_um=80, lace_width=0.10, lace_e=0.22, small_density=1200, **_CRUMBS,
            fat_um=75, fat_share=0.05,
        ),
        "ghosts apart": Look(
            h=0.02, e=0.05, cloud=0.4, grain=0.4, density=3000, nucleus_um=6.2, **_GHOSTS, pore_um=22, pore_cut=0.15,
            small_density=1800, **_CRUMBS,
        ),
        "hyaline": Look(
            h=0.05, e=0.20, cloud=0.3, cloud_um=140, grain=0.3, fibre=0.3, fibre_um=8, fibre_wave=1.1, pore_um=11,
            pore_cut=1.25, density=1100, nucleus_um=4.4, **_GHOSTS, align=0.5, small_density=700, **_CRUMBS,
        ),
        "bled into": Look(
            h=0.03, e=0.15, r=0.03, cloud=0.4, grain=0.3, density=700, nucleus_um=4.4, **_GHOSTS, small_density=3500,
            small_cluster=1.2, small_um=3.1, small_e=0.1, small_r=0.22, lace_um=70, lace_width=0.2, lace_e=0.22,
            pore_um=20, pore_cut=0.9, fat_um=60, fat_share=0.06,
        ),
    },
    "viable": {
        "osteoblastic": Look(
            h=0.06, e=0.15, cloud=0.25, density=5200, cluster=0.35, nucleus_um=4.3, nucleus_cv=0.25, aspect=1.35,
            nucleus_h=0.5, nucleus_h_cv=0.3, lobes=0.22, body=1.7, body_h=0.08, body_e=0.12, lace_um=42,
            lace_width=0.24, lace_e=0.34, lace_mineral=0.2, lace_cells=900, vessel_density=6, vessel_um=18,
            fat_um=55, fat_share=0.04,
        ),
        "packed": Look(
            h=0.09, e=0.18, cloud=0.2, density=7600, cluster=0.25, nucleus_um=4.0, nucleus_cv=0.2, aspect=1.35,
            nucleus_h=0.5, nucleus_h_cv=0.25, lobes=0.18, body=1.6, body_h=0.09, body_e=0.14, lace_um=55,
            lace_width=0.07, lace_e=0.34, vessel_density=7, vessel_um=18,
        ),
        "spindled": Look(
            h=0.05, e=0.17, cloud=0.2, fibre=0.25, fibre_um=7, fibre_wave=1.5, density=5000, nucleus_um=3.9,
            nucleus_cv=0.22, aspect=2.6, nucleus_h=0.5, nucleus_h_cv=0.28, lobes=0.12, align=0.9, body=1.5,
            body_h=0.05, body_e=0.12, lace_um=70, lace_width=0.08, lace_e=0.34, vessel_density=6,
        ),
        "bizarre": Look(
            h=0.05, e=0.17, cloud=0.3, density=3400, cluster=0.4, nucleus_um=5.0, nucleus_cv=0.42, aspect=1.4,
            nucleus_h=0.42, nucleus_h_cv=0.3, lobes=0.3, body=1.9, body_h=0.03, body_e=0.16, lace_um=50,
            lace_width=0.16, lace_e=0.34, lace_mineral=0.2, lace_cells=500, vessel_density=5, fat_um=55,
            fat_share=0.08,
        ),
        "chondroblastic": Look(
            h=0.11, e=0.07, cloud=0.35, cloud_um=160, density=1500, cluster=0.4, nucleus_um=3.9, nucleus_cv=0.28,
            nucleus_h=0.7, nucleus_h_cv=0.25, lobes=0.2, body=2.3, body_h=-0.09, body_e=-0.06,
        ),
        "foamy": Look(
            h=0.05, e=0.12, cloud=0.3, grain=0.25, density=2400, cluster=0.5, nucleus_um=4.2, nucleus_cv=0.28,
            nucleus_h=0.45, nucleus_h_cv=0.3, lobes=0.2, body=1.7, body_h=0.05, body_e=0.1, pore_um=12, pore_cut=0.75,
            lace_um=60, lace_width=0.12, lace_e=0.24, fat_um=60, fat_share=0.07, vessel_density=4, vessel_blood=0.7,
            small_density=500, **_RED_CELLS,
        ),
        "among marrow": Look(
            h=0.05, e=0.14, cloud=0.3, density=4200, cluster=0.4, nucleus_um=4.0, nucleus_cv=0.28, nucleus_h=0.48,
            nucleus_h_cv=0.3, lobes=0.2, body=1.7, body_h=0.07, body_e=0.13, fat_um=58, fat_wall_um=5, fat_share=0.25,
            pore_um=14, pore_cut=1.2, small_density=1200, small_cluster=1.5, **_RED_CELLS, vessel_density=6,
            vessel_um=40, vessel_blood=0.7,
        ),
    },
}  # fmt: skip
"""Looks by class and name."""

_SHARES: Final = {
    "non_tumour": (0.17, 0.1, 0.17, 0.14, 0.09, 0.08, 0.11, 0.06, 0.08),
    "non_viable": (0.24, 0.1, 0.24, 0.14, 0.16, 0.12),
    "viable": (0.2, 0.18, 0.13, 0.12, 0.13, 0.13, 0.11),
}

_LOOK_DTYPE: Final = np.dtype([(entry.name, np.float64) for entry in fields(Look)])

PATCH_DTYPE: Final = np.dtype([
    *((name, np.int64) for name in LOOKS),
    *((name, np.float64) for name in ("cells", "nucleus", "lace", "mineral", "beam", "gap", "tear")),
    *((name, np.float64) for name in ("cosine", "sine", "stain_h", "stain_e", "red")),
])  # fmt: skip
"""Of a patch: numbers of the looks, and factors of them."""


def look_records(habit: SlideHabit) -> NDArray[np.void]:
    """All looks as a table, changed by the habit of a tumour."""
    rows = []
    for kind, looks in LOOKS.items():
        for look in looks.values():
            row = np.array([tuple(getattr(look, entry.name) for entry in fields(Look))], dtype=_LOOK_DTYPE)
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


def patch_records(generator: np.random.Generator, count: int, habit: SlideHabit) -> NDArray[np.void]:
    """Draw how tissue looks in each of some patches; a patient's tumour keeps to some of the looks."""
    patches = np.zeros(count, PATCH_DTYPE)
    first = 0
    for kind, looks in LOOKS.items():
        shares = np.array(_SHARES[kind])
        if kind != "non_tumour":
            # one growth pattern prevails in a tumour, others are seen beside it
            shares = generator.dirichlet(shares * 3)
        patches[kind] = first + generator.choice(len(looks), size=count, p=shares)
        first += len(looks)
    patches["beam"] = np.where(generator.random(count) < 0.45, generator.uniform(0.08, 0.4, count), 0)
    patches["gap"] = np.where(generator.random(count) < 0.6, generator.uniform(0.01, 0.09, count), 0)
    patches["tear"] = np.where(generator.random(count) < 0.35, generator.uniform(1.0, 2.2, count), 9)
    turn = generator.uniform(0, np.pi, count)
    patches["cosine"], patches["sine"] = np.cos(turn), np.sin(turn)
    patches["cells"] = np.exp(generator.normal(0, 0.16, count))
    patches["nucleus"] = np.exp(generator.normal(0, 0.06, count))
    patches["lace"] = np.exp(generator.normal(0, 0.25, count))
    patches["mineral"] = generator.uniform(0.4, 1.3, count) * min(1.0, habit.mineral + 0.2)
    patches["stain_h"] = np.exp(generator.normal(0, 0.12, count))
    patches["red"] = generator.uniform(0, 0.9) * generator.uniform(0.7, 1, count)
    patches["stain_e"] = np.exp(generator.normal(0, 0.08, count))
    return patches
