"""Options of a command made from an options dataclass."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import typer

from osteon.systems.registry import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from osteon.data.options import Choice

__all__ = ["hinted", "parameter", "set_parameters"]


def hinted(text: str, option: str) -> str:
    """The help of an option of a command ("study --only"), and what it means for each system that says so.

    Example:
        >>> hinted("Only this part.", "study --only").split(";")[2]
        ' mri_femur: folds or holdout'
    """
    hints = [f"{stem}: {each.hints[option]}" for stem, each in SYSTEMS.items() if option in each.hints]
    return f"{text} {'; '.join(hints)}." if hints else text


def parameter(choice: Choice, *, note: str = "") -> inspect.Parameter:
    """A parameter that typer reads."""
    kind: Any = str if choice.kind is tuple else choice.kind
    if kind is bool:
        flag = f"{choice.flag}/--no-{choice.flag.removeprefix('--')}" if choice.default else choice.flag
        shown = typer.Option(choice.default, flag, help=f"{choice.help}{note}")
        return inspect.Parameter(choice.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=bool)
    values: dict[str, Any] = {"metavar": "|".join(choice.values)} if choice.values else {}
    if choice.metavar:
        values["metavar"] = choice.metavar
    if kind in (int, float):
        values |= {"min": choice.low, "max": choice.high}
    default = f" Default: {choice.default}." if choice.default not in (None, "") else ""
    shown = typer.Option(
        ... if choice.required else None,
        choice.flag,
        help=f"{choice.help}{default}{note}",
        show_default=False,
        **values,
    )
    annotation = kind if choice.required else kind | None
    return inspect.Parameter(choice.name, inspect.Parameter.KEYWORD_ONLY, default=shown, annotation=annotation)


def set_parameters(command: Callable[..., None], more: Sequence[inspect.Parameter], *, last: int) -> None:
    """Give a command that takes ``**given`` the parameters of options, before its own last ones.

    Args:
        command: whose signature typer will read.
        more: of the options.
        last: how many of its own come after them.
    """
    own = list(inspect.signature(command, eval_str=True).parameters.values())[:-1]
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own[:-last], *more, *own[-last:])]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
