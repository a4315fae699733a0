"""The Python API on a synthetic patient: the same answer as the command, nothing written before it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

import osteon
from osteon.data import Volume
from osteon.errors import UsageError
from osteon.reading import CaseResult

PUBLIC = ["Case", "__version__", "evaluate", "load_model", "open", "read", "systems", "train"]
"""What a program may rely on; docs/reference/python-api.md says the same."""


@pytest.fixture(scope="module")
def case(lesion_series: Path) -> osteon.Case:
    return osteon.read(lesion_series, device="cpu")


def test_what_is_public_is_written_down() -> None:
    assert dir(osteon) == sorted(PUBLIC) == sorted(osteon.__all__)
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "python-api.md").read_text("utf-8")
    assert not [name for name in PUBLIC if f"osteon.api.{name}" not in page and name != "__version__"]


def test_importing_costs_next_to_nothing() -> None:
    code = "import sys, osteon; sys.exit(bool({'numpy', 'typer', 'osteon.api'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_packages_that_are_functions_stay_both(case: osteon.Case) -> None:
    import osteon.systems.registry

    assert case.answer.task in osteon.systems()
    assert osteon.systems.registry.system(case.answer.task).summary == osteon.systems()[case.answer.task]  # type: ignore[attr-defined]


def test_it_says_what_the_command_says(case: osteon.Case, lesion_case: CaseResult) -> None:
    assert case.headline == lesion_case.answer.headline
    written = json.loads((lesion_case.folder / "findings.json").read_text("utf-8"))
    for one, other in zip(case.findings.to_dict(), written["findings"], strict=True):
        assert {**one, "tracking_uid": ""} == {**other, "tracking_uid": ""}
    assert [finding.identifier for finding in case.findings] == [each["identifier"] for each in written["findings"]]
    assert len(case.findings[:1]) == 1


def test_masks_are_arrays_on_grids(case: osteon.Case, tmp_path: Path) -> None:
    bone = case.masks["bone"]
    assert isinstance(case.image, Volume)
    assert bone.array.shape == case.image.array.shape == bone.grid.shape
    bone.to_nifti(tmp_path / "bone.nii.gz")
    back = np.asarray(nibabel.load(tmp_path / "bone.nii.gz").dataobj)
    assert np.count_nonzero(back) == np.count_nonzero(bone.array) > 0
    assert set(case.surfaces)


def test_nothing_private_is_shown(case: osteon.Case) -> None:
    assert case.image.source is not None
    shown = [repr(value) for value in (case, case.findings, case.image, *case.masks.values())]
    assert max(map(len, shown)) < 500
    patient, study = case.image.source.patient, case.image.source.study  # type: ignore[union-attr]
    for word in (patient.identifier, patient.name, study.uid, study.date):
        assert word
        assert not [text for text in shown if word in text]


def test_writing_leaves_the_folder_of_the_command(case: osteon.Case, lesion_case: CaseResult, tmp_path: Path) -> None:
    folder = case.write(tmp_path / "result")
    assert {path.name for path in folder.iterdir()} == {path.name for path in lesion_case.folder.iterdir()}


def test_an_option_of_another_system_is_refused(lesion_series: Path) -> None:
    with pytest.raises(UsageError, match=r"--box, which is of mri_femur"):
        osteon.read(lesion_series, task="ct_osteosarcoma", box=(1, 2, 3, 4))
    with pytest.raises(
        UsageError, match=r"--report-ood, which is of ct_osteosarcoma, ct_metastasis, mri_femur, histology"
    ):
        osteon.read(lesion_series, task="bone", report_ood=True)
    with pytest.raises(UsageError, match=r"--after-chemotherapy, which is of histology"):
        osteon.read(lesion_series, task="mri_femur", after_chemotherapy=True)
    with pytest.raises(UsageError, match="did you mean 'threshold'"):
        osteon.read(lesion_series, treshold=0.5)


def test_a_reading_loads_neither_training_nor_study(lesion_series: Path) -> None:
    code = (
        "import sys, osteon; osteon.read(sys.argv[1], device='cpu'); "
        "print([name for name in ('osteon.train', 'osteon.study', 'lightning', 'torch') if name in sys.modules], "
        "sum(name.startswith('osteon.') for name in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code, lesion_series], capture_output=True, text=True, check=True)
    loaded, _, count = run.stdout.strip().rpartition(" ")
    assert loaded == "[]"
    assert int(count) <= 150


def test_a_model_answers_for_an_image_and_for_arrays(case: osteon.Case) -> None:
    model = osteon.load_model("mobilenet_v2.phantom", device="cpu")
    assert (model.task, model.is_demo) == (case.answer.task, True)
    assert model.predict(case.image).headline == case.headline
    rows = columns = 128
    said = model.predict(np.zeros((2, rows, columns), dtype=np.float32))
    assert said["probability"].shape[0] == 2


def test_findings_as_a_table(case: osteon.Case) -> None:
    pandas = pytest.importorskip("pandas")
    table = case.findings.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert list(table["identifier"]) == [finding.identifier for finding in case.findings]
