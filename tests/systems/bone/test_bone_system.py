"""The bone of any CT, without a model: what is told, and that nothing of a network is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest

from osteon.data.system import UNASKED_FROM, Header
from osteon.errors import InputError, NotThisTaskError
from osteon.geometry import Grid
from osteon.ops.skeleton import segment_skeleton
from osteon.reading import CaseOptions, read_case
from osteon.systems.bone.options import Options
from osteon.systems.bone.read import answer
from osteon.systems.registry import SYSTEMS, best_system
from tests.trunk_truth import SHAPE, SPACING_MM, Trunk, axes, make_trunk

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Answer

OPTIONS = Options()


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return make_trunk()


@pytest.fixture(scope="module")
def told(trunk: Trunk) -> Answer:
    return answer(trunk.volume, OPTIONS)


def test_bone_is_told_with_its_volume_and_no_model(trunk: Trunk, told: Answer) -> None:
    millilitres = np.count_nonzero(told.masks["bone"].array) * np.prod(SPACING_MM) / 1000
    assert millilitres == pytest.approx(np.count_nonzero(trunk.bone) * np.prod(SPACING_MM) / 1000, rel=0.12)
    assert told.headline == f"Bone in the field of view: {millilitres:,.0f} ml."
    assert (told.models, told.is_demo, told.status) == ((), False, "not_assessed")
    (finding,) = told.findings
    assert finding.measurements[0].value == pytest.approx(millilitres)
    assert not finding.is_abnormal
    assert [*told.surfaces] == ["skeleton"]
    assert np.array_equal(told.masks["bone"].array > 0, segment_skeleton(trunk.array, SPACING_MM).bone)


def test_a_sagittal_series_has_the_same_bone(trunk: Trunk, told: Answer) -> None:
    turned = np.ascontiguousarray(trunk.array.transpose(2, 0, 1)[:, ::-1])
    grid = trunk.volume.grid
    sagittal = Grid.from_axes(
        shape=turned.shape,
        spacing_mm=(SPACING_MM[2], SPACING_MM[0], SPACING_MM[1]),
        directions=[grid.directions[2], -grid.directions[0], grid.directions[1]],
        origin_lps_mm=grid.to_lps_mm([SHAPE[0] - 1, 0, 0]).tolist(),
    )
    other = answer(replace(trunk.volume, array=turned, grid=sagittal), OPTIONS)
    assert np.array_equal(other.masks["bone"].array[:, ::-1].transpose(1, 2, 0), told.masks["bone"].array)


def test_an_implant_is_a_finding_of_its_own(trunk: Trunk) -> None:
    z, y, x = axes()
    screw = np.broadcast_to((np.abs(y - 52) < 10) & (np.abs(x) < 4) & (np.abs(z - 73) < 6), SHAPE)
    found = answer(trunk.with_hu(screw, 3071).volume, OPTIONS)
    assert [finding.identifier for finding in found.findings] == ["bone", "implant"]
    assert [*found.masks] == ["bone", "implant"]
    assert not (found.masks["bone"].array & found.masks["implant"].array).any()
    assert found.masks["implant"].array[screw].all()
    assert found.findings[1].statement.startswith("Probable implant: ")
    assert "metal" in {notice.code for notice in found.notices}


def test_what_is_not_a_ct_or_has_no_bone_is_refused(trunk: Trunk) -> None:
    with pytest.raises(InputError, match="bone reads CT in Hounsfield units, found MR"):
        answer(replace(trunk.volume, modality="MR", unit=""), OPTIONS)
    shifted = replace(trunk.volume, array=trunk.array + np.int16(1024))
    with pytest.raises(NotThisTaskError, match="asked for a CT in Hounsfield units, but nothing has the values of air"):
        answer(shifted, OPTIONS)
    water = replace(trunk.volume, array=np.where(trunk.array > 60, trunk.array % 60, trunk.array).astype(np.int16))
    with pytest.raises(NotThisTaskError, match=r"No bone in the field of view: of the values from -\d+ to 60 HU"):
        answer(water, OPTIONS)
    assert not answer(water, Options(force=True)).masks["bone"].array.any()


def test_it_is_only_taken_when_it_is_named() -> None:
    header = Header(kind="volume", modality="CT")
    assert 0 < SYSTEMS["bone"].accepts(header).score < UNASKED_FROM
    assert best_system(header).stem != "bone"


def test_a_reading_writes_a_result_without_torch(trunk: Trunk, tmp_path: Path) -> None:
    affine = np.diag([-SPACING_MM[2], -SPACING_MM[1], SPACING_MM[0], 1.0])
    nib.save(nib.Nifti1Image(trunk.array[10:40].transpose(2, 1, 0), affine), tmp_path / "ct.nii.gz")
    program = (
        "import sys; from pathlib import Path; from osteon.reading import CaseOptions, read_case; "
        "read_case(Path(sys.argv[1]), Path(sys.argv[2]), options=CaseOptions(task='bone')); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'openvino')))"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / "ct.nii.gz", tmp_path / "result"], check=True)
    findings: dict[str, Any] = json.loads((tmp_path / "result" / "findings.json").read_text("utf-8"))
    assert findings["models"] == []
    names = {path.name for path in (tmp_path / "result").iterdir()}
    assert {"bone.stl", "bone.glb", "bone.nii.gz", "report.html", "report.pdf"} <= names
    page = (tmp_path / "result" / "report.html").read_text("utf-8")
    assert "demo model" not in page.lower()


@pytest.mark.shared_data
def test_a_real_implant_is_not_bone(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "totalseg_ct" / "example_ct.nii.gz"
    found = read_case(path, tmp_path / "result", options=CaseOptions(task="bone"))
    assert [finding.identifier for finding in found.answer.findings] == ["bone", "implant"]
    stored = np.asarray(nib.load(path).dataobj)
    bone = np.asarray(nib.load(found.folder / "bone.nii.gz").dataobj)
    implant = np.asarray(nib.load(found.folder / "implant.nii.gz").dataobj)
    assert implant[stored > 3000].all()
    assert not bone[stored > 2500].any()
    assert (bone | implant)[stored > 200].mean() > 0.97
