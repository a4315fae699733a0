"""The protocol of the CT osteosarcoma paper: which runs it takes, and its three tables beside the published values.

Table 1 trains the baselines from scratch, table 2 says what the six configurations are, table 3 crosses them with the
three strategies. The paper's data are private: the protocol can be repeated, the numbers cannot.

References:
    Spec ct-osteosarcoma, sections 2, 4, 5, 6 and 9.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from osteon.study import page
from osteon.study.plan import PlannedRun
from osteon.study.protocol import Results, StudyProtocol, StudySection, check_parts
from osteon.study.published import read_published
from osteon.study.tables import TRIVIAL, ResultRow, comparison_table
from osteon.study.transfer import CROSSED_TITLES, REFERENCE, configuration_table, crossed_runs, crossed_table
from osteon.systems.ct_osteosarcoma.recipe import RECIPE
from osteon.train.performance import evaluate_folds, known_fields
from osteon.train.settings import CONFIGURATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from osteon.data import Manifest, Predictions
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Table
    from osteon.study.plan import Planned, Study
    from osteon.study.protocol import Choices
    from osteon.train.performance import Measured

__all__ = ["STUDY", "plan_runs", "study_tables"]

_BASELINES: Final = "baselines"
"""The word that chooses table 1 with ``only``."""

_NETWORKS: Final = ("densenet121", "densenet169", "resnet18", "resnet50")
_PAPER: Final = ("image_size", "batch", "epochs", "learning_rate", "final_rate", "patience", "images_per_epoch")


def plan_runs(choices: Choices, _: Manifest | None = None) -> tuple[PlannedRun, ...]:
    """The runs, table 1 first.

    Raises:
        UnknownLabelError: no such configuration, strategy or setting.
        InputError: a setting out of range.
    """
    check_parts(choices.only, [*CONFIGURATIONS, _BASELINES])
    wanted = choices.only or (_BASELINES, *CONFIGURATIONS)
    fine_tuned = {"architecture": choices.architecture or "mobilenet_v2", "pretrained": choices.pretrained}
    values = {"task": STUDY.stem, **fine_tuned, **choices.values}
    runs = []
    for network in (choices.networks or _NETWORKS) if _BASELINES in wanted else ():
        own = {"architecture": network, "pretrained": "", "strategy": "scratch", "configuration": "C"}
        settings = RECIPE.settings({**values, **choices.baseline_values, **own})
        runs.append(PlannedRun(f"baseline-{network}", "table1", settings))
    for configuration, strategy in crossed_runs(choices, [one for one in CONFIGURATIONS if one in wanted]):
        settings = RECIPE.settings({**values, "strategy": strategy, "configuration": configuration})
        runs.append(PlannedRun(f"{configuration}-{strategy}", "table3", settings))
    return tuple(runs)


def study_tables(
    runs: Sequence[Planned],
    evaluated: Mapping[str, Mapping[str, Measured]],
    predictions: Mapping[str, Predictions],
    notes: tuple[str, ...],
    resampling: Resampling | None = None,
) -> tuple[Table, ...]:
    """Tables 1 to 3 of the paper, and the comparisons of table 3 with their tests."""
    published = read_published(__package__).tables
    planned = {run.name: run for run in runs}
    baselines = {run.name: (run.settings.architecture,) for run in runs if run.table == "table1"}
    first = {name: (row.title,) for name, row in published["table1"].items()} | baselines
    third = {
        name: (configuration, strategy.upper())
        for name in published["table3"]
        for configuration, _, strategy in [name.partition("-")]
    }
    tables = []
    for name, title, heads, rows in (
        ("table1", "Table 1: baselines trained from scratch", ("Network",), first),
        ("table3", "Table 3: configurations and fine-tuning strategies", ("Configuration", "Strategy"), third),
    ):
        shown = [
            ResultRow(
                words,
                run if run in planned else "",
                evaluated.get(run),
                "failed" if run in planned else "not run",
                published[name].get(run),
            )
            for run, words in rows.items()
        ]
        shown += [
            ResultRow((words, *[""] * (len(heads) - 1)), run, evaluated[run])
            for run, words in TRIVIAL.items()
            if run in evaluated
        ]
        of_table = [run for run in runs if run.table == name]
        said = read_published(__package__).said("how_measured", "private")
        tables.append(crossed_table(name, title, heads, shown, (*_protocol_notes(of_table), *notes), said=said))
    compared = {run.name: predictions[run.name] for run in runs if run.table == "table3" and run.name in predictions}
    comparisons = comparison_table(compared, reference=REFERENCE, notes=notes, resampling=resampling)
    return (tables[0], configuration_table("table2", "Table 2: configurations"), tables[1], comparisons)


def _protocol_notes(runs: Sequence[Planned]) -> tuple[str, ...]:
    """What differs from the paper's settings in the runs shown, from their settings."""
    if not runs:
        return ()
    first = runs[0].settings
    notes = page.other_settings(first, RECIPE.settings({"strategy": first.strategy}), _PAPER)
    networks = sorted({run.settings.architecture for run in runs if run.settings.strategy != "scratch"})
    if networks and networks != ["densenet121"]:
        notes.append(f"network {', '.join(networks)} (paper: densenet121)")
    return (f"Other than in the paper: {'; '.join(notes)}.",) if notes else ()


def _results_of(study: Study, resampling: Resampling | None) -> Results:
    split, manifest = study.place.splits["folds"], study.manifest
    images = f"{len(manifest)} images of {len(manifest.patients)} patients"
    notes = (
        *page.data_notes(manifest),
        *split.warnings,
        page.division_note(images, split),
        *page.state_notes(study, study.runs),
    )
    predictions = {**study.predictions, **page.trivial_predictions(study, split)}
    evaluated = {name: evaluate_folds(table, resampling=resampling) for name, table in predictions.items()}
    tables = study_tables([run.plan for run in study.runs], evaluated, predictions, notes, resampling)
    titles = {**TRIVIAL, "fields": f"fields only ({len(known_fields(manifest))})"}
    published = read_published(__package__)
    rows = [
        ResultRow((titles.get(name, name),), name, found, published=published.row(name))
        for name, found in evaluated.items()
    ]
    return Results(
        sections=(
            StudySection("Results at a glance", pictures=tuple(page.draw_measures(study, rows, CROSSED_TITLES))),
            StudySection("The paper's tables", tables[:3]),
            StudySection(
                "Comparisons", tables[3:], empty="Fewer than two runs are complete: there is nothing to compare."
            ),
            StudySection("How the trainings went", pictures=tuple(page.draw_trainings(study, study.runs))),
        ),
        warnings=page.shown_warnings(study, notes),
        done=len(study.predictions),
        planned=len(study.runs),
    )


STUDY: Final = StudyProtocol(
    stem="ct_osteosarcoma",
    title="CT osteosarcoma: transfer learning on slices of the leg",
    takes=frozenset({"strategies", "networks", "architecture", "pretrained", "baseline_values", "skip_unreadable"}),
    instead="here --set reaches every training",
    kinds=(PlannedRun,),
    plan=plan_runs,
    results=_results_of,
)
