"""Take films out as a data set: images without a header, and a manifest as every training takes it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from osteon.archive.access import OPERATOR, Viewer, select_films
from osteon.archive.fields import SEARCHED, clinical_field
from osteon.archive.search import conditions
from osteon.archive.tables import UNKNOWN, images, patients, studies
from osteon.data import ImageRow, Manifest
from osteon.data.manifest import PATIENT_KNOWN
from osteon.data.options import Progress, silent
from osteon.errors import InputError, OutputError
from osteon.io.image import load_radiograph, write_png8, write_png16
from osteon.io.table import write_manifest
from osteon.io.whole_file import part_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from osteon.archive.store import Archive

__all__ = ["Exported", "export_films"]

STEP: Final = "writing the films"
_EXTRA: Final = ("entity", "malignancy", "location", "tumour_status", "imaging_stage", "modality", "body_part", "view")
_FULL_8_BITS: Final = 255.0


@dataclass(frozen=True, slots=True)
class Exported:
    """A data set as written.

    Attributes:
        manifest: of the data set.
        without_label: films that were left out because their label is not known.
    """

    manifest: Manifest
    without_label: int


def export_films(
    archive: Archive,
    where: Sequence[str],
    out: Path,
    *,
    label: str = "entity",
    keep_unknown: bool = False,
    viewer: Viewer = OPERATOR,
    progress: Progress = silent,
) -> Exported:
    """Write the films that meet the filters as ``images/*.png`` and ``manifest.csv``, whole or not at all.

    Patients and studies are named by their row numbers, so no identifier, name, date or header leaves the archive;
    what is burnt into pixels does.

    Args:
        archive: to take from.
        where: filters, as of ``search.conditions``.
        out: a new folder.
        label: the clinical field that becomes the label.
        keep_unknown: keep films whose label is not known, labelled "unknown".
        viewer: who takes them.
        progress: called after every film.

    Raises:
        UsageError: no such field.
        InputError: no film is left.
        OutputError: the folder exists or cannot be written.
    """
    field = clinical_field(label)
    columns = [SEARCHED[name].column.label(name) for name in (*_EXTRA, "sex", "age", "side", "manufacturer")]
    wanted = select_films(
        viewer,
        *(patients.c.id.label("patient_row"), patients.c.is_known, studies.c.id.label("study_row")),
        *(images.c.sha256, images.c.suffix, field.in_force.label("the_label")),
        *columns,
    )
    with archive.reading() as connection:
        found = connection.execute(wanted.where(*conditions(where)).order_by(images.c.id)).all()
    kept = [row for row in found if keep_unknown or row.the_label not in (None, UNKNOWN)]
    if not kept:
        raise InputError(
            f"{len(found)} films meet the filters, and none of them has a known {label}: set it, or keep them as "
            "unknown (--keep-unknown)"
        )
    if out.exists():
        raise OutputError(f"{out.name} exists already: a data set is written into a new folder")
    work = out.absolute().parent / part_name()
    try:
        (work / "images").mkdir(parents=True)
        rows = []
        progress(STEP, 0, len(kept))
        for done, row in enumerate(kept, start=1):
            rows.append(_write_film(archive, row, work))
            progress(STEP, done, len(kept))
        manifest = write_manifest(Manifest(work, tuple(rows)), work / "manifest.csv")
        work.rename(out)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OutputError(f"the data set {out.name} cannot be written ({reason}): check the disk") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Exported(Manifest(out, manifest.rows, manifest.sha256), len(found) - len(kept))


def _write_film(archive: Archive, row: Any, work: Path) -> ImageRow:  # noqa: ANN401 - a row
    picture = load_radiograph(archive.film_path(row.sha256, row.suffix), any_scale=True)
    name = f"images/{row.sha256[:16]}.png"
    if picture.full_scale == _FULL_8_BITS:
        write_png8(work / name, np.rint(picture.pixels).astype(np.uint8))
    else:
        write_png16(work / name, picture.scaled())
    extra = {each: str(getattr(row, each)) for each in _EXTRA} | {"side": row.side}
    if not row.is_known:
        extra[PATIENT_KNOWN] = "no"
    return ImageRow(
        image=name,
        patient=f"P{row.patient_row:06d}",
        label=str(UNKNOWN if row.the_label is None else row.the_label),
        study=f"S{row.study_row:06d}",
        sex="" if row.sex == UNKNOWN else row.sex,
        age_years=row.age,
        scanner="" if row.manufacturer == UNKNOWN else row.manufacturer,
        extra=extra,
    )
