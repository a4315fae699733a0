"""JSON documents are checked against their schema before they are written."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from osteon.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["schema", "validate_document", "write_document"]


@cache
def schema(kind: Literal["findings", "run"]) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a document, version 1."""
    text = files("osteon.report.schema").joinpath(f"{kind}-1.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def validate_document(document: Mapping[str, object], *, kind: Literal["findings", "run"]) -> None:
    """Raise unless a document is as its schema says.

    Raises:
        OutputError: it is not; the message names the first place by path, without its value.
    """
    import jsonschema

    validator = jsonschema.Draft202012Validator(schema(kind))
    error = next(iter(sorted(validator.iter_errors(document), key=lambda found: len(found.absolute_path))), None)
    if error is not None:
        place = "/".join(str(step) for step in error.absolute_path) or "the document"
        rule = f"{error.validator}: {json.dumps(error.validator_value)[:120]}"
        raise OutputError(f"{kind}.json breaks its schema at {place} ({rule})")


def write_document(path: Path, document: Mapping[str, object], *, kind: Literal["findings", "run"]) -> None:
    """Validate and write a document as UTF-8 JSON.

    Raises:
        OutputError: it breaks its schema, holds NaN, or cannot be written.
    """
    validate_document(document, kind=kind)
    try:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
    except (OSError, TypeError, ValueError) as error:
        raise OutputError(f"{path.name} cannot be written: {error}") from error
