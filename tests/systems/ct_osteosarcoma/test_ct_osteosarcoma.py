"""What the system says of a leg: sentences, boxes, numbers; worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from osteon.data import Region, RegionOod, SliceScores, Volume
from osteon.geometry import Box, Grid
from osteon.systems.ct_osteosarcoma.read import slices_to_explain
from osteon.systems.ct_osteosarcoma.text import (
    LegReading,
    describe_bone,
    describe_runs,
    headline,
    masks_of,
    ood_notices,
    status_of,
)

GRID = Grid.from_axes(shape=(10, 6, 8), spacing_mm=(2.0, 1.0, 1.0))
BOX = Box(start=(1, 1, 2), stop=(9, 5, 6))


def reading(*runs: tuple[int, int]) -> LegReading:
    """A left leg in slices 1 to 8; its bone is a bar of 2 x 2 pixels."""
    slices = np.arange(1, 9)
    smoothed = np.full(8, 0.2, np.float32)
    for first, stop in runs:
        smoothed[first - 1 : stop - 1] = 0.97
    present = np.zeros(10, np.bool_)
    present[1:9] = True
    bone = np.zeros(BOX.shape, np.uint16)
    bone[:, 1:3, 1:3] = 1
    territory = np.zeros(BOX.shape, np.bool_)
    territory[:, :, :3] = True
    scores = SliceScores("left leg", slices, smoothed, smoothed, 0.95, runs)
    return LegReading("left", Region("left leg", BOX, present), territory, scores, bone)


def volume() -> Volume:
    array = np.full(GRID.shape, -1000, np.int16)
    array[:, 1:5, 2:5] = 50
    array[:, 2:4, 3:5] = 900
    return Volume(array, GRID, modality="CT", unit="HU")


def test_two_runs_are_two_findings() -> None:
    leg, image = reading((2, 4), (6, 9)), volume()
    masks = masks_of([leg], image)
    first, second = describe_runs(leg, masks, image)
    assert (first.box, second.box) == (Box((2, 1, 2), (4, 5, 6)), Box((6, 1, 2), (9, 5, 6)))
    values = {m.concept.value: m.value for m in second.measurements}
    assert values["axis-extent"] == 6.0  # three slices, 2 mm apart, outer face to outer face
    assert values["slice-count"] == 3
    assert values["121219"] == 3 * 4 * 4 * 2.0
    assert values["118565006"] == 3 * 4 * 3 * 2.0  # what is denser than air in the leg's territory
    assert second.probability == pytest.approx(0.97)
    assert first.tracking_uid != second.tracking_uid
    assert first.statement == "Suspected tumour, left leg: slices 3-4, 4.0 mm along the slice axis."


def test_bone_by_hand() -> None:
    leg, image = reading(), volume()
    masks = masks_of([leg], image)
    assert [mask.name for mask in masks] == ["bone"]  # nothing predicted, nothing marked
    finding = describe_bone(leg, masks[0], image)
    assert finding.measurements[0].value == 8 * 4 * 2.0
    assert finding.measurements[1].value == 900
    assert not finding.is_abnormal


def test_the_headline_gives_the_finding_first() -> None:
    image = volume()
    quiet = headline([reading()], image, report_ood=False)
    assert quiet == ("No suspected tumour, left leg (highest smoothed probability 0.20, threshold 0.95).")
    predicted = headline([reading((2, 4))], image, report_ood=False)
    assert predicted == "Suspected tumour, left leg: slices 3-4, 4.0 mm."


def ood(leg: LegReading, *, withheld: bool) -> LegReading:
    """The same leg, outside the model's training range."""
    ood = RegionOod(score=2.02, threshold=1.73, slice_threshold=2.5, false_alarm_rate=0.02)
    runs = leg.scores.runs
    scores = replace(leg.scores, runs=() if withheld else runs, withheld_runs=runs if withheld else ())
    return replace(leg, region=replace(leg.region, ood=ood), scores=scores)


def test_a_leg_out_of_distribution_gets_no_tumour_assessment() -> None:
    leg, image = ood(reading((2, 4), (6, 9)), withheld=True), volume()
    masks = masks_of([leg], image)
    assert [mask.name for mask in masks] == ["bone"]
    assert tuple(describe_runs(leg, masks, image)) == ()
    assert describe_bone(leg, masks[0], image).measurements[0].value > 0  # bone is measured all the same
    said = headline([leg], image, report_ood=False)
    assert status_of([leg], report_ood=False) == "abstained"
    assert said == (
        "No tumour assessment: the left leg is outside the model's training range (score 2.02, threshold 1.73). "
        "Bone: left 0 ml."
    )
    (notice,) = ood_notices([leg], report_ood=False)
    assert notice.level == "warning"
    assert "2 runs of slices above the threshold" in notice.text


def test_a_leg_like_training_beside_one_that_is_not_is_still_reported() -> None:
    image = volume()
    other = reading((2, 4))
    said = headline([ood(reading((6, 9)), withheld=True), other], image, report_ood=False)
    assert said.startswith(
        "Suspected tumour, left leg: slices 3-4, 4.0 mm. No tumour assessment: the left leg is outside"
    )
    quiet = headline([ood(reading(), withheld=True), reading()], image, report_ood=False)
    assert quiet.startswith("No suspected tumour, left leg (highest smoothed probability 0.20, threshold 0.95).")


def test_what_is_reported_on_demand_says_so() -> None:
    leg, image = ood(reading((2, 4)), withheld=False), volume()
    said = headline([leg], image, report_ood=True)
    assert (
        "outside the model's training range (score 2.02, threshold 1.73); reported because that was asked for." in said
    )
    assert said.startswith("Suspected tumour, left leg: slices 3-4, 4.0 mm. Caution: the left leg is")
    (notice,) = ood_notices([leg], report_ood=True)
    assert "asked for" in notice.text
    assert list(ood_notices([reading()], report_ood=False)) == []
    nothing = ood(reading(), withheld=False)
    said = headline([nothing], image, report_ood=True)
    assert said.startswith("No suspected tumour, left leg (highest")
    assert "Caution: the left leg is outside" in said
    assert status_of([nothing], report_ood=True) == "negative"


def test_the_slice_to_explain_is_the_highest_of_each_run_or_of_all() -> None:
    scores = reading((2, 5)).scores
    smoothed = np.array([0.1, 0.96, 0.99, 0.97, 0.2, 0.3, 0.1, 0.1], np.float32)
    assert slices_to_explain(replace(scores, smoothed=smoothed)).tolist() == [3]
    assert slices_to_explain(replace(scores, smoothed=smoothed, runs=((2, 3), (4, 5)))).tolist() == [2, 4]
    none = replace(scores, runs=(), smoothed=smoothed[::-1].copy())
    assert slices_to_explain(none).tolist() == [6]
    assert (
        slices_to_explain(replace(none, slices=none.slices[:0], smoothed=smoothed[:0], probability=smoothed[:0])).size
        == 0
    )
