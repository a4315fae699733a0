"""What the members of a classifier say together of some images."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import WeightsError, nearest_names
from osteon.metrics.conformal import predict_sets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from osteon.predict.engines import Arrays
    from osteon.weights import Classes, Limits

__all__ = ["Scores", "combined", "set_names"]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a classifier says of n images.

    Attributes:
        output: names of the classes, and which is the positive one.
        probability: (n, class) float32: the mean over members, each at its own temperature.
        logits: (n, member, class) float32, as the networks give them.
        spread: (n, class) float32, standard deviation over members; None of one member.
        features: (n, member, d) float32, pooled: what the heads see; None where nobody asked for them or the networks
            give none.
        distance: (n,) float32, from the training images, 1 for the median validation image; None where the model does
            not know its limits.
        sets: (n, class) bool, whether the class belongs to the prediction set; None likewise.
    """

    output: Classes
    probability: NDArray[np.float32] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    spread: NDArray[np.float32] | None = field(default=None, repr=False)
    features: NDArray[np.float32] | None = field(default=None, repr=False)
    distance: NDArray[np.float32] | None = field(default=None, repr=False)
    sets: NDArray[np.bool_] | None = field(default=None, repr=False)

    def probability_of(self, name: str) -> NDArray[np.float32]:
        """(n,) probability of one class.

        Raises:
            WeightsError: the model has no such class.
        """
        if name not in self.output.names:
            raise WeightsError(f"no class {name!r}: {nearest_names(name, self.output.names)}")
        return np.ascontiguousarray(self.probability[:, self.output.names.index(name)])

    @property
    def positive(self) -> NDArray[np.float32]:
        """(n,) probability of the positive class.

        Raises:
            WeightsError: the model has none.
        """
        return np.ascontiguousarray(self.probability[:, self.output.positive_column])

    @property
    def positive_spread(self) -> NDArray[np.float32] | None:
        """(n,) standard deviation over members of the positive class's probability; None of one member."""
        return None if self.spread is None else np.ascontiguousarray(self.spread[:, self.output.positive_column])

    @property
    def pair_sets(self) -> NDArray[np.bool_] | None:
        """(n, 2) of a model with two classes: whether the other class and the positive one belong to the set."""
        column = self.output.positive_column
        return None if self.sets is None else self.sets[:, [1 - column, column]]


def combined(given: Arrays, output: Classes, limits: Limits | None) -> dict[str, NDArray[Any]]:
    """What the networks gave for the same images as the fields of ``Scores``.

    Raises:
        WeightsError: the model knows its limits, but its networks give no features.
    """
    each = output.probability(np.moveaxis(given["logits"], 1, 0))
    probability = each.mean(axis=0, dtype=np.float64)
    found: dict[str, NDArray[Any]] = {"probability": probability.astype(np.float32), "logits": given["logits"]}
    if len(each) > 1:
        found["spread"] = each.std(axis=0, dtype=np.float64).astype(np.float32)
    if "features" in given:
        found["features"] = given["features"]
    if limits is not None:
        if "features" not in given:
            raise WeightsError(
                "how unlike training an image is shows in pooled features; this network gives none: build it with "
                "osteon.nets"
            )
        found["distance"] = limits.distance(np.moveaxis(given["features"], 1, 0))  # type: ignore[arg-type]  # members first
        found["sets"] = predict_sets(limits.sets, probability)
    return found


def joined(parts: Sequence[Mapping[str, NDArray[Any]]], output: Classes, *, keeps_features: bool) -> Scores:
    """Parts one after the other; there must be one."""
    names = [
        each.name for each in fields(Scores) if each.name in parts[0] and (keeps_features or each.name != "features")
    ]
    return Scores(output, **{name: np.concatenate([part[name] for part in parts]) for name in names})


def set_names(sets: NDArray[np.bool_], *, negative: str, positive: str) -> tuple[str, ...]:
    """Each prediction set of two classes as a word: one class, "either" or "neither".

    Example:
        >>> set_names(np.array([[True, False], [True, True], [False, False]]), negative="healthy", positive="tumour")
        ('healthy', 'either', 'neither')
    """
    words = {(True, False): negative, (False, True): positive, (True, True): "either", (False, False): "neither"}
    return tuple(words[bool(low), bool(high)] for low, high in sets)
