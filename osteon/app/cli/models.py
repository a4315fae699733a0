"""``osteon models``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from osteon.app.cli import models_export
from osteon.app.cli.failure import EXIT_ERROR
from osteon.app.cli.terminal import say

if TYPE_CHECKING:
    from osteon.weights import ModelCard

__all__ = ["build"]


_BACKBONE_ROW = ("name", "version", "architecture", "licence", "statement")


def build() -> typer.Typer:
    """The verb and what may follow it."""
    group = typer.Typer(name="models", help="Models: which are there, what they are, whether they are intact.")
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("verify")(_verify)
    group.command("arch")(_arch)
    models_export.register(group)
    return group


def _row(card: ModelCard) -> dict[str, object]:
    return {
        "name": card.name,
        "version": card.version,
        "task": card.task,
        "architecture": card.architecture,
        "is_demo": card.is_demo,
        "statement": card.statement,
    }


def _list(as_json: bool = typer.Option(False, "--json", help="Print JSON.")) -> None:
    """List the models at hand, and the backbones to train from."""
    from osteon.weights import card_problems, list_cards
    from osteon.weights.backbone import backbone_names, read_backbone

    backbones = [read_backbone(name) for name in backbone_names()]
    cards = list_cards()
    problems = card_problems()
    if as_json:
        rows = [_row(card) for card in cards]
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
    from osteon.weights import card_problems, find_card, list_cards, verify_card
    from osteon.weights.backbone import backbone_names, read_backbone

    shipped = backbone_names()
    cards = [read_backbone(each) for each in shipped if name in ("", each)]
    cards += [] if name in shipped else [find_card(name)] if name else list(list_cards())
    failed = [] if name else [f"{problem.folder.name}: {problem.reason}" for problem in card_problems()]
    for card in cards:
        try:
            difference = verify_card(card)
        except WeightsError as error:
            failed.append(f"{card.name}: {error}")
        else:
            say(f"{card.name}: intact; golden output reproduced to {difference:.1e}")
    for line in failed:
        say(f"! {line}", err=True)
    if failed:
        raise typer.Exit(EXIT_ERROR)


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
