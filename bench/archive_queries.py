"""Tables and searches over a quarter of a million films in SQLite, made up, against the 0.3 s that a person waits.

Run ``python -m bench.archive_queries [--images N] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from bench.measuring import Row, Timed, print_head, print_rows, timed, write_rows
from osteon.archive.cohort import cohort
from osteon.archive.search import count_films, list_patients, search_films, summary
from osteon.archive.store import create_archive
from osteon.archive.tables import cases, files, images, patients, studies
from osteon.labels.tumours import entity_names, location_names

if TYPE_CHECKING:
    from collections.abc import Callable

    from osteon.archive.store import Archive

__all__ = ["fill", "run"]

IMAGES = 250_000
IMAGES_A_PATIENT = 30
WAIT_S = 0.3
MODALITIES = ("CR", "DX", "CR", "RF")
PARTS = ("KNEE", "LEG", "PELVIS", "SHOULDER", "HAND", "FOOT", "CHEST", "unknown")


def fill(archive: Archive, count: int) -> None:
    """Enter made-up patients, cases, studies, films and files."""
    draw = random.Random(1)  # noqa: S311 - rows of a bench
    entities, locations = entity_names(), location_names()
    people = max(1, count // IMAGES_A_PATIENT)
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in ("patients", "cases", "studies", "images", "files")}
    for person in range(1, people + 1):
        rows["patients"].append(
            {"id": person, "identifier": f"P{person}", "is_known": True, "sex": draw.choice(("F", "M", "unknown"))}
        )
        clinical = {"entity": draw.choice(entities), "location": draw.choice(locations)}
        clinical |= {"malignancy": draw.choice(("benign", "intermediate", "malignant"))}
        rows["cases"].append({"id": person, "patient_id": person, **clinical})
    for number in range(1, count + 1):
        study = (number + 1) // 2
        person = 1 + study % people
        if number % 2:
            day = f"{draw.randint(1990, 2021)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
            about = {"date": day, "age_years": draw.uniform(3, 90)}
            rows["studies"].append({"id": study, "case_id": person, "uid": f"1.2.{study}", **about})
        film = {"sha256": f"{number:064x}", "pixel_sha256": f"{number + 1:064x}", "suffix": ".dcm", "bytes": 4_000_000}
        film |= {"modality": draw.choice(MODALITIES), "body_part": draw.choice(PARTS), "rows": 2000, "columns": 1000}
        rows["images"].append({"id": number, "study_id": study, "sop_uid": f"1.3.{number}", **film})
        name = f"IM{number}"
        source = {"path": f"/pacs/{study}/{name}", "name": name, "bytes": 4_000_000, "mtime_ns": 0, "state": "stored"}
        rows["files"].append({**source, "image_id": number})
    with archive.writing() as connection:
        for table in (patients, cases, studies, images, files):
            connection.execute(insert(table), rows[table.name])
        if connection.dialect.name == "sqlite":
            connection.execute(text("ANALYZE"))


def run(count: int) -> list[Row]:
    """Time each question; a line against the time that a person waits."""
    with tempfile.TemporaryDirectory() as folder, create_archive(Path(folder) / "archive") as archive:
        fill(archive, count)
        malignant = ["malignancy=malignant", "age<18", "study_date>2004"]

        def searched(where: list[str]) -> int:
            search_films(archive, where, most=50)
            return count_films(archive, where)

        questions: dict[str, Callable[[], object]] = {
            "archive show": lambda: summary(archive),
            "archive show --cohort": lambda: cohort(archive),
            "archive show --patients": lambda: list_patients(archive),
            "archive search": lambda: searched([]),
            "archive search, three filters": lambda: searched(malignant),
            "archive search, one patient": lambda: searched(["patient=P77"]),
            "archive search, part of a text": lambda: searched(["entity~sarcoma", "body_part=KNEE"]),
        }
        return [_row(name, question, count) for name, question in questions.items()]


def _row(name: str, question: Callable[[], object], count: int) -> Row:
    question()
    ours = timed(question, runs=3)
    waited: Timed[object] = Timed(None, WAIT_S, 0.0)
    target = None if name.endswith("--patients") else 1.0  # a list of all of them is no question
    return Row.of(name, f"{WAIT_S:g} s, {count} films", ours, waited, target=target)


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when a question takes longer than a person waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    rows = run(options.images)
    print_head()
    print_rows(rows)
    if options.json:
        write_rows(rows, options.json)
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
