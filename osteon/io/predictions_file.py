"""Predictions as a Parquet table, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon._optional import require
from osteon.data import Predictions
from osteon.errors import InputError, ThirdParty
from osteon.io.table import parquet_table
from osteon.io.whole_file import require_file, whole_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["read_predictions", "write_predictions"]

SCHEMA_VERSION: Final = 1
_META: Final = b"osteon.predictions"
_TEXTS: Final = ("patient", "series", "image", "part")


def write_predictions(predictions: Predictions, path: str | Path) -> Path:
    """Write predictions, whole or not at all.

    One row an image; columns patient, series, image, fold, part, truth, logit_CLASS (one a class), temperature. The
    order of the classes and the positive one are in the metadata of the file.

    Returns:
        The file.

    Raises:
        OutputError: cannot be written.
    """
    require("pyarrow", extra="train", purpose="for predictions")
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns: dict[str, Any] = {
        name: pa.array(getattr(predictions, name).tolist(), type=pa.string()) for name in _TEXTS[:3]
    }
    columns["fold"] = pa.array(predictions.fold.astype(np.int64))
    columns["part"] = pa.array(predictions.part.tolist(), type=pa.string())
    columns["truth"] = pa.array(predictions.truth.astype(np.int64))
    for number, name in enumerate(predictions.classes):
        columns[f"logit_{name}"] = pa.array(np.ascontiguousarray(predictions.logits[:, number], dtype=np.float32))
    columns["temperature"] = pa.array(predictions.temperature.astype(np.float64))
    about = {"schema_version": SCHEMA_VERSION, "classes": list(predictions.classes), "positive": predictions.positive}
    table = pa.table(columns).replace_schema_metadata({_META: json.dumps(about).encode("utf-8")})
    target = Path(path)
    with whole_file(target) as work:
        pq.write_table(table, work)
    return target


def read_predictions(path: str | Path) -> Predictions:
    """Read what ``write_predictions`` wrote.

    Raises:
        InputError: no such file, damaged, or another kind of table.
    """
    require("pyarrow", extra="train", purpose="for predictions")

    file = Path(path)
    with ThirdParty(f"{file.name} cannot be read as predictions: it is missing or damaged; run again"):
        require_file(file)
        table = parquet_table(file.read_bytes())
        names = set(table.column_names)
    classes, positive = _about(table.schema.metadata or {}, file.name)
    needed = [*_TEXTS, "fold", "truth", "temperature", *(f"logit_{name}" for name in classes)]
    absent = [name for name in needed if name not in names]
    if absent:
        raise InputError(f"{file.name} lacks the column(s) {', '.join(absent)}: it is not a table of predictions")
    nulls = [name for name in needed if table.column(name).null_count]
    if nulls:
        raise InputError(f"{file.name} has empty cells in {', '.join(nulls)}: write it again")

    def numbers(name: str, kind: type[np.generic]) -> NDArray[Any]:
        try:
            return np.asarray(table.column(name).to_numpy()).astype(kind, casting="same_kind")
        except (TypeError, ValueError) as error:
            raise InputError(f"{file.name}: the column {name} holds no {kind.__name__} values") from error

    with ThirdParty(f"{file.name} cannot be read as predictions: its texts are damaged; run again"):
        texts = {name: np.array(table.column(name).to_pylist(), dtype=np.str_) for name in _TEXTS}
    return Predictions(
        **texts,
        truth=numbers("truth", np.int64),
        logits=np.column_stack([numbers(f"logit_{name}", np.float32) for name in classes]),
        fold=numbers("fold", np.int64),
        temperature=numbers("temperature", np.float64),
        classes=classes,
        positive=positive,
    )


def _about(metadata: dict[bytes, bytes], name: str) -> tuple[tuple[str, ...], str]:
    with ThirdParty(f"{name} does not say its classes: it was not written by osteon"):
        about = json.loads(metadata[_META])
        classes, positive = tuple(map(str, about["classes"])), str(about["positive"])
        version = about["schema_version"]
    if version != SCHEMA_VERSION:
        raise InputError(f"{name} has format {version}; this osteon reads format {SCHEMA_VERSION}")
    return classes, positive
