from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pypdf
import pytest

from osteon.data import Notice, SliceReading, Volume, named
from osteon.data.system import DEMO_MARK
from osteon.errors import OutputError
from osteon.geometry import Grid
from osteon.mesh import bounds_lps_mm
from osteon.report.browser import MOST_SLICES, slice_browsers
from osteon.report.page import write_page
from osteon.report.paper import write_paper
from osteon.report.slices import Shades, SliceLook
from osteon.report.surfaces import bone_scene
from osteon.report.wording import DISCLAIMER
from tests.report_writing import content, document_of, drawn, page_text, paper_text, plain_text, write_both

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data import Answer
    from osteon.report import Run

LOOK = SliceLook(curve="Probability", map_curve="Map", predicted="affected", margin_mm=12)
_FILES = [("findings.json", "every number"), ("seg.dcm", "")]


@pytest.fixture(scope="module")
def written(answer: Answer, volume: Volume, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("result")
    write_both(answer, volume, run, folder, pictures=drawn(answer, volume, run, folder / "views"), files=_FILES)
    return folder


def _page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_and_pdf_say_the_numbers_of_the_findings(written: Path, answer: Answer, volume: Volume, run: Run) -> None:
    document: Any = content(answer, volume, run)
    finding = document["findings"][0]
    box, extent, count, block, bone = finding["box"], *(item["value"] for item in finding["measurements"])
    low, high = (f"{value:.1f}".replace("-", "\u2212") for value in box["position_range_mm"])
    expected = [
        f"Probability {finding['probability']:.2f} no interval",
        f"Slices {box['first_slice_number']} to {box['last_slice_number']} of 40",
        f"Position {low} to {high} mm",
        f"{extent:.1f} mm ({extent / 10:.1f} cm) 35.0 to 45.0 mm",
        f"Suspected slices {count:.0f} no interval",
        f"Volume of the box {block / 1000:.1f} cm³ no interval",
        f"{bone / 1000:.1f} cm³",
        document["headline"],
        finding["statement"],
        "Caution: Metal was seen in 2 slices.",
        "Series 3 was chosen",
        "Nachname, Vorname",
        "1980-01-31",
        DISCLAIMER,
        "Trained on synthetic phantoms only; it has never seen a patient.",
    ]
    for words in (page_text(written), paper_text(written)):
        for text in expected:
            assert text in words


def test_hostile_text_is_only_text(written: Path) -> None:
    page = _page(written)
    assert "<script>alert" not in page
    assert '3: <script>alert("x")</script> & "legs"' in plain_text(page)
    assert '<script>alert("x")</script> & "legs"' in paper_text(written)


def test_hostile_words_of_the_answer_are_only_text(answer: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    bad = '</script><img src=x onerror="alert(1)">'
    regions = tuple(replace(region, name=f"{bad} {region.name}") for region in answer.regions)
    scores = tuple(replace(item, region=f"{bad} {item.region}") for item in answer.detail_as(SliceReading).scores)
    surfaces = named(replace(item, name=f"{bad}{item.name}") for item in answer.surfaces.values())
    hostile = replace(
        answer,
        headline=bad,
        regions=regions,
        detail=SliceReading(scores),
        surfaces=surfaces,
        notices=(Notice(code="x", text=bad),),
    )
    write_both(hostile, volume, run, tmp_path, files=[(f'"{bad}', bad)])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert page.count("</script>") == 4  # two blocks of data, two scripts, nothing that closes one early


def test_the_page_loads_nothing(written: Path) -> None:
    page = _page(written)
    links = re.findall(
        r"""(?:src|href|action|data|poster)\s*=\s*["']?([^"'\s>]+)""",
        re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL),
    )
    assert links
    for link in links:
        assert link.startswith(("data:image/png;base64,", "#")) or link in {"findings.json", "seg.dcm"}
    assert "://" not in page
    assert not re.search(r"url\(|@import|\bfetch\(|XMLHttpRequest|<link|<iframe", page)
    assert "default-src 'none'" in page
    assert len(page) < 15e6


def test_the_word_stands_in_the_disclaimer_only(written: Path) -> None:
    for words in (page_text(written), paper_text(written)):
        assert "diagnos" not in words.replace(DISCLAIMER, "").casefold()


def test_the_pdf_has_page_numbers_disclaimer_and_metadata(written: Path) -> None:
    reader = pypdf.PdfReader(written / "report.pdf")
    total = len(reader.pages)
    assert 2 <= total <= 4
    for number, page in enumerate(reader.pages, start=1):
        text = page.extract_text()
        assert DISCLAIMER in text
        assert DEMO_MARK in text
        assert f"Page {number} of {total}" in text
        assert "PID-4711" in text
    assert reader.metadata is not None
    assert reader.metadata.title is not None
    assert "CT of the legs" in reader.metadata.title
    assert reader.metadata.author is not None
    assert reader.metadata.author.startswith("osteon")
    assert "Nachname" not in str(reader.metadata)


def test_every_picture_has_words_for_those_who_do_not_see_it(written: Path) -> None:
    page = _page(written)
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) == 4  # the scores are drawn in the page itself
    assert all(re.search(r'alt="[^"]{20,}"', picture) for picture in pictures)
    assert all('aria-label="' in svg for svg in re.findall(r"<svg [^>]*>", page))
    assert '<html lang="en">' in page


@pytest.mark.parametrize(
    "name", ["Ångström^Zoë", "Иванов^Пётр", "Yamada^Tarou=山田^太郎=やまだ^たろう", "علي^محمد", "a\x00b\ud800", ""]
)
def test_names_of_the_world_do_not_stop_a_report(
    bare: Answer, volume: Volume, run: Run, tmp_path: Path, name: str
) -> None:
    assert volume.source is not None
    patient = replace(volume.source.patient, name=name)
    named = replace(volume, source=replace(volume.source, patient=patient))
    write_both(bare, named, run, tmp_path)
    words = paper_text(tmp_path)
    if name.startswith("И"):
        assert "Иванов, Пётр" in words
    if name.startswith("Y"):
        assert "Yamada, Tarou" in words


@pytest.mark.parametrize("regions", [0, 1])
def test_an_answer_with_nothing_makes_a_whole_report(
    bare: Answer, volume: Volume, run: Run, tmp_path: Path, regions: int
) -> None:
    empty = replace(bare, regions=bare.regions[:regions])
    unknown = replace(volume, source=None)
    write_both(empty, unknown, run, tmp_path, pictures=drawn(empty, unknown, run, tmp_path / "views"))
    for words in (page_text(tmp_path), paper_text(tmp_path)):
        assert "Nothing abnormal was reported" in words
        assert "demo model" not in words.casefold()
    assert "Bone in 3D" not in page_text(tmp_path)


def test_bone_that_was_measured_is_not_something_found(
    answer: Answer, volume: Volume, run: Run, tmp_path: Path, written: Path
) -> None:
    words = page_text(written)
    assert "Affected region, left leg" in words
    assert "Bone, right leg" in words
    assert "612 HU" in words
    assert "Nothing abnormal" not in words
    write_both(replace(answer, findings=answer.findings[1:]), volume, run, tmp_path)
    assert "Nothing abnormal was reported in the right leg and the left leg." in page_text(tmp_path)


def test_a_model_of_patients_says_whom_it_knows_where_a_demo_model_says_that_it_is_one(
    answer: Answer, volume: Volume, run: Run, tmp_path: Path
) -> None:
    said = "Trained on 34 patients; Dice 0.7 (0.6 to 0.8)."
    own = replace(answer.models[0], is_demo=False, statement=said)
    write_both(replace(answer, models=(own,)), volume, run, tmp_path)
    for words in (page_text(tmp_path), paper_text(tmp_path)):
        assert f"Research model, not a medical device {said}" in words
        assert "demo model" not in words.casefold()
    write_both(replace(answer, models=(own, *answer.models)), volume, run, tmp_path)
    assert "Research model" not in page_text(tmp_path)
    assert said in page_text(tmp_path)


def test_two_regions_of_one_leg_are_distinguished(answer: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    twice = (answer.findings[0], replace(answer.findings[0], identifier="left-run-2", tracking_uid="2.25.112"))
    write_both(replace(answer, findings=twice), volume, run, tmp_path)
    words = page_text(tmp_path)
    assert "Affected region 1 of 2, left leg" in words
    assert "Affected region 2 of 2, left leg" in words


def test_any_orientation_makes_a_report(
    answer: Answer, turned: Callable[..., Volume], run: Run, tmp_path: Path
) -> None:
    volume = turned(np.array([(0.0, -1, 0), (0, 0, -1), (-1, 0, 0)]))
    write_both(replace(answer, masks={}), volume, run, tmp_path)
    assert "growing towards the back" in page_text(tmp_path)


def test_the_slice_browser_shows_the_slices(answer: Answer, volume: Volume) -> None:
    right, left = slice_browsers(answer, volume, answer.detail_as(SliceReading).scores, look=LOOK)
    assert (right.region, left.region) == ("right leg", "left leg")
    assert [frame[0] for frame in left.frames] == list(range(1, 41))
    number, position, raw, smoothed, predicted, outlined = left.frames[20]
    assert outlined is None
    assert (number, position, predicted) == (21, -800.0, True)
    assert raw == pytest.approx(float(answer.detail_as(SliceReading).scores[1].probability[20]), abs=1e-6)
    assert smoothed == pytest.approx(float(answer.detail_as(SliceReading).scores[1].smoothed[20]), abs=1e-6)
    assert right.boxes == ()
    first, last, x0, y0, x1, y1, word = left.boxes[0]
    assert word == "affected"
    assert (first, last) == (19, 26)
    # the window reaches 4 columns (12 mm) beyond the region on one side, to the image's edge on the other
    assert x0 == pytest.approx(4 / 40 * left.tile_width, abs=0.1)
    assert x1 == pytest.approx(38 / 40 * left.tile_width, abs=0.1)
    assert 0 < y0 < y1 < left.tile_height
    data = base64.b64decode(left.image.split(",")[1])
    sheet = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
    assert sheet is not None
    assert sheet.shape == (4 * left.tile_height, 12 * left.tile_width)
    tile = sheet[left.tile_height : 2 * left.tile_height, 8 * left.tile_width : 9 * left.tile_width]  # slice 21
    rows, columns = np.nonzero(tile > 170)
    assert np.ptp(columns) / np.ptp(rows) == pytest.approx(1, abs=0.08)


def test_the_slice_browser_shows_the_shades_that_it_is_asked_for(answer: Answer, volume: Volume) -> None:
    def brightest(look: SliceLook) -> int:
        (first, _) = slice_browsers(answer, volume, (), look=look)
        sheet = np.frombuffer(base64.b64decode(first.image.split(",")[1]), dtype=np.uint8)
        return int(np.asarray(cv2.imdecode(sheet, cv2.IMREAD_GRAYSCALE)).max())

    dark = replace(LOOK, shades=Shades(-1000.0, 9000.0, "in the dark"))
    assert brightest(LOOK) > 180
    assert brightest(dark) < 70


def test_long_series_are_thinned_and_keep_the_worst_slice(volume: Volume, answer: Answer) -> None:
    grid = Grid.from_axes(shape=(320, 64, 80), spacing_mm=(1, 2, 3))
    tall = Volume(array=np.repeat(volume.array.astype(np.int16), 8, axis=0), grid=grid, modality="CT", unit="HU")
    present = np.ones(320, dtype=np.bool_)
    region = replace(answer.regions[0], box=replace(answer.regions[0].box, stop=(320, 56, 38)), present=present)
    smoothed = np.zeros(320, dtype=np.float32)
    smoothed[217] = 0.5
    scores = replace(
        answer.detail_as(SliceReading).scores[0], slices=np.arange(320), probability=smoothed, smoothed=smoothed
    )
    thin = replace(answer, regions=(region,), detail=SliceReading((scores,)), masks={}, findings=())
    (browser,) = slice_browsers(thin, tall, (scores,), look=LOOK)
    assert len(browser.frames) == MOST_SLICES
    assert browser.frames[browser.start][0] == 218
    assert not browser.outline


def test_the_scene_keeps_places_within_its_rounding(answer: Answer, volume: Volume) -> None:
    scene = bone_scene(answer, volume)
    assert [item["label"] for item in scene] == ["Bone right 1", "Bone left 1", "Tumour box left 1"]
    assert [item["through"] for item in scene] == [0.0, 0.0, 0.3]
    for item, surface in zip(scene, answer.surfaces.values(), strict=True):
        steps = np.frombuffer(base64.b64decode(str(item["positions"])), dtype="<u2").reshape(-1, 3)
        points = np.array(item["low"]) + steps * np.array(item["step"])
        np.testing.assert_allclose(points, surface.vertices_lps_mm, atol=0.01)
        faces = np.frombuffer(base64.b64decode(str(item["faces"])), dtype="<u2").reshape(-1, 3)
        np.testing.assert_array_equal(faces, surface.faces)
    json.dumps(scene, allow_nan=False)
    *bones, box = answer.surfaces.values()
    boxed = bone_scene(replace(answer, surfaces=named(bones)), volume)
    assert len(boxed) == 3  # a finding without a surface of its own gets a frame
    low, high = bounds_lps_mm([box])
    np.testing.assert_allclose(np.array(boxed[2]["low"]), low, atol=0.01)
    assert np.all(high > low)
    assert bone_scene(replace(answer, surfaces={}), volume) == []


def test_a_place_that_cannot_be_written_is_said(bare: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    document = document_of(bare, volume, run)
    for write, name in ((write_page, "report.html"), (write_paper, "report.pdf")):
        with pytest.raises(OutputError, match=name):
            write(tmp_path / "missing" / name, document)
