"""What a report calls things, by task. Everything else of a report follows from what the answer holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from osteon.report.reading_of import slice_reading

if TYPE_CHECKING:
    from osteon.data import Answer

__all__ = ["TaskWords", "curve_title", "task_words"]


@dataclass(frozen=True, slots=True)
class TaskWords:
    """Words of one task, and how much its pictures show.

    Attributes:
        title: of the report.
        curve: heading of the probability over the slices.
        map_curve: the same where the highest value of a map stands in for a classifier.
        called: what a slice is called at or above the threshold.
        demo: what a demo model's report must say of itself.
        unlike: what must be said where the image is unlike the training images.
        margin_mm: flesh shown around the parts that were looked at.
        lists_lesions: the answer is a list of lesions, also when it is empty.
        limits: sentences, each with what it depends on: "always", "scores" or "is_demo".
        marked: what the card of an abnormal finding with a box is called.
        probability: what the probability of a finding is of.
        explained: what a heat map explains the score of.
        not_called: what is said of a heat map's slice that was not called.
        one_image: one lesion on one slice is judged: there is no curve over slices.
    """

    title: str
    curve: str
    map_curve: str
    called: str
    demo: str
    unlike: str
    margin_mm: float
    lists_lesions: bool
    limits: tuple[tuple[str, str], ...]
    marked: str = "Affected region"
    probability: str = "Probability"
    explained: str = "tumour"
    not_called: str = "highest of this leg, not called"
    one_image: bool = False


_MACHINE: Final = ("always", "osteon is research software, not a medical device. Every image must be read by a person.")
_OUTCOME: Final = (
    "scores",
    "How a probability relates to outcomes is known only as far as the model's statement says.",
)
_DEMO: Final = (
    "is_demo",
    "The demo model shows how the software works. Its output carries no information about a patient.",
)

_LEGS: Final = TaskWords(
    title="CT of the legs: bone and osteosarcoma-like change",
    curve="Probability along the leg",
    map_curve="Highest value of the map along the leg",
    called="affected",
    demo="What this report says about a tumour shows how the software works. It says nothing about this patient.",
    unlike="What the model says here carries no weight. The bone is measured without the model.",
    margin_mm=12.0,
    lists_lesions=False,
    limits=(
        _MACHINE,
        ("scores", "The model scores single slices. It marks a range of slices, not the outline of a tumour."),
        ("scores", "The box is the part of the image that was looked at in these slices, not the size of a tumour."),
        _OUTCOME,
        _DEMO,
    ),
)

_TRUNK: Final = TaskWords(
    title="CT of the trunk: bone and lesions like metastases",
    curve="Probability of metastasis along the body",
    map_curve="Highest value of the lesion map along the body",
    called="metastasis",
    demo="What this report says about lesions shows how the software works. It says nothing about this patient.",
    unlike="What the model says here carries no weight.",
    margin_mm=45.0,
    lists_lesions=True,
    limits=(
        _MACHINE,
        (
            "always",
            "Two metastases that touch are one entry of the list, and one that the model sees in two parts is two.",
        ),
        (
            "always",
            "Bone islands, degenerative change, fractures, haemangiomas and vessels can look like a metastasis.",
        ),
        (
            "always",
            "Small or faint metastases, and those without a change of bone, can be missed.",
        ),
        ("always", "Character and site describe what was measured and seen in these images; neither names a disease."),
        _OUTCOME,
        _DEMO,
    ),
)

_FEMUR: Final = TaskWords(
    title="MRI of the femur: a marked lesion, benign or malignant",
    curve="Probability of malignant",
    map_curve="Probability of malignant",
    called="malignant",
    demo="What this report says about the lesion shows how the software works. It says nothing about this patient.",
    unlike="What the model says here carries no weight. The size is measured without the model.",
    margin_mm=0.0,
    lists_lesions=False,
    limits=(
        _MACHINE,
        ("always", "The lesion is not looked for: what a person marked on one slice is judged, and nothing else."),
        ("always", "MR has no unit: each slice is its own scale, and uneven brightness is not corrected."),
        ("always", "An outline found inside a drawn box rests on one threshold; size is that of the outline."),
        (
            "scores",
            "Malignant and benign are what the images of training were called; neither names an entity.",
        ),
        _OUTCOME,
        _DEMO,
    ),
    marked="Lesion",
    probability="Probability of malignant",
    explained="malignant",
    not_called="not called malignant",
    one_image=True,
)

_WORDS: Final = {"ct_osteosarcoma": _LEGS, "ct_metastasis": _TRUNK, "mri_femur": _FEMUR}


def curve_title(answer: Answer) -> str:
    """Heading of what is drawn over the slices."""
    words = task_words(answer.task)
    return (
        words.map_curve
        if any(scores.source == "segmentation" for scores in slice_reading(answer).scores)
        else words.curve
    )


def task_words(task: str) -> TaskWords:
    """The words of a task; those of the legs under its own stem for one that has none.

    Example:
        >>> task_words("ct_metastasis").lists_lesions
        True
    """
    return _WORDS.get(task) or replace(_LEGS, title=task)
