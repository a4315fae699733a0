"""Text for a terminal: what a file or a tag says must not move the cursor, change a colour or fake a line."""

from __future__ import annotations

import sys

import typer

__all__ = ["printable", "say", "tolerate_any_text"]


def printable(text: str) -> str:
    r"""A line with every character that does not show written as an escape.

    File names and DICOM tags come from anyone and end up in messages.

    Args:
        text: one line; a line break in it is escaped too.

    Example:
        >>> printable("a\x1b[31mb\nc")
        'a\\x1b[31mb\\nc'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def say(text: str, *, err: bool = False) -> None:
    """Print one line on stdout, or on stderr."""
    typer.echo(printable(text), err=err)


def tolerate_any_text() -> None:
    """Write characters that the terminal's encoding lacks as escapes, as stderr always does."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
