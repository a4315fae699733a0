"""One epoch of the training of a segmenter."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SegmentEpoch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEpoch:
    """One epoch.

    Attributes:
        epoch: from 1.
        rate: learning rate.
        train_loss: mean over the images of the epoch, while the weights moved.
        validation_loss: mean over the images of the validation part.
        lesion_f1: over all pixels of the validation part; NaN where the network has no such map.
        bone_f1: as ``lesion_f1``.
        seconds: the epoch took.
    """

    epoch: int
    rate: float
    train_loss: float
    validation_loss: float
    lesion_f1: float
    bone_f1: float
    seconds: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """A record from values by name, text or not.

        Raises:
            InputError: a value is missing or is no number.
        """
        kinds: dict[str, Any] = {"epoch": int}
        try:
            return cls(**{entry.name: kinds.get(entry.name, float)(values[entry.name]) for entry in fields(cls)})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("a history has a line that is no epoch: it was changed or cut off") from error

    def worth(self, steers: str) -> tuple[float, float]:
        """What makes an epoch better than another: the F1 of the map that steers, then a smaller loss.

        The second decides while a network calls nothing at all.
        """
        value = self.bone_f1 if steers == "bone" else self.lesion_f1
        return (0.0 if math.isnan(value) else value, -self.validation_loss)
