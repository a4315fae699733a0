"""A recipe: the settings that a training of one kind begins with. It is data, in the folder of its system."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from osteon.errors import UnknownLabelError
from osteon.nets import is_transformer
from osteon.train.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from osteon.data import Manifest
    from osteon.weights import ImageInput

__all__ = ["Recipe"]

S = TypeVar("S", bound=Settings)
_SHIPPED = "mobilenet_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(Generic[S]):
    """How a task is trained unless somebody says otherwise.

    Attributes:
        task: its name, on the command line and in a model's card.
        summary: one line for a listing.
        kind: settings of the objective.
        values: settings by name; what is missing follows from them (``Settings.followed``).
        when: further settings, each where something holds: "NAME=VALUE" of a setting, "transformer", or "unshipped", a
            network without shipped weights. Looked at in this order; a later one sees what an earlier one set.
        elsewhere: what no model of the task may be used for.
        card_input: what a model's card says of the image, from settings and manifest.
    """

    task: str
    summary: str
    kind: type[S]
    values: Mapping[str, Any]
    when: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    elsewhere: str
    card_input: Callable[[S, Manifest], ImageInput] = field(repr=False)

    def settings(self, given: Mapping[str, Any] | None = None) -> S:
        """Settings of a training.

        Args:
            given: by name, as a file or a command line has them; None and "" stand for what the recipe says.

        Raises:
            UnknownLabelError: no such setting, or a name that does not exist.
            InputError: a value of another type or out of range, or settings that exclude each other.
        """
        asked = {name: value for name, value in (given or {}).items() if value is not None and value != ""}
        if asked.pop("task", self.task) != self.task:
            raise UnknownLabelError(f"these settings are of the task {given['task']!r}, not of {self.task}")  # type: ignore[index]
        chosen = {**self.values, **asked}
        for fact, more in self.when:
            if _holds(fact, chosen):
                chosen |= {**more, **asked}
        return self.kind.of({**self.kind.followed(chosen), **chosen, "task": self.task})


def _holds(fact: str, values: Mapping[str, Any]) -> bool:
    name, sign, value = fact.partition("=")
    if sign:
        return str(values.get(name)) == value
    network = str(values["architecture"])
    return is_transformer(network) if fact == "transformer" else network != _SHIPPED
