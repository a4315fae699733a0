"""Many heads trained side by side on the pooled features of a frozen base.

A head of its own costs little; a grid of rates, repeats and folds has thousands. Heads that learn from the same tiles
are therefore trained together, as one batch of matrix products; each has its own rate, its own start and its own order
of tiles, and no head knows of another. What comes out is what ``torch.optim.Adam`` gives for each alone.

References:
    Kingma and Ba 2015, 10.48550/arXiv.1412.6980 (Adam); Loshchilov and Hutter 2019, 10.48550/arXiv.1711.05101 (decay).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first
from osteon.errors import InputError
from osteon.nets.tile_classifier import HIDDEN_UNITS, TileHead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

__all__ = [
    "ADAM_BETAS",
    "ADAM_EPSILON",
    "HeadPlan",
    "Heads",
    "fit_ridge_head",
    "head_order",
    "head_start",
    "linear_head",
    "train_heads",
]

ADAM_BETAS = (0.9, 0.999)
ADAM_EPSILON = 1e-7
"""Of Keras, which the paper used; torch's own is 1e-8."""

_ITERATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadPlan:
    """Heads that are trained side by side.

    Attributes:
        rates: (heads,) learning rate of each.
        seeds: (heads,) of start and order of each; heads with one seed differ in their rate alone.
        epochs: of the longest training.
        batch: tiles a step; the last step of an epoch takes what is left.
        weight_decay: decoupled, times the rate.
    """

    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    epochs: int
    batch: int = 32
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is not a plan."""
        if not self.rates or len(self.rates) != len(self.seeds) or self.epochs < 1 or self.batch < 1:
            raise InputError(
                f"{len(self.rates)} rates and {len(self.seeds)} seeds for {self.epochs} epochs of batches of "
                f"{self.batch}: one of each a head is needed, and at least one epoch"
            )


class Heads:
    """Weights of several heads of one shape, stacked.

    Attributes:
        parameters: weight (heads, 100, d) and bias (heads, 100) of the hidden layer, then of the last one.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        """Take over stacked weights; they are not copied."""
        self.parameters = list(parameters)

    @classmethod
    def started(cls, seeds: Sequence[int], features: int, classes: int) -> Heads:
        """Fresh heads, each as ``head_start`` makes it."""
        states = [list(head_start(seed, features, classes).parameters()) for seed in seeds]
        return cls([torch.stack([state[index].detach() for state in states]) for index in range(4)])

    def __len__(self) -> int:
        """Number of heads."""
        return len(self.parameters[0])

    def head(self, number: int) -> TileHead:
        """One of them as a module."""
        hidden, last = self.parameters[0], self.parameters[2]
        with torch.random.fork_rng():
            found = TileHead(hidden.shape[2], last.shape[1])
        with torch.no_grad():
            for own, value in zip(found.parameters(), self.parameters, strict=True):
                own.copy_(value[number])
        return found.eval()

    def logits(self, features: Tensor) -> Tensor:
        """Of features (n, d), the same for all heads, or (heads, n, d): (heads, n, classes)."""
        weight, bias, last, last_bias = self.parameters
        given = features.expand(len(self), *features.shape) if features.ndim == 2 else features
        hidden = torch.relu(torch.baddbmm(bias[:, None], given, weight.transpose(1, 2)))
        return torch.baddbmm(last_bias[:, None], hidden, last.transpose(1, 2))


def head_start(seed: int, features: int, classes: int) -> TileHead:
    """A fresh head of a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TileHead(features, classes)


def head_order(seed: int, epoch: int, tiles: int) -> NDArray[np.int64]:
    """The order in which a head of a seed sees tiles in an epoch, from 0."""
    return np.random.default_rng((seed, epoch)).permutation(tiles)


def train_heads(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    plan: HeadPlan,
    *,
    classes: int = 3,
    after_epoch: Callable[[int, Heads], None] | None = None,
) -> Heads:
    """Train heads on the same tiles: softmax cross entropy, Adam, a constant rate.

    Args:
        features: (n, d) of the training tiles, copies among them.
        labels: (n,) 0 to classes - 1.
        plan: of the heads.
        classes: length of the output.
        after_epoch: told the number of the epoch that has ended, from 1, and the heads as they are; must not change
            them.

    Raises:
        InputError: no tile, or shapes that do not fit.
    """
    if features.ndim != 2 or len(features) == 0 or labels.shape != (len(features),):
        raise InputError(f"heads were to learn from features {features.shape} with labels {labels.shape}: one each")
    rates = list(dict.fromkeys(plan.rates))
    members = [[number for number, rate in enumerate(plan.rates) if rate == wanted] for wanted in rates]
    groups = [Heads.started([plan.seeds[each] for each in some], features.shape[1], classes) for some in members]
    for group in groups:
        for value in group.parameters:
            value.requires_grad_()
    optimiser = torch.optim.AdamW(
        [{"params": group.parameters, "lr": rate} for group, rate in zip(groups, rates, strict=True)],
        betas=ADAM_BETAS,
        eps=ADAM_EPSILON,
        weight_decay=plan.weight_decay,
        fused=True,
    )
    values, truth = torch.from_numpy(features), torch.from_numpy(labels)
    for epoch in range(plan.epochs):
        order = {seed: head_order(seed, epoch, len(features)) for seed in set(plan.seeds)}
        places = torch.from_numpy(np.stack([order[seed] for seed in plan.seeds]))
        for start in range(0, len(features), plan.batch):
            optimiser.zero_grad()
            for group, some in zip(groups, members, strict=True):
                chosen = places[some, start : start + plan.batch]
                _loss(group.logits(values[chosen]), truth[chosen]).backward()
            optimiser.step()
        if after_epoch is not None:
            with torch.no_grad():
                after_epoch(epoch + 1, _joined(groups, members))
    return _joined(groups, members)


def _joined(groups: Sequence[Heads], members: Sequence[Sequence[int]]) -> Heads:
    """The heads of all rates in the order of the plan."""
    order = np.argsort([number for some in members for number in some])
    stacked = [torch.cat([group.parameters[index].detach() for group in groups])[order] for index in range(4)]
    return Heads(stacked)


def _loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Sum over heads of each head's mean: no head's gradient knows of another."""
    count, tiles, classes = logits.shape
    each = functional.cross_entropy(logits.reshape(-1, classes), truth.reshape(-1), reduction="none")
    return each.reshape(count, tiles).mean(dim=1).sum()


def fit_ridge_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    weights: NDArray[np.float64],
    *,
    strength: float,
    classes: int = 3,
) -> TileHead:
    """Logistic regression of several classes, in a head.

    Args:
        features: (n, d).
        labels: (n,) 0 to classes - 1; every class must be there.
        weights: (n,) of the tiles' losses; only their proportions matter.
        strength: of the tiles against the ridge: the weights' sum, as scikit-learn's C times their sum.
        classes: how many.

    Raises:
        InputError: shapes that do not fit, or a class without a tile.
    """
    from sklearn.linear_model import LogisticRegression

    if features.ndim != 2 or labels.shape != (len(features),) or weights.shape != labels.shape:
        raise InputError(f"features {features.shape}, labels {labels.shape} and weights {weights.shape} do not fit")
    if not np.array_equal(np.unique(labels), np.arange(classes)):
        raise InputError(f"tiles of all {classes} classes are needed; found classes {np.unique(labels).tolist()}")
    centre = np.average(features.astype(np.float64), axis=0, weights=weights)
    model = LogisticRegression(C=1.0, max_iter=_ITERATIONS)
    model.fit(features - centre, labels, sample_weight=weights * (strength / weights.sum()))
    slopes = model.coef_
    return linear_head(slopes, model.intercept_ - slopes @ centre)


def linear_head(slopes: NDArray[np.float64], offsets: NDArray[np.float64]) -> TileHead:
    """A head that gives ``features @ slopes.T + offsets``, of slopes (classes, d) and offsets (classes,).

    Raises:
        InputError: more classes than pairs of units.
    """
    classes, features = slopes.shape
    if 2 * classes > HIDDEN_UNITS or offsets.shape != (classes,):
        raise InputError(f"{classes} classes with offsets {offsets.shape} do not fit into {HIDDEN_UNITS} units")
    with torch.random.fork_rng():
        head = TileHead(features, classes)
    hidden, bias, last, last_bias = (value.detach() for value in head.parameters())
    for value in (hidden, bias, last, last_bias):
        value.zero_()
    for number in range(classes):
        row = torch.from_numpy(slopes[number]).to(hidden.dtype)
        hidden[2 * number], hidden[2 * number + 1] = row, -row
        last[number, 2 * number], last[number, 2 * number + 1] = 1.0, -1.0
        last_bias[number] = float(offsets[number])
    return head.eval()
