"""The system that outlines and measures the tumour of a limb."""

from __future__ import annotations

from osteon.data.system import DatasetMaker, Header, Match, System, late, lazy
from osteon.systems.limb_sarcoma.options import DatasetOptions, Options

__all__ = ["SYSTEM"]


def _accepts(header: Header) -> Match:
    if header.kind != "volume" or header.modality not in {"MR", "CT", ""}:
        return Match(0.0, "it reads an MR or CT of a limb")
    return Match(0.2, "MR or CT; whether it shows a limb with a tumour is seen by a person")


_DATASET = DatasetMaker(
    summary="Make a data set of limb sarcomas: slices of MR T1 or CT, masks, margins drawn by patient, cohort table.",
    source="A folder of volumes with masks beside them (P1_MR_T1.nii.gz, P1_MR_T1_mask.nii.gz); or MR or CT series "
    "(DICOM, NIfTI, or a zip), which need --masks.",
    options=DatasetOptions,
    make=late(__package__, "dataset", "make_dataset"),
)

SYSTEM = System(
    stem="limb_sarcoma",
    summary="CT or MR T1 of a limb: tumour outlined and measured",
    reads=("volume",),
    modalities=("MR", "CT"),
    accepts=_accepts,
    options=Options,
    read=late(__package__, "read", "answer"),
    report=lazy(__package__, "pictures", "REPORT"),
    dataset=_DATASET,
    recipes=lazy(__package__, "recipe", "RECIPES"),
    study=lazy(__package__, "study", "STUDY"),
    hints={
        "study --only": "outlines (small networks, the default), full (of full width), slices, or a run, as unet_small",
        "study --arch": "of the slices, default mobilenet_v2",
        "study --also": "whole stacks (osteon dataset --whole)",
        "study --set-classifier": "of the slices",
        "train": "the tumour outlined; limb_sarcoma_slices: slices with a part of it or none",
    },
)
