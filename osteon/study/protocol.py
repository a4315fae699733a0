"""What a system says of the study of its paper; the engine of studies gets it handed in and knows no system."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from osteon.errors import InputError, UnknownLabelError, UsageError, nearest_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from osteon.data import Manifest
    from osteon.metrics.bootstrap import Resampling
    from osteon.report.blocks import Picture, Table
    from osteon.study.plan import Planned, Study

__all__ = [
    "Choices",
    "Division",
    "Results",
    "StudyProtocol",
    "StudySection",
    "check_parts",
    "check_settings",
    "shared_out",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What of a study to run, and how; empty texts and tuples stand for what the protocol says.

    Attributes:
        only: parts of the study, or names of runs; empty for everything.
        strategies: of fine-tuning.
        networks: of the rows that differ in their network alone.
        architecture: network that is fine-tuned.
        pretrained: what networks begin with, as of ``ClassifySettings``.
        values: settings by name, for every training that knows them.
        baseline_values: settings of the baselines, or of networks that are not the paper's, above those.
        classifier_values: settings of the classifiers beside segmenters, above those.
        skip_unreadable: leave images out that cannot be read, and count them.
        also: further data sets, on which networks are evaluated and from which none learns.
    """

    only: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    architecture: str = ""
    pretrained: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    baseline_values: Mapping[str, Any] = field(default_factory=dict)
    classifier_values: Mapping[str, Any] = field(default_factory=dict)
    skip_unreadable: bool = False
    also: tuple[Path, ...] = ()


_FLAGS = {
    "strategies": "--strategy",
    "networks": "--network",
    "architecture": "--arch",
    "pretrained": "--pretrained",
    "baseline_values": "--set-baseline",
    "classifier_values": "--set-classifier",
    "skip_unreadable": "--skip-unreadable",
    "also": "--also",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How a study divides a data set for which nobody has made splits.json.

    Attributes:
        folds: of the cross-validation.
        test_share: of the patients, for the runs of one division, where the manifest marks no test part.
        goes_round: the test part goes round although the manifest marks one, which is then of the one division alone.
    """

    folds: int = 5
    test_share: float = 0.2
    goes_round: bool = False


@dataclass(frozen=True, slots=True)
class StudySection:
    """A part of a study's page under one heading.

    Attributes:
        title: of the heading.
        tables: also written as files of their own.
        pictures: of its figures.
        empty: said in place of tables that have no row; "" shows them as they are.
    """

    title: str
    tables: tuple[Table, ...] = field(default=(), repr=False)
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    empty: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a study has come to.

    Attributes:
        sections: in order; their tables are the study's.
        warnings: sentences that nobody may miss.
        done: rows that are complete.
        planned: rows that there will be.
        said: a sentence behind that count; "" for none.
    """

    sections: tuple[StudySection, ...] = field(repr=False)
    warnings: tuple[str, ...]
    done: int
    planned: int
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyProtocol:
    """The study of a paper.

    Attributes:
        stem: of the system.
        title: of the page.
        takes: choices beside ``only`` and ``values`` that mean something here, by field of ``Choices``.
        instead: what to choose by where another is given, as "choose its runs with --only".
        kinds: of planned runs.
        plan: the runs for choices and a data set, those first that are shown first.
        results: tables and pictures of what is done so far; pictures go into the folder "figures" of the study.
        division: of a data set without splits.json; None where the runs divide it themselves.
    """

    stem: str
    title: str
    takes: frozenset[str]
    instead: str
    kinds: tuple[type[Planned], ...]
    plan: Callable[[Choices, Manifest], tuple[Planned, ...]]
    results: Callable[[Study, Resampling | None], Results]
    division: Division | None = field(default_factory=Division)

    def check(self, choices: Choices) -> None:
        """Refuse what means nothing here.

        Raises:
            UsageError: a choice was made that the study does not take.
        """
        foreign = [flag for name, flag in _FLAGS.items() if getattr(choices, name) and name not in self.takes]
        if foreign:
            raise UsageError(f"{', '.join(foreign)}: not of the study {self.stem}; {self.instead}")


def check_parts(names: Iterable[str], known: Iterable[str], *, what: str = "part") -> None:
    """Refuse a part of a study that it does not have.

    Raises:
        UnknownLabelError: it names the nearest.
    """
    parts = tuple(known)
    for name in names:
        if name not in parts:
            raise UnknownLabelError(f"no {what} {name!r} of the study: {nearest_names(name, parts)}")


def check_settings(values: Iterable[str], own: Iterable[str], *, instead: str) -> None:
    """Refuse settings that are each run's own.

    Raises:
        InputError: it says by what to choose instead.
    """
    for name in values:
        if name in own:
            raise InputError(f"{name} is each run's own: {instead}")


def shared_out(values: Mapping[str, Any], *kinds: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Of settings by name those that each kind of training knows; one may be of several.

    Raises:
        UnknownLabelError: none knows it.

    Example:
        >>> shared_out({"batch": 8, "crop": 96}, ["batch", "crop"], ["batch"])
        ({'batch': 8, 'crop': 96}, {'batch': 8})
    """
    known = [frozenset(kind) for kind in kinds]
    every = frozenset[str]().union(*known)
    for name in values:
        if name not in every:
            raise UnknownLabelError(f"no setting {name!r}: {nearest_names(name, sorted(every))}")
    return tuple({name: value for name, value in values.items() if name in own} for own in known)
