"""Specifications that check themselves, how one of several is drawn, and tables of numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from osteon.errors import InputError, UnknownLabelError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Range", "Share", "Spec", "chance", "in_turn", "one_of", "pick", "table", "uniform"]

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Range:
    """What a number of a ``Spec`` may be, the ends included."""

    low: float
    high: float

    def check(self, name: str, value: float) -> None:
        """Refuse a number outside the range, or that is none.

        Raises:
            InputError: says what is allowed.
        """
        if not self.low <= value <= self.high:
            raise InputError(f"{name} must be from {self.low:g} to {self.high:g}, found {value:g}")


Share = Annotated[float, Range(0.0, 1.0)]


class Spec:
    """Base of all specifications: frozen dataclasses whose annotations say what each field may be.

    A field annotated with a ``Range`` (also within a tuple or beside None) must be in it, one annotated with a Literal
    must be one of its words.

    Raises:
        InputError: a number outside its range.
        UnknownLabelError: another word; the nearest is named.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        for name, rule in _rules(type(self)):  # type: ignore[arg-type]  # classes are hashable
            value = getattr(self, name)
            values = value if isinstance(value, tuple) else () if value is None else (value,)
            for one in values:
                if isinstance(rule, Range):
                    rule.check(name, one)
                elif one not in rule:
                    raise UnknownLabelError(f"no {name} {one!r}: {nearest_names(str(one), rule)}")


@cache
def _rules(kind: type) -> tuple[tuple[str, Range | tuple[str, ...]], ...]:
    """Fields of a specification and what each may be."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple((name, rule) for name, hint in hints.items() for rule in _found(hint))


def _found(hint: object) -> Iterator[Range | tuple[str, ...]]:
    if get_origin(hint) is Literal:
        yield get_args(hint)
    elif get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        yield from (note for note in notes if isinstance(note, Range))
        yield from _found(inner)
    else:
        for part in get_args(hint):
            yield from _found(part)


def pick(generator: np.random.Generator, names: Sequence[_Item], shares: Sequence[float]) -> _Item:
    """One of some names, by how often each shall come."""
    return names[int(generator.choice(len(names), p=shares))]


def one_of(generator: np.random.Generator, items: Sequence[_Item]) -> _Item:
    """One of some items, each as often as any other."""
    return items[int(generator.integers(len(items)))]


def chance(generator: np.random.Generator, share: float) -> bool:
    """True in a share of the draws."""
    return bool(generator.random() < share)


def in_turn(items: Sequence[_Item], count: int, *, seeds: tuple[int, ...]) -> _Item:
    """The item of number ``count``: all items once in drawn order, then again in another order, and so on.

    Example:
        >>> sorted(in_turn("abc", count, seeds=(1, 2)) for count in range(3))
        ['a', 'b', 'c']
    """
    block, place = divmod(count, len(items))
    turns = np.random.default_rng([*seeds, block]).permutation(len(items))
    return items[int(turns[place])]


def uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number from a range."""
    return float(generator.uniform(low, high))


@cache
def table(name: str) -> Any:  # noqa: ANN401 - JSON
    """A table of numbers of this package, read once; never to be changed."""
    return json.loads(resources.files("osteon_phantoms").joinpath("tables", f"{name}.json").read_text("utf-8"))
