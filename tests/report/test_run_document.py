from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from osteon.data import Patient
from osteon.errors import OutputError
from osteon.report import Run, file_records
from osteon.report.run import FileRecord, make_run, write_document

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer, Volume
    from osteon.report import Run


def test_it_tells_how_the_answer_was_made(answer: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    output = FileRecord(name="findings.json", sha256="a" * 64, size_bytes=3)
    made = make_run(answer, volume, run=run, outputs=[output], seconds={"write": 0.25})
    write_document(tmp_path / "run.json", made, kind="run")
    document: Any = json.loads((tmp_path / "run.json").read_text("utf-8"))
    assert document["runtime_seconds"] == {"read": 0.5, "legs": 0.4, "bone": 1.2, "write": 0.25}
    assert document["runtime_seconds_total"] == pytest.approx(2.35)
    assert document["outputs"] == [{"name": "findings.json", "sha256": "a" * 64, "size_bytes": 3}]
    assert document["warnings"] == ["Metal was seen in 2 slices."]
    assert document["configuration"] == {"roi": "series", "threshold": 0.95}
    assert document["peak_rss_mb"] > 10
    text = json.dumps(document).casefold()
    for word in ("nachname", "pid-4711", "somewhere", "/"):
        assert word not in text.replace("application/", "")


def test_a_started_run_knows_versions_without_importing_them() -> None:
    run = Run(task="ct_osteosarcoma", seeds={"phantom": 1})
    assert {"osteon", "python", "numpy"} <= set(run.versions)
    assert run.created.endswith("+00:00")
    assert run.git_hash is None or len(run.git_hash) == 40


def test_files_are_hashed_and_named_without_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "1.dcm", tmp_path / "two"
    first.write_bytes(b"abc")
    second.write_bytes(b"")
    records = file_records([first, second])
    assert [record.name for record in records] == ["1.dcm", "two"]
    assert records[0].sha256 == hashlib.sha256(b"abc").hexdigest()
    assert [record.size_bytes for record in records] == [3, 0]


def test_a_file_named_after_the_patient_loses_its_name(tmp_path: Path) -> None:
    patient = Patient(identifier="4711-X", name="Muster^Erika")
    paths = [tmp_path / name for name in ("MUSTER_ct.dcm", "scan_4711-x.zip", "bad\udcff.dcm")]
    for path in paths:
        path.write_bytes(b"x")
    assert [record.name for record in file_records(paths, patient=patient)] == [
        "file-0001.dcm",
        "file-0002.zip",
        "bad?.dcm",
    ]


def test_a_path_as_a_name_is_refused(answer: Answer, volume: Volume, run: Run, tmp_path: Path) -> None:
    output = FileRecord(name="/home/me/findings.json", sha256="a" * 64, size_bytes=3)
    with pytest.raises(OutputError, match=r"outputs\[0\]\.name"):
        write_document(tmp_path / "run.json", make_run(answer, volume, run=run, outputs=[output]), kind="run")
    assert not (tmp_path / "run.json").exists()
