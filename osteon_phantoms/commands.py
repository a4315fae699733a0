"""What a person may choose about a synthetic patient, and what ``osteon phantom`` makes of it.

The help of an option says what it is. What draws and writes is imported when it is called.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from osteon.data.options import option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon_phantoms.phantom import Phantom

__all__ = ["COMMANDS", "FemurChoices", "LegChoices", "PhantomCommand", "SlideChoices", "TrunkChoices"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Choices:
    """What may be chosen about one phantom."""

    seed: int = option("--seed", default=1, low=0, help="Another seed makes another patient.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LegChoices(_Choices):
    """What may be chosen about a CT of the legs; None is as the seed has it."""

    lesion: bool = option("--lesion", default=True, help="With an osteosarcoma-like lesion, or healthy.")
    coverage: Literal["hip", "femur", "knee", "tibia", "feet"] | None = option(
        "--coverage", help="What the middle of the scan shows; default: as the seed has it."
    )
    age_years: float | None = option("--age", low=4, high=95, help="Age in years; below 16 with growth plates.")
    metal: Literal["nail", "prosthesis"] | None = option("--metal", help="An implant in one leg.")
    slices: int | None = option("--slices", low=3, high=3000, help="Number of slices.")
    size: int | None = option("--size", low=64, high=1024, help="Rows and columns of a slice.")
    spacing: float | None = option("--spacing", low=0.3, high=10, help="Distance between slices in millimetres.")
    gantry_tilt_degrees: float = option("--tilt", default=0.0, low=-30, high=30, help="Gantry tilt in degrees.")
    noise_hu: float | None = option("--noise", low=0, high=200, help="Standard deviation of the noise in HU.")
    touching: bool = option("--touching", default=False, help="The thighs touch.")
    arms: bool = option("--arms", default=False, help="Hands and forearms are in the field.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkChoices(_Choices):
    """What may be chosen about a CT of the trunk; None is as the seed has it."""

    lesions: bool = option("--lesions", default=True, help="With bone metastases, or without.")
    mimics: bool = option("--mimics", default=True, help="With mimics: bone islands, wear, fractures, haemangioma.")
    coverage: Literal["thorax", "abdomen", "pelvis", "trunk"] = option(
        "--coverage", default="abdomen", help="What the slices show."
    )
    contrast: Literal["none", "arterial", "venous"] | None = option(
        "--contrast", help="Of the vessels; default: as the seed has it."
    )
    metal: Literal["spine_screws", "hip_prosthesis"] | None = option("--metal", help="An implant.")
    size: int = option(
        "--size", default=512, low=16, high=1024, help="Rows and columns of a slice; the field of view is 400 mm."
    )
    slice_mm: float = option("--spacing", default=3.0, low=0.3, high=20, help="Distance between slices in millimetres.")
    noise_hu: float | None = option("--noise", low=0, high=200, help="Standard deviation of the noise in HU.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideChoices(_Choices):
    """What may be chosen about a slide."""

    size: int = option("--size", default=8192, low=64, high=400_000, help="Rows and columns.")
    microns_per_pixel: float = option("--microns", default=0.5, low=0.1, high=8, help="Width of a pixel in um.")
    necrosis_fraction: float = option(
        "--necrosis", default=0.5, low=0, high=1, help="Share of the tumour that is dead."
    )
    tumour_share: float = option(
        "--tumour", default=0.6, low=0, high=1, help="Share of the tissue that is tumour, alive or dead."
    )
    tissue_share: float = option("--tissue", default=0.7, low=0, high=1, help="Share of the slide that is tissue.")
    region_um: float | None = option(
        "--region",
        low=100,
        high=20_000,
        help="Usual width of a region in um; default: a sixth of the slide, at least 400.",
    )
    pens: int = option("--pens", default=0, low=0, high=20, help="Strokes of a marker.")
    folds: int = option("--folds", default=0, low=0, high=20, help="Folds of the section.")
    blurs: int = option("--blurs", default=0, low=0, high=20, help="Places out of focus.")


@dataclass(frozen=True, slots=True, kw_only=True)
class FemurChoices(_Choices):
    """What may be chosen about an MR of a femur."""

    look: Literal["benign", "intermediate", "malignant", "none"] = option(
        "--look", default="malignant", help="Of the lesion; none for a healthy femur."
    )
    plane: Literal["axial", "coronal", "sagittal"] = option("--plane", default="coronal", help="Of the slices.")
    sequences: str = option("--sequences", default="t1,t2,stir,t1_contrast", help="A series each, with commas.")
    slices: int = option("--slices", default=15, low=1, high=200, help="Of a series, about the middle of the lesion.")
    size: int = option("--size", default=320, low=16, high=1024, help="Rows and columns.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomCommand:
    """One kind of phantom.

    Attributes:
        summary: one sentence.
        options: dataclass of what may be chosen.
        write: (options, empty folder, progress) to what a person is reported about it.
        image: word and place of what is written beside the truth.
    """

    summary: str
    options: type
    write: Callable[[Any, Path, Progress], tuple[str, ...]]
    image: tuple[str, str] = ("series", "dicom/")


def _written(make: Callable[[Any], Phantom[Any]], spec: object, folder: Path, progress: Progress) -> Phantom[Any]:
    from osteon_phantoms.files import write_ct_phantom

    progress("making the patient", 0, 2)
    phantom = make(spec)
    progress("writing the series", 1, 2)
    write_ct_phantom(phantom, folder)
    progress("writing the series", 2, 2)
    return phantom


def _ct(chosen: LegChoices, folder: Path, progress: Progress) -> tuple[str, ...]:
    from osteon_phantoms import make_leg_ct, phantom_spec

    names = ("coverage", "age_years", "noise_hu", "gantry_tilt_degrees", "metal")
    changes = {name: getattr(chosen, name) for name in names if getattr(chosen, name) is not None}
    changes |= {name: True for name in ("touching", "arms") if getattr(chosen, name)}
    spec = phantom_spec(
        chosen.seed,
        with_lesion=chosen.lesion,
        size=chosen.size,
        slices=chosen.slices,
        slice_step_mm=chosen.spacing,
        changes=changes,
    )
    _written(make_leg_ct, spec, folder, progress)
    return ()


def _trunk(chosen: TrunkChoices, folder: Path, progress: Progress) -> tuple[str, ...]:
    from osteon_phantoms import make_trunk, random_trunk_spec

    drawn = random_trunk_spec(np.random.default_rng(chosen.seed), with_lesions=chosen.lesions, coverage=chosen.coverage)
    spec = replace(
        drawn,
        seed=chosen.seed,
        size=(chosen.size, chosen.size),
        pixel_mm=400 / chosen.size,
        slice_mm=chosen.slice_mm,
        contrast=chosen.contrast or drawn.contrast,
        metal=chosen.metal or drawn.metal,
        noise_hu=drawn.noise_hu if chosen.noise_hu is None else chosen.noise_hu,
        mimics=drawn.mimics if chosen.mimics else (),
    )
    phantom = _written(make_trunk, spec, folder, progress)
    seen = sum(lesion.volume_ml > 0 for lesion in phantom.lesions)
    return (f"{seen} metastases, {len(phantom.mimics)} mimics",)


def _slide(chosen: SlideChoices, folder: Path, progress: Progress) -> tuple[str, ...]:
    from osteon_phantoms.files import write_slide_phantom
    from osteon_phantoms.slides.sampling import random_habit, random_stain
    from osteon_phantoms.slides.slide import make_slide
    from osteon_phantoms.slides.spec import SlideSpec

    generator = np.random.default_rng(chosen.seed)
    fields = asdict(chosen) | {"size": (chosen.size, chosen.size)}
    if chosen.region_um is None:
        fields["region_um"] = min(2500.0, max(400.0, chosen.size * chosen.microns_per_pixel / 6))
    spec = SlideSpec(**fields, stain=random_stain(generator), habit=random_habit(generator))
    drawn = make_slide(spec)
    write_slide_phantom(drawn, folder, progress=progress)
    fraction = drawn.true_necrosis().fraction
    return ("no tumour" if fraction is None else f"necrosis {100 * fraction:.1f} % of the tumour",)


def _femur(chosen: FemurChoices, folder: Path, progress: Progress) -> tuple[str, ...]:
    from osteon_phantoms.femur.sampling import random_femur_mr_spec
    from osteon_phantoms.files import write_femur_mr

    look = None if chosen.look == "none" else chosen.look
    drawn = random_femur_mr_spec(np.random.default_rng(chosen.seed), look=look, size=chosen.size)
    spec = replace(drawn, seed=chosen.seed, plane=chosen.plane, slices=chosen.slices, off_centre_mm=(0.0, 0.0, 0.0))
    write_femur_mr(spec, folder, sequences=[name.strip() for name in chosen.sequences.split(",")], progress=progress)
    lesion = spec.lesion
    return () if lesion is None else (f"{lesion.look}: {lesion.kind}, {lesion.size_mm:.0f} mm",)


COMMANDS: Final = {
    "ct": PhantomCommand(
        summary="Write a synthetic CT of the legs as a DICOM series, its truth beside it.",
        options=LegChoices,
        write=_ct,
    ),
    "trunk": PhantomCommand(
        summary="Write a synthetic CT of the trunk with bone metastases as a DICOM series, its truth beside it.",
        options=TrunkChoices,
        write=_trunk,
    ),
    "slide": PhantomCommand(
        summary="Write a synthetic H&E slide of an osteosarcoma as a pyramidal TIFF, the exact class of every place "
        "beside it.",
        options=SlideChoices,
        write=_slide,
        image=("slide ", "slide.tif"),
    ),
    "femur": PhantomCommand(
        summary="Write a synthetic MR of a femur with a bone lesion as DICOM series, its truth beside them.",
        options=FemurChoices,
        write=_femur,
    ),
}
"""By the word of the command line."""
