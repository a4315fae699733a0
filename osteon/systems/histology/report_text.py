"""What the report of a slide says, in words: the one source of its page and of its PDF.

Every number is taken from the findings document, so page, PDF and findings.json cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.report.content import FindingCard, Row, finding_card, model_rows, shown_rows, software_rows
from osteon.report.wording import count, one_line, percent
from osteon.systems.histology.map_cells import flag_look
from osteon.systems.histology.report_findings import slide_findings_document
from osteon.systems.histology.sheet import SLIDE_DEMO_MARK, SYNTHETIC_MARK

if TYPE_CHECKING:
    from osteon.data import Answer
    from osteon.data.slide import Slide
    from osteon.report.run import Run

__all__ = ["AREA_COLUMNS", "SlideContent", "slide_content"]

_TITLE: Final = "Histology slide: viable and non-viable tumour"
_PROPOSAL: Final = (
    "A proposal for this slide, not for the patient: grading needs the whole mapped specimen, and a pathologist."
)
_UNLIKE: Final = (
    "The slide is unlike anything this model was trained on. No class is claimed, no area, no necrosis fraction and no "
    "grade; what is shown of the slide and of its distance from the training tiles stands."
)
_DEMO: Final = "What this report says about tumour shows how the software works. It says nothing about a patient."
_SYNTHETIC: Final = "The slide was computed. No person's tissue is shown, and no number describes a person."

AREA_COLUMNS: Final = ("", "Area", "Share of the tissue", "Cells")

_LIMITS: Final = (
    "osteon is research software, not a medical device. Every slide must be read by a pathologist.",
    "The classifier sees single tiles at low magnification. Borders on the map follow the cells, not the tumour.",
    "Areas count the tissue in whole cells. Bone, calcified matrix, blood and muscle count as tissue.",
    "The interval says how much the fraction would change with other regions and tiles of this slide.",
    "The interval does not hold what other slides of the same tumour, another stain or another scanner would change.",
    "How a probability relates to outcomes is known only as far as the model's statement says.",
)
_DEMO_LIMIT: Final = "The demo model shows how the software works. Its output carries no information about a patient."


@dataclass(frozen=True, slots=True)
class SlideContent:
    """The report of a slide in words.

    Attributes:
        title: of the document.
        headline: first sentence.
        created: day and time in UTC.
        mark: what every page must carry, or "".
        boxes: (heading, sentence, small print) that nobody may miss: unlike, demo, synthetic.
        statements: what every model that is no demo was trained on.
        key: (label, value, small print) of the numbers that stand first; empty where none is claimed.
        key_rows: where they come from.
        areas: rows of AREA_COLUMNS.
        flags: rows of flag and cells.
        findings: cards in reading order.
        notices: (level, text) in the order they arose.
        slide: details of the slide.
        models: rows of each.
        software: rows of versions and times.
        limits: sentences.
    """

    title: str
    headline: str
    created: str
    mark: str
    boxes: tuple[tuple[str, str, tuple[str, ...]], ...]
    statements: tuple[str, ...]
    key: tuple[Row, ...]
    key_rows: tuple[Row, ...]
    areas: tuple[tuple[str, ...], ...]
    flags: tuple[Row, ...]
    findings: tuple[FindingCard, ...]
    notices: tuple[tuple[Literal["info", "warning"], str], ...]
    slide: tuple[Row, ...]
    models: tuple[tuple[Row, ...], ...]
    software: tuple[Row, ...]
    limits: tuple[str, ...]


def slide_content(answer: Answer, slide: Slide, *, run: Run) -> SlideContent:
    """Put an answer into words.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    document: Any = slide_findings_document(answer, slide, run=run)
    about = document["slide"]
    return SlideContent(
        title=_TITLE,
        headline=_typeset(answer.headline),
        created=run.created.replace("T", " ").replace("+00:00", " UTC"),
        mark=_mark(document),
        boxes=_boxes(document),
        statements=tuple(f"{m['name']}: {m['statement']}" for m in document["models"] if not m["is_demo"]),
        key=_key(about),
        key_rows=_key_rows(about),
        areas=_areas(about),
        flags=_flags(about["grid"]),
        findings=tuple(_card(item, document) for item in document["findings"]),
        notices=tuple(
            (notice["level"], _typeset(one_line(notice["text"], longest=2000))) for notice in document["notices"]
        ),
        slide=_slide_rows(about),
        models=tuple(model_rows(model) for model in document["models"]),
        software=software_rows(answer, run),
        limits=(*_LIMITS, *((_DEMO_LIMIT,) if document["is_demo"] else ())),
    )


def _mark(document: dict[str, Any]) -> str:
    if document["is_demo"]:
        return SLIDE_DEMO_MARK
    return SYNTHETIC_MARK if document["slide"]["is_synthetic"] else ""


def _boxes(document: dict[str, Any]) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    boxes: list[tuple[str, str, tuple[str, ...]]] = []
    about = document["slide"]
    if about["is_unlike_training"]:
        boxes.append(("Unlike anything this model was trained on", _UNLIKE, _distance(about["novelty"])))
    if document["is_demo"]:
        statements = tuple(f"{m['name']}: {m['statement']}" for m in document["models"] if m["is_demo"])
        boxes.append((_upper(SLIDE_DEMO_MARK), _DEMO, statements))
    if about["is_synthetic"]:
        boxes.append((_upper(SYNTHETIC_MARK), _SYNTHETIC, ()))
    return tuple(boxes)


def _distance(novelty: dict[str, Any] | None) -> tuple[str, ...]:
    if novelty is None or novelty["threshold"] is None:
        return ()
    text = f"median {novelty['median']:.2f}, threshold {novelty['threshold']:.2f}"
    return (f"Distance from the training tiles: {text}; {percent(novelty['share_above'])} of the tiles are above it.",)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _card(finding: dict[str, Any], document: dict[str, Any]) -> FindingCard:
    card = finding_card(finding, document, title=str(finding["kind"]["meaning"]))
    return replace(card, statement=_typeset(card.statement))


def _key(about: dict[str, Any]) -> tuple[Row, ...]:
    """Necrosis, grade and the two areas of tumour."""
    if about["is_unlike_training"]:
        return ()
    necrosis, grade = about["necrosis"], about["grade"]
    rows = [Row("Necrosis", "none given", "no tumour was called")]
    if necrosis["fraction"] is not None:
        interval = necrosis["interval"]
        small = f"95 % interval {percent(interval[0])} to {percent(interval[1])}" if interval else "no interval"
        rows = [Row("Necrosis", percent(necrosis["fraction"]), small)]
    if grade is not None:
        others = [name for name in grade["possible"] if name != grade["proposed"]]
        reaches = f"the interval also reaches {' and '.join(others)}" if others else "the whole interval lies in it"
        rows.append(Row("Proposed grade (Huvos)", grade["proposed"], reaches))
    for item in reversed(about["classes"]):
        if item["name"] != "non_tumour" and item["area"] is not None:
            area = item["area"]
            rows.append(Row(item["title"], _area(area), count(item["cells"], "cell")))
    return tuple(rows)


def _key_rows(about: dict[str, Any]) -> tuple[Row, ...]:
    if about["is_unlike_training"]:
        return ()
    necrosis, grade = about["necrosis"], about["grade"]
    rows = [
        Row("Necrosis fraction", "non-viable divided by viable and non-viable tumour area"),
        Row("Interval", necrosis["method"]),
        Row("Tumour called", f"{count(necrosis['tiles'], 'cell')} in {count(necrosis['regions'], 'region')}"),
    ]
    if grade is not None:
        rows += [
            Row("Grade", f"{_PROPOSAL} Grades in the interval: {', '.join(grade['possible'])}."),
            Row("Source of the grade", grade["source"]),
        ]
    return tuple(row for row in rows if row.value)


def _areas(about: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    """Classes from viable to non-tumour, then what else was measured."""
    others = {item["name"]: item["area"] for item in about["areas"]}
    tissue = others.get("tissue")
    classes = [item for item in reversed(about["classes"]) if item["area"] is not None]
    rows = [(item["title"], item["area"], f"{item['cells']:,}") for item in classes]
    unlike, read = about["is_unlike_training"], about["grid"]["cells_read"]
    names = {"tissue": "Tissue", "left_out": "Left out" if unlike else "Left out (flagged)"}
    for name, area in others.items():
        cells = {"tissue": read, "left_out": read if unlike else about["grid"]["cells_left_out"]}.get(name)
        rows.append((names.get(name, _upper(name.replace("_", " "))), area, "" if cells is None else f"{cells:,}"))
    return tuple((title, _area(area), _of(area, tissue), cells) for title, area, cells in rows)


def _area(area: dict[str, Any]) -> str:
    """Always in mm², so that areas are compared at a glance."""
    value = area["value"]
    return f"{value:,.2f} mm²" if value < 10 else f"{value:,.1f} mm²"


def _typeset(text: str) -> str:
    """With a raised 2, and without a line break between a number and its unit."""
    return text.replace(" mm2", "\u00a0mm²").replace(" %", "\u00a0%")


def _of(area: dict[str, Any], tissue: dict[str, Any] | None) -> str:
    if tissue is None or not tissue["value"]:
        return ""
    return percent(min(1.0, area["value"] / tissue["value"]))


def _flags(grid: dict[str, Any]) -> tuple[Row, ...]:
    total = grid["rows"] * grid["columns"]
    return tuple(
        Row(_upper(flag_look(name).title), f"{count(cells, 'cell')} of {total:,}")
        for name, cells in grid["flags"].items()
    )


def _slide_rows(about: dict[str, Any]) -> tuple[Row, ...]:
    level, (row_um, column_um), grid = about["levels"][0], about["microns_per_pixel"], about["grid"]
    height_mm, width_mm = level["rows"] * row_um / 1000, level["columns"] * column_um / 1000
    told = "from the file" if about["microns_from"] == "file" else "given by a person"
    size = f"{column_um:.4g}" if abs(row_um / column_um - 1) < 1e-3 else f"{row_um:.4g} x {column_um:.4g}"
    return shown_rows(
        (
            Row("Read from", about["format"]),
            Row("Size", f"{width_mm:.1f} x {height_mm:.1f} mm, {level['columns']:,} x {level['rows']:,} pixels"),
            Row("Pixel", f"{size} µm, {told}"),
            Row("Levels", ", ".join(f"{item['columns']:,} x {item['rows']:,}" for item in about["levels"])),
            Row(
                "Tiles",
                f"{grid['tile_um']:,.0f} µm, seen at {grid['tile_pixels']} x {grid['tile_pixels']} pixels, one every "
                f"{grid['step_um']:,.0f} µm",
            ),
            Row("Cells read", f"{grid['cells_read']:,} of {grid['rows'] * grid['columns']:,}, those with tissue"),
            Row("SHA-256", about["sha256"]),
        )
    )
