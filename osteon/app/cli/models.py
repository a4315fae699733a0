"""``osteon models``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from osteon.app.cli.terminal import EXIT_ERROR, say, shown_progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from osteon.weights.backbone import Backbone

__all__ = ["build"]


_CARD_ROW = ("name", "version", "task", "architecture", "is_demo", "statement")
_BACKBONE_ROW = ("name", "version", "architecture", "licence", "statement")


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="models", help="Models: which are there, what they are, whether they are intact.")
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("verify")(_verify)
    group.command("arch")(_arch)
    group.command("export")(_export)
    return group


def _list(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the models at hand, and the backbones to train from."""
    from osteon.weights import card_problems, list_cards
    from osteon.weights.backbone import backbone_names, describe_backbone

    backbones = [describe_backbone(name) for name in backbone_names()]
    cards = list_cards()
    problems = card_problems()
    if as_json:
        rows = [{name: getattr(card, name) for name in _CARD_ROW} for card in cards]
        broken = [{"folder": problem.folder.name, "reason": problem.reason} for problem in problems]
        begun = [{name: getattr(card, name) for name in _BACKBONE_ROW} for card in backbones]
        typer.echo(json.dumps({"models": rows, "backbones": begun, "problems": broken}, indent=2))
        return
    for card in cards:
        say(f"{card.name:<28} {card.task:<18} {card.architecture:<22} {card.statement}")
    for backbone in backbones:
        say(f"{backbone.name:<28} {'(backbone)':<18} {backbone.architecture:<22} {backbone.statement}")
    for problem in problems:
        say(f"! {problem.folder.name}: {problem.reason}", err=True)


def _show(
    name: str = typer.Argument(..., help="Name or folder of a model card."),
    as_json: bool = typer.Option(False, "--json", help="Print the card as JSON."),
) -> None:
    """Show one model: what it takes and gives, what it was trained on, what was measured."""
    from osteon.metrics.text import Scale
    from osteon.weights import Maps, find_card
    from osteon.weights.card import card_bytes

    card = find_card(name)
    if as_json:
        typer.echo(card_bytes(card).decode())
        return
    say(f"{card.name}, version {card.version}, for {card.task}")
    say(f"{card.statement}")
    say(f"licence: {card.licence}")
    say(f"intended use: {card.intended_use}")
    for exclusion in card.exclusions:
        say(f"not for: {exclusion}")
    for each in card.output.maps if isinstance(card.output, Maps) else ():
        say(f"map {each.name}: from probability {each.threshold:g} on ({each.source})")
    for result in card.results:
        measured = Scale(undefined="not measured").estimate(result.value, *(result.interval or (None, None)))
        kind = "synthetic" if result.is_synthetic else "patients"
        say(f"{result.metric}: {measured}; {result.data}, {result.patients} {kind}, {result.images} images")


def _verify(
    name: str = typer.Argument("", help="Name or folder of a model card, or of a backbone; default: all."),
) -> None:
    """Check hashes, load, and reproduce the golden output of one model or backbone, or of all."""
    from osteon.errors import WeightsError
    from osteon.weights import card_problems

    failed = [] if name else [f"{problem.folder.name}: {problem.reason}" for problem in card_problems()]
    for title, check in _checks(name):
        try:
            found = check()
        except WeightsError as error:
            failed.append(f"{title}: {error}")
        else:
            say(f"{title}: intact; {found}")
    for line in failed:
        say(f"! {line}", err=True)
    if failed:
        raise typer.Exit(EXIT_ERROR)


def _checks(name: str) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each model and backbone with its check; of packages only those that are installed or named."""
    from osteon.weights import find_card, list_cards, verify_card
    from osteon.weights.backbone import backbone_names, describe_backbone, pretrained_network, read_backbone

    cards = [read_backbone(each) for each in backbone_names(shipped=True) if name in ("", each)]
    if name not in backbone_names():
        cards += [find_card(name)] if name else list(list_cards())
    for card in cards:
        yield card.name, lambda card=card: f"golden output reproduced to {verify_card(card):.1e}"  # type: ignore[misc]
    for known in map(describe_backbone, backbone_names()):
        if known.package and (known.name == name or (not name and known.is_installed)):

            def check(known: Backbone = known) -> str:
                pretrained_network(known.architecture, in_channels=3)
                return f"the file of {known.package} is the known one and fits"

            yield known.name, check


def _arch(
    name: str = typer.Argument("", help="Name of a network, as densenet121; default: list the names."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Say how many parameters a network has, what goes in and comes out; without a name, which networks there are."""
    from osteon.nets import describe_network, network_names

    if not name:
        names = network_names() + network_names(task="segmentation") + network_names(task="tiles")
        for line in [json.dumps(names, indent=2)] if as_json else names:
            typer.echo(line)
        return
    info = asdict(describe_network(name))
    if as_json:
        typer.echo(json.dumps(info, indent=2))
        return
    for key, value in info.items():
        say(f"{key.replace('_', ' '):<24} {value}")


def _export(
    run: Path = typer.Argument(..., help="Folder of a run (osteon train)."),
    data: Path = typer.Option(..., "--data", help="The data set that the run was trained on: folder or manifest."),
    out: Path = typer.Option(..., "-o", "--out", help="Folder of the model, for osteon read --model."),
    name: str = typer.Option("", help="ARCHITECTURE.TAG; default: the tag is the name of the folder."),
    split: Path | None = typer.Option(None, help="splits.json, when it is elsewhere."),
    fold: list[int] = typer.Option([], help="Whose network becomes a member; may be repeated. Default: all done."),
    operating_point: str = typer.Option(
        "",
        help="Classifiers: fixed on validation: youden (the default), sensitivity or specificity (at least 0.95) of "
        "slices, or legs (extents that match best); or paper (0.95). Segmenters: f1 (best on validation, the "
        "default) or half (0.5, the default where validation was learnt from).",
    ),
    threshold: float | None = typer.Option(
        None, help="A threshold on the smoothed probability (of a segmenter: on that of lesions), instead."
    ),
    least_mm3: float | None = typer.Option(
        None, help="Of a segmenter: smaller lesions are not listed, in mm3. Default: the limit of osteon read."
    ),
    trust: bool = typer.Option(
        True, help="Fit out-of-distribution limits (of classifiers prediction sets too) on the validation parts."
    ),
    references: int = typer.Option(2000, help="Training images of a member that OOD score is measured against."),
    golden: str = typer.Option("auto", help="images: 4 of validation are kept; pattern: synthetic; auto: by data."),
    bfloat16: bool = typer.Option(True, help="A segmenter may run in bfloat16; it may then be twice as large."),
    version: str = typer.Option("1.0.0", help="Of the weights."),
    statement: str = typer.Option("", help="One line on what it was trained on, shown beside every result."),
    licence: str = typer.Option("", help="SPDX identifier."),
    intended_use: str = typer.Option("", help="One sentence."),
    exclusion: list[str] = typer.Option([], help="What it must not be used for; may be repeated."),
    name_patients: bool = typer.Option(
        False, help="Of public data: the card names the patients learnt from, and osteon read says so of one of them."
    ),
    repeats: int = typer.Option(2000, help="Resamples of the patient bootstrap."),
    seed: int = typer.Option(1, help="Of the bootstrap."),
    device: str = typer.Option("auto", help="auto, cpu or cuda."),
    quiet: bool = typer.Option(False, "--quiet", "-q", help="No progress."),
) -> None:
    """Make a model folder of a run: weights, card with what was measured, operating point, limits, CLAIM items."""
    from osteon.metrics.bootstrap import Resampling
    from osteon.metrics.text import Scale
    from osteon.systems.registry import recipe
    from osteon.train.export.card import CardText, ExportOptions
    from osteon.train.export.run import CLAIM_NAME, export_run
    from osteon.train.run import open_run

    options = ExportOptions(
        name=name,
        words=CardText(
            version=version,
            statement=statement,
            licence=licence,
            intended_use=intended_use,
            exclusions=(*exclusion,),
            names_patients=name_patients,
        ),
        folds=tuple(fold) or None,
        operating_point=operating_point,
        threshold=threshold,
        trust=trust,
        references=references,
        least_mm3=least_mm3,
        golden=golden,
        bfloat16=bfloat16,
        device=device,
        resampling=Resampling(repeats=repeats, seed=seed),
    )
    with shown_progress(quiet=quiet) as progress:
        found = open_run(run, data, split=split)
        own: Any = recipe(found.run.settings.task)
        card = export_run(found, out, own, options=options, progress=progress)
    say(f"{card.name}: {len(card.members)} network(s), {card.statement}")
    scale = Scale(undefined="not defined", lacking="")
    for result in card.results:
        say(f"  {result.metric}: {scale.estimate(result.value, *(result.interval or (None, None)))}")
    for warning in card.training.details.get("warnings", ()):
        say(f"! {warning}", err=True)
    items = card.claim_2024.items if card.claim_2024 else ()
    open_items = sum(item.status == "open" for item in items)
    say(f"written to {out}; {open_items} of {len(items)} reporting items in {CLAIM_NAME} are left to a person")
