"""Rates and curves of lesions, worked by hand, against the slow way, and over resampled patients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from osteon.errors import InputError
from osteon.metrics.bootstrap import Resampling, draw_patients
from osteon.metrics.lesion_detection import DetectionRate, ScanLesions, detect_lesions, froc

FEW = Resampling(repeats=200, seed=3)


def scan(
    patient: str,
    found: list[float],
    false: list[float],
    *,
    ml: list[float] | None = None,
    mimics: list[float] | None = None,
    on_mimic: list[bool] | None = None,
) -> ScanLesions:
    """A scan whose true lesions are found with these probabilities (-1: not at all), and false positives."""
    hits = sorted({value for value in found if value >= 0})
    chances = np.array([*hits, *false])
    return ScanLesions(
        patient=patient,
        true_ml=np.array(ml if ml is not None else [1.0] * len(found)),
        true_probability=np.array([value if value >= 0 else -math.inf for value in found]),
        predicted_ml=np.ones(chances.size),
        predicted_probability=chances,
        is_hit=np.arange(chances.size) < len(hits),
        is_on_mimic=np.array([False] * len(hits) + (on_mimic or [False] * len(false)), dtype=bool),
        mimic_probability=np.array(mimics or [], dtype=float),
    )


SCANS = [
    scan("a", [0.9, 0.4], [0.6], ml=[0.05, 2.0], mimics=[0.6, -math.inf], on_mimic=[True]),
    scan("a", [], [0.8, 0.2]),
    scan("b", [0.7, -1.0], [], ml=[0.5, 9.0]),
    scan("c", [], []),
]


def plain(rate: DetectionRate) -> tuple[float, int, int]:
    return rate.value, rate.count, rate.total


def test_rates_at_a_threshold_by_hand() -> None:
    found = detect_lesions(SCANS, threshold=0.5, resampling=FEW)
    assert (found.scans, found.patients) == (4, 3)
    assert plain(found.sensitivity) == (0.5, 2, 4)
    assert plain(found.precision) == (0.5, 2, 4)
    assert plain(found.false_positives) == (0.5, 2, 4)
    assert plain(found.scans_with_false_positives) == (0.5, 2, 4)
    assert found.mimics is not None
    assert found.on_mimics is not None
    assert plain(found.mimics) == (0.5, 1, 2)
    assert plain(found.on_mimics) == (0.5, 1, 2)
    # a ball of 0.05 ml is 4.6 mm wide, of 0.5 ml 9.8 mm, of 2 ml 15.6 mm, of 9 ml 25.8 mm
    assert [(low, high, *plain(rate)) for low, high, rate in found.by_size] == [
        (0.0, 5.0, 1.0, 1, 1),
        (5.0, 10.0, 1.0, 1, 1),
        (10.0, 20.0, 0.0, 0, 1),
        (20.0, math.inf, 0.0, 0, 1),
    ]


def test_a_threshold_is_included_and_nothing_found_is_told_from_nothing_there() -> None:
    assert detect_lesions(SCANS, threshold=0.4, resampling=FEW).sensitivity.count == 3
    assert detect_lesions(SCANS, threshold=0.0, resampling=FEW).sensitivity.count == 3
    nothing = detect_lesions([SCANS[1], SCANS[3]], resampling=FEW)
    assert math.isnan(nothing.sensitivity.value)
    assert math.isnan(nothing.sensitivity.low)
    assert nothing.sensitivity.undefined_repeats == FEW.repeats
    assert nothing.mimics is None
    assert detect_lesions([SCANS[2]], resampling=FEW).precision.value == 1.0


def random_scans(seed: int, patients: int = 6) -> list[ScanLesions]:
    generator = np.random.default_rng(seed)
    made = []
    for patient in range(patients):
        for _ in range(generator.integers(1, 3)):
            found = [float(c) if generator.random() < 0.7 else -1.0 for c in generator.random(generator.integers(0, 5))]
            made.append(scan(f"p{patient}", found, generator.random(generator.integers(0, 6)).round(2).tolist()))
    return made


def at(scans: list[ScanLesions], threshold: float) -> tuple[float, float]:
    """Sensitivity and false positives a scan, counted one by one."""
    lesions = [value for each in scans for value in each.true_probability]
    wrong = [
        value
        for each in scans
        for value, is_hit in zip(each.predicted_probability, each.is_hit, strict=True)
        if not is_hit
    ]
    predicted = sum(value >= threshold for value in wrong)
    return sum(value >= threshold for value in lesions) / len(lesions), predicted / len(scans)


@pytest.mark.parametrize("seed", range(4))
def test_a_curve_equals_the_slow_way(seed: int) -> None:
    scans = random_scans(seed)
    curve = froc(scans, rates=(0.25, 1.0, 30.0), resampling=FEW)
    for threshold, sensitivity, false in zip(curve.thresholds, curve.sensitivity, curve.false_positives, strict=True):
        assert (sensitivity, false) == pytest.approx(at(scans, float(threshold)))
    assert (curve.sensitivity[0], curve.false_positives[0]) == (0.0, 0.0)
    thresholds = [math.inf, *sorted({float(v) for each in scans for v in each.predicted_probability})]
    for rate, found in curve.at_rates:
        reached = [at(scans, threshold) for threshold in thresholds]
        assert found.value == pytest.approx(max(value for value, false in reached if false <= rate))
        assert found.count / found.total == pytest.approx(found.value)
    assert curve.mean.value == pytest.approx(np.mean([found.value for _, found in curve.at_rates]))
    assert (np.diff(curve.sensitivity) >= 0).all()
    assert (np.diff(curve.false_positives) >= 0).all()


def test_a_curve_by_hand() -> None:
    curve = froc(SCANS, rates=(0.2, 0.25, 0.5, 8.0), resampling=FEW)
    assert curve.thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.6, 0.4, 0.2]
    assert curve.sensitivity.tolist() == [0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert curve.false_positives.tolist() == [0, 0, 0.25, 0.25, 0.5, 0.5, 0.75]
    assert [(rate, *plain(found)) for rate, found in curve.at_rates] == [
        (0.2, 0.25, 1, 4),
        (0.25, 0.5, 2, 4),
        (0.5, 0.75, 3, 4),
        (8.0, 0.75, 3, 4),
    ]
    assert (curve.scans, curve.patients, curve.lesions) == (4, 3, 4)


def test_intervals_are_those_of_patients_drawn_with_all_their_scans() -> None:
    scans = random_scans(11)
    names = sorted({each.patient for each in scans})
    curve, rates = froc(scans, rates=(0.5,), resampling=FEW), detect_lesions(scans, threshold=0.3, resampling=FEW)
    drawn = draw_patients(len(names), range(FEW.repeats), seed=FEW.seed)
    repeats = []
    for counts in drawn:
        chosen = [
            each for name, count in zip(names, counts, strict=True) for each in scans * count if each.patient == name
        ]
        reached = [at(chosen, float(threshold)) for threshold in curve.thresholds]
        repeats.append(
            (
                *at(chosen, 0.3),
                max(value for value, false in reached if false <= 0.5),
                reached[5][0],
            )
        )
    low, high = np.quantile(np.array(repeats), (0.025, 0.975), axis=0)
    assert (rates.sensitivity.low, rates.sensitivity.high) == pytest.approx((low[0], high[0]))
    assert (rates.false_positives.low, rates.false_positives.high) == pytest.approx((low[1], high[1]))
    assert (curve.at_rates[0][1].low, curve.at_rates[0][1].high) == pytest.approx((low[2], high[2]))
    assert (curve.low[5], curve.high[5]) == pytest.approx((low[3], high[3]))


def test_one_patient_has_no_interval() -> None:
    curve = froc(SCANS[:2], resampling=FEW)
    assert np.isnan(curve.low).all()
    assert math.isnan(curve.mean.low)
    assert curve.mean.value == pytest.approx(np.mean([found.value for _, found in curve.at_rates]))
    assert math.isnan(detect_lesions(SCANS[:2], resampling=FEW).sensitivity.high)


def test_what_cannot_be_counted_is_refused() -> None:
    with pytest.raises(InputError, match="no scan"):
        froc([])
    with pytest.raises(InputError, match="percentile"):
        detect_lesions(SCANS, resampling=Resampling(method="bca"))
    with pytest.raises(InputError, match="rising limits"):
        detect_lesions(SCANS, sizes_mm=(5.0, 5.0))
    with pytest.raises(InputError, match="above 0"):
        froc(SCANS, rates=(0.0,))
