"""Compiled-runtime models kept in the user's cache folder, so that torch is needed only the first time.

The cache is never needed and never trusted: an entry that is missing, damaged or unwritable is made again, and
whoever runs a cached model still runs the golden case of its card.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_cache_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CACHE_VARIABLE", "cache_folder", "drop_entry", "entry_path", "read_entry", "write_entry"]

CACHE_VARIABLE = "OSTEON_CACHE"
"""Environment variable that names the cache folder."""

_LOG = logging.getLogger(__name__)
_SUMS = "sha256.json"


def cache_folder() -> Path:
    """Where compiled models are kept; it need not exist."""
    named = os.environ.get(CACHE_VARIABLE)
    return (Path(named) if named else user_cache_path("osteon", appauthor=False)) / "compiled"


def entry_path(key: Mapping[str, str]) -> Path:
    """Folder of the entry for a key: everything that decides the result, as versions and hashes."""
    text = json.dumps(dict(key), sort_keys=True)
    return cache_folder() / hashlib.sha256(text.encode()).hexdigest()[:32]


def read_entry(key: Mapping[str, str]) -> dict[str, bytes] | None:
    """Files of an entry by name; None when there is none, or when its bytes are not those that were written."""
    folder = entry_path(key)
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
        contents = {name: (folder / Path(name).name).read_bytes() for name in dict(sums)}
    except (OSError, ValueError, TypeError):
        return None
    if not contents:
        return None
    if any(hashlib.sha256(data).hexdigest() != sums[name] for name, data in contents.items()):
        _LOG.warning("a compiled model in the cache was damaged; it is made again")
        return None
    return contents


def write_entry(key: Mapping[str, str], contents: Mapping[str, bytes]) -> bool:
    """Keep an entry, whole or not at all; False when the cache cannot be written."""
    folder = entry_path(key)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".writing-") as temporary:
            made = Path(temporary) / "entry"
            made.mkdir()
            for name, data in contents.items():
                (made / name).write_bytes(data)
            sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
            (made / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
            drop_entry(key)
            made.rename(folder)
    except OSError as error:  # another process was quicker, the disk is full, or the folder is not ours
        _LOG.info("a compiled model was not kept in the cache (%s)", type(error).__name__)
        return False
    return True


def drop_entry(key: Mapping[str, str]) -> None:
    """Remove an entry if it can be removed."""
    shutil.rmtree(entry_path(key), ignore_errors=True)
