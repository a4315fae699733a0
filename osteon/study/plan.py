"""What a study plans: trainings of classifiers and of segmenters, written down so that --resume finds them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from osteon.errors import InputError
from osteon.train import fold_job
from osteon.train.segmentation import settings as segment_settings
from osteon.train.segmentation.settings import SegmentSettings
from osteon.train.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Plan", "Planned", "PlannedRun", "PlannedSegmenter"]


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One training of classifiers.

    Attributes:
        name: of its folder, as "CAE-ft".
        table: in which it stands, as "table1".
        settings: of all its folds.
        scheme: "folds", the study's cross-validation, or "holdout", its one division by patient.
    """

    name: str
    table: str
    settings: TrainSettings
    scheme: Literal["folds", "holdout"] = "folds"

    @property
    def phase(self) -> int:
        """Jobs of a phase begin when those of the phases before have ended."""
        return 0

    def with_threads(self, threads: int) -> Self:
        """The same with so many threads of torch where none were asked for."""
        if self.settings.threads:
            return self
        return type(self)(self.name, self.table, self.settings.changed({"threads": threads}), self.scheme)

    def is_like(self, other: Planned) -> bool:
        """Whether the other leads to the same weights, up to rounding."""
        return isinstance(other, PlannedRun) and _same(self.document(), other.document(), fold_job.NOT_DECISIVE)

    def document(self) -> dict[str, Any]:
        """As study.json holds it."""
        return {"name": self.name, "table": self.table, "settings": self.settings.document(), "scheme": self.scheme}


@dataclass(frozen=True, slots=True)
class PlannedSegmenter:
    """One training of segmenters, always in the study's folds.

    Attributes:
        name: of its folder.
        table: in which it stands first.
        settings: of all its networks.
        kind: as of ``osteon.systems.ct_metastasis.study_rows.SegmenterRow``.
        phase: jobs of a phase begin when those of the phases before have ended: pairs of networks share the first of
            the two, and the literal ensemble is made of another run.
        source: the run a literal ensemble is made of; "" otherwise.
        members: networks of a nested ensemble; 1 otherwise.
    """

    name: str
    table: str
    settings: SegmentSettings
    kind: Literal["single", "pair", "nested", "literal"] = "single"
    phase: int = 0
    source: str = ""
    members: int = 1

    def with_threads(self, threads: int) -> Self:
        """As of ``PlannedRun``."""
        if self.settings.threads:
            return self
        changed = self.settings.changed({"threads": threads})
        return type(self)(self.name, self.table, changed, self.kind, self.phase, self.source, self.members)

    def is_like(self, other: Planned) -> bool:
        """As of ``PlannedRun``."""
        known = segment_settings.NOT_DECISIVE
        return isinstance(other, PlannedSegmenter) and _same(self.document(), other.document(), known)

    def document(self) -> dict[str, Any]:
        """As study.json holds it."""
        return {
            "name": self.name,
            "table": self.table,
            "settings": self.settings.document(),
            "kind": self.kind,
            "phase": self.phase,
            "source": self.source,
            "members": self.members,
        }


Planned = PlannedRun | PlannedSegmenter


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a study plans, in order."""

    entries: tuple[Planned, ...]

    @property
    def classifiers(self) -> tuple[PlannedRun, ...]:
        """The trainings of classifiers."""
        return tuple(entry for entry in self.entries if isinstance(entry, PlannedRun))

    @property
    def segmenters(self) -> tuple[PlannedSegmenter, ...]:
        """The trainings of segmenters."""
        return tuple(entry for entry in self.entries if isinstance(entry, PlannedSegmenter))

    def named(self, name: str) -> Planned:
        """One of them.

        Raises:
            InputError: there is none.
        """
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise InputError(f"the study plans no run {name!r}")

    def document(self) -> dict[str, Any]:
        """As study.json holds it."""
        return {
            "runs": [entry.document() for entry in self.classifiers],
            "segmenters": [entry.document() for entry in self.segmenters],
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """What ``document`` gave.

        Raises:
            KeyError: an entry is missing.
            TypeError: an entry is of another kind.
        """
        runs = [
            PlannedRun(e["name"], e["table"], TrainSettings.of(e["settings"]), e.get("scheme", "folds"))
            for e in document["runs"]
        ]
        segmenters = [
            PlannedSegmenter(**{**e, "settings": SegmentSettings.of(e["settings"])})
            for e in document.get("segmenters", ())
        ]
        return cls((*runs, *segmenters))

    def joined(self, added: Iterable[Planned], *, where: str, threads: int) -> Self:
        """With further runs; one that is there already must be the same.

        Args:
            added: the further runs.
            where: name of the study's folder, for the error.
            threads: of torch, where settings leave them open.

        Raises:
            InputError: a run of that name has other settings.
        """
        entries = {entry.name: entry for entry in self.entries}
        for entry in added:
            if entry.name in entries and not entries[entry.name].is_like(entry):
                raise InputError(
                    f"{where} holds {entry.name} with other settings: name another folder, or the settings it has"
                )
            entries.setdefault(entry.name, entry.with_threads(threads))
        return type(self)(tuple(entries.values()))


def _same(left: dict[str, Any], right: dict[str, Any], free: frozenset[str]) -> bool:
    ones, others = left.pop("settings"), right.pop("settings")
    return left == right and all(ones.get(name) == others.get(name) for name in {*ones, *others} - free)
