"""Images whose truth is known, as a data set is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.data.volume import Volume

__all__ = ["LabelledImage", "LabelledStudy"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelledImage:
    """One image and what is known about it.

    Attributes:
        image: a volume, or the pixels of a picture, (row, column, 3) uint8.
        masks: by name ("lesion", "bone"), arrays of its shape, not 0 inside.
        label: of its class, or "" where the masks say it.
        name: unique in its case.
        study: examination, where it differs from that of the case.
        plane: of a single slice, or "".
        quality: of the JPEG file that a picture becomes; None for PNG.
        columns: what else is known, for the manifest.
    """

    image: Volume | NDArray[Any] = field(repr=False)
    masks: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    label: str = ""
    name: str = ""
    study: str = ""
    plane: str = ""
    quality: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LabelledStudy:
    """Patients whose images are made or read when they are asked for.

    Attributes:
        cases: ``osteon.train.datasets.SeriesCase`` that open as ``LabelledImage`` values, one or several.
        labels: of the patients, in the same order; "" where the images of one differ.
        seed: of what is drawn from their images.
        about: what the data set shall say about them.
    """

    cases: Sequence[Any]
    labels: Sequence[str]
    seed: int
    about: Mapping[str, object]
