"""What a report says, in words: the one source of the page and of the PDF.

Every number is taken from the findings document, so page, PDF and findings.json cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.report.findings import findings_document
from osteon.report.lesion_words import LesionList, lesion_list
from osteon.report.tasks import TaskWords, curve_title, task_words
from osteon.report.trust_words import trust_rows, unlike_sentences
from osteon.report.wording import (
    count,
    date,
    direction_words,
    duration,
    interval_text,
    one_line,
    person_name,
    position,
    probability,
    quantity,
    whole_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from osteon.data import Answer, Source, Volume
    from osteon.report.run import Run

__all__ = [
    "Content",
    "FindingCard",
    "Row",
    "finding_card",
    "model_rows",
    "report_content",
    "shown_rows",
    "software_rows",
]

_LABELS: Final = {
    "axis-extent": "Extent along the slice axis",
    "slice-count": "Slices called affected",
    "121219": "Volume of the box",
    "122157": "Probability",
    "112031": "Attenuation",
}
_WORDS: Final = {True: "yes", False: "no", None: "none"}
_SEXES: Final = {"F": "female", "M": "male", "O": "other"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what, how much, and how sure."""

    label: str
    value: str
    interval: str = ""


@dataclass(frozen=True, slots=True)
class FindingCard:
    """One finding in words.

    Attributes:
        title: as "Affected region, left leg".
        statement: the sentence.
        rows: its numbers.
        affected: whether it is abnormal.
    """

    title: str
    statement: str
    rows: tuple[Row, ...]
    affected: bool


@dataclass(frozen=True, slots=True)
class Content:
    """A whole report in words.

    Attributes:
        title: of the document.
        headline: first sentence.
        created: day and time in UTC.
        unlike: a sentence for every part that the model was not trained for.
        trust: (part, rows): how far the model may be believed there; empty where it does not know its limits.
        demo: what must be said about a demo model, one text a model; empty when none took part.
        statements: what every other model was trained on.
        patient: name, identifier, birth date, sex, age.
        findings: cards in reading order.
        nothing: sentence that stands before the cards when nothing abnormal was found, else "".
        notices: (level, text) in the order they arose.
        series: details of the images.
        models: rows of name, version, runtime, hash.
        software: rows of versions and times.
        limits: sentences.
        slice_note: how slices are counted.
        words: what the task calls things.
        curve: heading of what is drawn over the slices.
        lesions: the list of an answer that is one; None of others.
    """

    title: str
    words: TaskWords
    curve: str
    headline: str
    created: str
    demo: tuple[str, ...]
    statements: tuple[str, ...]
    patient: tuple[Row, ...]
    findings: tuple[FindingCard, ...]
    nothing: str
    notices: tuple[tuple[Literal["info", "warning"], str], ...]
    series: tuple[Row, ...]
    models: tuple[tuple[Row, ...], ...]
    software: tuple[Row, ...]
    limits: tuple[str, ...]
    slice_note: str
    lesions: LesionList | None = None
    unlike: tuple[str, ...] = ()
    trust: tuple[tuple[str, tuple[Row, ...]], ...] = ()


def report_content(answer: Answer, volume: Volume, *, run: Run) -> Content:
    """Put an answer into words.

    Raises:
        OutputError: a number is NaN or infinite.
    """
    document: Any = findings_document(answer, volume, run=run)
    demo = tuple(model for model in document["models"] if model["is_demo"])
    words = task_words(answer.task)
    others = tuple(model for model in document["models"] if not model["is_demo"])
    return Content(
        title=words.title,
        words=words,
        curve=curve_title(answer),
        lesions=lesion_list(document, answer.configuration),
        headline=answer.headline,
        created=run.created.replace("T", " ").replace("+00:00", " UTC"),
        demo=tuple(f"{model['name']}: {model['statement']}" for model in demo),
        statements=tuple(f"{model['name']}: {model['statement']}" for model in others),
        patient=_patient(volume.source),
        findings=_cards(document),
        nothing=_nothing(document),
        notices=tuple((notice["level"], one_line(notice["text"], longest=2000)) for notice in document["notices"]),
        series=_series(volume),
        models=tuple(model_rows(model) for model in document["models"]),
        software=software_rows(answer, run),
        limits=_limits(document),
        slice_note=_slice_note(document),
        unlike=unlike_sentences(document),
        trust=tuple((part, tuple(Row(label, value) for label, value in rows)) for part, rows in trust_rows(document)),
    )


def _cards(document: dict[str, Any]) -> tuple[FindingCard, ...]:
    """Cards in reading order, of what the list of lesions does not hold; several regions of one part are numbered."""
    marked = [finding for finding in document["findings"] if finding["is_abnormal"] and finding["box"]]
    listed = {lesion["identifier"] for lesion in document["lesions"]}
    cards = []
    for finding in document["findings"]:
        if finding["identifier"] in listed:
            continue
        place = _place(finding, document)
        title = finding["kind"]["meaning"]
        if finding in marked:
            same = [other for other in marked if _place(other, document) == place]
            number = f" {same.index(finding) + 1} of {len(same)}" if len(same) > 1 else ""
            title = f"{task_words(document['task']).marked}{number}"
        named = place and place != title.lower()
        cards.append(finding_card(finding, document, title=f"{title}, {place}" if named else title))
    return tuple(cards)


def _place(finding: dict[str, Any], document: dict[str, Any]) -> str:
    """The region of a finding; without a box the region named after its side, else the side."""
    side = str((finding["laterality"] or {}).get("meaning", "")).lower()
    named = next((region["name"] for region in document["regions"] if side and region["name"].startswith(side)), side)
    return str(finding["region"] or named)


def finding_card(finding: dict[str, Any], document: dict[str, Any], *, title: str) -> FindingCard:
    """One entry of findings.json in words."""
    rows = []
    if finding["probability"] is not None:
        words = task_words(document["task"]).probability
        rows.append(Row(words, probability(finding["probability"]), "no interval"))
    box = finding["box"]
    if box is not None:
        total = document["grid"]["shape"][0]
        rows.append(Row("Slices", f"{whole_range(box['first_slice_number'], box['last_slice_number'])} of {total}"))
        if box["position_range_mm"] is not None:
            low, high = box["position_range_mm"]
            rows.append(Row("Position", f"{position(low)[:-3]} to {position(high)}"))
    for measurement in finding["measurements"]:
        unit, interval = measurement["unit"], measurement["interval"]
        rows.append(Row(_label(measurement), quantity(measurement["value"], unit), interval_text(interval, unit)))
    if finding["is_abnormal"]:
        rows.append(Row("Coded as", finding["kind"]["meaning"]))
    return FindingCard(title=title, statement=finding["statement"], rows=tuple(rows), affected=finding["is_abnormal"])


def _label(measurement: dict[str, Any]) -> str:
    concept, derivation, method = measurement["concept"], measurement["derivation"], measurement["method"]
    label = _LABELS.get(concept["value"], concept["meaning"])
    details = [part["meaning"].lower() for part in (derivation, method) if part]
    return f"{label} ({', '.join(details)})" if details else label


def _nothing(document: dict[str, Any]) -> str:
    if task_words(document["task"]).lists_lesions or any(finding["is_abnormal"] for finding in document["findings"]):
        return ""
    unlike = [r["name"] for r in document["regions"] if r["novelty"] and r["novelty"]["is_unlike_training"]]
    looked = [region["name"] for region in document["regions"] if region["name"] not in unlike]
    if unlike and not looked:
        return "The model gives no word on tumour: what was read is unlike anything it was trained on."
    where = f" in the {' and the '.join(looked)}" if looked else ""
    return f"Nothing abnormal was reported{where}. That a model reports nothing does not show that nothing is there."


def _patient(source: Source | None) -> tuple[Row, ...]:
    if source is None:
        return ()
    patient, study = source.patient, source.study
    age = "" if patient.age_years is None else _age(patient.age_years)
    rows = (
        Row("Patient", person_name(patient.name) or "not given"),
        Row("Patient ID", patient.identifier or "not given"),
        Row("Born", date(patient.birth_date) or "not given"),
        Row("Sex, age", ", ".join(part for part in (_SEXES.get(patient.sex, patient.sex), age) if part)),
        Row("Study date", date(study.date)),
        Row("Accession number", study.accession_number),
    )
    return shown_rows(rows)


def shown_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows that say something, their text from the headers made fit to be shown."""
    return tuple(replace(row, value=one_line(row.value)) for row in rows if row.value)


def _age(years: float) -> str:
    return count(int(years), "year") if years >= 1 else "under 1 year"


def _series(volume: Volume) -> tuple[Row, ...]:
    grid, source = volume.grid, volume.source
    slices, rows, columns = grid.shape
    slice_mm, row_mm, column_mm = grid.spacing_mm
    spacing = f"{slice_mm:.2f} mm between slices, {row_mm:.3f} x {column_mm:.3f} mm in the slice"
    found = [
        Row("Image", f"{count(slices, 'slice')} of {rows} x {columns} pixels"),
        Row("Spacing", spacing if volume.grid.is_in_mm else "not known"),
    ]
    if source is not None:
        series = source.series
        number = "" if series.number is None else f"{series.number}: "
        modality = "not known" if source.kind == "picture" else ""
        found = [
            Row("Study", source.study.description),
            Row("Series", f"{number}{series.description}" if number or series.description else ""),
            Row(
                "Modality, body part",
                ", ".join(part for part in (series.modality or modality, series.body_part) if part),
            ),
            Row("Patient position", series.patient_position),
            Row("Manufacturer", series.manufacturer),
            *found,
            Row("Read from", "DICOM" if source.kind == "dicom" else "NIfTI" if source.kind == "nifti" else source.kind),
            Row("Study UID", source.study.uid),
            Row("Series UID", series.uid),
        ]
    return shown_rows(found)


def model_rows(model: dict[str, Any]) -> tuple[Row, ...]:
    """A model as findings.json has it, in words."""
    return (
        Row("Model", model["name"] + (" (demo)" if model["is_demo"] else "")),
        Row("Version", model["version"]),
        Row("Runs on", f"{model['runtime']}, {model['device']}"),
        *([Row("Networks", f"mean of {model['members']}")] if model["members"] > 1 else []),
        *([Row("Temperature", ", ".join(f"{t:.2f}" for t in model["temperatures"]))] if model["temperatures"] else []),
        *([Row("Calibration", model["calibration"])] if model["calibration"] else []),
        *([Row("Threshold", model["operating_point"])] if model["operating_point"] else []),
        Row("Trained on", model["statement"]),
        Row("SHA-256", model["sha256"]),
    )


def software_rows(answer: Answer, run: Run) -> tuple[Row, ...]:
    """Versions, times and options."""
    versions = dict(run.versions)
    times = {**run.seconds, **answer.seconds}
    rows = [
        Row("osteon", versions.pop("osteon", "")),
        Row("Source commit", run.git_hash[:12] if run.git_hash else ""),
        Row("Python", versions.pop("python", "")),
        Row("Device", run.device),
        Row("Time until the report", duration(sum(times.values())) if times else ""),
        Row("Steps", ", ".join(f"{step} {duration(time)}" for step, time in times.items())),
        Row("Options", ", ".join(_options(answer.configuration))),
    ]
    return tuple(row for row in rows if row.value)


def _options(configuration: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Options as "name = value"; the names of nested ones are joined by a dot."""
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{name}.")
        else:
            words = _WORDS[value] if isinstance(value, bool | None) else value
            yield f"{prefix}{name} = {words}"


def _limits(document: dict[str, Any]) -> tuple[str, ...]:
    limits = task_words(document["task"]).limits
    return tuple(text for when, text in limits if when == "always" or document[when])


def _slice_note(document: dict[str, Any]) -> str:
    grid = document["grid"]
    if grid["affine"] is None:
        return "Slices are counted from 1. The size of a pixel is not known: nothing is given in millimetres."
    rising = _slices_rise(grid)
    start = direction_words(grid["slice_axis_from"] if rising else grid["slice_axis_to"])
    return (
        f"Slices are counted from the {start} end, beginning with 1. Positions are millimetres along the slice axis in "
        f"the patient coordinates of the scanner, growing towards the {direction_words(grid['slice_axis_to'])}."
    )


def _slices_rise(grid: dict[str, Any]) -> bool:
    """Whether positions grow with the slice number: the slice axis points to head, left or back."""
    step = [row[0] for row in grid["affine"][:3]]
    return float(max(step, key=abs)) > 0
