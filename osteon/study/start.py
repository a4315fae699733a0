"""From the words of a command to a study, trained and written: the function behind ``osteon study``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osteon.data.options import Progress, silent
from osteon.errors import InputError, UnknownLabelError, nearest_names
from osteon.io.table import read_manifest
from osteon.report.tables import Table, table_markdown
from osteon.study.run import Division, StudyJobs, train_study
from osteon.systems.ct_metastasis.study import MetastasisOptions, plan_metastasis
from osteon.systems.ct_metastasis.study_page import write_metastasis
from osteon.systems.ct_osteosarcoma.study import STRATEGIES, StudyOptions, plan_runs
from osteon.systems.ct_osteosarcoma.study_page import write_study
from osteon.systems.histology.study import HistologyOptions, plan_histology
from osteon.systems.histology.study_page import write_histology
from osteon.systems.histology.study_run import run_histology
from osteon.systems.mri_femur.study import FEMUR_DIVISION, FEMUR_NETWORKS, FemurStudy, plan_femur
from osteon.systems.mri_femur.study_page import write_femur
from osteon.train.launch import Cluster
from osteon.train.settings import parse_assignments, read_settings_file

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.study.plan import Planned

__all__ = ["STUDIES", "StudyCall", "StudyOutcome", "start_study"]

STUDIES = ("ct_metastasis", "ct_osteosarcoma", "histology", "mri_femur")
"""Studies by the stem of their system."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCall:
    """A command as it was typed; empty texts and tuples stand for the defaults.

    Attributes:
        task: one of ``STUDIES``.
        dataset: folder of the manifest.
        folder: of the study.
        only: of ct_osteosarcoma configurations, or "baselines"; of ct_metastasis "segmentation", "classification", or
            names of runs; of mri_femur "folds" or "holdout"; of histology "networks", "augmentation", "patient",
            "tile" or "literal".
        strategies: of table 3; like architecture of ct_osteosarcoma alone.
        networks: of table 1; of mri_femur and histology all.
        architecture: network that is fine-tuned; "" for mobilenet_v2.
        pretrained: as of ``TrainSettings``.
        settings_file: of training settings.
        changes: "name=value" texts, above the file.
        baseline_changes: the same for table 1, above both; in mri_femur for the networks that are not its paper's.
        classifier_changes: the same for the classifiers of ct_metastasis, above both.
        ray: address of a cluster.
        cpus: that a fold asks of it.
        gpus: that a fold asks of it.
        resume: go on with a study that is there.
        skip_unreadable: leave out and count unreadable images.
    """

    task: str
    dataset: Path
    folder: Path
    only: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    architecture: str = ""
    pretrained: str = ""
    settings_file: Path | None = None
    changes: tuple[str, ...] = ()
    baseline_changes: tuple[str, ...] = ()
    classifier_changes: tuple[str, ...] = ()
    ray: str = ""
    cpus: float = 1.0
    gpus: float = 0.0
    resume: bool = False
    skip_unreadable: bool = False


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What came out.

    Attributes:
        tables: of the study.
        page: index.html.
        errors: of folds that failed.
    """

    tables: tuple[Table, ...] = field(repr=False)
    page: Path
    errors: tuple[str, ...]

    def lines(self) -> tuple[str, ...]:
        """The tables as Markdown, line by line; a table without rows is left out."""
        return tuple(line for table in self.tables if table.rows for line in [*table_markdown(table).splitlines(), ""])

    def document(self) -> dict[str, Any]:
        """The numbers by table, for JSON; what is not defined is None."""
        tables = {
            table.name: {
                "notes": list(table.notes),
                "records": [
                    {name: None if value != value else value for name, value in record.items()}  # noqa: PLR0124  # NaN
                    for record in table.records
                ],
            }
            for table in self.tables
        }
        return {"tables": tables, "errors": list(self.errors)}


def start_study(call: StudyCall, progress: Progress = silent) -> StudyOutcome:
    """Plan, train what is not trained, write the tables.

    Raises:
        UnknownLabelError: no such study, configuration, strategy, network or setting.
        InputError: the data, or a folder that belongs to something else.
        OutputError: the study cannot be written.
        BackendError: device, cluster or weights are not at hand.
    """
    if call.task not in STUDIES:
        raise UnknownLabelError(f"no study {call.task!r}: {nearest_names(call.task, STUDIES)}")
    values: dict[str, Any] = read_settings_file(call.settings_file) if call.settings_file is not None else {}
    values |= parse_assignments(call.changes)
    cluster = Cluster(call.ray, cpus=call.cpus, gpus=call.gpus) if call.ray else None
    if call.task == "histology":
        return _histology(call, values, cluster, progress)
    planned, write = {
        "ct_osteosarcoma": (_plan_osteosarcoma, write_study),
        "ct_metastasis": (_plan_metastasis, write_metastasis),
        "mri_femur": (_plan_femur, write_femur),
    }[call.task]
    runs = planned(call, values)
    jobs = StudyJobs(
        division=FEMUR_DIVISION if call.task == "mri_femur" else Division(),
        cluster=cluster,
        resume=call.resume,
        skip_unreadable=call.skip_unreadable,
    )
    study = train_study(call.dataset, call.folder, runs, jobs=jobs, progress=progress)
    tables = write(study)
    return StudyOutcome(tables, call.folder / "index.html", study.errors)


def _plan_osteosarcoma(call: StudyCall, values: dict[str, Any]) -> tuple[Planned, ...]:
    if call.classifier_changes:
        raise InputError("--set-classifier is of the study ct_metastasis; here --set reaches every training")
    own = {"task": call.task, "architecture": call.architecture or "mobilenet_v2", "pretrained": call.pretrained}
    options = StudyOptions(
        only=call.only,
        strategies=call.strategies or STRATEGIES,
        values=own | values,
        baseline_values=parse_assignments(call.baseline_changes),
        **({"networks": call.networks} if call.networks else {}),
    )
    return plan_runs(options)


def _plan_metastasis(call: StudyCall, values: dict[str, Any]) -> tuple[Planned, ...]:
    foreign = {
        "--strategy": call.strategies,
        "--network": call.networks,
        "--arch": call.architecture,
        "--set-baseline": call.baseline_changes,
    }
    given = [name for name, value in foreign.items() if value]
    if given:
        raise InputError(f"{', '.join(given)}: not of the study ct_metastasis; choose its runs with --only")
    options = MetastasisOptions(
        only=call.only, values=values, classifier_values=parse_assignments(call.classifier_changes), **_weights(call)
    )
    return plan_metastasis(options, read_manifest(call.dataset))


def _plan_femur(call: StudyCall, values: dict[str, Any]) -> tuple[Planned, ...]:
    foreign = {
        "--strategy": call.strategies,
        "--arch": call.architecture,
        "--pretrained": call.pretrained,
        "--set-classifier": call.classifier_changes,
    }
    given = [name for name, value in foreign.items() if value]
    if given:
        raise InputError(f"{', '.join(given)}: not of the study mri_femur; choose its networks with --network")
    options = FemurStudy(
        only=call.only,
        networks=call.networks or FEMUR_NETWORKS,
        values=values,
        reference_values=parse_assignments(call.baseline_changes),
    )
    return plan_femur(options)


def _histology(call: StudyCall, values: dict[str, Any], cluster: Cluster | None, progress: Progress) -> StudyOutcome:
    foreign = {
        "--strategy": call.strategies,
        "--arch": call.architecture,
        "--set-baseline": call.baseline_changes,
        "--set-classifier": call.classifier_changes,
        "--skip-unreadable": call.skip_unreadable,
    }
    given = [name for name, value in foreign.items() if value]
    if given:
        raise InputError(f"{', '.join(given)}: not of the study histology; choose its rows with --only and --network")
    options = HistologyOptions(only=call.only, networks=call.networks, pretrained=call.pretrained, values=values)
    runs = plan_histology(options)
    study = run_histology(call.dataset, call.folder, runs, cluster=cluster, resume=call.resume, progress=progress)
    return StudyOutcome(write_histology(study), call.folder / "index.html", study.errors)


def _weights(call: StudyCall) -> dict[str, str]:
    return {"pretrained": call.pretrained} if call.pretrained else {}
