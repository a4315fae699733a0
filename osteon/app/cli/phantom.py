"""``osteon phantom``: one command a kind of phantom, and ``cohort`` for a study of many."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.dataset import tell_made
from osteon.app.cli.options import parameter, set_parameters
from osteon.app.cli.terminal import say, shown_progress
from osteon.data.options import choices, make_options, silent
from osteon.errors import OutputError, UnknownLabelError, nearest_names
from osteon.systems.registry import SYSTEMS
from osteon_phantoms.commands import COMMANDS
from osteon_phantoms.study import KINDS, images_of, kind_of, people

if TYPE_CHECKING:
    from inspect import Parameter

    from osteon.data.options import Choice, Progress
    from osteon.data.system import LabelledMaker, MadeDataset
    from osteon_phantoms.commands import PhantomCommand
    from osteon_phantoms.study import Person

__all__ = ["Cohort", "add_cohort", "build", "build_cohort", "write_slices"]


_ABOUT = "SYNTHETIC - osteon phantoms. Not patients."


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="phantom", help="Synthetic patients with exact truth. They stand for no real one.")
    for name, command in COMMANDS.items():
        _add(group, name, command)
    add_cohort(group)
    return group


def _add(group: typer.Typer, name: str, command: PhantomCommand) -> None:
    word, place = command.image

    def make(
        out: Path = typer.Option(..., "-o", "--out", help=f"The folder to make: {place} and truth/ in it."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
        **given: Any,  # noqa: ANN401 - options of the command
    ) -> None:
        from osteon.reading import new_result, require_free

        options: Any = make_options(command.options, given)
        require_free(out, replace=False)
        with shown_progress(quiet=quiet) as progress, new_result(out, replace=False) as work:
            lines = command.write(options, work, progress)
        for line in (f"{word} {out / place}", f"truth  {out / 'truth'}", *lines):
            say(line)

    set_parameters(make, [parameter(each) for each in choices(command.options)], last=1)
    group.command(name, help=command.summary)(make)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """A synthetic study to be made.

    Attributes:
        task: the system that learns from it.
        patients: how many.
        seed: of patients and test part.
        test: share of the patients of every label that is marked as test; None marks nobody.
        options: of the study (``osteon_phantoms.study.KINDS``); None for its defaults.
    """

    task: str
    patients: int
    seed: int = 1
    test: float | None = 0.25
    options: object = None

    def people(self) -> tuple[tuple[Person[Any], str], ...]:
        """Patients, and the part of the data set that each is in.

        Raises:
            InputError: a number of patients that is not a cohort.
            UnknownLabelError: no synthetic study is made for the task.
        """
        from osteon.curation.splits import choose_test

        persons = people(self.task, self.patients, seed=self.seed, options=self.options)
        if self.test is None:
            return tuple((person, "") for person in persons)
        strata = {person.patient_id: person.label for person in persons}
        # of one patient whose images have labels of their own nobody can be chosen
        alike = len(persons) < 2 and not any(strata.values())
        chosen = frozenset[str]() if alike else choose_test(strata, share=self.test, seed=self.seed)
        return tuple((person, "test" if person.patient_id in chosen else "train") for person in persons)


def build_cohort(
    cohort: Cohort, out: Path, *, pictures: object = None, workers: int = 1, progress: Progress = silent
) -> MadeDataset:
    """Make synthetic patients and the data set of their images.

    Raises:
        InputError: a number of patients that is not a cohort.
        UnknownLabelError: no synthetic study is made for the task.
        OutputError: cannot be written.
    """
    from osteon import __version__
    from osteon.data import LabelledStudy

    options: Any = cohort.options or kind_of(cohort.task).options()
    persons = cohort.people()
    known = {"patients": cohort.patients, "seed": cohort.seed, "test": cohort.test, "study": asdict(options)}
    study = LabelledStudy(
        cases=[_case(cohort.task, person, options, split, 1 if workers > 1 else 2) for person, split in persons],
        labels=tuple(person.label for person, _ in persons),
        seed=cohort.seed,
        about={"what": _ABOUT, "osteon": __version__, **known},
    )
    maker = _maker(cohort.task)
    return maker.make(study, out, pictures or maker.options(), workers, progress)


def _maker(task: str) -> LabelledMaker:
    maker = SYSTEMS[task].dataset
    if maker is None or maker.labelled is None:
        raise UnknownLabelError(f"no data set for {task!r}: {nearest_names(task, KINDS)}")
    return maker.labelled


def _case(task: str, person: Person[Any], options: object, split: str, threads: int) -> object:
    from osteon.train.datasets.case_builder import SeriesCase

    name, is_one = person.patient_id, not isinstance(person.spec, tuple)
    return SeriesCase(
        name=name,
        patient=name,
        study=f"{name}-1" if is_one else "",
        series=f"{name}-1-1" if is_one else "",
        open=partial(images_of, task, person, options, threads),
        fingerprint=f"{kind_of(task).look} {person.spec} {options}",
        centre=person.centre,
        scanner=person.scanner,
        sex=getattr(person.spec, "sex", ""),
        age_years=getattr(person.spec, "age_years", None),
        split=split,
        extra={**person.columns, "synthetic": "yes"},
    )


def write_slices(cohort: Cohort, folder: Path, *, progress: Progress = silent) -> None:
    """Write whole slices and masks as pictures, and ``labels.csv``: what ``osteon dataset`` takes.

    Raises:
        InputError: a number of patients that is not a cohort.
        OutputError: the folder holds something or cannot be written.
    """
    import numpy as np

    from osteon.data.phantom_mark import mark_grey
    from osteon.io.image import write_png8
    from osteon.io.table import csv_text
    from osteon.ops.mr_region import normalise

    persons = cohort.people()
    rows: list[dict[str, str]] = []
    try:
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(f"slices were to be written to {folder.name}, but it is not empty: name another folder")
        for name in ("images", "masks"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number, (person, split) in enumerate(persons, start=1):
            (image,) = images_of(cohort.task, person, cohort.options)
            name = f"{person.patient_id}.png"
            array: Any = getattr(image.image, "array", image.image)
            picture = np.rint(normalise(array[0]) * 255).astype(np.uint8)
            mark_grey(picture)
            write_png8(folder / "images" / name, picture)
            write_png8(folder / "masks" / name, image.masks["lesion"][0] > 0)
            rows.append({
                "image": f"images/{name}", "mask": f"masks/{name}", "patient": person.patient_id,
                "label": person.label, "plane": image.plane, "centre": person.centre, "sex": person.spec.sex,
                "age_years": f"{person.spec.age_years:g}", "split": split, **person.columns, "synthetic": "yes",
            })  # fmt: skip
            progress("drawing slices", number, len(persons))
        table = csv_text(list(rows[0]), (row.values() for row in rows))
        (folder / "labels.csv").write_text(table, encoding="utf-8", newline="")
        (folder / "README.txt").write_text(f"{_ABOUT}\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"slices cannot be written to {folder.name}: {error.strerror}; name another folder"
        ) from error


def add_cohort(group: typer.Typer) -> None:
    """Add the command; its options are those of all studies and of all data sets of labelled images."""
    first = next(iter(KINDS))
    summaries = [kind.summary for kind in KINDS.values()]
    made = f"{', '.join(summaries[:-1])}, or {summaries[-1]}"

    def cohort(
        out: Path = typer.Option(..., "-o", "--out", help="The data set folder to make, or to go on with."),
        task: str = typer.Option(first, metavar="|".join(KINDS), help=f"What it is for: {made}."),
        patients: int = typer.Option(96, min=1, max=9999, help="How many."),
        seed: int = typer.Option(1, min=0, help="Another seed makes other patients and another test part."),
        test: float = typer.Option(
            0.25, min=0, max=0.9, help="Share of the patients marked as test; 0 marks nobody (nested cross-validation)."
        ),
        slices: Path | None = typer.Option(
            None, "--pictures", help="MR: a folder for the whole slices, their masks and labels.csv."
        ),
        workers: int = typer.Option(2, min=1, max=64, help="Processes."),
        quiet: bool = typer.Option(False, "-q", "--quiet", help="No progress."),
        **given: Any,  # noqa: ANN401 - options of the studies and data sets
    ) -> None:
        if task not in KINDS:
            raise typer.BadParameter(f"no task {task!r}: {nearest_names(task, KINDS)}")
        kind, maker = KINDS[task], _maker(task)
        asked = {name: value for name, value in given.items() if value is not None}
        _refuse_foreign(task, asked, slices)
        options, pictures = (  # type: ignore[var-annotated]  # each is of its own class
            make_options(owner, {each.name: asked[each.name] for each in choices(owner) if each.name in asked})
            for owner in (kind.options, maker.options)
        )
        who = Cohort(task=task, patients=patients, seed=seed, test=test or None, options=options)
        with shown_progress(quiet=quiet) as progress:
            if slices is not None:
                write_slices(who, slices, progress=progress)
            built = build_cohort(who, out, pictures=pictures, workers=workers, progress=progress)
        if slices is not None:
            say(f"slices   {slices / 'labels.csv'}")
        tell_made(built, out, what=maker.items)

    set_parameters(cohort, _parameters(), last=3)
    group.command("cohort", help=f"Make a synthetic study as a data set: {made}.")(cohort)


def _refuse_foreign(task: str, asked: dict[str, Any], slices: Path | None) -> None:
    known = {each.name: each.flag for owners in _owners().values() for _, each in owners}
    own = {each.name for owner in (KINDS[task].options, _maker(task).options) for each in choices(owner)}
    foreign = [known[name] for name in asked if name not in own]
    if slices is not None and not KINDS[task].has_slices:
        foreign.append("--pictures")
    if foreign:
        raise typer.BadParameter(f"{', '.join(foreign)} has no meaning for --task {task}: leave it out")


def _owners() -> dict[str, list[tuple[str, Choice]]]:
    """By name, whose an option is."""
    found: dict[str, list[tuple[str, Choice]]] = {}
    for task, kind in KINDS.items():
        for each in (*choices(kind.options), *choices(_maker(task).options)):
            found.setdefault(each.name, []).append((kind.word, each))
    return found


def _parameters() -> list[Parameter]:
    """One parameter a name; its help says whose it is and the default of each."""
    parameters = []
    for owners in _owners().values():
        words = ", ".join(word if each.default is None else f"{word} ({each.default})" for word, each in owners)
        first = owners[0][1]
        parameters.append(parameter(replace(first, default=None, help=f"{words}: {first.help}")))
    return parameters
