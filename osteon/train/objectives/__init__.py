"""The objectives of the training engine, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osteon.errors import InputError, nearest_names
from osteon.train.objectives.classify import CLASSIFY
from osteon.train.objectives.head import HEAD
from osteon.train.objectives.segment import SEGMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from osteon.train.objective import Objective
    from osteon.train.settings import Settings

__all__ = ["OBJECTIVES", "settings_of"]

OBJECTIVES: dict[str, Objective] = {"classify": CLASSIFY, "segment": SEGMENT, "head": HEAD}
"""A system may bring another one: whoever trains with it hands it in."""


def settings_of(document: Mapping[str, Any]) -> Settings:
    """What ``Settings.document`` gave.

    Raises:
        InputError: it is of another version of osteon, or was changed.
        UnknownLabelError: a name that does not exist.
    """
    name = str(document.get("objective", ""))
    if name not in OBJECTIVES:
        raise InputError(
            f"settings of the objective {name!r} are of another version of osteon: {nearest_names(name, OBJECTIVES)}; "
            "train again"
        )
    return OBJECTIVES[name].settings.of(document)
