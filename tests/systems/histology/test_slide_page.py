from __future__ import annotations

import re
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pypdf
import pytest

from osteon.data.slide import GradeProposal
from osteon.report import write_result
from osteon.report.blocks import Callout, KeyValues, Table
from osteon.report.wording import DISCLAIMER
from osteon.systems.histology.detail import LOOKS, SlideReading, rgb_of
from osteon.systems.histology.drawings import SYNTHETIC_MARK, Panels
from osteon.systems.histology.pictures import REPORT
from osteon.systems.histology.text import SLIDE_DEMO_MARK
from tests.report_writing import document_of, paper_text, plain_text
from tests.systems.histology.slide_answer import HOSTILE, ArraySlide, slide_pixels, slide_run, synthetic_answer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from osteon.data import Answer
    from osteon.report.result import Written


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    return ArraySlide(slide_pixels(384, 512))


@pytest.fixture(scope="module")
def answer() -> Answer:
    return synthetic_answer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slide-page")


@pytest.fixture(scope="module")
def written(answer: Answer, slide: ArraySlide, folder: Path) -> Written:
    return write_result(folder, answer, slide, REPORT, run=slide_run())


@pytest.fixture(scope="module")
def page(written: Written, folder: Path) -> str:
    assert written.skipped == ()
    return (folder / "report.html").read_text(encoding="utf-8")


def test_page_and_pdf_say_the_same(page: str, folder: Path, answer: Answer) -> None:
    paper = paper_text(folder)
    necrosis = answer.detail_as(SlideReading).necrosis
    areas = necrosis.area_mm2
    expected = [
        answer.headline,
        f"{100 * (necrosis.fraction or 0):.1f} %",
        "95 % CI 46.6 % to 67.6 %",
        "Proposed grade (Huvos)",
        "the interval also reaches I",
        "A proposal for this slide, not for the patient",
        "Huvos, Rosen and Marcove 1977",
        f"{areas['viable']:.2f} mm²",
        f"{areas['non_viable']:.1f} mm²",
        "Out of focus 4 tiles of 192",
        "Caution: 6 tiles were flagged and left out.",
        "Trained on 45 tiles of three patients and synthetic slides.",
        "ab" * 32,
        "16 µm, given by a person",
        DISCLAIMER,
        f"D{SLIDE_DEMO_MARK[1:]}",
        f"S{SYNTHETIC_MARK[1:]}",
    ]
    for words in (plain_text(page), paper):
        for text in expected:
            assert text in words, text
    for sheet in pypdf.PdfReader(folder / "report.pdf").pages:
        text = sheet.extract_text()
        assert DISCLAIMER in text
        assert SLIDE_DEMO_MARK in text


def test_the_page_loads_and_runs_nothing(page: str, written: Written) -> None:
    assert "<script" not in page
    assert HOSTILE in plain_text(page)
    links = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)""", page)
    files = {"report.pdf", "heatmap.tif", "regions.geojson", "tiles.csv", "findings.json", "run.json"}
    assert files <= set(links)
    assert all(link.startswith(("data:image/png;base64,", "#")) or link in files for link in links)
    assert "default-src 'none'" in page
    targets = {link[1:] for link in links if link.startswith("#")}
    assert all(f'id="{target}"' in page for target in targets)
    assert {f"view-{name}" for name in written.pictures} <= targets  # each opens in full size


def _callouts(answer: Answer, slide: ArraySlide) -> list[Callout]:
    return [one for one in document_of(answer, slide, slide_run()).blocks if isinstance(one, Callout)]


def test_no_mark_without_a_reason(slide: ArraySlide, answer: Answer) -> None:
    plain = document_of(synthetic_answer(is_demo=False), ArraySlide(slide.pixels, is_synthetic=False), slide_run())
    assert plain.mark == ""
    (told,) = (one for one in plain.blocks if isinstance(one, Callout))
    assert plain.blocks[0] == told
    assert (told.title, told.small) == ("Research model, not a medical device", ("mobilenet_v2_tiles.demo",))
    assert told.text == "Trained on 45 tiles of three patients and synthetic slides."
    assert len(_callouts(answer, slide)) == 2


def test_a_fraction_is_never_rounded_to_all(answer: Answer, slide: ArraySlide) -> None:
    reading = answer.detail_as(SlideReading)
    necrosis = replace(reading.necrosis, fraction=0.9996, interval=(0.97, 1.0))
    grade = GradeProposal("III", ("III", "IV"), "Huvos 1977")
    nearly = replace(answer, detail=replace(reading, necrosis=necrosis, grade=grade))
    blocks = document_of(nearly, slide, slide_run()).blocks
    first, second, *_ = next(one.rows for one in blocks if isinstance(one, KeyValues) and one.style == "key")
    assert (first.value, first.interval) == ("> 99.9 %", "95 % CI 97.0 % to 100 %")
    assert (second.value, second.interval) == ("III", "the interval also reaches IV")


def test_unlike_training_stands_first_and_gives_no_number(answer: Answer, slide: ArraySlide) -> None:
    ood = replace(answer, detail=replace(answer.detail_as(SlideReading), is_ood=True, grade=None))
    first = _callouts(ood, slide)[0]
    assert first.title == "Outside the model's training range"
    assert "0.7 % of the tiles are above the threshold of a single tile" in first.small[0]
    blocks = document_of(ood, slide, slide_run()).blocks
    assert not [one for one in blocks if isinstance(one, KeyValues) and one.style == "key"]
    (areas,) = [one for one in blocks if isinstance(one, Table)]
    assert [row[0] for row in areas.rows] == ["Tissue", "Left out"]


def test_the_map_shows_each_class_in_its_colour(written: Written, folder: Path) -> None:
    picture = cv2.cvtColor(cv2.imread(str(folder / "views" / "overview.png")), cv2.COLOR_BGR2RGB)
    assert picture.shape[:2] == (written.pictures["overview"].height, written.pictures["overview"].width)
    right = picture[:, picture.shape[1] // 2 :]
    for look in LOOKS:
        near = np.abs(right.astype(int) - rgb_of(look.colour)).max(axis=-1) < 12
        assert near.sum() > 300, look.name  # on the map, not only in the legend


@pytest.mark.parametrize("size_um", [(6000, 8000), (40000, 9000), (9000, 40000), (1024, 1024), (500, 60000)])
@pytest.mark.parametrize("count", [2, 3])
def test_panels_keep_proportions_and_lie_apart_on_the_sheet(size_um: tuple[float, float], count: int) -> None:
    panels = Panels.of(size_um, count, below=20)
    rows, columns = panels.shape
    assert abs(rows - columns * size_um[0] / size_um[1]) <= max(1, rows / columns)
    boxes = [(top, top + rows, left, left + columns) for left, top in panels.places]
    assert all(left >= 0 and right <= panels.width and bottom <= panels.bottom for _, bottom, left, right in boxes)
    for a, b in combinations(boxes, 2):
        assert a[1] + 20 <= b[0] or b[1] + 20 <= a[0] or a[3] < b[2] or b[3] < a[2]


_VISION = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
"""Linear RGB of Machado, Oliveira and Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1."""


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", list(_VISION))
def test_the_classes_are_told_apart_with_any_colour_vision(vision: str) -> None:
    seen = []
    for look in LOOKS:
        share = np.array(rgb_of(look.colour)) / 255
        linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
        seen.append(_lab(np.array(_VISION[vision]) @ linear))
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(a - b) > 30  # 2 is just seen side by side
        assert abs(a[0] - b[0]) > 10  # and in grey
