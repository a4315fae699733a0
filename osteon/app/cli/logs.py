"""What may reach the terminal: osteon's own words, never those of a library that quotes a header."""

from __future__ import annotations

import logging
import os
import sys
import warnings

__all__ = ["keep_libraries_quiet"]


def keep_libraries_quiet() -> None:
    """Send warnings of osteon to stderr; drop warnings and log lines of libraries, which may quote patient text.

    ``OSTEON_DEBUG=1`` lets everything through.
    """
    if os.environ.get("OSTEON_DEBUG"):
        return
    warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    own = logging.getLogger("osteon")
    if not own.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("warning: %(message)s"))
        own.addHandler(handler)
        own.propagate = False
