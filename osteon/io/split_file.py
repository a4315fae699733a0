"""How a data set is divided, as a file that a person can read and a hand may have changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from osteon.data import Fold, Split
from osteon.data.manifest import PARTS
from osteon.errors import InputError, ThirdParty, nearest_names
from osteon.io.whole_file import file_bytes, whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SPLIT_NAME", "read_split", "write_split"]

SPLIT_NAME: Final = "splits.json"
SCHEMA_VERSION: Final = 1

_KEYS: Final[dict[str, type]] = {
    "schema_version": int,
    "scheme": str,
    "unit": str,
    "seed": int,
    "stratify": str,
    "manifest_sha256": str,
    "warnings": list,
    "folds": list,
}
_WORDS: Final = {"scheme": ("holdout", "nested"), "unit": ("patient", "image")}


def write_split(split: Split, path: str | Path, *, audit: Mapping[str, object] | None = None) -> Path:
    """Write a split, whole or not at all.

    Args:
        split: the folds.
        path: of the file, or of the data set folder (then ``splits.json`` in it). An earlier file is replaced.
        audit: what the leakage audit found; anything that JSON holds.

    Returns:
        The file.

    Raises:
        OutputError: cannot be written.
    """
    target = _file(path)
    document = {
        "schema_version": SCHEMA_VERSION,
        "scheme": split.scheme,
        "unit": split.unit,
        "seed": split.seed,
        "stratify": split.stratify,
        "manifest_sha256": split.manifest_sha256,
        "warnings": list(split.warnings),
        "folds": [{part: list(getattr(fold, part)) for part in PARTS} for fold in split.folds],
        **({} if audit is None else {"audit": dict(audit)}),
    }
    with whole_file(target) as work:
        work.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def read_split(path: str | Path) -> Split:
    """Read a split and check that nobody is evaluated by a model that learnt from them.

    Args:
        path: of the file, or of the data set folder that holds ``splits.json``.

    Raises:
        InputError: no such file, not the format, a patient in two parts of a fold, in the test part of two folds of a
            nested split, in the validation part of two folds of a holdout split, or test parts that differ.
    """
    file = _file(path)
    try:
        data = file_bytes(file)
    except InputError as error:
        raise InputError(f"{error}: make it with osteon split") from error
    with ThirdParty(f"{file.name} is not a valid JSON text: make it again with osteon split"):
        document = json.loads(data.decode("utf-8"))
    try:
        return _split(document)
    except InputError as error:
        raise InputError(f"{file.name}: {error}") from error


def _file(path: str | Path) -> Path:
    place = Path(path)
    return place / SPLIT_NAME if place.is_dir() else place


def _split(document: object) -> Split:
    fields = _mapping(document, "the file")
    for key in fields:
        if key not in _KEYS and key != "audit":
            raise InputError(f"has an entry {key!r} that is not known: {nearest_names(key, _KEYS)}")
    for key, kind in _KEYS.items():
        if not isinstance(fields.get(key), kind) or isinstance(fields.get(key), bool):
            raise InputError(f"its entry {key!r} is missing or no {kind.__name__}: make it again with osteon split")
    if fields["schema_version"] != SCHEMA_VERSION:
        raise InputError(f"has format {fields['schema_version']}; this osteon reads format {SCHEMA_VERSION}")
    for key, words in _WORDS.items():
        if fields[key] not in words:
            raise InputError(f"has the {key} {fields[key]!r}: {nearest_names(fields[key], words)}")
    if not fields["folds"]:
        raise InputError("has no folds: make it again with osteon split")
    folds = tuple(_fold(number, entry) for number, entry in enumerate(fields["folds"]))
    _check_rounds(folds, fields["scheme"])
    return Split(
        scheme=fields["scheme"],
        unit=fields["unit"],
        folds=folds,
        seed=fields["seed"],
        stratify=fields["stratify"],
        manifest_sha256=fields["manifest_sha256"],
        warnings=_texts(fields["warnings"], "warnings"),
    )


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{what} must hold named entries: make it again with osteon split")
    return value


def _texts(value: object, what: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InputError(f"{what} must be a list of texts, in quotes")
    return tuple(value)


def _fold(number: int, entry: object) -> Fold:
    fields = _mapping(entry, f"fold {number}")
    if set(fields) != set(PARTS):
        raise InputError(f"fold {number} must have the parts {', '.join(PARTS)}, found {', '.join(fields) or 'none'}")
    parts = {part: _texts(fields[part], f"the {part} part of fold {number}") for part in PARTS}
    seen: dict[str, str] = {}
    for part, members in parts.items():
        for member in members:
            if member in seen:
                where = f"twice in the {part} part" if seen[member] == part else f"in {seen[member]} and in {part}"
                raise InputError(
                    f"{member!r} is {where} of fold {number}: a model would be evaluated on what it learnt"
                )
            seen[member] = part
    try:
        return Fold(**parts)
    except InputError as error:
        raise InputError(f"fold {number}: {error}") from error


def _check_rounds(folds: tuple[Fold, ...], scheme: str) -> None:
    """Each member is evaluated, or chosen by, in one fold only."""
    if scheme == "holdout":
        for number, fold in enumerate(folds):
            odd = set(fold.test) ^ set(folds[0].test)
            if odd:
                raise InputError(f"{min(odd)!r} is not in the test part of both fold 0 and fold {number}: it is fixed")
    part = "validation" if scheme == "holdout" else "test"
    first: dict[str, int] = {}
    for number, fold in enumerate(folds):
        for member in getattr(fold, part):
            if member in first:
                raise InputError(f"{member!r} is in the {part} part of fold {first[member]} and of fold {number}")
            first[member] = number
