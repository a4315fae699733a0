"""What a person may choose about a system's run: dataclasses from which the command line and the API are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from osteon.errors import UsageError, nearest_names

__all__ = [
    "SWITCHES",
    "Choice",
    "ModelOptions",
    "Progress",
    "ThresholdOptions",
    "choices",
    "force_option",
    "make_options",
    "mask_label_option",
    "option",
    "report_ood_option",
    "silent",
]

Progress = Callable[[str, int, int], None]
"""Called as ``progress(step, done, total)``; the step is a phrase for a person."""

SWITCHES: Final[Mapping[str, str]] = {
    "force": "The checks of the input were turned off (--force): the images may not be what the task was made for.",
    "report_ood": "Outside the model's training range it was asked to be reported all the same (--report-ood).",
    "demo_on_patient": (
        "A demo model was let speak of images other than osteon's own phantoms (--demo-on-patient): what it says means "
        "nothing."
    ),
}
"""What every report says of an option that lifts a restraint; none of them implies another."""

_T = TypeVar("_T")
_KEY: Final = "osteon"


def silent(step: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""
    del step, done, total


@dataclass(frozen=True, slots=True)
class Choice:
    """One field of an options dataclass as a person is asked for it.

    Attributes:
        flag: on the command line, as "--report-ood".
        kind: type of a value: bool, float, int, str or Path; tuple for numbers with commas between.
        values: that are allowed; empty for any.
        low: smallest number allowed, or None.
        high: largest number allowed, or None.
        metavar: what stands for the value in the help; "" for the default.
        marks: whether a person marks a place in one image with it: that image then has to be certain.
    """

    name: str
    flag: str
    help: str
    default: object = None
    kind: type = str
    values: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    metavar: str = ""
    marks: bool = False
    required: bool = False

    def checked(self, value: object) -> object:
        """The value as the field takes it.

        Raises:
            UsageError: another type, or outside what is allowed.
        """
        if value is None:
            return None
        if self.values and value not in self.values:
            raise UsageError(f"{self.flag} {value}: {nearest_names(str(value), self.values)}")
        if self.kind is tuple:
            return self._numbers(value)
        if self.kind is Path and isinstance(value, (str, Path)):
            return Path(value)
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise UsageError(f"{self.flag} takes a value of type {self.kind.__name__}, found {value!r}")
        if isinstance(value, (int, float)) and not (
            (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        ):
            limits = (("at least", self.low), ("at most", self.high))
            ends = " and ".join(f"{words} {limit:g}" for words, limit in limits if limit is not None)
            raise UsageError(f"{self.flag} {value:g} is outside its range: {ends}")
        return value

    def _numbers(self, value: object) -> tuple[int, ...]:
        """As many whole numbers as the metavar names, from a text or a sequence."""
        wanted = len(self.metavar.split(","))
        try:
            parts = value.split(",") if isinstance(value, str) else tuple(value)  # type: ignore[arg-type]
            numbers = tuple(int(part) for part in parts)
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != wanted:
            raise UsageError(f"{self.flag} {value} is not valid: give whole numbers {self.metavar}")
        return numbers


def option(
    flag: str,
    *,
    default: _T = None,  # type: ignore[assignment]  # None goes with a type that allows it, or with required
    help: str,  # noqa: A002 - as typer calls it
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
    marks: bool = False,
    required: bool = False,
) -> _T:
    """A field of an options dataclass, with the flag and the help of the command line.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Options:
        ...     threshold: float | None = option("--threshold", default=None, help="Where to cut.", low=0, high=1)
        >>> choices(Options)[0].flag
        '--threshold'
    """
    more: dict[str, object] = {"flag": flag, "help": help, "low": low, "high": high}
    more |= {"metavar": metavar, "marks": marks, "required": required}
    return field(default=default, metadata={_KEY: more})


def force_option() -> bool:
    """The option of a system that checks its input: answer though a check failed; the result says so."""
    return option("--force", default=False, help="Answer even if the image is not what the task was made for.")


def mask_label_option() -> str | None:
    """The option of a system that takes a mask file: which of its values, segments or ROIs is meant."""
    text = "Which part of the mask: numbers of its values, segments or ROIs with spaces, the name of one, or all."
    return option("--mask-label", default=None, metavar="LABEL", help=text)


def report_ood_option() -> bool:
    """The option of a system that abstains outside its model's training range: report what the model found there."""
    text = "Report tumour even where the image is outside the model's training range."
    return option("--report-ood", default=False, help=text)


def choices(kind: type) -> tuple[Choice, ...]:
    """What the fields of an options dataclass ask for, in their order; those without a flag are for programs."""
    hints = get_type_hints(kind)
    found = []
    for each in fields(kind):
        said: Mapping[str, Any] | None = each.metadata.get(_KEY)
        if said is None:
            continue
        hint = hints[each.name]
        parts = [hint] if get_origin(hint) is Literal else [part for part in get_args(hint) if part is not type(None)]
        plain = parts[0] if parts else hint
        is_literal = get_origin(plain) is Literal
        first = str if is_literal else get_origin(plain) or plain
        values = tuple(str(value) for value in get_args(plain)) if is_literal else ()
        found.append(Choice(name=each.name, default=each.default, kind=first, values=values, **said))
    return tuple(found)


def make_options(kind: type[_T], given: Mapping[str, object]) -> _T:
    """An options value from names and values, as the command line or a program gives them; None is the default.

    Raises:
        UsageError: no such field, or a value that it does not take.
    """
    known = {choice.name: choice for choice in choices(kind)}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise UsageError(f"no option {name!r}: {nearest_names(name, known)}")
        if value is not None:
            values[name] = known[name].checked(value)
    return kind(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Options of every system that runs a model.

    Attributes:
        device: "auto", "cpu" or "cuda".
        model: name or folder of a model card; None for the system's default.
        demo_on_patient: let a demo model speak of images that are not osteon's own phantoms.
    """

    device: Literal["auto", "cpu", "cuda"] = option("--device", default="auto", help="Where the network runs.")
    model: str | None = option("--model", default=None, help="Name or folder of a model card.")
    demo_on_patient: bool = option(
        "--demo-on-patient",
        default=False,
        help="Show what a demo model says of images other than osteon's own phantoms: it means nothing.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdOptions(ModelOptions):
    """Options of a system whose model gives a probability that is compared with a threshold.

    Attributes:
        threshold: probability that counts as tumour, 0 to 1; None for that of the model's card.
    """

    threshold: float | None = option(
        "--threshold",
        default=None,
        help="Probability that counts as tumour, of a slice or a pixel; default: that of the card.",
        low=0.0,
        high=1.0,
    )
