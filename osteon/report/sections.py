"""The parts that every report has, in words: what it is, findings, what was done, with what, and its limits.

Every number is taken from what findings.json holds, so page, PDF and findings.json cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from osteon.data import Slide
from osteon.report.blocks import Bullets, Callout, Card, Cards, Document, Download, Heading, KeyValues, Paragraph, Row
from osteon.report.wording import (
    DISCLAIMER,
    count,
    date,
    direction_text,
    duration,
    interval_text,
    one_line,
    person_name,
    position,
    probability,
    quantity,
    upper,
    whole_range,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from osteon.data import Answer, Image, Radiograph, Source, Volume
    from osteon.data.system import TaskText
    from osteon.report.blocks import Block, Only, Part
    from osteon.report.findings import (
        FindingEntry,
        Findings,
        MeasurementEntry,
        ModelEntry,
        OodEntry,
        RegionEntry,
        ScoresEntry,
    )
    from osteon.report.run import Run

__all__ = [
    "OOD_MARK",
    "finding_card",
    "findings_section",
    "make_document",
    "shown_rows",
    "slice_note",
    "trust_section",
]

OOD_MARK: Final = "outside the model's training range"
"""Stands beside every region of which the model may not speak."""
_RESEARCH: Final = "Research model, not a medical device"
"""Stands in the place of what a demo model says of itself."""
_LABELS: Final = {
    "axis-extent": "Extent along the slice axis",
    "slice-count": "Suspected slices",
    "121219": "Volume of the box",
    "122157": "Probability",
    "112031": "Attenuation",
}
_WORDS: Final = {True: "yes", False: "no", None: "none"}
_SEXES: Final = {"F": "female", "M": "male", "O": "other"}
_SETS: Final = ("healthy", "tumour", "either", "neither")
"""Order of prediction sets, as far as they are these."""


def make_document(
    answer: Answer,
    image: Image,
    *,
    text: TaskText,
    part: Part,
    findings: Findings,
    run: Run,
    files: Sequence[tuple[str, str]] = (),
) -> Document:
    """The whole report, with what a system adds to it and the (name, words) of the files beside the page."""
    source = None if isinstance(image, Slide) else image.source
    level_of = {"always": True, "model": bool(answer.models), "demo": answer.is_demo}
    beside: tuple[Block, ...] = (
        (Heading("Files beside this page", anchor="files", only="page"), Download(tuple(files))) if files else ()
    )
    limits = Bullets(tuple((sentence, "info") for when, sentence in text.limits if level_of[when]))
    told = tuple((text.typeset(one_line(one.text, longest=2000)), one.level) for one in findings.notices)
    models: list[Block] = [KeyValues(_model(model)) for model in findings.models]
    if models:
        models.insert(0, Heading("Model" if len(models) == 1 else "Models", anchor="models"))
    rows = part.image if isinstance(image, Slide) else _series(image)
    return Document(
        title=text.title,
        headline=text.typeset(answer.headline),
        created=run.created.replace("T", " ").replace("+00:00", " UTC"),
        patient=() if source is None else _patient(source),
        mark=text.demo_mark if answer.is_demo else part.mark,
        skip=part.skip,
        blocks=(
            *_summary(text, findings, part),
            *part.blocks,
            Heading("What was done", anchor="done"),
            Bullets(told) if told else Paragraph("Nothing had to be chosen or corrected."),
            Heading(text.image, anchor="source"),
            KeyValues(rows),
            *models,
            Heading("Software", anchor="software"),
            KeyValues(_software(answer, run)),
            Heading("Limits", anchor="limits"),
            limits,
            *beside,
        ),
    )


def _summary(text: TaskText, findings: Findings, part: Part) -> Iterator[Block]:
    """What stands below the headline: what the model was not made for, that it is a demo, what it was trained on."""
    ood = tuple(_ood_sentences(findings.regions))
    if ood:
        yield Callout(upper(OOD_MARK), text.ood, ood, style="ood")
    demo, others = ([one for one in findings.models if one.is_demo is is_demo] for is_demo in (True, False))
    yield from (block for block in part.summary if isinstance(block, Callout) and block.style == "ood")
    if demo:
        yield Callout(upper(text.demo_mark), text.demo, tuple(f"{one.name}: {one.statement}" for one in demo))
    yield from (block for block in part.summary if not (isinstance(block, Callout) and block.style == "ood"))
    if demo:
        yield from (Paragraph(f"{one.name}: {one.statement}", "statement") for one in others)
    elif others:
        yield Callout(_RESEARCH, " ".join(one.statement for one in others), tuple(one.name for one in others))
    yield Paragraph(DISCLAIMER, "disclaimer", only="page")  # the paper carries it on every page


def _ood_sentences(regions: Iterable[RegionEntry]) -> Iterator[str]:
    """A sentence for every region that is outside the model's training range."""
    for region in regions:
        ood = region.ood
        if ood is not None and ood.is_ood:
            numbers = f"score {ood.score:.2f}, threshold {ood.threshold:.2f}"
            yield f"{upper(region.name)}: {OOD_MARK} ({numbers})."


def findings_section(
    findings: Findings, text: TaskText, *, title: str = "Findings", listed: Sequence[str] | None = None, note: Only = ""
) -> tuple[Block, ...]:
    """Cards in reading order; several regions of one part are numbered.

    Args:
        findings: what findings.json holds.
        text: words of the system.
        title: of the section.
        listed: identifiers of findings that stand in a list of their own, which then says when nothing was found.
        note: where it is said how slices are counted; "" is on page and paper.
    """
    marked = [one for one in findings.findings if one.is_abnormal and one.box]
    cards = []
    for finding in findings.findings:
        if finding.identifier in (listed or ()):
            continue
        place, name = _place(finding, findings), finding.kind.meaning
        if finding in marked:
            same = [other for other in marked if _place(other, findings) == place]
            name = text.marked + (f" {same.index(finding) + 1} of {len(same)}" if len(same) > 1 else "")
        is_named = place and place != name.lower()
        cards.append(finding_card(finding, findings, text, title=f"{name}, {place}" if is_named else name))
    nothing = "" if listed is not None or any(one.is_abnormal for one in findings.findings) else _nothing(findings)
    if any(one.code == "demo-model-silent" for one in findings.notices):
        nothing = "No model looked for anything abnormal: this report says nothing of it."
    return (
        Heading(title, anchor="findings"),
        *((Paragraph(nothing),) if nothing else ()),
        *((Cards(tuple(cards)),) if cards else ()),
        Paragraph(slice_note(findings), "note", only=note),
    )


def _place(finding: FindingEntry, findings: Findings) -> str:
    """The region of a finding; without a box the region named after its side, else the side."""
    side = finding.laterality.meaning.lower() if finding.laterality else ""
    named = next((region.name for region in findings.regions if side and region.name.startswith(side)), side)
    return str(finding.region or named)


def finding_card(finding: FindingEntry, findings: Findings, text: TaskText, *, title: str) -> Card:
    """One finding in words."""
    rows = []
    if finding.probability is not None:
        rows.append(Row(text.probability, probability(finding.probability), "no interval"))
    box = finding.box
    if box is not None and findings.grid is not None:
        total = findings.grid.shape[0]
        rows.append(Row("Slices", f"{whole_range(box.first_slice_number, box.last_slice_number)} of {total}"))
        if box.position_range_mm is not None:
            low, high = box.position_range_mm
            rows.append(Row("Position", f"{position(low)[:-3]} to {position(high)}"))
    for measurement in finding.measurements:
        unit = measurement.unit.value
        rows.append(
            Row(_label(measurement), quantity(measurement.value, unit), interval_text(measurement.interval, unit))
        )
    if finding.is_abnormal:
        rows.append(Row("Coded as", finding.kind.meaning))
    return Card(title, text.typeset(finding.statement), tuple(rows), affected=finding.is_abnormal)


def _label(measurement: MeasurementEntry) -> str:
    label = _LABELS.get(measurement.concept.value, measurement.concept.meaning)
    details = [part.meaning.lower() for part in (measurement.derivation, measurement.method) if part]
    return f"{label} ({', '.join(details)})" if details else label


def _nothing(findings: Findings) -> str:
    ood = [one.name for one in findings.regions if one.ood and one.ood.is_ood]
    looked = [one.name for one in findings.regions if one.name not in ood]
    if ood and not looked:
        return "No tumour assessment: what was read is outside the training range of the model."
    where = f" in the {' and the '.join(looked)}" if looked else ""
    return f"Nothing abnormal was reported{where}. That a model reports nothing does not show that nothing is there."


def slice_note(findings: Findings) -> str:
    """How slices are counted."""
    grid = findings.grid
    if grid is None or grid.affine is None:
        return "Slices are counted from 1. The size of a pixel is not known: nothing is given in millimetres."
    step = [row[0] for row in grid.affine[:3]]
    rises = float(max(step, key=abs)) > 0  # positions grow with the number: the axis points to head, left or back
    start = direction_text(grid.slice_axis_from if rises else grid.slice_axis_to)
    return (
        f"Slices are counted from the {start} end, beginning with 1. Positions are millimetres along the slice axis in "
        f"the patient coordinates of the scanner, growing towards the {direction_text(grid.slice_axis_to)}."
    )


def trust_section(findings: Findings, scores: Iterable[ScoresEntry]) -> tuple[Block, ...]:
    """How reliable a model is in each part of which it knows its limits; nothing where it knows none."""
    scored = {entry.region: entry for entry in scores}
    blocks: list[Block] = []
    for region in findings.regions:
        rows = (*_ood(region.ood), *_sets(scored.get(region.name)))
        if rows:
            blocks += [Heading(upper(region.name), level=3), KeyValues(rows)]
    return (Heading("Reliability", anchor="trust"), *blocks) if blocks else ()


def _ood(ood: OodEntry | None) -> tuple[Row, ...]:
    if ood is None:
        return ()
    verdict = OOD_MARK if ood.is_ood else "not flagged as out of distribution"
    share = f"expected in {ood.false_alarm_rate:.1%} of patients like those of training"
    return (
        Row("Verdict", upper(verdict)),
        Row("Distance from training", f"{ood.score:.2f}, limit {ood.threshold:.2f}; 1 is usual"),
        Row("False alarms of the limit", share),
    )


def _sets(scores: ScoresEntry | None) -> Iterator[Row]:
    if scores is None:
        return
    sets = scores.prediction_sets
    if sets is not None:
        names = [*_SETS, *(name for name in sets.counts if name not in _SETS)]
        counts = ", ".join(f"{name} in {sets.counts[name]}" for name in names if sets.counts.get(name))
        rate = f"at most {100 * sets.error_rate:g} %, for slices of patients like those of validation"
        yield Row("Prediction sets", f"{counts} of {len(scores.slices)} slices")
        yield Row("Error rate of the sets", rate)
    spreads = [row.spread for row in scores.slices if row.spread is not None]
    if spreads:
        yield Row("Largest spread of the networks", f"{max(spreads):.2f} (standard deviation of the probability)")


def _patient(source: Source) -> tuple[Row, ...]:
    patient, study = source.patient, source.study
    years = patient.age_years
    age = "" if years is None else count(int(years), "year") if years >= 1 else "under 1 year"
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


def _series(image: Volume | Radiograph) -> tuple[Row, ...]:
    grid, source = image.grid, image.source
    slices, rows, columns = grid.shape
    slice_mm, row_mm, column_mm = grid.spacing_mm
    spacing = f"{slice_mm:.2f} mm between slices, {row_mm:.3f} x {column_mm:.3f} mm in the slice"
    found = [
        Row("Image", f"{count(slices, 'slice')} of {rows} x {columns} pixels"),
        Row("Spacing", spacing if grid.is_in_mm else "not known"),
    ]
    if source is not None:
        series = source.series
        number = "" if series.number is None else f"{series.number}: "
        modality = series.modality or ("not known" if source.kind == "picture" else "")
        kinds = {"dicom": "DICOM", "nifti": "NIfTI"}
        found = [
            Row("Study", source.study.description),
            Row("Series", f"{number}{series.description}" if number or series.description else ""),
            Row("Modality, body part", ", ".join(part for part in (modality, series.body_part) if part)),
            Row("Weighting", series.weighting),
            Row("Kernel", series.kernel),
            Row("Patient position", series.patient_position),
            Row("Manufacturer", series.manufacturer),
            *found,
            Row("Read from", kinds.get(source.kind, source.kind)),
            Row("Study UID", source.study.uid),
            Row("Series UID", series.uid),
        ]
    return shown_rows(found)


def _model(model: ModelEntry) -> tuple[Row, ...]:
    rows = (
        Row("Model", model.name + (" (demo)" if model.is_demo else "")),
        Row("Version", model.version),
        Row("Runs on", f"{model.runtime}, {model.device}"),
        Row("Networks", f"mean of {model.members}" if model.members > 1 else ""),
        Row("Temperature", ", ".join(f"{value:.2f}" for value in model.temperatures)),
        Row("Calibration", model.calibration),
        Row("Threshold", model.operating_point),
        Row("Trained on", model.statement),
        Row("SHA-256", model.sha256),
    )
    return tuple(row for row in rows if row.value)


def _software(answer: Answer, run: Run) -> tuple[Row, ...]:
    """Versions, times and options."""
    versions = dict(run.versions)
    times = {**run.seconds, **answer.seconds}
    rows = (
        Row("osteon", versions.pop("osteon", "")),
        Row("Source commit", run.git_hash[:12] if run.git_hash else ""),
        Row("Python", versions.pop("python", "")),
        Row("Device", run.device),
        Row("Time until the report", duration(sum(times.values())) if times else ""),
        Row("Steps", ", ".join(f"{step} {duration(time)}" for step, time in times.items())),
        Row("Options", ", ".join(_options(answer.configuration))),
    )
    return tuple(row for row in rows if row.value)


def _options(configuration: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Options as "name = value"; the names of nested ones are joined by a dot."""
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _options(value, f"{prefix}{name}.")
        else:
            words = _WORDS[value] if isinstance(value, bool | None) else value
            yield f"{prefix}{name} = {words}"
