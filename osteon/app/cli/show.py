"""``osteon show``."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

import typer

from osteon.app.cli.terminal import say
from osteon.errors import InputError

__all__ = ["announce", "show"]

_OTHERS = (".glb", ".stl", ".dcm", ".gz", ".tif", ".geojson", ".csv", ".json")


def show(
    result: Path = typer.Argument(..., help="A result folder of `osteon read`."),
    browser: bool = typer.Option(True, help="Open the report in a browser when there is one."),
) -> None:
    """Open the report of a result; without a browser, print where its pictures are."""
    report = result / "report.html"
    if not report.is_file():
        raise InputError(f"{result.name} was to be a result folder of `osteon read`, but holds no report.html")
    if browser and _has_screen() and webbrowser.open(report.absolute().as_uri()):
        say(f"opened {report}")
        return
    announce(result)


def _has_screen() -> bool:
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def announce(result: Path) -> None:
    """Print where the parts of a result are."""
    say(f"report    {result / 'report.html'}")
    if (result / "report.pdf").is_file():
        say(f"pdf       {result / 'report.pdf'}")
    for picture in sorted((result / "views").glob("*.png")):
        say(f"picture   {picture}")
    others = sorted(p for p in result.iterdir() if p.suffix in _OTHERS)
    for other in others:
        say(f"{other.suffix.lstrip('.'):<9} {other}")
