"""The list of lesions in words: the one source of the table on the page and in the PDF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from osteon.report.lesions import MOST_PICTURES
from osteon.report.tasks import task_words
from osteon.report.wording import count, probability, whole_range

__all__ = [
    "COLUMNS",
    "NUMERIC",
    "PICTURE_WORDS",
    "PROBABILITY_WORDS",
    "LesionList",
    "LesionRow",
    "lesion_list",
    "lesion_view_name",
]

COLUMNS = (
    "No.",
    "Site",
    "Character",
    "Volume, ml",
    "Largest diameter, mm",
    "Mean HU",
    "Probability",
    "Slices",
)
NUMERIC = (4, 5, 6, 7)
"""Columns of numbers, counted from 1."""

PICTURE_WORDS = (
    "In the slice that shows most of it and enlarged in three planes, in bone window (level 400 HU, width 1,800 HU). "
    "Coloured line: outline of the lesion. Dotted frame: what is enlarged."
)

_MINUS = "\u2212"
PROBABILITY_WORDS = (
    "mean of the upper half of the model's values in the lesion. It tells lesions of one result apart; it is no "
    "calibrated chance that this is a metastasis."
)


@dataclass(frozen=True, slots=True)
class LesionRow:
    """One lesion.

    Attributes:
        number: what a person calls it.
        cells: as many texts as there are columns.
        character: "lytic", "blastic", "mixed" or "not determined".
        details: sentences: what proves site and character, spread of HU, what weakens the finding.
        warnings: those of them that a reader must not miss.
        picture: name of its view, or "" where there is none.
    """

    number: int
    cells: tuple[str, ...]
    character: str
    details: tuple[str, ...]
    warnings: tuple[str, ...]
    picture: str


@dataclass(frozen=True, slots=True)
class LesionList:
    """The whole list.

    Attributes:
        rows: in the order of the answer.
        nothing: sentence in place of an empty list, else "".
        pictures: sentence about lesions without a picture, else "".
        definitions: (measure, how it was made).
    """

    rows: tuple[LesionRow, ...]
    nothing: str
    pictures: str
    definitions: tuple[tuple[str, str], ...]


def lesion_view_name(number: int) -> str:
    """Stem of a lesion's picture.

    Example:
        >>> lesion_view_name(3)
        'lesion_03'
    """
    return f"lesion_{number:02d}"


def lesion_list(document: Mapping[str, Any], configuration: Mapping[str, object]) -> LesionList | None:
    """The list of an answer that is one, also when nothing is in it; None of other answers.

    Args:
        document: content of findings.json.
        configuration: of the answer; its "lesions" tell the thresholds.
    """
    lesions = document["lesions"]
    if not lesions and not task_words(document["task"]).lists_lesions:
        return None
    boxed = {finding["identifier"] for finding in document["findings"] if finding["box"] is not None}
    drawable = [one for one in lesions if one["identifier"] in boxed]
    ranked = sorted(drawable, key=lambda one: (-one["volume_ml"], one["number"]))
    pictured = {one["number"] for one in ranked[:MOST_PICTURES]}
    nothing = pictures = ""
    if not lesions:
        nothing = (
            f"No lesion was called in the {count(document['grid']['shape'][0], 'slice')} that were read. "
            f"That a model lists nothing does not show that nothing is there.{_called_all_the_same(document)}"
        )
    elif len(pictured) < len(lesions):
        pictures = (
            f"Pictures are drawn of the {len(pictured)} largest of {count(len(lesions), 'lesion')}; "
            "the list holds all of them."
        )
    return LesionList(
        rows=tuple(_row(one, pictured=one["number"] in pictured) for one in lesions),
        nothing=nothing,
        pictures=pictures,
        definitions=_definitions(document, configuration.get("lesions")) if lesions else (),
    )


def _called_all_the_same(document: Mapping[str, Any]) -> str:
    """What must be said of an empty list when the classifier called slices."""
    scored = [scores for scores in document["scores"] if scores["source"] == "classifier"]
    called = sum(row["smoothed"] >= scores["threshold"] for scores in scored for row in scores["slices"])
    word = task_words(document["task"]).called
    return f" The classifier of slices calls {count(called, 'slice')} {word} all the same." if called else ""


def _row(lesion: Mapping[str, Any], *, pictured: bool) -> LesionRow:
    warnings = []
    if lesion["is_cut"]:
        warnings.append("It reaches the edge of the images: there may be more of it.")
    if lesion["near_metal"]:
        warnings.append("Metal lies near: it may be an artefact.")
    details = (
        _because("Site", lesion["site"], lesion["site_reason"]),
        _because("Character", lesion["character"], lesion["character_reason"]),
        (
            f"{_signed(lesion['mean_hu'])} ± {lesion['sd_hu']:,.0f} HU; largest diameter in one slice "
            f"{lesion['axial_diameter_mm']:.1f} mm; highest probability {probability(lesion['peak_probability'])}; "
            f"most of it in slice {lesion['key_slice_number']}."
        ),
    )
    return LesionRow(
        number=lesion["number"],
        cells=(
            str(lesion["number"]),
            lesion["site"],
            lesion["character"],
            _digits(lesion["volume_ml"]),
            _digits(lesion["diameter_mm"]),
            _signed(lesion["mean_hu"]),
            probability(lesion["probability"]),
            whole_range(lesion["first_slice_number"], lesion["last_slice_number"]),
        ),
        character=lesion["character"],
        details=tuple(text for text in details if text),
        warnings=tuple(warnings),
        picture=lesion_view_name(lesion["number"]) if pictured else "",
    )


def _because(what: str, value: str, reason: str) -> str:
    """What was found and why; a reason that begins with the value does not say it twice."""
    if not reason:
        return ""
    told = reason[len(value) :].lstrip(" :,") if reason.lower().startswith(value) else reason
    return f"{what} {value}: {told}"


def _digits(value: float) -> str:
    """One decimal; two below 1, so that a small lesion is not 0.0."""
    return f"{value:,.1f}" if value >= 1 else f"{value:.2f}"


def _signed(value: float) -> str:
    return f"{value:,.0f}".replace("-", _MINUS)


def _thresholds(options: object) -> str:
    """From which values the maps count, where the system tells."""
    if not isinstance(options, Mapping):
        return ""
    told = (
        ("threshold", "A pixel belongs to a lesion from a value of {:.2f} in the lesion map on."),
        ("bone_threshold", "Bone begins at {:.2f} in the bone map."),
        ("min_volume_mm3", "Lesions smaller than {:.0f} mm³ are not listed."),
    )
    return " ".join(words.format(options[name]) for name, words in told if name in options)


def _definitions(document: Mapping[str, Any], options: object) -> tuple[tuple[str, str], ...]:
    bone = document["own_bone"]
    if bone is None:
        against = "Too little of the patient's own spongy bone was seen to compare the lesions with."
    else:
        against = (
            f"Compared with the patient's own spongy bone outside lesions (median {_signed(bone['median_hu'])} HU, "
            f"spread {bone['spread_hu']:,.0f} HU): below {_signed(bone['lytic_below_hu'])} HU it counts as lytic, "
            f"above {_signed(bone['blastic_above_hu'])} HU as blastic. The character follows from the shares "
            "of the lesion."
        )
    return (
        (
            "Lesion",
            "A connected group of pixels that the model calls metastasis, in three dimensions; numbered by volume.",
        ),
        *((("Thresholds", _thresholds(options)),) if _thresholds(options) else ()),
        ("Site", "Named only where the anatomy seen in these images proves it, else not determined."),
        ("Character", against),
        ("Volume", "Sum of its voxels."),
        ("Largest diameter", "Largest distance between two of its points, in three dimensions."),
        ("Mean HU", "Mean attenuation of its voxels."),
        ("Probability", PROBABILITY_WORDS[:1].upper() + PROBABILITY_WORDS[1:]),
    )
