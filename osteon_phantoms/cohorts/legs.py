"""A made-up study as a data set: the builder of the CT study on synthetic patients, whose truth is known."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from osteon import __version__
from osteon.curation.splits import choose_test
from osteon.systems.ct_osteosarcoma.dataset import BuildOptions, Case, OpenedCase, build_dataset
from osteon.systems.ct_osteosarcoma.leg_pictures import TruthMask
from osteon_phantoms import make_leg_ct
from osteon_phantoms.cohort import cohort

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.systems.ct_osteosarcoma.dataset import BuiltDataset
    from osteon_phantoms import LegSpec
    from osteon_phantoms.cohort import Preset

__all__ = ["build_phantom_cohort", "open_phantom"]


def build_phantom_cohort(
    out: Path,
    *,
    patients: int = 96,
    seed: int = 1,
    preset: Preset = "coarse",
    test: float | None = 0.25,
    options: BuildOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """Make synthetic patients and the data set of their pictures.

    Args:
        out: the folder to be, or an unfinished one to go on with.
        patients: how many.
        seed: of patients and test part.
        preset: of ``osteon_phantoms.cohort.PRESETS``.
        test: share of the patients, tumour and healthy alike, that the manifest marks as test; None marks nobody.
        options: which pictures.
        workers: processes.
        progress: told about every patient.

    Raises:
        InputError, UnknownLabelError: as ``cohort`` and ``build_dataset``.
        OutputError: cannot be written.
    """
    people = cohort(patients, seed=seed, preset=preset)
    strata = {person.patient_id: person.label for person in people}
    judged = frozenset[str]() if test is None else choose_test(strata, share=test, seed=seed)
    cases = [
        Case(
            name=person.patient_id,
            patient=person.patient_id,
            study=f"{person.patient_id}-1",
            series=f"{person.patient_id}-1-1",
            open=partial(open_phantom, person.spec, threads=1 if workers > 1 else 2),
            fingerprint=repr(asdict(person.spec)),
            centre=person.centre,
            scanner=person.scanner,
            sex=person.sex,
            age_years=person.age_years,
            split="" if test is None else "test" if person.patient_id in judged else "train",
            extra={"kind": person.kind, "synthetic": "yes"},
        )
        for person in people
    ]
    about = {
        "what": "SYNTHETIC - osteon phantoms. Not patients.",
        "osteon": __version__,
        "patients": patients,
        "seed": seed,
        "preset": preset,
        "test": test,
    }
    return build_dataset(cases, out, options=options, workers=workers, progress=progress, about=about)


def open_phantom(spec: LegSpec, *, threads: int = 2) -> OpenedCase:
    """Draw a synthetic patient; the truth is where its tumours are."""
    phantom = make_leg_ct(spec, threads=threads)
    tumour = np.isin(phantom.truth.array, [lesion.label for lesion in phantom.lesions])
    return OpenedCase(phantom.volume, TruthMask(tumour))
