"""The command line."""

from osteon.app.cli.program import main

__all__ = ["main"]
