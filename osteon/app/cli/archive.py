"""``osteon archive``."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.terminal import EXIT_SKIPPED, say, shown_progress
from osteon.errors import UsageError

if TYPE_CHECKING:
    from osteon.archive.cohort import Cohort
    from osteon.archive.table_import import TableReport

__all__ = ["build"]

ARCHIVE = typer.Argument(..., help="The archive folder.")
WHERE = typer.Option(
    [], "--where", help="FIELD=VALUE, or with !=, <, > or ~ (part of a text); may be repeated, all must be met."
)
JSON = typer.Option(False, "--json", help="Print JSON.")
QUIET = typer.Option(False, "-q", "--quiet", help="No progress.")
PATIENT = typer.Option("", "--patient", help="Identifier of the patient; ID#2 for the second person under it.")
CASE = typer.Option("", "--case", help="Number of the case; needed where the patient has several.")
STUDY = typer.Option("", "--study", help="UID or accession number of the study, for fields of a study.")
FILE = typer.Option("", "--file", help="Name of a source file, instead of patient, case and study.")
PERSON = typer.Option(..., "--person", help="Who enters or verifies; kept in the log.")
ROLE = typer.Option("clinician", "--role", help="As what: clinician, data-scientist or documentation.")


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="archive", help="A catalogue of films: patients, cases, studies, images, clinical values.")
    for name, command in (
        ("create", _create),
        ("add", _add),
        ("show", _show),
        ("search", _search),
        ("set", _set),
        ("verify", _verify),
        ("log", _log),
        ("export", _export),
    ):
        group.command(name)(command)
    return group


def _create(
    archive: Path = typer.Argument(..., help="The archive folder to make: new or empty."),
    db: str = typer.Option("", "--db", help="PostgreSQL: postgresql://user@host/name. Default: SQLite in the folder."),
) -> None:
    """Make an empty archive."""
    from osteon.archive.store import create_archive

    create_archive(archive, url=db).close()
    say(f"archive {archive}")


def _add(
    archive: Path = ARCHIVE,
    sources: list[Path] = typer.Argument(..., help="Folders, zips, a DICOMDIR, files. They are not changed."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Take films in: copied by content, with a state for every file. What was stopped goes on; what is done stays."""
    from osteon.archive.ingest import add_sources
    from osteon.archive.store import open_archive

    with open_archive(archive) as opened, shown_progress(quiet=quiet) as progress:
        added = add_sources(opened, sources, progress=progress)
    if as_json:
        typer.echo(json.dumps({"files": added.files, "done_before": added.before, "states": added.states}, indent=1))
    else:
        say(f"{added.files} files, {added.before} of them done before")
        for state, count in sorted(added.states.items()):
            say(f"{state:<12}{count:>8}")
        for state in ("damaged", "refused", "duplicate"):
            if added.states.get(state):
                say(f"which and why: osteon archive show {archive} --files {state}")
    if added.states.get("damaged"):
        raise typer.Exit(EXIT_SKIPPED)


def _show(
    archive: Path = ARCHIVE,
    patients: bool = typer.Option(False, "--patients", help="List the patients."),
    cohort: bool = typer.Option(False, "--cohort", help="Tables of the clinical fields by case, unknown counted."),
    files: str = typer.Option(
        "",
        "--files",
        help="List the source files in a state, and why: new, stored, duplicate, damaged or refused.",
    ),
    as_json: bool = JSON,
) -> None:
    """Say what is in an archive: files by state, patients, cases, studies, films."""
    from osteon.archive.cohort import cohort as count_cohort
    from osteon.archive.search import list_files, list_patients, summary
    from osteon.archive.store import open_archive

    if patients + cohort + bool(files) > 1:
        raise UsageError("--patients, --cohort and --files are three lists: ask for one")
    with open_archive(archive) as opened:
        if cohort:
            found = count_cohort(opened)
            typer.echo(json.dumps(found.document(), indent=1)) if as_json else _tell_cohort(found)
            return
        document: Any = list_files(opened, files) if files else list_patients(opened) if patients else summary(opened)
    if as_json:
        typer.echo(json.dumps(document, indent=1))
    elif files or patients:
        _tell_table(document)
    else:
        for state, count in document.pop("files").items():
            say(f"{'files ' + state:<36}{count:>8}")
        for name, count in document.items():
            say(f"{name.replace('_', ' '):<36}{count:>8}")


def _tell_table(rows: list[dict[str, Any]]) -> None:
    """Columns as wide as what is in them."""
    if not rows:
        say("none")
        return
    cells = [[_shown(value) for value in row.values()] for row in rows]
    lines = [[name.replace("_", " ") for name in rows[0]], *cells]
    widths = [max(len(line[place]) for line in lines) for place in range(len(rows[0]))]
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _tell_cohort(found: Cohort) -> None:
    from osteon.archive.cohort import MOST_SHAPIRO

    for name, count in found.counts.items():
        say(f"{name:<44}{count:>8}")
    total = found.counts["cases"]
    for field, rows in found.discrete.items():
        say("")
        say(f"{field.replace('_', ' '):<44}{'cases':>8}{'%':>8}")
        for value, count in rows.items():
            say(f"  {value:<42}{count:>8}{100 * count / total:>8.2f}")
    say("")
    say(f"{'':<12}{'known':>8}{'unknown':>9}{'median':>10}{'IQR':>8}  {'quartiles':<20}Shapiro-Wilk")
    for name, line in found.continuous.items():
        quartiles = f"{line.quartiles[0]:.2f} to {line.quartiles[1]:.2f}"
        rough = " (rough: many values)" if line.known > MOST_SHAPIRO else ""
        test = f"W {line.shapiro_w:.3f}, p {line.shapiro_p:.2g}{rough}"
        test = "too few different values" if math.isnan(line.shapiro_w) else test
        numbers = f"{line.known:>8}{line.unknown:>9}{line.median:>10.2f}{line.interquartile_range:>8.2f}"
        say(f"{name:<12}{numbers}  {quartiles:<20}{test}")
    for each in found.conflicts:
        expected = " or ".join(each.expected)
        whose = f"patient {each.patient}, case {each.case or '-'}"
        say(f"! {whose}: {each.entity} is {each.malignancy}, expected {expected}")
    for first, second in found.overlapping:
        say(f"! {first} and {second} both occur and may mean one entity")


def _search(
    archive: Path = ARCHIVE,
    where: list[str] = WHERE,
    limit: int = typer.Option(50, min=1, help="Films to list; all that meet the filters are counted."),
    as_json: bool = JSON,
) -> None:
    """List films by what is known of them."""
    from osteon.archive.search import count_films, search_films
    from osteon.archive.store import open_archive

    with open_archive(archive) as opened:
        total = count_films(opened, where)
        found = search_films(opened, where, most=limit)
    if as_json:
        typer.echo(json.dumps({"films": total, "listed": found}, indent=1))
        return
    _tell_table([{**row, "sha256": row["sha256"][:12]} for row in found])
    say(
        f"{total} film{'' if total == 1 else 's'}"
        + (f", the first {len(found)} are listed" if total > len(found) else "")
    )


def _set(
    archive: Path = ARCHIVE,
    values: list[str] = typer.Argument(None, help="FIELD=VALUE ...; or --table."),
    patient: str = PATIENT,
    case: str = CASE,
    study: str = STUDY,
    file: str = FILE,
    table: Path | None = typer.Option(
        None, "--table", help="CSV or Parquet with the column patient or file, and fields."
    ),
    status: str = typer.Option(
        "final", help="Of the values: final or preliminary; the final one is in force before the other."
    ),
    source: str = typer.Option("", help="Document that says it."),
    date: str = typer.Option("", help="Of that document, as 2010-02-28."),
    person: str = PERSON,
    role: str = ROLE,
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Set clinical values of a patient, case or study, or enter a table of them."""
    from osteon.archive.clinical import Entry, Place, set_values
    from osteon.archive.store import open_archive
    from osteon.archive.table_import import import_table

    entry = Entry(person=person, role=role, status=status, source=source, dated=date)
    place = Place(patient=patient, case=case, study=study, file=file)
    if (table is None) == (not values):
        raise UsageError("give either FIELD=VALUE or --table FILE")
    with open_archive(archive) as opened:
        if table is None:
            changed = set_values(opened, place, _pairs(values), entry)
            typer.echo(json.dumps({"changed": changed})) if as_json else say(
                f"{changed} value{'' if changed == 1 else 's'} changed"
            )
            return
        with shown_progress(quiet=quiet) as progress:
            report = import_table(opened, table, entry, progress=progress)
    _tell_import(report, as_json=as_json)
    if report.mismatches:
        raise typer.Exit(EXIT_SKIPPED)


def _pairs(values: list[str]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    wrong = [name for name, sign, _ in pairs if not sign]
    if wrong:
        raise UsageError(f"{wrong[0]!r} is not FIELD=VALUE")
    return {name.strip(): value for name, _, value in pairs}


def _tell_import(report: TableReport, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(report), indent=1))
        return
    say(f"{report.rows} rows, {report.matched} matched, {report.changed} values changed")
    for name in report.ignored:
        say(f"! column {name} is not a clinical field and was left out")
    for each in report.mismatches:
        say(f"! row {each.row}: {each.reason}")


def _verify(
    archive: Path = ARCHIVE,
    fields: list[str] = typer.Argument(..., help="Fields whose values were looked at and are right."),
    patient: str = PATIENT,
    case: str = CASE,
    study: str = STUDY,
    file: str = FILE,
    status: str = typer.Option("final", help="Which value: final or preliminary."),
    person: str = PERSON,
    role: str = ROLE,
) -> None:
    """Confirm clinical values as they are: two different persons make them verified."""
    from osteon.archive.clinical import Entry, Place, verify_values
    from osteon.archive.store import open_archive

    entry = Entry(person=person, role=role, status=status)
    place = Place(patient=patient, case=case, study=study, file=file)
    with open_archive(archive) as opened:
        for name, count in verify_values(opened, place, fields, entry).items():
            say(f"{name}: verified by {count} of 2")


def _log(archive: Path = ARCHIVE, patient: str = PATIENT, as_json: bool = JSON) -> None:
    """Show who set and verified what, when, and what it was before."""
    from osteon.archive.clinical import list_log
    from osteon.archive.store import open_archive

    with open_archive(archive) as opened:
        rows = list_log(opened, patient)
    typer.echo(json.dumps(rows, indent=1)) if as_json else _tell_table(rows)


def _export(
    archive: Path = ARCHIVE,
    out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make."),
    where: list[str] = WHERE,
    label: str = typer.Option("entity", help="The clinical field that becomes the label."),
    keep_unknown: bool = typer.Option(False, "--keep-unknown", help="Keep films whose label is not known."),
    as_json: bool = JSON,
    quiet: bool = QUIET,
) -> None:
    """Write films as a data set: PNG without a header, patients as numbers, a manifest to split and train on."""
    from osteon.archive.export import export_films
    from osteon.archive.store import open_archive

    with open_archive(archive) as opened, shown_progress(quiet=quiet) as progress:
        done = export_films(opened, where, out, label=label, keep_unknown=keep_unknown, progress=progress)
    counts = {name: sum(row.label == name for row in done.manifest.rows) for name in done.manifest.labels}
    if as_json:
        document = {"films": len(done.manifest), "patients": len(done.manifest.patients), "labels": counts}
        typer.echo(json.dumps({**document, "without_label": done.without_label}, indent=1))
        return
    say(f"{len(done.manifest)} films of {len(done.manifest.patients)} patients")
    for name, count in counts.items():
        say(f"  {name:<42}{count:>8}")
    if done.without_label:
        say(f"! {done.without_label} films left out: their {label} is not known")
    say(f"manifest {out / 'manifest.csv'}")
