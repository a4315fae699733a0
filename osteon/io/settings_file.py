"""Settings as people write them: a file of one table, and ``name=value`` texts of a command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osteon.errors import InputError, ThirdParty
from osteon.io.whole_file import decoded_text, file_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["parse_assignments", "read_settings_file"]

_TOO_MUCH = "it is nested too deep, or holds a number or a date that cannot be"


def read_settings_file(path: Path) -> dict[str, Any]:
    """Values by name of a .toml, .yaml, .yml or .json file (JSON is YAML) of one table; the settings check them.

    Raises:
        InputError: the file cannot be read, or is not one table.
    """
    text = decoded_text(file_bytes(path), path.name).replace("\r\n", "\n")
    found: object
    if path.suffix.lower() == ".toml":
        with ThirdParty(f"{path.name} is not valid TOML: {_TOO_MUCH}"):
            try:
                found = tomllib.loads(text)
            except tomllib.TOMLDecodeError as error:
                raise InputError(f"{path.name} is not valid TOML: {error}") from error
    elif path.suffix.lower() in {".yaml", ".yml", ".json"}:
        import yaml

        with ThirdParty(f"{path.name} is not valid YAML: {_TOO_MUCH}"):
            try:
                found = yaml.safe_load(text) or {}
            except yaml.YAMLError as error:
                raise InputError(f"{path.name} is not valid YAML: {error}") from error
    else:
        raise InputError(f"{path.name} is not a valid settings file: give a .toml, .yaml or .json")
    if not isinstance(found, Mapping) or any(isinstance(value, Mapping) for value in found.values()):
        raise InputError(f"{path.name} must hold one table of names and values, as learning_rate = 1e-5")
    return {str(name): value for name, value in found.items()}


def parse_assignments(assignments: Iterable[str]) -> dict[str, str]:
    """Names and values of ``name=value`` texts.

    Raises:
        InputError: a text without a name or an equals sign.

    Example:
        >>> parse_assignments(["batch=8", "seed = 3"])
        {'batch': '8', 'seed': '3'}
    """
    found = {}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not (sign and name.strip()):
            raise InputError(f"{text!r} is not a setting: write name=value, as batch=8")
        found[name.strip()] = value.strip()
    return found
