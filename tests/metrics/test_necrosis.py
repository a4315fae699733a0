"""Necrosis fraction, its interval on simulated maps, and Huvos grades."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from osteon.data.slide import Necrosis
from osteon.errors import GeometryMismatchError, InputError
from osteon.metrics.necrosis import huvos_grade, necrosis_fraction

CELL_MM2 = 0.512**2


def one_hot(classes: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.eye(3)[classes]


def test_a_map_worked_out_by_hand() -> None:
    probability = one_hot(np.array([[0, 1, 1, 0], [0, 2, 0, 0], [0, 0, 0, 1]]))
    probability[0, 0] = np.nan
    share = np.ones((3, 4))
    share[0, 1] = 0.5
    left_out = np.zeros((3, 4), bool)
    left_out[2, 3] = True
    found = necrosis_fraction(probability, share, 0.25, left_out)
    assert found.fraction == pytest.approx(1.5 / 2.5)
    assert dict(found.area_mm2) == pytest.approx(
        {"non_tumour": 7 * 0.25, "non_viable": 0.375, "viable": 0.25, "tissue": 11.5 * 0.25, "left_out": 0.25}
    )
    assert (found.regions, found.tiles, found.interval) == (1, 3, None)
    assert "blocks" in found.method


def test_regions_touch_at_corners_and_empty_cells_are_none() -> None:
    probability = one_hot(np.array([[1, 0, 0, 2], [0, 2, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]))
    share = np.ones((4, 4))
    share[3, 3] = 0
    found = necrosis_fraction(probability, share, 1.0)
    assert (found.regions, found.tiles) == (3, 4)


def test_no_tumour_gives_no_fraction() -> None:
    for probability in (one_hot(np.zeros((5, 5), int)), np.full((5, 5, 3), np.nan)):
        found = necrosis_fraction(probability, np.ones((5, 5)), 1.0)
        assert found.fraction is None
        assert found.interval is None
        assert found.area_mm2["tissue"] == 25


def soft(true: NDArray[np.int64], sure: float) -> NDArray[np.float64]:
    """Probabilities of a classifier that gives the true class ``sure``."""
    return np.where(one_hot(true) > 0, sure, (1 - sure) / 2)


def test_uncertain_calls_widen_the_interval_of_a_uniform_map() -> None:
    widths = []
    for sure in (0.999, 0.9, 0.6):
        found = necrosis_fraction(soft(np.ones((40, 40), int), sure), np.ones((40, 40)), CELL_MM2)
        assert found.fraction == 1
        assert found.interval is not None
        assert found.interval[1] == 1
        widths.append(1 - found.interval[0])
    assert widths[0] < 0.01 < widths[1] < widths[2]


def test_fewer_blocks_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    widths = []
    for side in (12, 20, 40):
        patches = np.kron(1 + (rng.random((side // 4, side // 4)) < 0.4), np.ones((4, 4), int))
        patches[:4, :4], patches[:4, 4:8] = 1, 2
        found = necrosis_fraction(soft(patches, 0.97), np.ones((side, side)), CELL_MM2)
        assert found.interval is not None
        widths.append(found.interval[1] - found.interval[0])
    assert widths[0] > widths[1] > widths[2]


def test_specks_beside_a_large_region_do_not_take_the_interval_over() -> None:
    classes = np.zeros((60, 60), int)
    classes[:40, :40] = 1
    classes[:40, 30:40] = 2
    alone = necrosis_fraction(one_hot(classes), np.ones((60, 60)), CELL_MM2)
    classes[45::5, ::5] = 2
    specks = necrosis_fraction(one_hot(classes), np.ones((60, 60)), CELL_MM2)
    assert specks.regions == 37
    assert alone.interval is not None
    assert specks.interval is not None
    assert np.allclose(alone.interval, specks.interval, atol=0.08)


def test_the_seed_decides_and_more_resamples_change_little() -> None:
    probability = simulated(np.random.default_rng(8), size=32)[0]
    share = np.ones((32, 32))
    first = necrosis_fraction(probability, share, CELL_MM2, seed=4)
    assert first == necrosis_fraction(probability, share, CELL_MM2, seed=4)
    more = necrosis_fraction(probability, share, CELL_MM2, seed=5, repeats=8000)
    assert first.interval is not None
    assert more.interval is not None
    assert np.allclose(first.interval, more.interval, atol=0.03)


def field_of(rng: np.random.Generator, size: int, cells: float) -> NDArray[np.float64]:
    """A standard normal field, correlated over some cells, that does not repeat within the map."""
    from scipy import ndimage

    pad = 4 * int(np.ceil(cells))
    noise = ndimage.gaussian_filter(rng.standard_normal((size + 2 * pad, size + 2 * pad)), cells)
    return np.asarray(noise[pad:-pad, pad:-pad] * 2 * np.sqrt(np.pi) * cells)


def simulated(
    rng: np.random.Generator, *, size: int = 40, share: float = 0.7, patch: float = 1.2
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities that are calibrated by construction, and true classes drawn from them with correlated errors."""
    from scipy import special, stats

    tumour = special.expit(3 * (field_of(rng, size, 3.0) + 0.8))
    necrotic = special.expit(6 * (field_of(rng, size, patch) + stats.norm.ppf(share)))
    probability = np.stack([1 - tumour, tumour * necrotic, tumour * (1 - necrotic)], axis=2)
    place = stats.norm.cdf(field_of(rng, size, 1.0))
    classes = (place > probability[..., 0]).astype(int) + (place > probability[..., :2].sum(axis=2))
    return probability, classes


def true_fraction(classes: NDArray[np.int64]) -> float:
    return float((classes == 1).sum() / (classes > 0).sum())


def evaluated(count: int, **options: float) -> list[tuple[Necrosis, float]]:
    found = []
    for seed in range(count):
        probability, classes = simulated(np.random.default_rng(seed), **options)  # type: ignore[arg-type]
        share = np.ones(classes.shape)
        found.append((necrosis_fraction(probability, share, CELL_MM2, repeats=1000), true_fraction(classes)))
    return found


@pytest.mark.parametrize(("size", "share"), [(40, 0.7), (24, 0.5), (40, 0.93), (12, 0.7)])
def test_the_interval_covers_the_slides_own_fraction_and_the_tumours(size: int, share: float) -> None:
    cases = evaluated(200, size=size, share=share)
    population = true_fraction(
        np.concatenate([simulated(np.random.default_rng(seed), size=100, share=share)[1] for seed in range(900, 912)])
    )
    own = across = 0
    for found, truth in cases:
        assert found.interval is not None
        own += found.interval[0] <= truth <= found.interval[1]
        across += found.interval[0] <= population <= found.interval[1]
    assert own >= 0.9 * len(cases)
    assert across >= 0.9 * len(cases)
    # and it is not an interval that covers because it says nothing
    widths = [one.interval[1] - one.interval[0] for one, _ in cases if one.interval]
    assert np.median(widths) < (0.55 if size < 20 else 0.35)


def test_grades_are_cut_at_50_90_and_100_percent() -> None:
    grades = {fraction: huvos_grade(fraction).grade for fraction in (0, 0.4999, 0.5, 0.8999, 0.9, 0.9999, 1)}
    assert list(grades.values()) == ["I", "I", "II", "II", "III", "III", "IV"]
    assert huvos_grade(0.7, (0.4, 0.95)).possible == ("I", "II", "III")
    assert huvos_grade(1.0, (0.97, 1.0)).possible == ("III", "IV")
    assert "1977;101:14-18" in huvos_grade(0.7).source


def test_wrong_values_are_refused() -> None:
    good = one_hot(np.ones((4, 4), int))
    with pytest.raises(GeometryMismatchError, match="one grid"):
        necrosis_fraction(good, np.ones((4, 5)), 1.0)
    with pytest.raises(GeometryMismatchError, match="one grid"):
        necrosis_fraction(good, np.ones((4, 4)), 1.0, np.zeros((2, 2), bool))
    with pytest.raises(InputError, match="add up"):
        necrosis_fraction(good * 2, np.ones((4, 4)), 1.0)
    with pytest.raises(InputError, match="mm2"):
        necrosis_fraction(good, np.ones((4, 4)), 0)
    for fraction, interval in ((1.2, None), (0.5, (0.6, 0.7)), (float("nan"), None)):
        with pytest.raises(InputError, match="graded"):
            huvos_grade(fraction, interval)
