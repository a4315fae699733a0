"""The report of an answer that lists lesions: the list, its pictures, and what is said when nothing was predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from osteon import mesh
from osteon.data import RegionOod, named
from osteon.data.system import DEMO_MARK
from osteon.report.blocks import KeyValues
from osteon.report.browser import slice_browsers
from osteon.report.scores import call_stretches
from osteon.report.slices import SliceLook
from osteon.report.surfaces import bone_scene, bone_surfaces
from osteon.systems.ct_metastasis.pictures import MOST_PICTURES, drawn_lesions, largest, see_through
from osteon.systems.ct_metastasis.text import LesionReading
from tests.report_writing import content, drawn, page_text, paper_text, part_of, write_both

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run
    from osteon.report.blocks import Picture

    Case = tuple[Answer, Volume]


@pytest.fixture(scope="module")
def empty(metastasis_case: Case) -> Answer:
    """The same patient, without a lesion by the segmentation; the classifier suspects slices all the same."""
    answer, _ = metastasis_case
    scores = replace(
        answer.detail_as(LesionReading).scores[0],
        by_segmentation=np.zeros(40, dtype=np.bool_),
        lesion_area_mm2=np.zeros(40, dtype=np.float32),
    )
    return replace(
        answer,
        headline="No lesion was detected metastasis.",
        findings=answer.findings[3:],
        masks={"bone": answer.masks["bone"]},
        surfaces={"skeleton": answer.surfaces["skeleton"]},
        detail=LesionReading((scores,), reference_bone=answer.detail_as(LesionReading).reference_bone),
    )


@pytest.fixture(scope="module")
def many(metastasis_case: Case) -> Answer:
    """The three lesions told again and again: 60 entries, of which the last is the largest."""
    answer, _ = metastasis_case
    told = answer.detail_as(LesionReading)
    lesions, findings = [], []
    for number in range(60):
        lesion, finding = told.lesions[number % 3], answer.findings[number % 3]
        name = f"lesion-{number + 1}"
        lesions.append(replace(lesion, identifier=name, volume_ml=60.0 if number == 59 else 50 - number / 2))
        findings.append(replace(finding, identifier=name, tracking_uid=f"2.25.9{number}"))
    return replace(answer, detail=replace(told, lesions=tuple(lesions)), findings=(*findings, answer.findings[3]))


def _written(answer: Answer, volume: Volume, run: Run, folder: Path) -> tuple[tuple[Picture, ...], str, str]:
    """Pictures, words of the page and words of the PDF."""
    pictures = drawn(answer, volume, run, folder / "views")
    write_both(answer, volume, run, folder, pictures=pictures)
    return tuple(pictures.values()), page_text(folder), paper_text(folder)


def _page(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def written(
    metastasis_case: Case, run: Run, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[Picture, ...], str, str]:
    answer, volume = metastasis_case
    folder = tmp_path_factory.mktemp("lesions")
    return (folder, *_written(answer, volume, run, folder))


def test_the_list_is_in_findings_json(metastasis_case: Case, run: Run) -> None:
    answer, volume = metastasis_case
    document: Any = content(answer, volume, run)
    first, _, third = document["lesions"]
    assert (first["number"], first["identifier"], first["site"], first["density_pattern"]) == (
        1,
        "lesion-1",
        "vertebra",
        "lytic",
    )
    assert first["volume_ml"] == pytest.approx(answer.detail_as(LesionReading).lesions[0].volume_ml, abs=1e-6)
    assert (first["first_slice_number"], first["last_slice_number"]) == (
        answer.detail_as(LesionReading).lesions[0].slices[0] + 1,
        answer.detail_as(LesionReading).lesions[0].slices[1],
    )
    assert (third["is_cut"], third["near_metal"]) == (True, True)
    assert document["reference_bone"]["lytic_below_hu"] == 100.0
    (scores,) = document["scores"]
    assert scores["source"] == "classifier"
    assert scores["agreement"] == pytest.approx(0.9)
    assert [row["by_segmentation"] for row in scores["slices"]][:4] == [False] * 4
    assert document["findings"][0]["identifier"] == first["identifier"]


def test_without_a_comparison_shares_and_own_bone_are_null(metastasis_case: Case, run: Run) -> None:
    answer, volume = metastasis_case
    told = answer.detail_as(LesionReading)
    alone = replace(
        told, reference_bone=None, lesions=(replace(told.lesions[0], lytic_share=None, blastic_share=None),)
    )
    document: Any = content(replace(answer, detail=alone), volume, run)
    assert document["reference_bone"] is document["lesions"][0]["lytic_share"] is None
    blocks = part_of(replace(answer, detail=alone), volume, run).blocks
    means = next(one for one in blocks if isinstance(one, KeyValues) and one.folded)
    assert "Too little" in {row.label: row.value for row in means.rows}["Density pattern"]


def test_the_list_stands_first_and_says_the_numbers(
    written: tuple[Path, tuple[Picture, ...], str, str], metastasis_case: Case
) -> None:
    folder, _, page, paper = written
    answer, _ = metastasis_case
    first = answer.detail_as(LesionReading).lesions[0]
    slices = f"{first.slices[0] + 1} to {first.slices[1]}"
    row = f"{first.volume_ml:.1f} {first.diameter_mm:.1f} {first.mean_hu:.0f} 0.93 {slices}"
    for words in (page, paper):
        assert row in words
        assert "not determined" in words
        assert "It reaches the edge of the images" in words
        assert "Metal is near" in words
        assert "not a calibrated chance" in words
        assert "below 100 HU it counts as lytic, above 260 HU as sclerotic" in words
        assert words.index("Largest diameter") < words.index("Lesion by lesion")
        assert "tumour" not in words.casefold()
    html = _page(folder)
    for number in (1, 2, 3):  # the list leads to each lesion, and back
        assert f'href="#lesion-{number}"' in html
        assert f'id="lesion-{number}"' in html
    assert "://" not in html


def test_every_lesion_has_its_picture(written: tuple[Path, tuple[Picture, ...], str, str]) -> None:
    _, views, _, _ = written
    assert [view.name for view in views] == ["overview", "lesion_01", "lesion_02", "lesion_03", "scores"]
    for view in views:
        picture = cv2.imread(str(view.path))
        assert picture is not None
        assert picture.shape == (view.height, view.width, 3)
    assert "level 400 HU" in views[1].caption


def test_a_lesion_s_outline_encloses_it_in_the_picture(written: tuple[Path, tuple[Picture, ...], str, str]) -> None:
    """Lesion 1 is a ball of 24 mm; in the enlarged panels of 60 mm or more its outline is about as wide as high."""
    _, views, _, _ = written
    picture = cv2.imread(str(views[1].path))
    assert picture is not None
    blue, green, red = (picture[..., k].astype(int) for k in range(3))
    line = (red > 220) & (np.abs(green - 128) < 30) & (blue < 90)
    panels = np.flatnonzero(line[62:372].any(axis=0))
    gaps = np.flatnonzero(np.diff(panels) > 20)
    parts = np.split(panels, gaps + 1)
    assert len(parts) == 4  # the whole slice and three enlarged planes
    for part in parts[1:]:
        rows = np.flatnonzero(line[62:372, part[0] : part[-1] + 1].any(axis=1))
        assert np.ptp(part) / np.ptp(rows) == pytest.approx(1, abs=0.15)


def test_a_lesion_behind_bone_shines_through(metastasis_case: Case) -> None:
    answer, _ = metastasis_case
    bones, lesions = bone_surfaces(answer), [item.surface for item in drawn_lesions(answer) if item.surface is not None]
    camera = mesh.fit_camera([*bones, *lesions], view="anterior", size=(120, 160))
    solid = mesh.render(bones, camera=camera).rgb.astype(int)
    seen = see_through(bones, lesions, camera).astype(int)
    places = np.unique(camera.project(lesions[0].vertices_lps_mm)[:, :2].astype(int), axis=0)
    column, row = np.median(places, axis=0).astype(int)
    assert seen[row, column, 0] - seen[row, column, 2] > solid[row, column, 0] - solid[row, column, 2] + 60
    far = (seen - solid)[:8, :8]
    assert not far.any()


def test_a_few_slices_are_seen_from_the_feet(metastasis_case: Case, run: Run, tmp_path: Path) -> None:
    answer, volume = metastasis_case
    flat = tuple(
        replace(one, vertices_lps_mm=one.vertices_lps_mm * np.array([1, 1, 0.05], dtype=np.float32))
        for one in answer.surfaces.values()
    )
    overview = drawn(replace(answer, surfaces=named(flat), detail=LesionReading()), volume, run, tmp_path)["overview"]
    assert "seen from the feet, as in a slice." in overview.caption
    assert 0.5 < overview.width / overview.height < 2


def test_sixty_lesions_are_all_listed_and_the_largest_are_drawn(
    many: Answer, metastasis_case: Case, run: Run, tmp_path: Path
) -> None:
    _, volume = metastasis_case
    numbers = [item.number for item in largest(drawn_lesions(many))]
    assert numbers == [*range(1, MOST_PICTURES), 60]
    views, page, paper = _written(many, volume, run, tmp_path)
    assert sum(view.name.startswith("lesion_") for view in views) == MOST_PICTURES
    for words in (page, paper):
        assert "Pictures are drawn of the 12 largest of 60 lesions; the list holds all of them." in words
    assert _page(tmp_path).count('<article class="item"') == 60
    labels = {item["label"] for item in bone_scene(many, volume, drawn_lesions(many))}
    assert labels == {"Skeleton", "Lytic lesions", "Sclerotic lesions", "Indeterminate lesions"}


def test_nothing_called_is_said_and_shown(empty: Answer, metastasis_case: Case, run: Run, tmp_path: Path) -> None:
    _, volume = metastasis_case
    views, page, paper = _written(empty, volume, run, tmp_path)
    assert [view.name for view in views] == ["overview", "slices", "scores"]
    predicted = int((empty.detail_as(LesionReading).scores[0].smoothed >= 0.5).sum())
    for words in (page, paper):
        assert "No lesion was detected in the 40 slices that were read." in words
        assert "does not show that nothing is there" in words
        assert f"The classifier of slices predicts metastasis in {predicted} slices all the same." in words
    assert content(empty, volume, run)["lesions"] == []


def test_where_no_lesion_was_looked_for_none_is_said_to_be_missing(
    empty: Answer, metastasis_case: Case, run: Run, tmp_path: Path
) -> None:
    """A series out of distribution: the scores of its slices are shown, and nothing is said of lesions."""
    _, volume = metastasis_case
    ood = RegionOod(2.78, 1.23, 1.27, 0.05)
    (scores,) = empty.detail_as(LesionReading).scores
    kept = replace(scores, by_segmentation=None, lesion_area_mm2=None, runs=(), withheld_runs=scores.runs)
    withheld = replace(
        empty,
        status="abstained",
        headline="No assessment: the series is outside the model's training range.",
        regions=tuple(replace(region, ood=ood) for region in empty.regions),
        detail=LesionReading((kept,)),
    )
    _, page, paper = _written(withheld, volume, run, tmp_path)
    for words in (page, paper):
        assert "No lesion" not in words
        assert "all the same" not in words
        assert "outside the model's training range (score 2.78, threshold 1.23)" in words


def test_a_demo_model_is_named_in_every_picture(metastasis_case: Case, run: Run, tmp_path: Path) -> None:
    answer, volume = metastasis_case
    told = answer.detail_as(LesionReading)
    answer = replace(answer, detail=replace(told, lesions=told.lesions[:1]))  # one picture is as good as three
    honest = replace(answer, models=tuple(replace(model, is_demo=False) for model in answer.models))
    both = [drawn(one, volume, run, tmp_path / name).values() for one, name in ((answer, "a"), (honest, "b"))]
    for marked, plain in zip(*both, strict=True):
        pair = [cv2.imread(str(view.path)) for view in (marked, plain)]
        assert pair[0] is not None
        assert pair[1] is not None
        changed = np.nonzero((pair[0] != pair[1]).any(axis=2))
        assert changed[0].size
        assert changed[0].max() < 62


def test_where_classifier_and_segmentation_differ_is_a_row(metastasis_case: Case) -> None:
    answer, _ = metastasis_case
    (scores,) = answer.detail_as(LesionReading).scores
    positions = np.arange(40, dtype=np.float64) * np.float64(2.5)
    rows = dict(call_stretches(scores, positions, 1.25))
    assert list(rows) == ["classifier", "segmentation", "they differ"]
    differ = [stretch for stretch in rows["they differ"] if stretch.kind == "differ"]
    assert [(stretch.low_mm, stretch.high_mm) for stretch in differ] == [(-1.25, 8.75)]
    own = replace(scores, source="segmentation")
    assert [name for name, _ in call_stretches(own, positions, 1.25)] == ["segmentation"]
    assert call_stretches(replace(scores, by_segmentation=None), positions, 1.25) == []


def test_the_browser_outlines_lesions_and_numbers_them(metastasis_case: Case) -> None:
    answer, volume = metastasis_case
    look = SliceLook(curve="", map_curve="", predicted="metastasis", margin_mm=45)
    scores = answer.detail_as(LesionReading).scores
    lesions = answer.masks["lesions"], drawn_lesions(answer)
    (browser,) = slice_browsers(answer, volume, scores, look=look, lesions=lesions)
    assert browser.lesions.startswith("data:image/png;base64,")
    assert [box[-1] for box in browser.boxes] == ["1", "2", "3"]
    assert [frame[5] for frame in browser.frames[:4]] == [False] * 4
    assert "they differ" not in str(browser.svg)
    assert 'class="differ"' in str(browser.svg)
    assert DEMO_MARK not in str(browser.svg)
