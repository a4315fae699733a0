"""A made-up study of histology as a data set: tiles of synthetic slides with their class."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon import __version__
from osteon.curation.splits import choose_test
from osteon.errors import OutputError
from osteon.io.image import write_colour
from osteon.train.datasets.case_builder import (
    CaseMaker,
    SeriesCase,
    build_cases,
    case_key,
    folder_name,
    known_fields,
    write_json,
)
from osteon_phantoms.slide import make_slide
from osteon_phantoms.slide_cohort import SlidePatient, TileOptions, draw_places, slide_cohort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from osteon.data.options import Progress
    from osteon.train.datasets.case_builder import BuiltDataset
    from osteon_phantoms.slide_cohort import TilePlace
    from osteon_phantoms.slide_spec import SlideSpec

__all__ = ["SLIDE_LOOK", "SlideStudy", "build_slide_cohort"]

SLIDE_LOOK: Final = "osteon slide phantom 2"
"""Changes when the same spec gives another picture, so that an unfinished cohort is not continued with other looks."""

_TILES: Final = "tiles"
_JPEG_SEED: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideStudy:
    """Who is in a made-up study.

    Attributes:
        patients: how many.
        seed: of patients and test part.
        test: share of the patients that the manifest marks as test; None marks nobody.
    """

    patients: int = 40
    seed: int = 1
    test: float | None = 0.25


def build_slide_cohort(
    out: Path,
    study: SlideStudy | None = None,
    *,
    options: TileOptions | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> BuiltDataset:
    """Make synthetic patients and the data set of tiles of their slides.

    The manifest's extra columns: ``microns_per_pixel``, ``slide``, ``row`` and ``column`` (first pixel on the slide, at
    the width of the tile's pixels), ``class_share`` (of the tile's tissue that is of its class), ``tissue_share``,
    ``synthetic``.

    Args:
        out: the folder to be, or an unfinished one to go on with.
        study: who is in it.
        options: which tiles.
        workers: processes.
        progress: told about every patient.

    Raises:
        InputError: a number of patients that is no cohort.
        OutputError: cannot be written.
    """
    study, chosen = study or SlideStudy(), options or TileOptions()
    people = slide_cohort(study.patients, seed=study.seed, options=chosen)
    strata = {person.patient_id: "tumour" for person in people}
    judged = (
        frozenset[str]()
        if study.test is None or len(people) < 2
        else choose_test(strata, share=study.test, seed=study.seed)
    )
    cases = [
        SeriesCase(
            name=person.patient_id,
            patient=person.patient_id,
            open=_opener(person),
            fingerprint=f"{SLIDE_LOOK} {asdict(person)}",
            centre=person.centre,
            scanner="synthetic",
            split="" if study.test is None else "test" if person.patient_id in judged else "train",
            extra={"synthetic": "yes"},
        )
        for person in people
    ]
    about = {"what": "SYNTHETIC - osteon phantoms. Not patients.", "osteon": __version__, **asdict(study)}
    return build_cases(cases, out, _MAKER, options=chosen, workers=workers, progress=progress, about=about)


def _opener(person: SlidePatient) -> Callable[[], tuple[SlideSpec, ...]]:
    return partial(_slides_of, person)


def _slides_of(person: SlidePatient) -> tuple[SlideSpec, ...]:
    return person.slides


def make_case(case: SeriesCase[tuple[SlideSpec, ...]], out: Path, options: TileOptions) -> str:
    """Write the tiles of a patient; "" as nothing of a synthetic patient can be unreadable.

    Raises:
        OutputError: cannot be written.
    """
    stem = folder_name(case.name)
    rows: list[dict[str, object]] = []
    try:
        (out / _rows_file(stem)).unlink(missing_ok=True)
        for left in (out / _TILES).glob(f"{stem}-*"):
            left.unlink()
    except OSError as error:
        raise OutputError(f"the tiles of a patient cannot be written: {error.strerror}; free the disk") from error
    for number, spec in enumerate(case.open(), start=1):
        slide = make_slide(spec)
        generator = np.random.default_rng([spec.seed, _JPEG_SEED])
        for index, place in enumerate(draw_places(slide, options)):
            picture = slide.read(0, place.row, place.column, options.pixels, options.pixels)
            quality = None if options.jpeg is None else int(generator.integers(options.jpeg[0], options.jpeg[1] + 1))
            name = f"{stem}-{number}_{index:02}.{'png' if quality is None else 'jpg'}"
            write_colour(out / _TILES / name, picture, quality=quality or 90)
            rows.append(_row(case, spec, place, name=name, slide=number))
    reason = "" if rows else "no slide has room for a tile of one class"
    write_json(out / _rows_file(stem), {"key": case_key(case, options), "reason": reason, "rows": rows})
    return ""


def _row(
    case: SeriesCase[tuple[SlideSpec, ...]], spec: SlideSpec, place: TilePlace, *, name: str, slide: int
) -> dict[str, object]:
    fields = known_fields(case, None)
    return {
        "image": f"{_TILES}/{name}",
        "label": place.label,
        **fields,
        "study": f"{case.name}-{slide}",
        "extra": {
            "microns_per_pixel": f"{spec.microns_per_pixel:.6g}",
            "slide": f"{case.name}-{slide}",
            "row": str(place.row),
            "column": str(place.column),
            "class_share": f"{place.share:.3f}",
            "tissue_share": f"{place.tissue:.3f}",
            **case.extra,
        },
    }


def _rows_file(stem: str) -> str:
    """Where the rows of a patient are kept."""
    return f"cases/{stem}.json"


_MAKER: Final = CaseMaker(make=make_case, rows_file=_rows_file, folders=(_TILES, "cases"), what="patients")
