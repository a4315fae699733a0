"""Values of the answer of ct_metastasis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.data import LesionReading

if TYPE_CHECKING:
    from osteon.data import Answer, Volume


def test_agreement_counts_slices_that_both_call_alike(metastasis_case: tuple[Answer, Volume]) -> None:
    answer, _ = metastasis_case
    (scores,) = answer.detail_as(LesionReading).scores
    assert scores.by_segmentation is not None
    assert not scores.by_segmentation[:4].any()
    assert scores.agreement == pytest.approx(36 / 40)


def test_every_lesion_has_a_finding_and_a_segment(metastasis_case: tuple[Answer, Volume]) -> None:
    answer, volume = metastasis_case
    findings = {finding.identifier: finding for finding in answer.findings}
    mask = answer.masks["lesions"]
    for lesion in answer.detail_as(LesionReading).lesions:
        finding = findings[lesion.identifier]
        assert finding.segment is not None
        inside = mask.of(finding.segment[1])
        assert lesion.volume_ml == pytest.approx(inside.sum() * volume.grid.voxel_volume_mm3 / 1000)
        assert np.flatnonzero(inside.any(axis=(1, 2)))[0] == lesion.slices[0]
