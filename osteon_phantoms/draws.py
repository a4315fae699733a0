"""Drawing one of several things: by shares, or each in its turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["in_turn", "pick"]

_Item = TypeVar("_Item")
_Name = TypeVar("_Name", bound=str)


def pick(generator: np.random.Generator, names: tuple[_Name, ...], shares: Sequence[float]) -> _Name:
    """One of some names, by how often each shall come."""
    return names[int(generator.choice(len(names), p=shares))]


def in_turn(items: Sequence[_Item], count: int, *, seeds: tuple[int, ...]) -> _Item:
    """The item of number ``count``: all items once in drawn order, then again in another order, and so on.

    Example:
        >>> sorted(in_turn("abc", count, seeds=(1, 2)) for count in range(3))
        ['a', 'b', 'c']
    """
    block, place = divmod(count, len(items))
    turns = np.random.default_rng([*seeds, block]).permutation(len(items))
    return items[int(turns[place])]
