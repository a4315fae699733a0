"""The situations of ../shared/cases/dicom: what their makers write is read with the right values, or refused for cause.

The phantoms that the makers ask for are made once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from osteon.data import Volume
from osteon.errors import InputError
from osteon.io import open_volume, read_mask_volume
from osteon.io.dicom.derived import read_source_headers

pytestmark = pytest.mark.slow

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "dicom"

PHANTOM = """#!{python}
import hashlib, pathlib, shutil, subprocess, sys
at = sys.argv.index("-o") + 1
asked = sys.argv[1:at] + sys.argv[at + 1:]
kept = pathlib.Path({store!r}) / hashlib.sha256(" ".join(asked).encode()).hexdigest()
if not kept.exists():
    subprocess.run([{python!r}, "-m", "osteon", *sys.argv[1:at], str(kept), *sys.argv[at + 1:]], check=True)
shutil.copytree(kept, sys.argv[at])
"""

Case = Callable[[str], Path]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A function that runs a maker and returns what is to be read."""
    if not CASES.is_dir():
        pytest.skip("no ../shared/cases beside this checkout")
    folder = tmp_path_factory.mktemp("cases")
    program = folder / "osteon"
    (folder / "phantoms").mkdir()
    program.write_text(PHANTOM.format(python=sys.executable, store=str(folder / "phantoms")))
    program.chmod(0o755)
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {"OSTEON": str(program), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": root}

    def make(name: str) -> Path:
        out = folder / name
        if not out.exists():
            subprocess.run([sys.executable, str(CASES / f"{name}.py"), str(out)], check=True, env=environment)
        target = out.with_name(f"{name}.target")
        return Path(target.read_text()) if target.exists() else out

    return make


def codes(volume: Volume) -> set[str]:
    assert volume.source is not None
    return {notice.code for notice in volume.source.notices}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("charset_undeclared_latin1", ""),
        ("enhanced_orientation_per_frame", ""),
        ("enhanced_two_files", ""),
        ("enhanced_two_phases", "acquisition-chosen"),
        ("float_pixels", "rescale-missing"),
        ("meta_implicit_vr", ""),
        ("orientation_last_digit", "orientation-of-most-slices"),
        ("overlap_two_acquisitions", "runs-joined"),
        ("series_uid_each_slice", "series-joined"),
        ("uid_broken", "no-dicom-objects"),
    ],
)
def test_the_volume_is_that_of_the_untouched_series(case: Case, name: str, code: str) -> None:
    base, volume = open_volume(case("base")), open_volume(case(name))
    assert np.array_equal(volume.array, base.array)
    assert volume.grid.same_as(base.grid)
    assert not code or code in codes(volume)
    assert volume.source is not None
    if name == "uid_broken":
        with pytest.raises(InputError, match="not a valid UID"):
            read_source_headers(volume.source)
    else:
        assert len(read_source_headers(volume.source).planes) == 40


def test_a_coronal_reformat_shows_the_same_places(case: Case) -> None:
    base, volume = open_volume(case("base")), open_volume(case("coronal_series"))
    places = volume.grid.to_lps_mm([(30, 10, 50), (64, 20, 64), (100, 39, 3)])
    at = np.rint(base.grid.to_vox(places)).astype(int)
    assert np.abs(base.grid.to_lps_mm(at) - places).max() < 1e-3
    assert [volume.array[30, 10, 50], volume.array[64, 20, 64], volume.array[100, 39, 3]] == base.array[
        tuple(at.T)
    ].tolist()


def test_dense_and_sparse_slices_keep_their_places(case: Case) -> None:
    volume = open_volume(case("variable_spacing"))
    assert volume.grid.shape[0] == 60
    assert volume.grid.spacing_mm[0] == pytest.approx(5)
    assert "variable-spacing-resampled" in codes(volume)
    # a slice that was left out is the mean of its neighbours
    expected = (volume.array[11 - 1].astype(float) + volume.array[11 + 1]) / 2
    assert np.abs(volume.array[11] - expected).max() <= 0.5


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("for_uid_each_slice", r"Frame of Reference UID \(0020,0052\) differs: .* and 36 more"),
        ("trunk_rescale_missing_on_some", r"missing on 12 of 45 slices .* 1 and -1024"),
        ("nifti_offset_1024", "do not look like Hounsfield units"),
        ("trunk_nifti_offset_1024", "do not look like Hounsfield units"),
    ],
)
def test_what_is_not_a_scale_or_no_scan_is_refused_for_cause(case: Case, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_volume(case(name))


@pytest.mark.parametrize(("name", "file"), [("mri_mask_nrrd", "mask.seg.nrrd"), ("mri_mask_rounded", "mask.nii.gz")])
def test_masks_of_other_programs(case: Case, name: str, file: str) -> None:
    source = case(name)
    folder = next(parent for parent in source.parents if parent.name == name)
    like = open_volume(source, modality="MR").grid
    truth = read_mask_volume(folder / "p" / "truth" / "lesion.nii.gz", like=like)
    assert truth.any()
    assert np.array_equal(read_mask_volume(folder / file, like=like, image="image"), truth)
