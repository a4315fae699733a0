"""Write docs/reference/commands.md from the program itself: ``python scripts/write_command_reference.py``."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from osteon.app.cli.program import build

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "commands.md"


def reference() -> str:
    """The page: every verb with its arguments, options, defaults and help."""
    lines = ["# Commands", "", "Written by `python scripts/write_command_reference.py`; a test keeps it current.", ""]
    lines.append(
        "Exit codes: 0 answered, 1 error (the message is on stderr), 2 wrong command line, "
        "3 done with a part left out or failed (`read`, `dataset`, `archive`, `deidentify`, `phantom cohort`, "
        "`curate`, `train`, `study`) or the answer is no (`consistency`: no confusion matrix fits), 130 interrupted "
        "(129, 143 when ended by a signal)."
    )
    command = typer.main.get_command(build())
    _describe(command, "osteon", lines)
    return "\n".join(lines) + "\n"


def _describe(command: Any, path: str, lines: list[str]) -> None:  # noqa: ANN401 - typer's own commands are not typed
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            _describe(child, f"{path} {name}", lines)
        return
    lines += ["", f"## `{path}`", "", command.help or "", "", "| | | default |", "|---|---|---|"]
    for parameter in command.params:
        names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{parameter.name.upper()}`"
        told = parameter.help or ""
        told += _choices(parameter)
        default = parameter.default
        shown = (
            "" if default in (None, False, ..., "") or parameter.required else f"`{getattr(default, 'value', default)}`"
        )
        lines.append(f"| {names} | {told} | {shown} |")


def _choices(parameter: Any) -> str:  # noqa: ANN401 - as above
    """The words an option accepts: of its metavar, or of the enumeration in its annotation, also in ``X | None``."""
    if "|" in (parameter.metavar or ""):
        return f" One of: {parameter.metavar.replace('|', ', ')}."
    annotation = parameter.type_descriptor.annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, Enum):
            return f" One of: {', '.join(str(choice.value) for choice in kind)}."
    return ""


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
    print(PAGE.name)
