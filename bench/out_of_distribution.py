"""Which images the demo models call out of distribution: fitting their limits, and how often they are right.

``python -m bench.out_of_distribution fit TASK [--tiles DIR] [-o CARDS]`` fits the limits of a model: the
space of phantoms like those it was trained on (of tiles that of the real ones, too), and thresholds at which 5 % of
phantoms of new seeds, noise, spacing and contrast are flagged. Prediction sets stay as they are.

``python -m bench.out_of_distribution check TASK --data ../shared/data [--more DIR] -o OUT`` reads phantoms of other new
seeds and foreign images (real ones, phantoms of other parts and looks) with ``--force`` and ``--demo-on-patient``, as a
person would, and counts which of them are reported as outside the training range. Of trunks only the slices are
classified, without the bone mask.

A minute to a quarter of an hour each on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import msgspec
import numpy as np

from bench.foreign_images import FOREIGN
from osteon.data.options import silent
from osteon.errors import OsteonError
from osteon.geometry import axial_turn
from osteon.io.slide import open_slide
from osteon.metrics.proportions import wilson
from osteon.ops.legs import find_legs
from osteon.ops.skeleton import DENSE_HU
from osteon.predict.out_of_distribution import limits_of, training_space
from osteon.predict.predictor import Predictor
from osteon.systems.ct_metastasis.read import DEFAULT_SEGMENTER, ClassifiedSlices, classify_slices, network_images
from osteon.systems.ct_osteosarcoma.read import classify_leg
from osteon.systems.histology.read import answer as read_slide
from osteon.systems.mri_femur.read import answer as read_femur
from osteon.systems.registry import system
from osteon.weights import Classes, find_card, load_networks, write_model
from osteon.weights.store import load_arrays
from osteon_phantoms import people
from osteon_phantoms.slides.slide import PhantomSlide
from osteon_phantoms.study import FemurStudy, LegStudy, SlideStudy, TrunkStudy, images_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from osteon.data import Volume

FIT_SEED, CHECK_SEED = 501, 777
"""Of phantoms that set the thresholds, and of those that are counted."""
TILE_UM: Final = 1024.0


def log_uniform(generator: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(generator.uniform(np.log(low), np.log(high))))


def vary_femur(spec: Any, generator: np.random.Generator) -> Any:  # noqa: ANN401 - each kind has a specification of its own
    """Noise, shading, pixels, contrast agent and marrow beyond those of the study."""
    size = int(generator.choice([192, 256, 320, 448]))
    return replace(
        spec,
        noise=log_uniform(generator, 0.005, 0.05),
        shading=float(generator.uniform(0, 1)),
        size=(size, size),
        pixel_mm=float(spec.pixel_mm * spec.size[0] / size * generator.uniform(0.85, 1.15)),
        slice_mm=float(generator.uniform(2.5, 6)),
        contrast_mmol=float(generator.uniform(0.4, 1.8)),
        red_marrow=float(generator.uniform(0, 1)),
    )


def vary_legs(spec: Any, generator: np.random.Generator) -> Any:  # noqa: ANN401
    """Noise, spacing, kernel and fat beyond those of the study; in the plane at most a quarter finer or coarser."""
    slice_mm, row_mm, column_mm = spec.spacing_mm
    factor = float(generator.uniform(0.8, 1.25))
    return replace(
        spec,
        noise_hu=log_uniform(generator, 4, 35),
        spacing_mm=(float(slice_mm * generator.uniform(0.7, 1.4)), row_mm * factor, column_mm * factor),
        shape=(spec.shape[0], round(spec.shape[1] / factor), round(spec.shape[2] / factor)),
        kernel_sharpness=float(generator.uniform(-1, 1)),
        body_fat=float(generator.uniform(0.4, 1.8)),
    )


def vary_trunk(spec: Any, generator: np.random.Generator) -> Any:  # noqa: ANN401
    """Noise, spacing, kernel, fat, contrast agent and density of bone beyond those of the study.

    A third has the pixels of the images that the network is shown, so that nothing is resampled.
    """
    wanted = float(generator.choice([1.75, generator.uniform(1.2, 1.75), generator.uniform(1.75, 2.1)]))
    size = round(spec.size[0] * spec.pixel_mm / wanted)
    return replace(
        spec,
        noise_hu=log_uniform(generator, 4, 35),
        pixel_mm=wanted,
        size=(size, size),
        kernel_sharpness=float(generator.uniform(-1, 1)),
        slice_mm=float(spec.slice_mm * generator.uniform(0.7, 1.4)),
        body_fat=float(generator.uniform(0.4, 1.8)),
        contrast_hu=float(spec.contrast_hu * generator.uniform(0.8, 1.2)),
        bone_density=float(generator.uniform(0.7, 1.35)),
    )


def vary_slide(spec: Any, generator: np.random.Generator) -> Any:  # noqa: ANN401
    """Other stains, scanners and noise."""
    stain = replace(
        spec.stain,
        noise=log_uniform(generator, 0.5, 6),
        gamma=float(generator.uniform(0.8, 1.25)),
        wash=float(generator.uniform(0, 0.1)),
        haematoxylin=float(generator.uniform(0.6, 1.5)),
        eosin=float(generator.uniform(0.55, 1.55)),
        haematoxylin_hue=float(generator.uniform(-1, 1)),
        eosin_hue=float(generator.uniform(-1, 1)),
    )
    return replace(spec, stain=stain)


@dataclass(frozen=True, slots=True)
class Task:
    """A demo model and the phantoms it was trained on.

    Attributes:
        model: name of its card.
        options: of its study.
        seed: of its training.
        counts: people behind the space, behind the thresholds, and counted.
        vary: changes a specification.
    """

    model: str
    options: Any
    seed: int
    counts: tuple[int, int, int]
    vary: Callable[[Any, np.random.Generator], Any]


TASKS: Final = {
    "ct_osteosarcoma": Task("mobilenet_v2.phantom", LegStudy(), 7, (30, 40, 30), vary_legs),
    "ct_metastasis": Task("mobilenet_v2.trunk_phantom", TrunkStudy(healthy=0.25), 7, (30, 40, 40), vary_trunk),
    "mri_femur": Task("mobilenet_v2.femur_mr_phantom", FemurStudy(), 7, (160, 120, 100), vary_femur),
    "histology": Task("mobilenet_v2_tiles.demo", SlideStudy(size=512, slides=1), 20261121, (30, 40, 40), vary_slide),
}


class Recorder(Predictor):
    """A model that keeps what its layers give for every image it is shown."""

    def __init__(self, *engine: Any, **contract: Any) -> None:  # noqa: ANN401 - as of ``Predictor``
        """As ``Predictor``."""
        super().__init__(*engine, **contract)
        self._kept: list[NDArray[np.float32]] = []

    def _outputs(self, given: Any, shown: Any, shape: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - as there
        self._kept.append(given["layers"])
        return super()._outputs(given, shown, shape)

    def taken(self) -> NDArray[np.float32]:
        """(n, member, d) of all images since the last call."""
        found, self._kept = self._kept, []
        return np.concatenate(found)


@dataclass(frozen=True, slots=True)
class Person:
    """An image of a phantom, and what a person says of it."""

    name: str
    image: Any
    said: dict[str, Any] = field(default_factory=dict)


def phantoms(stem: str, count: int, *, seed: int, varied: bool) -> Iterator[Person]:
    """Images of new patients."""
    task = TASKS[stem]
    generator = np.random.default_rng(seed)
    for person in people(stem, count, seed=seed, options=task.options):
        if stem == "histology":
            (spec,) = person.spec
            yield Person(person.patient_id, PhantomSlide(task.vary(spec, generator) if varied else spec))
            continue
        chosen = replace(person, spec=task.vary(person.spec, generator)) if varied else person
        image = next(iter(images_of(stem, chosen, task.options)))
        said = {}
        if stem == "mri_femur":
            box = drawn_box(np.asarray(image.masks["lesion"])[0] > 0, generator)
            if box is None:
                continue
            said = {"box": box, "slice_number": 1}
        yield Person(person.patient_id, image.image, said)


def drawn_box(mask: NDArray[np.bool_], generator: np.random.Generator) -> tuple[int, int, int, int] | None:
    """A box around a lesion, as a person draws it; None of a lesion that is too small for one."""
    rows, columns = np.nonzero(mask)
    if not rows.size:
        return None
    more = generator.integers(0, 5, 4)
    top, left = max(rows.min() - more[0], 0), max(columns.min() - more[1], 0)
    bottom, right = min(rows.max() + 1 + more[2], mask.shape[0]), min(columns.max() + 1 + more[3], mask.shape[1])
    return (int(top), int(left), int(bottom), int(right)) if min(bottom - top, right - left) >= 6 else None


def show(stem: str, person: Person, recorder: Recorder) -> None:
    """Show a model the images of a person, as a reading does."""
    options = system(stem).options(force=True, demo_on_patient=True, **person.said)
    if stem == "ct_osteosarcoma":
        for leg in find_legs(person.image, force=True).legs:
            point = recorder.operating_point()
            classify_leg(person.image, leg, recorder, territory=leg.mask(), point=point, progress=silent)
    elif stem == "ct_metastasis":
        classified(person.image, options, recorder)
        return
    elif stem == "mri_femur":
        read_femur(person.image, options, silent, classifier=recorder)
    else:
        read_slide(person.image, options, silent, classifier=recorder)


def classified(volume: Volume, options: Any, classifier: Predictor) -> ClassifiedSlices:  # noqa: ANN401
    """The slices of a trunk as a reading classifies them, but without the bone mask, which takes most of its time.

    Nearly every slice that holds something dense holds bone.
    """
    turn = axial_turn(volume.grid)
    images = network_images(
        turn.array(volume.array), turn.grid(volume.grid).spacing_mm, loaded(DEFAULT_SEGMENTER), options
    )
    return classify_slices(images, images.grey >= images.grey_of(DENSE_HU), classifier, silent)


@cache
def loaded(name: str) -> Predictor:
    """A shipped model."""
    return Predictor.load(find_card(name))


def shown_layers(stem: str, persons: Iterator[Person], recorder: Recorder) -> list[NDArray[np.float32]]:
    """What the layers give for the images of each person, (n, member, d)."""
    found = []
    for person in persons:
        show(stem, person, recorder)
        found.append(recorder.taken())
        print(f"\r{len(found)}", end="", flush=True)
    print()
    return found


def tile_persons(folder: Path) -> Iterator[Person]:
    """Pictures of one tile each."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".tif"}:
            picture = cv2.imread(str(path))
            width = TILE_UM if picture is None else picture.shape[1]
            yield Person(path.stem, open_slide(path, microns_per_pixel=TILE_UM / width))


def fit(stem: str, parent: Path, *, tiles: Path | None) -> None:
    """Fit the limits of the model of a task, and write it."""
    task = TASKS[stem]
    card = find_card(task.model)
    recorder = Recorder.load(card, runtime="torch")
    sets = None if recorder.limits is None else recorder.limits.sets
    if sets is None and isinstance(card.output, Classes):
        raise SystemExit(f"{task.model} has no prediction sets")
    recorder.limits = None  # those of before say nothing while new ones are fitted
    trained = np.concatenate(shown_layers(stem, phantoms(stem, task.counts[0], seed=task.seed, varied=False), recorder))
    new = shown_layers(stem, phantoms(stem, task.counts[1], seed=FIT_SEED, varied=True), recorder)
    held = np.concatenate(new)
    chosen = np.random.default_rng(1).permutation(len(trained))[:2000]
    spaces = []
    for member in range(trained.shape[1]):
        bare = training_space(trained[chosen, member])
        spaces.append([replace(bare, unit=float(np.median(bare.distance(held[:, member]))))])
    distance = np.mean([own[0].distance(held[:, member]) for member, own in enumerate(spaces)], axis=0)
    patients = np.repeat([f"{number}" for number in range(len(new))], [len(one) for one in new])
    how: dict[str, Any] = {"distance": distance, "patients": patients, "regions": patients}
    limits = limits_of([tuple(own) for own in spaces], sets, **how, training_images=len(chosen))
    if tiles is not None:  # the real tiles that it has learnt from are in distribution, and hardly anything else real
        real = np.concatenate(shown_layers(stem, tile_persons(tiles), recorder))
        for member, own in enumerate(spaces):
            bare = training_space(real[:, member])
            farthest = float(bare.distance(real[:, member]).max())
            own.append(replace(bare, unit=farthest / limits.known.region_threshold))
        images = len(chosen) + len(real)
        limits = limits_of([tuple(own) for own in spaces], sets, **how, training_images=images)
    golden = load_arrays(card, card.golden.file) if card.golden.file else {}
    inputs = {name.removeprefix("input."): each for name, each in golden.items() if name.startswith("input.")}
    extra = [path for path in card.folder.iterdir() if path.name in {"claim.md", "LICENSE"}]
    kept = [(path.name, path.read_bytes()) for path in extra]
    stored = [(card.folder / member.path).read_bytes() for member in card.members]
    bare_card = replace_files(card)
    made = write_model(parent, bare_card, load_networks(card), golden=inputs, limits=limits, stored=stored)
    for name, data in kept:
        (made.folder / name).write_bytes(data)
    print(made.folder, limits.known)


def replace_files(card: Any) -> Any:  # noqa: ANN401 - a msgspec struct
    """A card without files and limits, as ``write_model`` takes it."""
    return msgspec.structs.replace(
        card,
        members=(),
        graph=None,
        out_of_distribution=None,
        prediction_sets=None,
        golden=msgspec.structs.replace(card.golden, file=None),
    )


def is_flagged(stem: str, image: Any, said: dict[str, Any]) -> bool | None:  # noqa: ANN401 - what a task reads
    """Whether a reading reports an image as out of distribution; None where it is refused although it is forced."""
    options = system(stem).options(force=True, demo_on_patient=True, **said)
    try:
        if stem == "ct_metastasis":
            ood = classified(image, options, loaded(TASKS[stem].model)).ood
            return None if ood is None else ood.is_ood
        return bool(system(stem).read(image, options, silent).status == "abstained")
    except OsteonError as error:
        print(f"{type(error).__name__}: {str(error)[:100]}")
        return None


def check(stem: str, data: Path, out: Path, *, more: Path | None) -> None:
    """Count, and write the table."""
    task = TASKS[stem]
    rows: dict[str, list[bool | None]] = {}
    own = f"phantoms of {task.counts[2]} new patients, other noise, spacing and contrast"
    for person in phantoms(stem, task.counts[2], seed=CHECK_SEED, varied=True):
        rows.setdefault(own, []).append(is_flagged(stem, person.image, person.said))
    with tempfile.TemporaryDirectory() as folder:
        for name, image, said in FOREIGN[stem](data, Path(folder)):
            rows.setdefault(name, []).append(is_flagged(stem, image, said))
            print(name, rows[name][-1], flush=True)
        for person in tile_persons(more) if more else ():
            rows.setdefault("tiles of other tissues", []).append(is_flagged(stem, person.image, {}))
    lines = [f"| images ({stem}) | flagged | of |", "| --- | --- | --- |"]
    total = [0, 0]
    for name, found in rows.items():
        read = [one for one in found if one is not None]
        lines.append(f"| {name} | {sum(read)} | {len(read)} |")
        if name != own:
            total = [total[0] + sum(read), total[1] + len(read)]
    for words, (hits, whole) in {
        "false alarms": (sum(map(bool, rows[own])), len(rows[own])),
        "foreign images flagged": tuple(total),
    }.items():
        share = wilson(hits, whole)
        lines.append(f"| **{words}** | {share.value:.3f} ({share.low:.3f} to {share.high:.3f}) | {whole} |")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{stem}.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of this file."""
    parser = argparse.ArgumentParser(description="Out-of-distribution limits of the demo models.")
    parser.add_argument("what", choices=("fit", "check"))
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--tiles", type=Path, help="real tiles that the tile model has learnt from")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--more", type=Path, help="pictures of 1024 um of other tissues")
    parser.add_argument("-o", "--out", type=Path, default=Path("osteon/weights/cards"))
    asked = parser.parse_args(arguments)
    if asked.what == "fit":
        fit(asked.task, asked.out, tiles=asked.tiles)
    else:
        check(asked.task, asked.data, asked.out, more=asked.more)


if __name__ == "__main__":
    main()
