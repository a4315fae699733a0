"""``osteon evaluate``: the numbers of a run, and the page that shows them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from osteon.errors import InputError
from osteon.io.image import read_image
from osteon.report.evaluation import key_table, write_evaluation
from osteon.train.evaluation import Evaluation, evaluate_run
from osteon.train.pixels import prepare_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Table
    from osteon.train.run_data import RunData

__all__ = ["FOLDER_NAME", "evaluate_any", "evaluate_into"]

FOLDER_NAME = "evaluation"
"""Of an evaluation, in the folder of its run."""

_LOG = logging.getLogger(__name__)


def evaluate_into(
    data: RunData, out: Path | None = None, *, by: Sequence[str] = (), resampling: Resampling | None = None
) -> tuple[Evaluation, Path]:
    """Judge a run and write metrics.json, report.html and figures.

    Args:
        data: of ``osteon.train.run_data.open_run``.
        out: folder; None takes ``evaluation`` in the run's.
        by: further columns for the subgroup table.
        resampling: of the patient bootstraps.

    Raises:
        InputError: no fold is done.
        UnknownLabelError: no such column.
        OutputError: a file cannot be written.
    """
    evaluation = evaluate_run(data, by=by, resampling=resampling)
    folder = out or data.run.folder / FOLDER_NAME
    images = _worst_images(data, evaluation)
    write_evaluation(folder, evaluation.document, failures=images)
    return evaluation, folder


def _worst_images(data: RunData, evaluation: Evaluation) -> list[NDArray[np.float32]]:
    """As the network saw them; none at all when one of them is not there any more."""
    found = []
    settings = data.run.settings
    for row in evaluation.worst:
        name = data.manifest.rows[row].image
        try:
            image = read_image(data.manifest.folder / name)
            found.append(prepare_image(image, settings.image_size, is_stretched=settings.stretch))
        except InputError as error:
            _LOG.warning("no gallery of failures: %s", error)
            return []
    return found


def evaluate_any(
    data: RunData, out: Path | None = None, *, by: Sequence[str] = (), resampling: Resampling | None = None
) -> tuple[Mapping[str, Any], Table, Path]:
    """Evaluate a run of classifiers or of segmenters, whichever it is.

    Args:
        data: of ``osteon.train.run_data.open_run``.
        out: folder; None takes ``evaluation`` in the run's.
        by: further columns for the subgroup table, of classifiers.
        resampling: of the patient bootstrap.

    Returns:
        The content of metrics.json, a table of the main measures, and the folder.

    Raises:
        InputError: subgroups of segmenters.
        OutputError: cannot be written.
    """
    if data.run.settings.objective == "segment":
        from osteon.study.evaluate_segments import evaluate_segments_into, segment_table

        if by:
            raise InputError("--by was given; subgroups are made for classifiers only: leave it out for segmenters")
        judged = evaluate_segments_into(data, out, resampling=resampling)
        return judged.document, segment_table(judged.document), judged.folder
    found, folder = evaluate_into(data, out, by=by, resampling=resampling)
    return found.document, key_table(found.document), folder
