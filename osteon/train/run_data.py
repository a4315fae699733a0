"""A run together with the data set that it was trained on, proven to be the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from osteon.errors import InputError
from osteon.io.split_file import read_split
from osteon.io.table import read_manifest
from osteon.train.run import read_run
from osteon.train.run_folder import SETTINGS_NAME, read_document, split_digest

if TYPE_CHECKING:
    from pathlib import Path

    from osteon.data import Manifest, Split
    from osteon.train.run import Run

__all__ = ["RunData", "is_synthetic", "open_run", "synthetic_share", "synthetic_words"]

_SYNTHETIC = frozenset({"yes", "true", "1"})
_SPLIT_NAME = "splits.json"


@dataclass(frozen=True, slots=True)
class RunData:
    """A run, its images and its split.

    Attributes:
        run: as its folder tells it.
        manifest: of the data set.
        split: of the patients.
        split_sha256: of who is in which part with which labels.
    """

    run: Run
    manifest: Manifest = field(repr=False)
    split: Split = field(repr=False)
    split_sha256: str


def open_run(folder: Path, dataset: Path, *, split: Path | None = None) -> RunData:
    """Read a run and its data set, and refuse what does not belong together.

    Args:
        folder: of the run.
        dataset: folder of the data set, or its manifest.
        split: file of the split; None looks beside the manifest, in the run, and in the study that the run is of.

    Raises:
        InputError: a file is missing or damaged, or manifest and split are not those of the run.
    """
    run = read_run(folder)
    expected = str(read_document(folder / SETTINGS_NAME).get("split_sha256"))
    manifest = read_manifest(dataset)
    if split is not None:
        places = [split]
    else:
        study = folder.absolute().parent.parent
        places = [place / _SPLIT_NAME for place in (manifest.folder, folder, study)]
        places = [place for place in places if place.exists()]
    if not places:
        raise InputError(
            f"no {_SPLIT_NAME} beside the manifest of {manifest.folder.name} nor in the run: name the split that "
            f"{folder.name} was trained with (--split)"
        )
    for place in places:
        found = read_split(place)
        if split_digest(manifest, found) == expected:
            return RunData(run, manifest, found, expected)
    raise InputError(
        f"{folder.name} was trained with other patients, labels or folds than {manifest.folder.name} holds now (the "
        "hashes of manifest and split differ): give the data set as it was, or train again"
    )


def is_synthetic(manifest: Manifest) -> bool:
    """Whether the manifest says so of every image."""
    return synthetic_share(manifest) == 1.0


def synthetic_share(manifest: Manifest) -> float:
    """Which share of the images the manifest's column ``synthetic`` calls so, 0 to 1."""
    flags = [row.extra.get("synthetic", "").strip().lower() in _SYNTHETIC for row in manifest.rows]
    return sum(flags) / len(flags)


def synthetic_words(manifest: Manifest) -> tuple[str, ...]:
    """The sentence that no page of numbers from synthetic images may lack; none where no image is synthetic."""
    share = synthetic_share(manifest)
    return (f"{share:.0%} of the images are SYNTHETIC: these numbers say nothing about patients.",) if share else ()
