from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from osteon.data import Measurement, SliceReading
from osteon.errors import OutputError
from osteon.geometry import Box
from osteon.labels import concept
from osteon.report import schema
from osteon.report.findings import SliceEntries, region_of
from osteon.report.run import validate_document, write_document
from osteon.systems.registry import READERS
from tests.report_writing import content

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run


@pytest.fixture(scope="module")
def document(answer: Answer, volume: Volume, run: Run) -> dict[str, Any]:
    return content(answer, volume, run)


def test_a_full_answer_is_written_and_read_back(tmp_path: Path, document: dict[str, Any]) -> None:
    path = tmp_path / "findings.json"
    write_document(path, document, kind="findings")
    assert json.loads(path.read_text(encoding="utf-8")) == document


def test_numbers_are_those_of_the_answer(document: dict[str, Any], answer: Answer, volume: Volume) -> None:
    finding = document["findings"][0]
    assert finding["probability"] == pytest.approx(0.987)
    assert finding["region"] == "left leg"
    box = finding["box"]
    assert (box["start_vox"], box["stop_vox"]) == ([18, 6, 44], [26, 56, 78])
    assert (box["first_slice_number"], box["last_slice_number"], box["slice_count"]) == (19, 26, 8)
    # slice 18 has its centre at -900 + 18 * 5 = -810; half a slice on each side
    assert box["position_range_mm"] == [-812.5, -772.5]
    assert box["extent_mm"] == 40.0
    assert box["volume_mm3"] == 40.0 * 100.0 * 102.0
    corners = np.array(box["corners_lps_mm"])
    np.testing.assert_allclose(corners[0], (-118.5 + 44 * 3 - 1.5, -63 + 6 * 2 - 1, -812.5))
    scores = document["scores"][1]
    assert [row["slice_index"] for row in scores["slices"]] == list(range(40))
    assert scores["slices"][7]["sop_instance_uid"] == "2.25.1000.7"
    assert scores["slices"][7]["position_mm"] == -865.0
    np.testing.assert_allclose(
        [row["smoothed"] for row in scores["slices"]], answer.detail_as(SliceReading).scores[1].smoothed, atol=1e-6
    )
    np.testing.assert_allclose(document["grid"]["affine"], volume.grid.affine)


def test_no_patient_text_is_in_it(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False).casefold()
    for word in ("nachname", "vorname", "pid-4711", "19800131", "script"):
        assert word not in text


def test_an_answer_without_anything_is_valid(bare: Answer, volume: Volume, run: Run) -> None:
    document: dict[str, Any] = content(replace(bare, regions=()), replace(volume, source=None), run)
    assert document["source"] is None
    assert document["findings"] == document["scores"] == document["regions"] == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("surprise",), 1),
        (("disclaimer",), "fine"),
        (("findings", 0, "probability"), 1.2),
        (("findings", 0, "tracking_uid"), "not a uid"),
        (("findings", 0, "measurements", 0, "interval"), [1.0]),
        (("findings", 0, "box", "stop_vox"), [1, 2]),
        (("grid", "world"), "RAS"),
    ],
)
def test_what_breaks_the_schema_is_refused(document: dict[str, Any], path: tuple[Any, ...], value: object) -> None:
    broken = copy.deepcopy(document)
    place: Any = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(OutputError, match="breaks its schema"):
        validate_document(broken, kind="findings", entries=SliceEntries)


def test_the_refusal_does_not_repeat_the_value(document: dict[str, Any]) -> None:
    broken = document | {"headline": ["Nachname"]}
    with pytest.raises(OutputError) as caught:
        validate_document(broken, kind="findings", entries=SliceEntries)
    assert "headline" in str(caught.value)
    assert "Nachname" not in str(caught.value)


def test_a_number_that_is_none_is_not_written(answer: Answer, volume: Volume, run: Run) -> None:
    broken = Measurement(concept=concept("length"), value=float("nan"), unit=concept("unit_mm"))
    finding = replace(answer.findings[0], measurements=(broken,))
    with pytest.raises(OutputError, match=r"findings\[0\]\.measurements\[0\]\.value is nan"):
        content(replace(answer, findings=(finding,)), volume, run)


@pytest.mark.parametrize("kind", ["findings", "run"])
def test_every_object_of_the_schema_names_all_it_allows(kind: Literal["findings", "run"]) -> None:
    import jsonschema

    found = schema(kind, {stem: each.report().entries for stem, each in READERS.items()})
    jsonschema.Draft202012Validator.check_schema(found)

    def visit(node: object) -> None:
        if isinstance(node, dict):
            if "properties" in node:
                assert node["additionalProperties"] is False
                assert set(node["required"]) == set(node["properties"])
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            for child in node:
                visit(child)

    visit(found)


def test_the_schema_says_what_the_types_say(document: dict[str, Any]) -> None:
    """An independent validator takes what is written, and refuses what the types refuse."""
    import jsonschema

    checked = jsonschema.Draft202012Validator(schema("findings", {"ct_osteosarcoma": SliceEntries}))
    plain = json.loads(json.dumps(document))
    checked.validate(plain)
    for place, value in (("grid", {"shape": [1, 2]}), ("findings", [{}]), ("scores", None), ("reference_bone", None)):
        assert not checked.is_valid(plain | {place: value}), place


def test_a_box_belongs_to_the_region_it_shares_most_with(answer: Answer) -> None:
    assert region_of(Box(start=(0, 10, 30), stop=(5, 20, 60)), answer.regions) == "left leg"
    assert region_of(Box(start=(0, 10, 20), stop=(5, 20, 50)), answer.regions) == "right leg"
    assert region_of(Box(start=(0, 60, 0), stop=(5, 64, 2)), answer.regions) is None
    assert region_of(Box(start=(0, 0, 0), stop=(1, 1, 1)), ()) is None
