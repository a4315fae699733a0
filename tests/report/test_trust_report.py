"""What a model knows of its limits: in findings.json, in the pictures and in the words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon.data import HeatMap, RegionOod, SliceReading
from osteon.report.blocks import Callout, Heading, KeyValues
from osteon.report.orientation import slice_positions_mm
from osteon.report.scores import ood_stretches, set_stretches
from tests.report_writing import content, document_of, drawn

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run


@pytest.fixture(scope="module")
def limited(answer: Answer) -> Answer:
    """An ensemble of three; the right leg is out of distribution, the left one is like it."""
    right, left = answer.regions
    low, high = answer.detail_as(SliceReading).scores
    count = len(low.slices)
    spread = np.linspace(0, 0.1, count).astype(np.float32)
    distance = np.linspace(0.8, 2.8, count).astype(np.float32)
    sets = ("healthy",) * 15 + ("tumour",) * 10 + ("either",) * 5 + ("neither",) * 10
    ramp = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    return replace(
        answer,
        regions=(
            replace(right, ood=RegionOod(2.02, 1.73, 2.4, 0.02)),
            replace(left, ood=RegionOod(1.1, 1.73, 2.4, 0.02)),
        ),
        detail=SliceReading(
            (
                replace(low, withheld_runs=((5, 9),), spread=spread, distance=distance, sets=sets, error_rate=0.1),
                replace(high, spread=spread, distance=np.full(count, 1, np.float32), sets=sets, error_rate=0.1),
            ),
            (
                HeatMap("right leg", 7, ramp, ramp**4, (100.0, 102.0), is_predicted=False, members=3),
                HeatMap("left leg", 20, ramp.T.copy(), ramp**4, (100.0, 102.0), is_predicted=True, members=3),
            ),
        ),
        models=tuple(replace(model, members=3, temperatures=(1.0, 1.5, 2.0)) for model in answer.models),
    )


def test_findings_hold_the_limits_and_fit_the_schema(limited: Answer, volume: Volume, run: Run) -> None:
    document: Any = content(limited, volume, run)
    right, left = document["regions"]
    assert right["ood"]["is_ood"]
    assert not left["ood"]["is_ood"]
    first = document["scores"][0]
    assert first["withheld_runs"] == [[5, 9]]
    assert first["prediction_sets"] == {
        "error_rate": 0.1,
        "counts": {"either": 5, "healthy": 15, "neither": 10, "tumour": 10},
    }
    assert first["slices"][39] | {"spread": 0.1, "distance": 2.8, "prediction_set": "neither"} == first["slices"][39]
    assert document["models"][0]["members"] == 3
    assert document["heat_maps"][1]["slice_number"] == 21


def test_findings_without_limits_say_nothing_of_them(answer: Answer, volume: Volume, run: Run) -> None:
    document: Any = content(answer, volume, run)
    assert document["regions"][0]["ood"] is None
    assert document["scores"][0]["prediction_sets"] is None
    row = document["scores"][0]["slices"][0]
    assert (row["spread"], row["distance"], row["prediction_set"]) == (None, None, None)


def test_stretches_end_where_the_kind_changes_and_cover_whole_slices(limited: Answer, volume: Volume) -> None:
    positions = slice_positions_mm(volume.grid)
    scores = limited.detail_as(SliceReading).scores[0]
    found = set_stretches(scores, positions, 2.5)
    assert [stretch.kind for stretch in found] == ["healthy", "positive", "either", "neither"]
    assert [round(stretch.high_mm - stretch.low_mm, 6) for stretch in found] == [75, 50, 25, 50]
    ood = ood_stretches(scores, limited.regions[0], positions, 2.5)
    assert [stretch.kind for stretch in ood] == ["like", "ood"]
    assert ood[0].high_mm - ood[0].low_mm == pytest.approx(5 * 32)  # 0.8 + 2 k / 39 passes 2.4 after k = 31
    assert (
        ood_stretches(
            replace(limited.detail_as(SliceReading).scores[0], distance=None), limited.regions[0], positions, 2.5
        )
        == []
    )


def test_pictures_show_heat_and_strips(
    limited: Answer, answer: Answer, volume: Volume, run: Run, tmp_path: Path
) -> None:
    views = drawn(limited, volume, run, tmp_path)
    assert "not a segmentation" in views["heat_maps"].caption
    assert "the mean over 3 networks" in views["heat_maps"].caption
    assert "not reported" in views["scores"].caption
    picture = cv2.imread(str(views["heat_maps"].path))
    assert picture is not None
    assert np.ptp(picture.astype(int), axis=2).max() > 80  # the heat is coloured
    plain = drawn(answer, volume, run, tmp_path / "plain")
    assert "heat_maps" not in plain
    assert plain["scores"].height < views["scores"].height


def test_the_report_says_in_words_what_the_model_may_not_speak_of(limited: Answer, volume: Volume, run: Run) -> None:
    blocks = document_of(limited, volume, run).blocks
    (ood,) = [one for one in blocks if isinstance(one, Callout) and one.style == "ood"]
    assert ood.small == ("Right leg: outside the model's training range (score 2.02, threshold 1.73).",)
    place = next(n for n, one in enumerate(blocks) if isinstance(one, Heading) and one.text == "Right leg")
    trust = blocks[place + 1]
    assert isinstance(trust, KeyValues)
    rows = {row.label: row.value for row in trust.rows}
    assert rows["Prediction sets"] == "healthy in 15, tumour in 10, either in 5, neither in 10 of 40 slices"
    assert rows["Error rate of the sets"] == "at most 10 %, for slices of patients like those of validation"
    told = [row for one in blocks if isinstance(one, KeyValues) for row in one.rows]
    assert any(row.label == "Networks" and row.value == "mean of 3" for row in told)


def test_a_model_without_limits_has_no_such_part(answer: Answer, volume: Volume, run: Run) -> None:
    blocks = document_of(answer, volume, run).blocks
    assert not [one for one in blocks if isinstance(one, Callout) and one.style == "ood"]
    assert "Reliability" not in {one.text for one in blocks if isinstance(one, Heading)}
