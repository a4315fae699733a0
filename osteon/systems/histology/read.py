"""A slide of osteosarcoma: which tissue is tumour, how much of the tumour is necrotic, and which grade that would be.

Tissue is found on a thumbnail, cut into tiles of the size that the model was trained on, and every tile is classified;
the map has one value a cell (specs/histology.md, section 4). Tiles that show no clean tissue, and tiles that are out
of distribution, are left out of every area and counted. Where most tiles are, nothing is claimed of
the slide at all.
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from osteon.data import TILE_CLASSES, Answer, Necrosis, Notice, RegionOod
from osteon.data.options import Progress, silent
from osteon.data.provenance import Clock
from osteon.data.system import silent_notice
from osteon.errors import InputError, WeightsError
from osteon.metrics.necrosis import huvos_grade, necrosis_fraction
from osteon.ops.stain import StainLook, StainNormaliser
from osteon.ops.tile_plan import plan_tiles, slide_size_um, slide_thumbnail, tile_view, tile_views, tile_window
from osteon.ops.tissue import FLAGS, tile_flags, tissue_mask
from osteon.predict.engines.openvino import usable_cores
from osteon.predict.predictor import Predictor, may_speak
from osteon.systems.histology.detail import NO_FRACTION, SlideMap, SlideReading, tiles_of
from osteon.systems.histology.text import describe, headline, notices_of, status_of
from osteon.weights import find_card

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from osteon.data import GradeProposal, Slide, TilePlan
    from osteon.systems.histology.detail import Tiles
    from osteon.systems.histology.options import Options

__all__ = ["DEFAULT_MODEL", "TASK", "TileBlock", "answer", "read_tiles"]


TASK = "histology"
DEFAULT_MODEL = "mobilenet_v2_tiles.demo"

LEAST_SIDE = 0.5
"""A slide is read when its shorter side is at least this part of a tile's."""
LEAST_TILES = 4
"""From this many tiles on their median is compared with the threshold of patients, below with that of one tile."""

_THUMBNAIL_UM = 10.0
_MOST_GRADES = 2  # neighbours
_LEAST_TISSUE = 0.25  # share of a cell
_COARSEST = 2.0  # times the pixel that the network sees
_STAIN_SAMPLE = 32
_CERTAIN_EACH = 6
_UNCERTAIN = 6
_MOST_THREADS = 8
_SEED = 1

_MOST_PIXELS = 6 * 2**20  # of a level, read at a time by one thread: 18 MB
_MOST_TILES = 64  # 10 MB at 224 pixels
_AHEAD = 2  # blocks read or waiting, a thread


def answer(
    slide: Slide, options: Options, progress: Progress = silent, *, classifier: Predictor | None = None
) -> Answer:
    """Read a slide.

    Args:
        slide: stained with haematoxylin and eosin.
        options: device, model, ``report_ood`` and ``force``.
        progress: called at every step.
        classifier: a model at hand; None for the one that the options name.

    Raises:
        InputError: no tissue, a slide smaller than half a tile, pixels too coarse, or a damaged file.
        UnknownLabelError: the model is not installed.
        WeightsError: it is not a tile classifier, was changed, or does not reproduce its golden tiles.
        BackendError: the device or runtime is not at hand.
    """
    clock = Clock()
    card = find_card(options.model or DEFAULT_MODEL) if classifier is None else classifier.card
    if card is None:
        raise WeightsError(f"{options.model} has no model card: how large its tiles are is not known")
    contract = tiles_of(card)  # another kind of model is refused before it is loaded
    if classifier is None and may_speak(card, slide, demo_on_patient=options.demo_on_patient):
        with clock.step("load model", progress, "loading the model"):
            classifier = Predictor.load(card, device=options.device)
    told = _check_size(slide, contract)
    with clock.step("find tissue", progress, "finding tissue"):
        plan, identity = _plan(slide, contract, force=options.force)
    if classifier is None:
        return _unread(plan, identity, (*told, silent_notice(card.name)), _configuration(options, plan, contract, None))
    with clock.step("find tissue"):
        change, stain_notice = _stain(slide, plan, contract)
    with clock.step("read and classify tiles"):
        evaluate = partial(tile_flags, um_per_pixel=plan.tile_um / plan.pixels)
        blocks = read_tiles(slide, plan, evaluate=evaluate, change=change, threads=min(usable_cores(), _MOST_THREADS))
        found = _classified(blocks, plan, classifier, progress)
    with clock.step("measure"):
        reading = _evaluated(plan, found, classifier, options)
    certain, uncertain = _gallery(reading)
    return Answer(
        task=TASK,
        headline=headline(reading),
        status=status_of(reading),
        findings=tuple(describe(reading, identity=identity)),
        models=(classifier.use(),),
        notices=(*told, *stain_notice, *notices_of(reading)),
        configuration=_configuration(options, plan, contract, classifier),
        seconds=clock.seconds,
        detail=replace(reading, certain=certain, uncertain=uncertain),
    )


def _unread(plan: TilePlan, identity: str, notices: tuple[Notice, ...], configuration: dict[str, object]) -> Answer:
    """What is known of a slide of which no model may speak: how much tissue there is."""
    tissue_mm2 = float(plan.tissue_share[plan.is_tissue].sum()) * (plan.step_um / 1000) ** 2
    probability = np.full((*plan.shape, len(TILE_CLASSES)), np.nan, dtype=np.float32)
    reading = SlideReading(
        map=SlideMap(plan, probability),
        necrosis=Necrosis(None, None, "nothing is claimed: no model may speak", {"tissue": tissue_mm2}, 0, 0),
        tiles=int(np.count_nonzero(plan.is_tissue)),
        is_silent=True,
    )
    return Answer(
        task=TASK,
        headline=headline(reading),
        status=status_of(reading),
        findings=tuple(describe(reading, identity=identity)),
        notices=notices,
        configuration=configuration,
        detail=reading,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What was found in the cells, NaN and False where none was read."""

    probability: NDArray[np.float32] = field(repr=False)
    distance: NDArray[np.float32] | None = field(repr=False)
    flags: dict[str, NDArray[np.bool_]] = field(repr=False)


def _check_size(slide: Slide, contract: Tiles) -> list[Notice]:
    """Refuse what is too small or too coarse; tell what is nearly so.

    Raises:
        InputError: so it is.
    """
    size_um = slide_size_um(slide)
    pixel_um, wanted_um = max(slide.microns_per_pixel), contract.tile_um / contract.pixels
    height, width = size_um
    if min(size_um) < LEAST_SIDE * contract.tile_um:
        raise InputError(
            f"the picture shows {height:.0f} x {width:.0f} um; a tile is {contract.tile_um:g} um across, and at least "
            f"half of it is needed: give a larger picture, or the right --microns (it has {pixel_um:.3g} um a pixel)"
        )
    if pixel_um > _COARSEST * wanted_um:
        raise InputError(
            f"the slide has {pixel_um:.3g} um a pixel; the model sees {wanted_um:.3g} um a pixel, and at most "
            f"{_COARSEST * wanted_um:.3g} can do: give the slide at a higher magnification"
        )
    told = []
    if min(size_um) < contract.tile_um * 0.999:
        told.append(
            Notice(
                "smaller-than-a-tile",
                f"The picture shows {height:.0f} x {width:.0f} um, less than the {contract.tile_um:g} um of a tile; "
                "what is beyond it was taken for bare glass.",
                level="warning",
            )
        )
    if pixel_um > wanted_um * 1.01:
        told.append(
            Notice(
                "coarse-pixels",
                f"The slide has {pixel_um:.3g} um a pixel, coarser than the {wanted_um:.3g} um that the model was "
                "trained on; it was enlarged.",
                level="warning",
            )
        )
    return told


def _plan(slide: Slide, contract: Tiles, *, force: bool) -> tuple[TilePlan, str]:
    """The cells, which of them have tissue, and a hash of what the slide shows.

    Raises:
        InputError: there is none, and it is not forced.
    """
    size_um = slide_size_um(slide)
    picture, um = slide_thumbnail(slide, um_per_pixel=_THUMBNAIL_UM)
    mask = tissue_mask(picture, um_per_pixel=(um[0] + um[1]) / 2)
    is_single = max(size_um) <= contract.tile_um * 1.001
    step_um = contract.tile_um if is_single else contract.tile_um / 2
    is_blank = not mask.any()
    plan = plan_tiles(
        size_um,
        np.ones_like(mask) if force and is_blank else mask,
        um,
        tile_um=contract.tile_um,
        step_um=step_um,
        pixels=contract.pixels,
        # in a picture of one tile somebody chose the place: any tissue will do
        least_tissue=0.0 if is_single else _LEAST_TISSUE,
    )
    if (is_blank and not force) or not plan.is_tissue.any():
        raise InputError(
            "no tissue was found on the slide: nothing that looks stained with haematoxylin and eosin fills a quarter "
            f"of any square of {step_um:g} um. Give a slide with tissue, or --force if it is there"
        )
    return plan, hashlib.sha256(picture.tobytes()).hexdigest()


def _stain(
    slide: Slide, plan: TilePlan, contract: Tiles
) -> tuple[Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None, list[Notice]]:
    """What is done to the colours of a tile; the look of the slide is measured once, on a sample of its tiles."""
    if contract.stain == "none":
        return None, []
    cells = np.argwhere(plan.is_tissue)
    chosen = np.random.default_rng(_SEED).permutation(len(cells))[:_STAIN_SAMPLE]
    sample = [tile_view(slide, plan, (int(cells[index][0]), int(cells[index][1]))) for index in chosen]
    target = {name: np.asarray(values, dtype=np.float64) for name, values in contract.stain_target.items()}
    aimed = (
        StainNormaliser(contract.stain, StainLook(**target)) if target else StainNormaliser.published(contract.stain)
    )
    normaliser, notice = aimed.of_slide(sample)
    return lambda tile: normaliser.apply(tile)[0], [] if notice is None else [notice]


def _classified(blocks: Generator[TileBlock], plan: TilePlan, classifier: Predictor, progress: Progress) -> _Found:
    """Every tile of the plan, read by threads while the engine works on those before."""
    found = _Found(
        np.full((*plan.shape, len(TILE_CLASSES)), np.nan, dtype=np.float32),
        None if classifier.limits is None else np.full(plan.shape, np.nan, dtype=np.float32),
        {name: np.zeros(plan.shape, dtype=np.bool_) for name in FLAGS},
    )
    total, done = int(np.count_nonzero(plan.is_tissue)), 0
    given: deque[TileBlock] = deque()

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for block in blocks:
            given.append(replace(block, tiles=block.tiles[:0]))
            yield block.tiles

    progress("classifying tiles", 0, total)
    with closing(blocks), closing(classifier.run(tiles())) as answers:
        for scores in answers:
            block = given.popleft()
            place = tuple(np.array(block.cells).T)
            found.probability[place] = scores["probability"]
            if found.distance is not None:
                found.distance[place] = scores["distance"]
            for name, values in block.flags.items():
                found.flags[name][place] = values
            done += len(block.cells)
            progress("classifying tiles", done, total)
    return found


def _evaluated(plan: TilePlan, found: _Found, classifier: Predictor, options: Options) -> SlideReading:
    """What the numbers of the cells come to."""
    report_ood = options.report_ood
    read = plan.is_tissue
    nothing = np.zeros(plan.shape, dtype=np.bool_)
    unclean = np.logical_or.reduce([*found.flags.values(), nothing])
    flags = dict(found.flags)
    ood = None
    if found.distance is not None and classifier.limits is not None:
        clean = read & ~unclean
        distance, known = found.distance[clean if clean.any() else read], classifier.limits.known
        of_region = known.region_threshold if distance.size >= LEAST_TILES else known.slice_threshold
        limit = min(of_region, known.slice_threshold)
        ood = RegionOod(float(np.median(distance)), limit, known.slice_threshold, known.false_alarm_rate)
        flags["ood"] = read & (np.nan_to_num(found.distance) > ood.slice_threshold)
    is_beyond = ood is not None and ood.is_ood
    is_ood = is_beyond and not report_ood
    if is_beyond and report_ood:
        del flags["ood"]  # those tiles count: a person asked for it
    left_out = unclean | flags.get("ood", nothing)
    necrosis, grade = _measured(plan, found.probability, left_out, is_ood=is_ood)
    return SlideReading(
        is_graded=options.after_chemotherapy,
        map=SlideMap(plan, found.probability, found.distance, ood.slice_threshold if ood else None, flags),
        necrosis=necrosis,
        grade=grade if options.after_chemotherapy else None,
        tiles=int(np.count_nonzero(read)),
        left_out=int(np.count_nonzero(left_out)),
        flagged={name: int(np.count_nonzero(values)) for name, values in flags.items()},
        ood=ood,
        is_ood=is_ood,
        is_reported=is_beyond and report_ood,
    )


def _measured(
    plan: TilePlan, probability: NDArray[np.float32], left_out: NDArray[np.bool_], *, is_ood: bool
) -> tuple[Necrosis, GradeProposal | None]:
    """Areas, fraction and grade; of a slide out of distribution only how much tissue there is."""
    necrosis = necrosis_fraction(probability, plan.tissue_share, (plan.step_um / 1000) ** 2, left_out, seed=_SEED)
    if is_ood:
        areas = {"tissue": necrosis.area_mm2["tissue"], "left_out": necrosis.area_mm2["tissue"]}
        method = "nothing is claimed: the slide is out of distribution"
        return replace(necrosis, fraction=None, interval=None, method=method, area_mm2=areas, regions=0, tiles=0), None
    if np.count_nonzero(plan.is_tissue) == 1:  # of a single tile its class is the answer; a share would be 0 or 1
        return replace(necrosis, fraction=None, interval=None, method=f"{NO_FRACTION}: a single tile was read"), None
    if necrosis.fraction is None or necrosis.interval is None:  # a tile or two are not a ground for a grade
        return necrosis, None
    grade = huvos_grade(necrosis.fraction, necrosis.interval)
    return necrosis, grade if len(grade.possible) <= _MOST_GRADES else None  # an interval that tells little


def _gallery(reading: SlideReading) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Cells of the most certain tiles, the best of each class first, and of the least certain."""
    if reading.is_ood:
        return (), ()
    probability = reading.map.probability
    flagged = np.logical_or.reduce([*reading.map.flags.values(), np.zeros(probability.shape[:2], dtype=np.bool_)])
    rows, columns = np.nonzero(np.isfinite(probability).all(axis=2) & ~flagged)
    if not len(rows):
        return (), ()
    chance = probability[rows, columns]
    predicted, highest = chance.argmax(axis=1), chance.max(axis=1)
    order = np.argsort(-highest, kind="stable")
    ranked = [
        [int(index) for index in order if predicted[index] == each][:_CERTAIN_EACH] for each in range(chance.shape[1])
    ]
    certain = [own[rank] for rank in range(_CERTAIN_EACH) for own in ranked if rank < len(own)]
    uncertain = [int(index) for index in order[::-1][:_UNCERTAIN] if int(index) not in certain]

    def cells(chosen: list[int]) -> tuple[tuple[int, int], ...]:
        return tuple((int(rows[index]), int(columns[index])) for index in chosen)

    return cells(certain), cells(uncertain)


def _configuration(
    options: Options, plan: TilePlan, contract: Tiles, classifier: Predictor | None
) -> dict[str, object]:
    limits = None if classifier is None else classifier.limits
    return {
        "model": options.model or DEFAULT_MODEL,
        "force": options.force,
        "report_ood": options.report_ood,
        "demo_on_patient": options.demo_on_patient,
        "after_chemotherapy": options.after_chemotherapy,
        "tile_um": plan.tile_um,
        "step_um": plan.step_um,
        "tile_pixels": plan.pixels,
        "least_tissue_of_a_cell": _LEAST_TISSUE,
        "stain": contract.stain,
        "tile_ood_threshold": None if limits is None else limits.known.slice_threshold,
        "seed": _SEED,
    }


@dataclass(frozen=True, slots=True, eq=False)
class TileBlock:
    """Tiles that are side by side.

    Attributes:
        cells: of the plan, (row, column).
        tiles: (n, pixels, pixels, 3) uint8, in the order of the cells.
        flags: by name of ``osteon.ops.tissue.FLAGS``, (n,) bool.
    """

    cells: tuple[tuple[int, int], ...]
    tiles: NDArray[np.uint8] = field(repr=False)
    flags: dict[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)


def read_tiles(
    slide: Slide,
    plan: TilePlan,
    *,
    evaluate: Callable[[NDArray[np.uint8]], Collection[str]],
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None,
    threads: int = 2,
) -> Generator[TileBlock]:
    """The tiles of a plan, block by block, from the top left corner on.

    The pixels of a block are read once, for neighbouring tiles overlap. While a block is used the next ones are read:
    at most two a thread, so memory does not grow with the slide.

    Args:
        slide: to be read.
        plan: of that slide.
        evaluate: names of the flags of a tile, of ``osteon.ops.tissue.FLAGS``. Called in the threads.
        change: what is done to a tile after it was evaluated, as a stain normalisation. Called in the threads.
        threads: that read.

    Yields:
        Blocks of at most 64 tiles.

    Raises:
        InputError: the slide is damaged.
    """
    blocks = _blocks(slide, plan)
    waiting: deque[Future[TileBlock]] = deque()
    executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="osteon-tiles")
    try:
        for cells in blocks:
            waiting.append(executor.submit(_read, slide, plan, cells, evaluate, change))
            if len(waiting) >= _AHEAD * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _read(
    slide: Slide,
    plan: TilePlan,
    cells: Sequence[tuple[int, int]],
    evaluate: Callable[[NDArray[np.uint8]], Collection[str]],
    change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None,
) -> TileBlock:
    """One block: the rectangle of all its tiles at once."""
    tiles = tile_views(slide, plan, cells)
    flags = {name: np.zeros(len(cells), dtype=np.bool_) for name in FLAGS}
    for index, shown in enumerate(tiles):
        for name in evaluate(shown):
            flags[name][index] = True
        if change is not None:
            tiles[index] = change(shown)
    return TileBlock(tuple(cells), tiles, flags)


def _blocks(slide: Slide, plan: TilePlan) -> Iterator[list[tuple[int, int]]]:
    """Cells that are read together: squares of cells whose pixels are few enough, without those that have no tissue."""
    if not plan.is_tissue.any():
        return
    first = np.argwhere(plan.is_tissue)[0]
    window = tile_window(slide, plan, (int(first[0]), int(first[1])))
    most = (_MOST_PIXELS / (window.rows * window.columns)) ** 0.5  # sides of a tile along a block
    side = int(np.clip((most - 1) / (plan.step_um / plan.tile_um) + 1, 1, _MOST_TILES**0.5))
    for top in range(0, plan.shape[0], side):
        for left in range(0, plan.shape[1], side):
            inside = np.argwhere(plan.is_tissue[top : top + side, left : left + side])
            if len(inside):
                yield [(top + int(row), left + int(column)) for row, column in inside]
