"""What a report calls things: every system gives its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DEMO_LIMIT", "DEMO_MARK", "OUTCOME_LIMIT", "TaskText"]

DEMO_MARK: Final = "demo model - synthetic training data"
"""Stands on every picture that shows what a demo model said."""
OUTCOME_LIMIT: Final = "How a probability relates to outcomes is known only as far as the model's statement says."
DEMO_LIMIT: Final = "The demo model shows how the software works. Its output carries no information about a patient."


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskText:
    """Words of one system.

    Attributes:
        title: of the report.
        demo: what a demo model's report must say of itself.
        unlike: what must be said where the image is unlike the training images.
        limits: sentences, each with what it depends on: nothing ("always"), a model took part, a demo model did.
        marked: what the card of an abnormal finding with a box is called.
        probability: what the probability of a finding is of.
        image: heading of the details of what was read.
        demo_mark: on every page that shows what a demo model said.
        masks: what each mask shows, by its name; "{}" stands for "segment" or "label".
        files: what each other file of the result is, by its name.
        typeset: makes a sentence of the answer fit to be printed.
    """

    title: str
    demo: str
    unlike: str
    limits: tuple[tuple[Literal["always", "model", "demo"], str], ...]
    marked: str = "Affected region"
    probability: str = "Probability"
    image: str = "Images"
    demo_mark: str = DEMO_MARK
    masks: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    typeset: Callable[[str], str] = str
