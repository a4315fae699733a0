"""The slice study of limb sarcomas: is tumour in this slice? Configurations and strategies, beside position alone.

Crops end near the tumour, so that where a slice lies in its crop tells much: a logistic regression on that is the floor
of every table.

References:
    Spec ct-osteosarcoma, sections 4 to 6 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.study import page
from osteon.study.protocol import StudySection
from osteon.study.tables import PAIRED_NOTES, TRIVIAL, Contrast, ResultRow, comparison_table, contrast_table
from osteon.study.transfer import CROSSED_TITLES, REFERENCE, STRATEGIES, configuration_table, crossed_table
from osteon.systems.limb_sarcoma.recipe import SLICES
from osteon.systems.limb_sarcoma.study_rows import SLICES_PART, slices_run
from osteon.train.objectives.classify import classes_of
from osteon.train.performance import compare_runs, evaluate_folds, position_only
from osteon.train.settings import CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.data import Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Table
    from osteon.study.plan import RunState, Study
    from osteon.train.performance import Measured

__all__ = ["POSITION_RUN", "slice_sections", "slice_tables"]

POSITION_RUN: Final = "position"
_BASELINES: Final = {**TRIVIAL, POSITION_RUN: "position in the crop alone"}
_PAPER: Final = ("image_size", "batch", "epochs", "learning_rate", "final_rate", "patience", "images_per_epoch")
_HOW: Final = (
    "AUC, and sensitivity and specificity from a probability of 0.5 on; mean of the folds with Student's t over folds "
    "and a bootstrap over patients. Each slice is classified by the network of the fold that tests its patient."
)
_POSITION: Final = (
    "Crops end 0 to 50 mm from the tumour along the body, so that the position of a slice in its crop tells much: the "
    "logistic regression on position and distance from the middle never looks at a slice. Only what is above it was "
    "learnt from images."
)


def slice_tables(
    predictions: Mapping[str, Predictions],
    states: Mapping[str, str],
    notes: tuple[str, ...],
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """What the configurations are, all runs beside the baselines, each minus position alone, each minus CAE-ft."""
    evaluated = {name: evaluate_folds(table, resampling=resampling) for name, table in predictions.items()}
    crossed = {slices_run(one, strategy): (one, strategy) for one in CONFIGURATIONS for strategy in STRATEGIES}
    rows = [
        ResultRow((one, strategy.upper()), name, evaluated.get(name), states.get(name, "not run"))
        for name, (one, strategy) in crossed.items()
    ]
    rows += [ResultRow((words, ""), name, evaluated[name]) for name, words in _BASELINES.items() if name in evaluated]
    heads, said = ("Configuration", "Strategy"), (_HOW, _POSITION)
    titles = ("Slices: configurations", "Slices: configurations and fine-tuning strategies")
    of_runs = {name: predictions[name] for name in crossed if name in predictions}
    over = [
        Contrast(
            f"{one} {strategy.upper()}",
            name,
            POSITION_RUN,
            compare_runs(of_runs[name], predictions[POSITION_RUN], name="auc", resampling=resampling),
        )
        for name, (one, strategy) in crossed.items()
        if name in of_runs and POSITION_RUN in predictions
    ]
    title = "Slices: AUC minus that of position alone"
    gains = contrast_table("slices_gains", title, over, (*PAIRED_NOTES, *notes), head="Run", published=False)
    against = comparison_table(of_runs, reference=f"{SLICES_PART}-{REFERENCE}", notes=notes, resampling=resampling)
    return (
        configuration_table("slices_configurations", titles[0]),
        crossed_table("slices", titles[1], heads, rows, notes, published=False, said=said),
        gains,
        against,
    )


def slice_sections(
    study: Study, runs: Sequence[RunState], notes: tuple[str, ...], resampling: Resampling | None
) -> tuple[StudySection, ...]:
    """Tables and pictures of the runs of the slice study.

    Raises:
        InputError: the data set says nothing of positions.
        OutputError: a picture cannot be written.
    """
    split, manifest = study.place.splits["folds"], study.manifest
    settings = runs[0].plan.settings
    classes = classes_of(manifest, settings.positive)
    predictions = {**study.predictions, **page.trivial_predictions(study, split)}
    predictions[POSITION_RUN] = position_only(manifest, split, classes=classes, positive=settings.positive)
    like = {"strategy": settings.strategy, "architecture": settings.architecture}
    other = page.other_settings(settings, SLICES.settings(like), _PAPER, source="the paper's protocol")
    told = (f"Network: {settings.architecture}.", *([f"Reduced: {'; '.join(other)}."] if other else []), *notes)
    tables = slice_tables(predictions, study.states, told, resampling)
    shown = _measured(predictions, resampling)
    pictures = page.draw_measures(study, shown, CROSSED_TITLES, file="slices-{}")
    pictures += page.draw_trainings(study, runs, name="learning-slices")
    empty = "Fewer than two runs are complete: there is nothing to compare."
    return (
        StudySection("Is tumour in this slice?", tables[:2], tuple(pictures)),
        StudySection("Slices: above position alone, and against each other", tables[2:], empty=empty),
    )


def _measured(predictions: Mapping[str, Predictions], resampling: Resampling | None) -> list[ResultRow]:
    measured: dict[str, Mapping[str, Measured]] = {
        name: evaluate_folds(table, resampling=resampling) for name, table in predictions.items()
    }
    return [ResultRow((_BASELINES.get(name, name),), name, found) for name, found in measured.items()]
