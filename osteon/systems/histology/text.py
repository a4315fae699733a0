"""What the system histology says: headline, findings and notices of one slide, and what its report calls things."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Final

import numpy as np

from osteon.data import TILE_CLASSES, TILE_TEXTS, Finding, Measurement, Notice
from osteon.data.system import DEMO_LIMIT, NO_MODEL, OUTCOME_LIMIT, TaskText
from osteon.labels import concept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon.data import Status
    from osteon.systems.histology.detail import SlideReading

__all__ = ["TEXT", "describe", "headline", "notices_of", "status_of"]

SLIDE_DEMO_MARK: Final = "demo model - shows how the software works"
"""Stands on every picture that shows what a demo model said of a slide."""


def _typeset(text: str) -> str:
    """With a raised 2, and without a line break between a number and its unit."""
    return text.replace(" mm2", "\u00a0mm²").replace(" %", "\u00a0%")


_LIMITS: Final = (
    "osteon is research software, not a medical device. Every slide must be read by a pathologist.",
    "The classifier sees single tiles at low magnification. Borders on the map follow the tiles, not the tumour.",
    "Areas count the tissue in whole tiles. Bone, calcified matrix, blood and muscle count as tissue.",
    "The interval says how much the fraction would change with other regions and tiles of this slide.",
    "The interval does not hold what other slides of the same tumour, another stain or another scanner would change.",
)

TEXT: Final = TaskText(
    title="Histology slide: viable and non-viable tumour",
    demo="What this report says about tumour shows how the software works. It says nothing about a patient.",
    ood=(
        "The slide is outside the model's training range. No class is claimed, no area, no necrosis fraction "
        "and no grade; what is shown of the slide and of its distance from the training tiles stands."
    ),
    limits=(*(("always", words) for words in _LIMITS), ("always", OUTCOME_LIMIT), ("demo", DEMO_LIMIT)),
    image="Slide",
    demo_mark=SLIDE_DEMO_MARK,
    files={
        "heatmap.tif": "the map as a pyramidal TIFF with the slide's extent and micrometres, to lay over the slide",
        "regions.geojson": "regions of each class and flagged tiles, for QuPath",
        "tiles.csv": "every tile that was read: position, probabilities, flags",
    },
    typeset=_typeset,
)

_WIDEST_INTERVAL: Final = 0.6
"""Of a fraction with a wider interval than this it is said that it cannot be measured."""

_FLAG_TEXTS = {
    "blur": "out of focus",
    "pen": "under pen marks",
    "fold": "in folds",
    "ood": "out of distribution",
}


def status_of(reading: SlideReading) -> Status:
    """What the slide comes to: positive where tumour was predicted."""
    if reading.is_silent:
        return "not_assessed"
    if reading.is_ood:
        return "abstained"
    if reading.left_out == reading.tiles:
        return "not_assessed"
    areas = reading.necrosis.area_mm2
    return "positive" if areas["viable"] + areas["non_viable"] > 0 else "negative"


def describe(reading: SlideReading, *, identity: str) -> Iterator[Finding]:
    """Findings in reading order: necrosis, viable tumour, the rest of the tissue, what was left out.

    ``identity`` is a hash of what the slide shows; with a finding's name it decides its tracking UID.
    """
    areas = reading.necrosis.area_mm2
    if reading.necrosis.fraction is not None:
        yield _necrosis(reading, identity)
        words = f"Viable tumour: {_area(areas['viable'])}."
        yield _tissue(identity, "viable-tumour", words, areas["viable"], kind="neoplasm")
    if not (reading.is_ood or reading.is_silent) and reading.left_out < reading.tiles:
        words = f"Tissue classified as non-tumour: {_area(areas['non_tumour'])}."
        yield _tissue(identity, "non-tumour", words, areas["non_tumour"])
    yield _tissue(identity, "tissue", f"Tissue on the slide: {_area(areas['tissue'])}.", areas["tissue"])
    if reading.left_out and not reading.is_ood:
        words = f"Tissue left out of every class: {_area(areas['left_out'])}."
        yield _tissue(identity, "left-out", words, areas["left_out"])


def notices_of(reading: SlideReading) -> Iterator[Notice]:
    """What must be said of tiles and slides that the model cannot evaluate."""
    if reading.is_ood or reading.is_reported:
        tail = (
            "It is reported all the same, because that was asked for; it may mean nothing."
            if reading.is_reported
            else "No class, no necrosis and no grade is claimed of it."
        )
        text = (
            "The slide is outside the model's training range: the median distance of its tiles from those of "
            f"training is {_score(reading)} (1 is usual). What the model says of it carries no weight. {tail}"
        )
        yield Notice("out-of-distribution", text, "warning")
    elif reading.left_out:
        words = ", ".join(f"{count} {_FLAG_TEXTS.get(name, name)}" for name, count in reading.flagged.items() if count)
        text = f"{reading.left_out} of {_tiles(reading.tiles)} counted in no class: {words}. Marked on the map."
        yield Notice("tiles-left-out", text, "warning" if reading.left_out > 0.1 * reading.tiles else "info")
    if reading.ood is None:
        text = "The model's card does not say which tiles are out of distribution; this slide was not checked."
        yield Notice("limits-unknown", text, "warning")
    if reading.necrosis.fraction is not None and reading.necrosis.interval is None:
        why = reading.necrosis.method.removeprefix("no interval: ")
        text = f"The necrosis has no interval, and no grade is proposed: {why}."
        yield Notice("no-interval", text, "warning")
    if reading.grade is None and reading.necrosis.interval is not None:
        if reading.is_graded:
            text = "The interval of the necrosis reaches more than two Huvos grades: none is proposed."
            yield Notice("no-grade", text, "warning")
        else:
            text = (
                "No Huvos grade is proposed: it is for osteosarcomas after chemotherapy, and nobody said that this is "
                "one (--after-chemotherapy)."
            )
            yield Notice("no-grade", text)
    if reading.grade is not None:
        text = (
            "The grade is a proposal for what is on this slide; the response to chemotherapy is graded on the whole "
            "mapped specimen."
        )
        yield Notice("grade-of-one-slide", text)


def headline(reading: SlideReading) -> str:
    """The first sentence of the report: the necrosis fraction with its interval and grade, or why there is none."""
    return _no_assessment(reading) or _told(reading)


def _no_assessment(reading: SlideReading) -> str:
    areas = reading.necrosis.area_mm2
    if reading.is_silent:
        return f"{NO_MODEL} Tissue on the slide: {_area(areas['tissue'])}."
    if reading.is_ood:
        where = f"the slide is outside the model's training range (score {_score(reading)})"
        return f"No assessment of tumour or necrosis: {where}."
    if reading.left_out == reading.tiles:
        return f"No assessment: none of the {_tiles(reading.tiles)} of this slide shows clean tissue."
    return ""


def _told(reading: SlideReading) -> str:
    necrosis, areas = reading.necrosis, reading.necrosis.area_mm2
    if reading.tiles == 1:  # of a single tile its class is the answer; a share of it would be 0 or 100 %
        each = reading.map.probability.reshape(-1, len(TILE_CLASSES))
        shares = each[np.isfinite(each[:, 0])][0]
        name = TILE_CLASSES[int(np.argmax(shares))]
        return f"The tile is classified as {TILE_TEXTS[name]} (probability {shares.max():.2f})."
    if necrosis.fraction is None:
        return f"No tumour detected on this slide: {_area(areas['non_tumour'])} of tissue classified as non-tumour."
    percent = f"{100 * necrosis.fraction:.0f} %"
    of = f"{_area(areas['non_viable'])} of {_area(areas['non_viable'] + areas['viable'])}"
    interval = "" if necrosis.interval is None else f", 95 % CI {_range(necrosis.interval)}"
    grade = ""
    if reading.grade is not None:
        others = [name for name in reading.grade.possible if name != reading.grade.grade]
        tail = f" ({' or '.join(others)} within the interval)" if others else ""
        grade = f" Proposed Huvos grade, for this slide alone: {reading.grade.grade}{tail}."
    elif reading.is_graded:
        grade = " No Huvos grade proposed."
    if necrosis.interval is not None and necrosis.interval[1] - necrosis.interval[0] > _WIDEST_INTERVAL:
        return f"Necrosis not reliably measurable: estimate {percent}{interval} ({of}).{grade}"
    return f"Necrosis: {percent} of the tumour on this slide{interval} ({of}).{grade}"


def _score(reading: SlideReading) -> str:
    ood = reading.ood
    return "" if ood is None else f"{ood.score:.2f}, threshold {ood.threshold:.2f}"


def _necrosis(reading: SlideReading, identity: str) -> Finding:
    necrosis, areas = reading.necrosis, reading.necrosis.area_mm2
    fraction = necrosis.fraction or 0.0
    regions = "1 region" if necrosis.regions == 1 else f"{necrosis.regions} regions"
    interval = "" if necrosis.interval is None else f" (95 % CI {_range(necrosis.interval)})"
    return Finding(
        identifier="necrosis",
        tracking_uid=_tracking_uid(identity, "necrosis"),
        kind=concept("necrosis"),
        statement=(
            f"Necrosis: {100 * fraction:.0f} % of the tumour{interval}, {_area(areas['non_viable'])} non-viable; "
            f"tumour in {regions} on {_tiles(necrosis.tiles)}."
        ),
        measurements=(
            Measurement(concept("necrosis_fraction"), fraction, concept("unit_ratio"), interval=necrosis.interval),
            Measurement(concept("area"), areas["non_viable"], concept("unit_mm2")),
        ),
        is_abnormal=fraction > 0,
    )


def _tissue(identity: str, identifier: str, statement: str, area_mm2: float, *, kind: str = "tissue") -> Finding:
    return Finding(
        identifier=identifier,
        tracking_uid=_tracking_uid(identity, identifier),
        kind=concept(kind),
        statement=statement,
        measurements=(Measurement(concept("area"), area_mm2, concept("unit_mm2")),),
        is_abnormal=kind != "tissue" and area_mm2 > 0,
    )


def _area(area_mm2: float) -> str:
    return f"{area_mm2:.2g} mm2" if area_mm2 < 1 else f"{area_mm2:.1f} mm2"


def _tiles(count: int) -> str:
    return "1 tile" if count == 1 else f"{count} tiles"


def _range(interval: tuple[float, float]) -> str:
    """Rounded outwards, so that the words never claim more than the numbers."""
    return f"{np.floor(100 * interval[0] + 1e-9):.0f} to {np.ceil(100 * interval[1] - 1e-9):.0f} %"


def _tracking_uid(identity: str, identifier: str) -> str:
    """The same picture and finding give the same UID each time."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'osteon/{identity}/{identifier}').int}"
