"""Write the exact version of every package that osteon and its extras need, from what is installed now.

    python scripts/write_lock.py > constraints.txt

Only what pyproject.toml reaches is written, so that a package somebody tried out in the environment never gets into
the lock, and setuptools does (``pip freeze`` leaves it out). Builds of torch are named without their ``+cpu``.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from importlib.metadata import Distribution

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# Exact versions for the set-up commands; written by 'make lock' from a tested environment."


def declared() -> dict[str, list[str]]:
    """Requirements of pyproject.toml: those of the package under the empty name, then each extra's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def needed(requirements: Iterable[str]) -> tuple[dict[str, Distribution], dict[str, str]]:
    """Follow requirements to the end, extras and environment markers minded.

    Returns:
        The distributions by canonical name, and the missing ones with the name of who asks for them.
    """
    waiting = [(Requirement(text), "pyproject.toml") for text in requirements]
    found: dict[str, Distribution] = {}
    missing: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    while waiting:
        requirement, asked_by = waiting.pop()
        name = canonicalize_name(requirement.name)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            missing[name] = asked_by
            continue
        for extra in {"", *requirement.extras}:
            if (name, extra) in done:
                continue
            done.add((name, extra))
            for text in found[name].requires or ():
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    waiting.append((inner, name))
    return found, missing


def main() -> int:
    """Print the lock, or say what is not installed."""
    found, missing = needed(text for extra in declared().values() for text in extra)
    if missing:
        names = ", ".join(f"{name} (for {asked_by})" for name, asked_by in sorted(missing.items()))
        print(f"not installed, so no version to write: {names}. Install osteon with all its extras", file=sys.stderr)
        return 1
    print(HEADER)
    for name in sorted(found):
        print(f"{found[name].name}=={Version(found[name].version).public}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
