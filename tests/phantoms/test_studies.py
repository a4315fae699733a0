"""Synthetic studies: who is in them, that nothing but the image shows the label, and the data sets made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import cv2
import numpy as np
import pytest

from osteon.app.cli.phantom import Cohort, build_cohort, write_slices
from osteon.data.options import silent
from osteon.data.slide import TILE_CLASSES
from osteon.errors import InputError, OutputError, UnknownLabelError
from osteon.io.table import read_manifest
from osteon.ops.legs import find_legs
from osteon.systems.mri_femur.dataset import make_dataset
from osteon.systems.mri_femur.options import DatasetOptions
from osteon_phantoms import CENTRES, KINDS, SCANNERS, Person, make_leg_ct, make_trunk, people, random_trunk_spec
from osteon_phantoms.femur.painter import make_femur_mr
from osteon_phantoms.labels import INFECTION_VALUE, LESION_VALUE
from osteon_phantoms.legs.sampling import scan_with
from osteon_phantoms.legs.spec import COVERAGE_CENTRE_W_MM, LegSpec
from osteon_phantoms.slides.sampling import draw_places
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.study import FemurStudy, LegStudy, SlideStudy, TrunkStudy
from osteon_phantoms.trunk.skeleton import bone_extents
from osteon_phantoms.trunk.spec import MIMIC_BONES, LesionType, MimicKind, TrunkSpec

if TYPE_CHECKING:
    from osteon_phantoms.femur.spec import FemurMrSpec
    from osteon_phantoms.slides.spec import SlideSpec

    Legs = tuple[Person[LegSpec], ...]
    Trunks = tuple[Person[TrunkSpec], ...]
    Femurs = tuple[Person[FemurMrSpec], ...]
    Slides = tuple[Person[tuple[SlideSpec, ...]], ...]

TILES = SlideStudy(size=128, slides=2, tiles=2, jpeg=None)
FEMUR = Cohort(task="mri_femur", patients=9, seed=2, test=None, options=FemurStudy(size=64))


@pytest.fixture(scope="module")
def legs() -> Legs:
    return people("ct_osteosarcoma", 96, seed=3)


@pytest.fixture(scope="module")
def trunks() -> Trunks:
    return people("ct_metastasis", 120, seed=3, options=TrunkStudy(healthy=0.5))


@pytest.fixture(scope="module")
def femurs() -> Femurs:
    return people("mri_femur", 180, seed=3)


@pytest.mark.parametrize("stem", KINDS)
def test_a_longer_study_begins_with_the_shorter_one(stem: str) -> None:
    longer = people(stem, 9, seed=3)
    assert people(stem, 4, seed=3) == longer[:4]
    assert people(stem, 4, seed=4) != longer[:4]
    with pytest.raises(InputError, match="number of patients must be from 1 to 9999, found 0"):
        people(stem, 0, seed=1)


def test_a_study_that_is_not_made_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match="histology"):
        people("histologie", 4, seed=1)
    for kind in (LegStudy, TrunkStudy):
        with pytest.raises(UnknownLabelError, match=r"no preset 'corse'.*coarse"):
            kind(preset="corse")  # type: ignore[arg-type]


def test_a_preset_changes_the_grid_and_nothing_else(legs: Legs, trunks: Trunks) -> None:
    for coarse, tiny in zip(legs, people("ct_osteosarcoma", 20, seed=3, options=LegStudy(preset="tiny")), strict=False):
        assert tiny.spec.shape != coarse.spec.shape
        grid = {name: getattr(coarse.spec, name) for name in ("shape", "spacing_mm", "slice_thickness_mm")}
        assert replace(tiny, spec=replace(tiny.spec, **grid)) == coarse
    small = people("ct_metastasis", 12, seed=3, options=TrunkStudy(preset="tiny", healthy=0.5))
    for trunk, tiny_trunk in zip(trunks, small, strict=False):
        assert tiny_trunk.spec.slices < trunk.spec.slices
        grid = {name: getattr(trunk.spec, name) for name in ("size", "pixel_mm", "slice_mm", "thickness_mm")}
        assert replace(tiny_trunk, spec=replace(tiny_trunk.spec, **grid), columns=trunk.columns) == trunk


def test_half_of_the_legs_have_a_tumour_and_every_kind_is_there(legs: Legs) -> None:
    assert Counter(patient.label for patient in legs) == {"tumour": 48, "healthy": 48}
    assert {patient.label for patient in people("ct_osteosarcoma", 2, seed=9)} == {"tumour", "healthy"}
    kinds = Counter(patient.columns["kind"] for patient in legs if patient.label == "healthy")
    assert kinds == {"osteomyelitis": 18, "callus": 12, "bone_island": 6, "metal": 6, "plain": 6}
    for patient in legs:
        spec, kind = patient.spec, patient.columns["kind"]
        assert bool(spec.lesions) == (patient.label == "tumour") == (kind == "osteosarcoma")
        if kind in {"osteomyelitis", "callus", "bone_island"}:
            assert [finding.kind for finding in spec.benign] == [kind]
        if kind in {"metal", "plain"}:
            assert not spec.benign
            assert (spec.metal is not None) == (kind == "metal")
    assert {patient.spec.coverage for patient in legs} == set(COVERAGE_CENTRE_W_MM)
    assert any(patient.spec.metal for patient in legs if patient.label == "tumour")
    assert any(patient.spec.benign for patient in legs if patient.label == "tumour")
    assert len({patient.patient_id for patient in legs}) == len({patient.spec.seed for patient in legs}) == 96


def test_neither_centre_nor_age_nor_sex_tells_the_label_of_legs(legs: Legs) -> None:
    table = Counter((patient.centre, patient.label) for patient in legs)
    assert set(table.values()) == {12}
    assert {centre for centre, _ in table} == set(CENTRES)
    assert len(CENTRES) >= 4
    assert {(patient.centre, patient.scanner) for patient in legs} == {(s.centre, s.name) for s in SCANNERS}
    many: Legs = people("ct_osteosarcoma", 600, seed=1)
    tumour = np.array([patient.label == "tumour" for patient in many])
    for values in (
        [patient.spec.age_years for patient in many],
        [patient.spec.sex == "M" for patient in many],
        [patient.spec.metal is not None for patient in many],
        [patient.spec.body_fat for patient in many],
        [patient.scanner == "Eos 4" for patient in many],
    ):
        assert abs(np.corrcoef(tumour, np.array(values, dtype=float))[0, 1]) < 0.12


def test_the_main_finding_of_a_leg_lies_in_the_field() -> None:
    patients: Legs = people("ct_osteosarcoma", 200, seed=20260331, options=LegStudy(preset="tiny"))
    for patient in patients:
        spec = patient.spec
        if patient.columns["kind"] in {"metal", "plain"}:
            continue
        finding = spec.lesions[0] if spec.lesions else spec.benign[0]
        away_mm = abs(finding.height_w_mm - COVERAGE_CENTRE_W_MM[spec.coverage]) * spec.scale
        assert away_mm < spec.shape[0] * spec.spacing_mm[0] / 2
        assert finding.leg != spec.amputee
        assert spec.metal is None or finding.leg != spec.metal_leg


def test_tiny_patients_are_read_as_legs_and_hold_their_finding() -> None:
    for patient in people("ct_osteosarcoma", 6, seed=20260331, options=LegStudy(preset="tiny")):
        made = make_leg_ct(patient.spec)
        inside = np.zeros(made.volume.grid.shape, dtype=bool)
        for leg in find_legs(made.volume).legs:
            inside[leg.box.slices] |= leg.mask()
        tumour, focus = (made.masks["truth"].array == value for value in (LESION_VALUE, INFECTION_VALUE))
        assert tumour.any() == (patient.label == "tumour")
        assert focus.any() == (patient.columns["kind"] == "osteomyelitis")
        if (tumour | focus).any():
            assert inside[tumour | focus].mean() > 0.8


def test_a_scanner_keeps_the_length_of_the_field(legs: Legs) -> None:
    spec = legs[0].spec
    generator = np.random.default_rng(0)
    for scanner in SCANNERS:
        scanned = scan_with(spec, scanner, generator)
        length = scanned.shape[0] * scanned.spacing_mm[0]
        assert length == pytest.approx(spec.shape[0] * spec.spacing_mm[0], abs=scanned.spacing_mm[0])
        assert (scanned.seed, scanned.lesions, scanned.benign) == (spec.seed, spec.lesions, spec.benign)
    prone = scan_with(replace(spec, patient_position="HFP"), SCANNERS[1], generator)
    assert prone.patient_position == "HFP"


def test_healthy_trunks_have_no_metastasis_and_all_looks_and_mimics_occur(trunks: Trunks) -> None:
    assert Counter(patient.label for patient in trunks) == {"metastasis": 60, "normal": 60}
    for patient in trunks:
        assert bool(patient.spec.lesions) == (patient.label == "metastasis")
    lesions = [lesion for patient in trunks for lesion in patient.spec.lesions]
    assert {lesion.type for lesion in lesions} == set(get_args(LesionType))
    assert min(lesion.size_mm for lesion in lesions) < 8
    assert 15 < np.median([lesion.size_mm for lesion in lesions]) < 45
    structures = Counter(bone_extents()[lesion.bone][0] for lesion in lesions)
    assert structures["vertebra"] > max(structures["hip"], structures["rib"] / 2)
    assert {"hip", "rib", "sacrum", "femur", "sternum"} <= set(structures)
    for label in ("metastasis", "normal"):
        mimics = [mimic for patient in trunks if patient.label == label for mimic in patient.spec.mimics]
        assert {mimic.kind for mimic in mimics} == set(get_args(MimicKind))
        assert all(bone_extents()[mimic.bone][0] in MIMIC_BONES[mimic.kind] for mimic in mimics)
    counts = [len(patient.spec.lesions) for patient in trunks if patient.spec.lesions]
    assert min(counts) == 1
    assert 12 < max(counts) <= 40
    assert len({patient.spec.seed for patient in trunks}) == len({patient.patient_id for patient in trunks}) == 120
    with pytest.raises(InputError, match=r"from 0 to 1, found 1\.5"):
        TrunkStudy(healthy=1.5)


def test_a_mimic_never_shares_a_bone_with_a_metastasis(trunks: Trunks) -> None:
    for patient in trunks:
        ill = {lesion.bone for lesion in patient.spec.lesions}
        assert not ill & {mimic.bone for mimic in patient.spec.mimics}


def test_neither_centre_nor_coverage_nor_body_tells_the_label_of_trunks(trunks: Trunks) -> None:
    table = Counter((patient.centre, patient.label) for patient in trunks)
    assert set(table.values()) == {15}
    assert {centre for centre, _ in table} == set(CENTRES)
    assert {(patient.centre, patient.scanner) for patient in trunks} == {(s.centre, s.name) for s in SCANNERS}
    for name in ("coverage", "patient_position"):
        seen = Counter((getattr(patient.spec, name), patient.label) for patient in trunks)
        for value in {value for value, _ in seen}:
            assert abs(seen[value, "metastasis"] - seen[value, "normal"]) <= 8
    ill = np.array([patient.label == "metastasis" for patient in trunks])
    for field in ("age_years", "body_fat", "body_scale", "bone_density", "slice_mm", "noise_hu"):
        values = np.array([getattr(patient.spec, field) for patient in trunks])
        assert abs(np.corrcoef(ill, values)[0, 1]) < 0.25
    assert {patient.spec.contrast for patient in trunks} == {"none", "arterial", "venous"}
    assert any(patient.spec.metal for patient in trunks)


def test_slices_of_trunks_are_as_thick_as_in_hospitals() -> None:
    patients: Trunks = people("ct_metastasis", 40, seed=2)
    steps = [patient.spec.slice_mm for patient in patients]
    assert 1 <= min(steps) < 2
    assert 4.5 < max(steps) <= 5
    widths = [patient.spec.size[0] * patient.spec.pixel_mm for patient in patients]
    assert 350 < min(widths) < max(widths) < 450


def test_nearly_every_metastasis_is_seen_in_the_field() -> None:
    seen = []
    for patient in people("ct_metastasis", 8, seed=5, options=TrunkStudy(preset="tiny")):
        made = make_trunk(patient.spec)
        seen += [lesion.volume_ml > 0 for lesion in made.lesions if lesion.spec.size_mm > 12]
        assert (made.masks["structures"].array[made.masks["lesions"].array > 0] > 0).all()
    assert len(seen) > 15
    assert np.mean(seen) > 0.9


def test_one_trunk_can_be_forced_to_be_ill_or_well() -> None:
    generator = np.random.default_rng(1)
    assert all(random_trunk_spec(generator, with_lesions=True).lesions for _ in range(5))
    assert not any(random_trunk_spec(generator, with_lesions=False).lesions for _ in range(5))
    drawn = [bool(random_trunk_spec(generator).lesions) for _ in range(40)]
    assert 8 < sum(drawn) < 32
    assert random_trunk_spec(generator, coverage="pelvis").coverage == "pelvis"


def test_looks_of_femurs_are_shared_as_in_the_study_and_nothing_but_the_lesion_tells_them(femurs: Femurs) -> None:
    assert Counter(person.label for person in femurs) == {"benign": 100, "malignant": 60, "intermediate": 20}
    malignant = np.array([person.label == "malignant" for person in femurs])
    for name in ("sequence", "plane", "side", "field_tesla", "sex"):
        values = np.array([str(getattr(person.spec, name)) for person in femurs])
        for value in np.unique(values):
            assert abs(np.corrcoef(malignant, values == value)[0, 1]) < 0.25
    sizes = np.array([person.spec.lesion.size_mm for person in femurs if person.spec.lesion])
    assert abs(np.corrcoef(malignant, sizes)[0, 1]) < 0.2
    assert all(person.spec.lesion and person.spec.lesion.look == person.label for person in femurs)
    fields = {person.centre: person.spec.field_tesla for person in femurs}
    assert all(person.spec.field_tesla == fields[person.centre] for person in femurs)


def test_every_slice_of_a_femur_shows_its_lesion() -> None:
    for person in people("mri_femur", 30, seed=7, options=FemurStudy(size=48)):
        assert np.count_nonzero(make_femur_mr(person.spec).masks["lesion"].array) >= 2, person.spec


def test_the_data_set_of_femurs_is_what_the_study_takes(tmp_path: Path) -> None:
    made = build_cohort(FEMUR, tmp_path / "set")
    manifest = read_manifest(tmp_path / "set" / "manifest.csv")
    assert len(manifest) == 8  # the intermediate one is left out of two classes, and told
    assert "1 images of intermediate lesions left out" in made.lines[0]
    assert Counter(row.label for row in manifest.rows) == {"benign": 5, "malignant": 3}
    row = manifest.rows[0]
    assert {row.text("sequence"), row.text("synthetic")} <= {"t1", "t2", "stir", "t1_contrast", "yes"}
    assert float(row.text("mm_per_pixel")) > 0
    assert build_cohort(FEMUR, tmp_path / "set").built.made == 0


def test_whole_slices_with_masks_make_the_same_crops(tmp_path: Path) -> None:
    write_slices(FEMUR, tmp_path / "slices")
    files = make_dataset(tmp_path / "slices", tmp_path / "from_files", DatasetOptions(), 1, silent).built.manifest
    direct = build_cohort(FEMUR, tmp_path / "direct").built.manifest
    assert [(row.text("box"), row.label) for row in files.rows] == [
        (row.text("box"), row.label) for row in direct.rows
    ]  # fmt: skip
    with pytest.raises(OutputError, match="not empty"):
        write_slices(FEMUR, tmp_path / "slices")


def test_patients_with_slides_have_a_stain_and_a_tumour_of_their_own() -> None:
    patients: Slides = people("histology", 9, seed=3)
    assert len({person.spec[0].stain for person in patients}) == 9
    assert len({person.spec[0].habit for person in patients}) == 9
    assert len({slide.seed for person in patients for slide in person.spec}) == 27
    for person in patients:
        assert len({slide.habit for slide in person.spec}) == 1
        strengths = [slide.stain.haematoxylin for slide in person.spec]
        assert max(strengths) / min(strengths) < 1.3


def test_tiles_are_of_their_class_and_lie_apart() -> None:
    spec = people("histology", 1, seed=5, options=TILES)[0].spec[0]
    slide = make_slide(spec)
    places = draw_places(slide, TILES)
    assert draw_places(make_slide(spec), TILES) == places
    assert {place.label for place in places} == set(TILE_CLASSES)
    for index, place in enumerate(places):
        rows, columns = np.mgrid[place.row : place.row + TILES.size, place.column : place.column + TILES.size]
        seen = slide.class_at(rows, columns)
        tissue = seen > 0
        assert (seen == TILE_CLASSES.index(place.label) + 1)[tissue].mean() == pytest.approx(place.share, abs=0.04)
        assert tissue.mean() == pytest.approx(place.tissue, abs=0.04)
        assert place.share >= 0.9
        assert place.tissue >= 0.3
        for other in places[:index]:
            assert max(abs(place.row - other.row), abs(place.column - other.column)) >= TILES.size / 2


def test_the_data_set_of_tiles_is_what_was_drawn(tmp_path: Path) -> None:
    cohort = Cohort(task="histology", patients=2, seed=2, test=0.5, options=TILES)
    built = build_cohort(cohort, tmp_path / "tiles").built
    manifest = read_manifest(tmp_path / "tiles" / "manifest.csv")
    assert manifest.labels == tuple(sorted(TILE_CLASSES))
    assert manifest.patients == ("H0001", "H0002")
    assert {row.split for row in manifest.rows} == {"train", "test"}
    for patient in manifest.patients:
        assert {row.label for row in manifest.rows if row.patient == patient} == set(TILE_CLASSES)
    row = manifest.rows[-1]
    assert float(row.text("microns_per_pixel")) == pytest.approx(8)
    assert row.text("synthetic") == "yes"
    stored = cv2.imread(str(tmp_path / "tiles" / row.image))
    assert stored is not None
    spec = people("histology", 2, seed=2, options=TILES)[1].spec[int(row.text("slide")[-1]) - 1]
    drawn = make_slide(spec).read(0, int(row.text("row")), int(row.text("column")), 128, 128)
    np.testing.assert_array_equal(stored[:, :, ::-1], drawn)
    assert (built.made, build_cohort(cohort, tmp_path / "tiles").built.made) == (2, 0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"size": 8}, "width of a pixel"), ({"slides": 0}, "slides must be from 1"), ({"jpeg": (90, 80)}, "JPEG")],
)
def test_what_gives_no_tiles_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SlideStudy(**wrong)
