"""``osteon info``."""

from __future__ import annotations

import json

import typer

__all__ = ["register"]


def register(program: typer.Typer) -> None:
    """Add the verb."""

    @program.command()
    def info(
        as_json: bool = typer.Option(False, "--json", help="Print JSON."),
        schema: str = typer.Option("", "--schema", metavar="findings|run", help="Print the JSON schema of a file."),
    ) -> None:
        """Say what is installed, what this machine has and what osteon can read."""
        from osteon.reading.environment import describe_environment, schema_of

        if schema:
            typer.echo(json.dumps(schema_of(schema), indent=2))
            return
        facts = describe_environment()
        if as_json:
            typer.echo(json.dumps(facts, indent=2))
            return
        for group, rows in facts.items():
            typer.echo(f"{group}")
            for name, value in rows.items():
                typer.echo(f"  {name:<28} {value}")
