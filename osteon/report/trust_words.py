"""How far a model may be believed in each part that was looked at, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osteon.report.wording import UNLIKE_MARK

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["trust_rows", "unlike_sentences"]

_ORDER = ("healthy", "tumour", "either", "neither")


def unlike_sentences(document: Mapping[str, Any]) -> tuple[str, ...]:
    """One for every region that is unlike anything the model was trained on.

    Args:
        document: content of findings.json.
    """
    found = []
    for region in document["regions"]:
        novelty = region["novelty"]
        if novelty and novelty["is_unlike_training"]:
            found.append(
                f"{_capital(region['name'])}: {UNLIKE_MARK} (score {novelty['score']:.2f}, "
                f"threshold {novelty['threshold']:.2f})."
            )
    return tuple(found)


def trust_rows(document: Mapping[str, Any]) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """(region, rows of label and value), for regions of which the model knows its limits."""
    scores = {entry["region"]: entry for entry in document["scores"]}
    found = []
    for region in document["regions"]:
        rows = [*_novelty(region["novelty"]), *_scores(scores.get(region["name"]))]
        if rows:
            found.append((_capital(region["name"]), tuple(rows)))
    return tuple(found)


def _novelty(novelty: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if novelty is None:
        return []
    verdict = UNLIKE_MARK if novelty["is_unlike_training"] else "like the images this model was trained on"
    share = novelty["false_alarm_rate"]
    return [
        ("Verdict", _capital(verdict)),
        ("Distance from training", f"{novelty['score']:.2f}, limit {novelty['threshold']:.2f}; 1 is usual"),
        ("False alarms of the limit", f"expected in {share:.1%} of patients like those of training"),
    ]


def _scores(scores: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if scores is None:
        return []
    rows = []
    sets = scores["prediction_sets"]
    if sets:
        names = [*_ORDER, *(name for name in sets["counts"] if name not in _ORDER)]
        counts = ", ".join(f"{name} in {sets['counts'][name]}" for name in names if sets["counts"].get(name))
        rows += [
            ("Prediction sets", f"{counts} of {len(scores['slices'])} slices"),
            (
                "Error rate of the sets",
                f"at most {100 * sets['error_rate']:g} %, for slices of patients like those of validation",
            ),
        ]
    spreads = [row["spread"] for row in scores["slices"] if row["spread"] is not None]
    if spreads:
        rows.append(("Largest spread of the networks", f"{max(spreads):.2f} (standard deviation of the probability)"))
    return rows


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
