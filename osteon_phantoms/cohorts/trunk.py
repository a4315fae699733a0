"""A made-up study of bone metastases as a data set in the layout of the public one, with exact masks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from osteon import __version__
from osteon.curation.splits import choose_test
from osteon.systems.ct_metastasis.dataset import OpenedTrunk, TrunkCase, TrunkOptions, build_dataset
from osteon_phantoms.trunk import TRUNK_LOOK, make_trunk
from osteon_phantoms.trunk_cohort import trunk_cohort

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset
    from osteon_phantoms.trunk_cohort import TrunkPatient, TrunkPreset
    from osteon_phantoms.trunk_spec import TrunkSpec

__all__ = ["TrunkStudy", "build_trunk_cohort", "open_trunk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkStudy:
    """Who is in a made-up study.

    Attributes:
        patients: how many.
        seed: of patients and test part.
        preset: of ``osteon_phantoms.trunk_cohort.TRUNK_PRESETS``.
        healthy: share of the patients without metastases: 0 as in the public segmentation set, 0.5 to classify.
        test: share of the patients that the manifest marks as test; None marks nobody.
    """

    patients: int = 80
    seed: int = 1
    preset: TrunkPreset = "coarse"
    healthy: float = 0.0
    test: float | None = 0.25


def build_trunk_cohort(
    out: Path,
    study: TrunkStudy | None = None,
    *,
    options: TrunkOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """Make synthetic patients and the data set of their axial slices with masks of bone and lesions.

    Args:
        out: the folder to be, or an unfinished one to go on with.
        study: who is in it.
        options: which slices; None: 70 with a lesion of a patient at most, and of the healthy as many without, if
            there are healthy patients.
        workers: processes.
        progress: told about every patient.

    Raises:
        InputError, UnknownLabelError: as ``trunk_cohort`` and ``build_dataset``.
        OutputError: cannot be written.
    """
    study = study or TrunkStudy()
    people = trunk_cohort(study.patients, seed=study.seed, preset=study.preset, healthy=study.healthy)
    strata = {person.patient_id: person.label for person in people}
    judged = frozenset[str]() if study.test is None else choose_test(strata, share=study.test, seed=study.seed)
    chosen = options or TrunkOptions(normal_slices=70 if study.healthy > 0 else 0)
    about = {"what": "SYNTHETIC - osteon phantoms. Not patients.", "osteon": __version__, **asdict(study)}
    cases = [
        _case(
            person,
            split="" if study.test is None else "test" if person.patient_id in judged else "train",
            threads=1 if workers > 1 else 2,
        )
        for person in people
    ]
    return build_dataset(cases, out, chosen, workers=workers, progress=progress, about=about)


def _case(person: TrunkPatient, *, split: str, threads: int) -> TrunkCase:
    spec = person.spec
    mimics = sorted({mimic.kind for mimic in spec.mimics})
    return TrunkCase(
        name=person.patient_id,
        patient=person.patient_id,
        study=f"{person.patient_id}-1",
        series=f"{person.patient_id}-1-1",
        open=partial(open_trunk, spec, threads=threads),
        fingerprint=f"{TRUNK_LOOK} {asdict(spec)}",
        centre=person.centre,
        scanner=person.scanner,
        sex=spec.sex,
        age_years=spec.age_years,
        split=split,
        extra={
            "synthetic": "yes",
            "coverage": spec.coverage,
            "slice_mm": f"{spec.slice_mm:g}",
            "lesions": str(len(spec.lesions)),
            "lesion_types": " ".join(sorted({lesion.type for lesion in spec.lesions})),
            "mimics": " ".join(mimics),
        },
    )


def open_trunk(spec: TrunkSpec, *, threads: int = 2) -> OpenedTrunk:
    """Draw a synthetic patient; the truth is where its metastases and its bones are."""
    phantom = make_trunk(spec, threads=threads)
    return OpenedTrunk(phantom.volume, phantom.lesions.array, phantom.structures.array)
