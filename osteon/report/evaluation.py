"""The folder of an evaluation: metrics.json, figures and report.html, from the content of metrics.json alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from osteon.errors import OutputError
from osteon.metrics.text import EVALUATED
from osteon.report.blocks import Section, Table, results_document
from osteon.report.charts import (
    draw_curves,
    draw_decision,
    draw_failures,
    draw_histogram,
    draw_reliability,
    draw_subgroups,
)
from osteon.report.page import write_page
from osteon.report.wording import p_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from osteon.report.blocks import Picture

__all__ = ["METRICS_NAME", "REPORT_NAME", "interval_text", "key_table", "write_evaluation", "write_metrics"]

METRICS_NAME = "metrics.json"
REPORT_NAME = "report.html"
_MARK = "SYNTHETIC IMAGES"
_MEMBERS = (
    "Each fold's network is calibrated on its own validation part. The mean of calibrated networks, which is evaluated "
    "here under a holdout split, tends to be less sure than it may be."
)
_PLURALS = {"image": "images", "series": "series", "patient": "patients"}
_NAMES = {
    "auc": "ROC AUC",
    "pr_auc": "average precision",
    "tpr": "sensitivity (TPR)",
    "tnr": "specificity (TNR)",
    "accuracy": "accuracy",
    "precision": "precision",
    "f1": "F1",
}


def write_evaluation(
    folder: Path, document: Mapping[str, Any], *, failures: Sequence[NDArray[np.float32]] = ()
) -> None:
    """Write metrics.json, figures/*.png and report.html.

    Args:
        folder: made when it is not there.
        document: of ``osteon.train.evaluation.Evaluation``.
        failures: (row, column) in 0..1, the images of ``document["worst"]`` in their order; empty for no gallery.

    Raises:
        OutputError: a file cannot be written.
    """
    figures = write_metrics(folder, document)
    mark = _MARK if document["data"]["synthetic_share"] > 0 else ""

    def drawn(draw: Callable[..., Picture | None], name: str) -> tuple[Picture, ...]:
        picture = draw(figures / f"{name}.png", document, mark=mark)
        return () if picture is None else (picture,)

    points = (points_table(document), confusion_table(document))
    fields = "A network that does not beat age, sex, place, scanner and plane has learnt who comes from where."
    fixed = "Fixed on each fold's validation part and applied unchanged to its test part."
    sections = [
        Section("Measures", _about(document), tuple(level_tables(document)), drawn(draw_curves, "roc_pr")),
        Section("Operating points", (fixed,), points, drawn(draw_histogram, "histogram")),
        Section("Calibration", (_MEMBERS,), (calibration_table(document),), drawn(draw_reliability, "reliability")),
        Section("Decision curve", pictures=drawn(draw_decision, "decision")),
        Section("Against what needs no image", (fields, _coverage(document)), (baseline_table(document),)),
        Section("Subgroups", (), (subgroup_table(document),), drawn(draw_subgroups, "subgroups")),
    ]
    if failures:
        positive = document["run"]["positive"]
        words = [f"truth {entry['truth']}; P({positive}) {entry['probability']:.3f}" for entry in document["worst"]]
        picture = draw_failures(figures / "failures.png", failures, words, mark=mark)
        sections.append(Section("Failures", tables=(worst_table(document),), pictures=(picture,)))
    auc = document["levels"]["image"]["measures"]["auc"]["over_patients"]
    page = results_document(
        f"Evaluation of {document['run']['name']}",
        f"ROC AUC of images {interval_text(auc)} on {document['data']['patients']} test patients",
        warnings=tuple(document["warnings"]),
        sections=tuple(sections),
        links=((METRICS_NAME, "every number of this page"),),
    )
    write_page(folder / REPORT_NAME, page)


def write_metrics(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write metrics.json into a folder, which is made when it is not there; gives that of the figures beside it.

    Raises:
        OutputError: it cannot be written.
    """
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        (folder / METRICS_NAME).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be written ({error.strerror}): name another folder") from error
    return figures


def interval_text(found: Mapping[str, Any]) -> str:
    """A value with its interval.

    Example:
        >>> interval_text({"value": 0.9, "low": 0.8, "high": None}), interval_text({"value": None})
        ('0.900 (no interval)', 'not defined')
    """
    value = found.get("value", found.get("mean"))
    return EVALUATED.number(value) if value is None else EVALUATED.estimate(value, found.get("low"), found.get("high"))


def key_table(document: Mapping[str, Any]) -> Table:
    """Measures by level: mean over folds with the patient bootstrap."""
    levels = document["levels"]
    rows = tuple(
        (words, *(interval_text(entry["measures"][name]["over_patients"]) for entry in levels.values()))
        for name, words in _NAMES.items()
    )
    columns = ("measure", *(f"{_PLURALS[level]} ({entry['count']})" for level, entry in levels.items()))
    return Table("key", "Means over folds, 95 % over patients; rates from a probability of 0.5", columns, rows)


def level_tables(document: Mapping[str, Any]) -> list[Table]:
    """A table a level: each fold, the mean with both intervals."""
    tables = []
    for level, entry in document["levels"].items():
        rows = []
        for name, words in _NAMES.items():
            found = entry["measures"][name]
            folds = ", ".join("-" if value is None else f"{value:.3f}" for value in found["by_fold"])
            rows.append((words, folds, interval_text(found["over_folds"]), interval_text(found["over_patients"])))
        title = f"{level.capitalize()} level: {entry['count']} in the test part ({entry['joined']})"
        columns = ("measure", "by fold", "mean, Student's t over folds", "mean, patient bootstrap")
        note = "The two intervals answer different questions; t over folds may leave 0 to 1."
        tables.append(Table(f"level-{level}", title, columns, tuple(rows), notes=(note,)))
    return tables


def points_table(document: Mapping[str, Any]) -> Table:
    """Each operating point: on validation, and on test."""
    rows = []
    for point in document["operating_points"]:
        validation = [
            f"{fold['threshold']:.3f} ({fold['validation']['tpr']:.3f}/{fold['validation']['tnr']:.3f})"
            if fold["threshold"] is not None
            else f"none: {fold['note']}"
            for fold in point["by_fold"]
        ]
        test = point["test"]
        told = [interval_text(test[name]["over_patients"]) for name in ("tpr", "tnr")] if test else ["not defined"] * 2
        rows.append((point["rule"], "; ".join(validation), *told))
    columns = ("rule", "validation, by fold: threshold (TPR/TNR)", "test TPR", "test TNR")
    return Table("points", "What was wanted, and what came", columns, tuple(rows))


def confusion_table(document: Mapping[str, Any]) -> Table:
    """Counts at 0.5 by level, each image once."""
    rows = tuple(
        (level, *(str(entry["confusion"][name]) for name in ("tp", "fn", "fp", "tn")))
        for level, entry in document["levels"].items()
    )
    columns = ("level", "true positive", "false negative", "false positive", "true negative")
    note = f"Score: {document['data']['score']}; series and patients by their highest."
    return Table("confusion", "Counts at probability 0.5", columns, rows, notes=(note,))


def calibration_table(document: Mapping[str, Any]) -> Table:
    """Before and after the temperature."""
    before, after = (document["calibration"][name] for name in ("before", "after"))
    words = {
        "brier": "Brier score",
        "ece_equal_mass": "ECE, 10 bins of equal mass",
        "ece_equal_width": "ECE, 10 bins of equal width",
        "slope": "calibration slope (1 is best)",
        "intercept": "calibration intercept (0 is best)",
    }
    rows = [(text, interval_text(before[key]), interval_text(after[key])) for key, text in words.items()]
    rows += [
        (f"Brier: {name}", f"{before['brier_parts'][name]:.4f}", f"{after['brier_parts'][name]:.4f}")
        for name in ("reliability", "resolution", "uncertainty")
    ]
    temperatures = ", ".join(f"{value:.3f}" for value in document["calibration"]["temperature_by_fold"].values())
    columns = ("measure", "before temperature", "after temperature")
    note = f"Temperatures by fold, fitted on validation only: {temperatures}."
    return Table("calibration", "Calibration of the image probabilities", columns, tuple(rows), notes=(note,))


def baseline_table(document: Mapping[str, Any]) -> Table:
    """The trivial models and the difference to them."""
    rows = []
    for entry in document["baselines"]:
        difference, delong, pairs = entry["auc_difference"], entry["delong_clustered"], entry["mcnemar_patients"]
        found = difference["over_patients"]
        p_value = "" if found["p_value"] is None else f", {p_text(found['p_value'])}"
        named = entry["name"] + (f" ({', '.join(entry['fields'])})" if entry["fields"] else "")
        z = "not defined" if delong["p_value"] is None else f"{delong['difference']:+.3f}, {p_text(delong['p_value'])}"
        own = interval_text(entry["measures"]["auc"]["over_patients"])
        counts = f"{pairs['only_first']} / {pairs['only_second']}, {p_text(pairs['p_value'])}"
        rows.append((named, own, interval_text(found) + p_value, z, counts))
    columns = (
        "baseline",
        "its AUC",
        "run minus baseline, patient bootstrap",
        "the same, DeLong clustered by patient",
        "patients only the run / only the baseline got right, McNemar",
    )
    return Table("baselines", "The run against baselines on the same test images", columns, tuple(rows))


def subgroup_table(document: Mapping[str, Any]) -> Table:
    """Every subgroup."""
    rows = tuple(
        (
            row["column"],
            row["group"],
            str(row["patients"]),
            f"{row['images']} ({row['positives']})",
            *(interval_text(row[name]) for name in ("auc", "tpr", "tnr")),
            row["note"],
        )
        for row in document["subgroups"]["rows"]
    )
    columns = ("column", "group", "patients", "images (positive)", "ROC AUC", "TPR", "TNR", "note")
    return Table("subgroups", "Calibrated probability, positive from 0.5 on", columns, rows)


def worst_table(document: Mapping[str, Any]) -> Table:
    """Which images the gallery shows."""
    rows = tuple((entry["image"], entry["truth"], f"{entry['probability']:.4f}") for entry in document["worst"])
    return Table("worst", "Most confidently wrong test images", ("image", "truth", "probability"), rows)


def _about(document: Mapping[str, Any]) -> tuple[str, ...]:
    run, data, clustered = document["run"], document["data"], document["auc_clustered"]
    folds = ", ".join(map(str, run["folds_evaluated"]))
    counts = (
        f"{data['images']} test images of {data['patients']} patients, {data['positive_images']} positive of "
        f"{data['positive_patients']} patients. Split {run['scheme']} by {run['unit']}; folds evaluated: {folds} of "
        f"{run['folds']}."
    )
    auc = (
        f"AUC of one probability an image ({data['score']}), Obuchowski's interval for images of patients: "
        f"{interval_text(clustered)}."
    )
    return counts, auc


def _coverage(document: Mapping[str, Any]) -> str:
    found = document["conformal"]
    parts = [f"{name} {entry['share']:.3f} (of {entry['n']})" for name, entry in found["by_class"].items()]
    return (
        f"Prediction sets fitted on validation to hold the truth in {found['wanted_coverage']:.0%}: on test they did "
        f"in {found['all']['share']:.3f}; by class: {', '.join(parts)}; mean size {found['all']['mean_size']:.2f}."
    )
