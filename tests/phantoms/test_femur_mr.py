"""Synthetic MR of the femur: tissues as bright as their equations say, lesions exactly known and distinguished."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from osteon.errors import InputError, UnknownLabelError
from osteon_phantoms import Phantom
from osteon_phantoms.femur.painter import make_femur_mr
from osteon_phantoms.femur.physics import SEQUENCES, TISSUES, Matter, signal
from osteon_phantoms.femur.sampling import random_femur_mr_spec
from osteon_phantoms.femur.spec import KINDS, FemurMrSpec, Kind, MrLesionSpec, MrPlane, SequenceName

Femur = Phantom[FemurMrSpec]

SMALL = FemurMrSpec(
    seed=5, size=(96, 96), pixel_mm=2.0, noise=0, shading=0, lesion=MrLesionSpec(kind="cyst", size_mm=30)
)


def _brightness(name: str, sequence: SequenceName, **options: float) -> float:
    return float(signal(Matter.of((1,), name), SEQUENCES[sequence], **options)[0])


def test_a_signal_is_that_of_its_equation_worked_out_by_hand() -> None:
    muscle = TISSUES["muscle"]
    water = (1 - math.exp(-560 / muscle.t1_ms)) * math.exp(-13 / muscle.t2_ms)
    fat = (1 - math.exp(-560 / 288)) * math.exp(-13 / 165)
    by_hand = muscle.density * ((1 - muscle.fat) * water + muscle.fat * fat)
    assert _brightness("muscle", "t1") == pytest.approx(by_hand, rel=1e-5)
    water = (1 - 2 * math.exp(-190 / 2850) + math.exp(-4500 / 2850)) * math.exp(-42 / 900)
    assert _brightness("fluid", "stir") == pytest.approx(abs(water), rel=1e-5)
    dose = 0.8 * 1.0
    r1, r2 = 1000 / 1250 + 4.3 * dose, 1000 / 85 + 5.0 * dose
    assert _brightness("solid tumour", "t1_contrast") == pytest.approx(
        0.88 * (1 - math.exp(-0.6 * r1)) * math.exp(-0.013 * r2), rel=1e-5
    )


def test_tissues_are_as_bright_as_readers_know_them() -> None:
    t1 = {name: _brightness(name, "t1") for name in TISSUES}
    assert t1["fat"] > t1["yellow marrow"] > t1["red marrow"] > t1["muscle"] > t1["fluid"] > t1["cortex"]
    assert t1["old blood"] > 1.5 * t1["solid tumour"]
    t2 = {name: _brightness(name, "t2") for name in TISSUES}
    assert t2["fluid"] > t2["cartilage lobule"] > t2["solid tumour"] > t2["muscle"] > t2["tendon"]
    stir = {name: _brightness(name, "stir") for name in TISSUES}
    assert min(stir["fluid"], stir["oedema"], stir["solid tumour"]) > stir["muscle"] > 4 * stir["fat"]
    contrast = {name: _brightness(name, "t1_contrast") for name in TISSUES}
    assert contrast["solid tumour"] > 1.3 * contrast["muscle"]
    assert contrast["solid tumour"] > 1.5 * contrast["necrosis"]
    assert _brightness("muscle", "t1", field_tesla=3.0) < t1["muscle"]
    assert _brightness("solid tumour", "t1_contrast", contrast_mmol=0) < contrast["solid tumour"]


def test_a_mixture_lies_between_its_tissues() -> None:
    matter = Matter.of((3,), "fluid")
    matter.mix(np.array([0, 0.5, 1], np.float32), "fibrous")
    seen = signal(matter, SEQUENCES["t2"])
    assert seen[0] == pytest.approx(_brightness("fluid", "t2"))
    assert seen[2] == pytest.approx(_brightness("fibrous", "t2"), rel=1e-4)
    assert seen[0] > seen[1] > seen[2]


@pytest.fixture(scope="module")
def cyst() -> Femur:
    return make_femur_mr(SMALL)


def test_the_same_spec_gives_the_same_voxels(cyst: Femur) -> None:
    again = make_femur_mr(SMALL)
    np.testing.assert_array_equal(again.volume.array, cyst.volume.array)
    np.testing.assert_array_equal(again.masks["lesion"].array, cyst.masks["lesion"].array)
    assert (make_femur_mr(replace(SMALL, seed=6)).volume.array != cyst.volume.array).mean() > 0.2
    assert cyst.volume.modality == "MR"
    assert (cyst.volume.array == np.rint(cyst.volume.array)).all()


@pytest.mark.parametrize(
    ("plane", "axes"),
    [
        ("axial", [(0, 0, 1), (0, 1, 0), (1, 0, 0)]),
        ("coronal", [(0, 1, 0), (0, 0, -1), (1, 0, 0)]),
        ("sagittal", [(1, 0, 0), (0, 0, -1), (0, 1, 0)]),
    ],
)
def test_planes_lie_as_they_are_read_and_show_the_same_lesion(plane: MrPlane, axes: list[tuple[int, ...]]) -> None:
    spec = replace(SMALL, plane=plane, slices=13, slice_mm=3.0, gap_mm=0.0, size=(48, 48), pixel_mm=3.0)
    made = make_femur_mr(spec)
    np.testing.assert_allclose(made.volume.grid.directions, axes)
    places = np.argwhere(made.masks["lesion"].array)
    middle = made.volume.grid.to_lps_mm(places.mean(axis=0))
    assert middle[2] == pytest.approx(60, abs=2)
    volume_ml = len(places) * made.volume.grid.voxel_volume_mm3 / 1000
    other = make_femur_mr(replace(spec, plane="axial" if plane != "axial" else "coronal"))
    expected = other.masks["lesion"].array.sum() * other.volume.grid.voxel_volume_mm3 / 1000
    assert volume_ml == pytest.approx(expected, rel=0.08)


def test_the_other_leg_is_the_mirror_image(cyst: Femur) -> None:
    right = make_femur_mr(replace(SMALL, side="right"))
    np.testing.assert_array_equal(right.masks["lesion"].array, cyst.masks["lesion"].array[:, :, ::-1])
    assert np.abs(right.volume.array - cyst.volume.array[:, :, ::-1]).mean() < 0.02 * cyst.volume.array.mean()


def test_brightness_in_the_picture_is_that_of_the_tissue(cyst: Femur) -> None:
    """A cyst is darker than marrow in T1, far brighter in STIR, and takes up no contrast."""
    inside = cyst.masks["lesion"].array[0] > 0
    means = {}
    for sequence in SEQUENCES:
        array = make_femur_mr(replace(SMALL, sequence=sequence)).volume.array[0]
        means[sequence] = float(np.median(array[inside])), float(np.median(array[array > 100]))
    assert means["t1"][0] < 0.7 * means["t1"][1]
    assert means["stir"][0] > 2.5 * means["stir"][1]
    assert means["t2"][0] > 2.5 * means["t2"][1]
    ratio = _brightness("fluid", "stir") / _brightness("oedema", "stir")
    assert means["stir"][0] == pytest.approx(900 * ratio, rel=0.12)


@pytest.mark.parametrize("kind", [kind for kinds in KINDS.values() for kind in kinds])
def test_a_lesion_is_as_large_as_asked_and_where_its_look_allows(kind: Kind) -> None:
    lesion = MrLesionSpec(kind=kind, size_mm=30, height_mm=130, eccentricity=0.8, irregularity=0.5)
    made = make_femur_mr(replace(SMALL, lesion=lesion, size=(120, 120), pixel_mm=1.0, plane="axial"))
    long = make_femur_mr(replace(SMALL, lesion=lesion, size=(120, 120), pixel_mm=1.0, plane="coronal"))
    assert long.lesions[0].diameter_mm == pytest.approx(30, rel=0.25)
    rows, columns = np.nonzero(made.masks["lesion"].array[0])
    places = made.volume.grid.to_lps_mm(np.stack([np.zeros_like(rows), rows, columns], axis=1))
    bone_x = 0.055 * 90
    reach = np.hypot(places[:, 0] - bone_x, places[:, 1]).max()
    if lesion.look == "malignant":
        assert reach > 18  # beyond the wall, which is at some 14 mm
    elif lesion.look == "benign":
        assert reach < 14.5


def test_malignant_lesions_light_up_their_surroundings_and_benign_ones_do_not() -> None:
    """Oedema on STIR: marrow 3 to 8 mm off the outline against marrow far off."""
    from scipy.ndimage import distance_transform_edt

    ratios: dict[str, list[float]] = {"benign": [], "malignant": []}
    for look, found in ratios.items():
        for kind in KINDS[look]:  # type: ignore[index]
            spec = replace(
                SMALL, sequence="stir", size=(150, 150), pixel_mm=1.0, plane="coronal",
                lesion=MrLesionSpec(kind=kind, size_mm=22, height_mm=75, eccentricity=0.2),
            )  # fmt: skip
            array = make_femur_mr(spec).volume.array[0]
            lesion = make_femur_mr(spec).masks["lesion"].array[0] > 0
            healthy = make_femur_mr(replace(spec, lesion=None, off_centre_mm=(0, 0, 0)))
            assert not healthy.masks["lesion"].array.any()
            far = distance_transform_edt(~lesion)
            column = np.abs(np.arange(150) - 75)[None, :] < 8
            found.append(
                float(np.median(array[(far > 3) & (far < 7) & column]) / np.median(array[(far > 25) & column]))
            )
    assert max(ratios["benign"]) < 1.6
    assert min(ratios["malignant"]) > 2


def test_noise_is_rician_and_shading_uneven() -> None:
    noisy = make_femur_mr(replace(SMALL, noise=0.05, plane="axial", pixel_mm=3.0)).volume.array[0]
    air = noisy[:, :8].astype(float)
    sigma = 900 * 0.05
    assert air.mean() == pytest.approx(sigma * math.sqrt(math.pi / 2), rel=0.1)
    assert air.std() == pytest.approx(sigma * math.sqrt(2 - math.pi / 2), rel=0.15)
    even, shaded = (make_femur_mr(replace(SMALL, shading=value)).volume.array[0] for value in (0.0, 1.0))
    bright = even > 300
    factor = shaded[bright] / even[bright]
    assert np.percentile(factor, 95) / np.percentile(factor, 5) > 1.4


def test_a_healthy_femur_has_no_lesion() -> None:
    made = make_femur_mr(replace(SMALL, lesion=None))
    assert not made.masks["lesion"].array.any()
    assert made.lesions == ()


def test_random_specs_draw_everything_and_stay_within_the_study() -> None:
    generator = np.random.default_rng(3)
    specs = [random_femur_mr_spec(generator, look="malignant") for _ in range(120)]
    assert {spec.sequence for spec in specs} == set(SEQUENCES)
    assert {spec.plane for spec in specs} == {"axial", "coronal", "sagittal"}
    assert Counter(spec.lesion.kind for spec in specs if spec.lesion).keys() == set(KINDS["malignant"])
    assert all(59 <= spec.age_years <= 87 for spec in specs)
    sizes = [spec.lesion.size_mm for spec in specs if spec.lesion]
    assert 7 <= min(sizes) < 16
    assert 34 < max(sizes) <= 39
    assert random_femur_mr_spec(generator, look=None).lesion is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence": "t3"}, "no sequence 't3'"),
        ({"plane": "axail"}, "no plane 'axail'.*axial"),
        ({"slices": 0}, "slices must be from 1 to 200"),
        ({"noise": 2}, "noise must be from 0 to"),
        ({"fat_mm": 90}, "fat_mm must be from 2 to 50"),
    ],
)
def test_what_no_scanner_does_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((InputError, UnknownLabelError), match=message):
        replace(SMALL, **changes)


def test_what_is_not_a_lesion_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match=r"no kind 'cist'.*cyst"):
        MrLesionSpec(kind="cist")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="size_mm must be from 7 to 39"):
        MrLesionSpec(size_mm=80)
    with pytest.raises(InputError, match="eccentricity must be from 0 to 1"):
        MrLesionSpec(eccentricity=2)
