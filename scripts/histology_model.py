"""Make the demo model of histology tiles: 45 real tiles of three patients, and synthetic slides.

    python scripts/histology_model.py --data DATASET --work FOLDER [--out osteon/weights/cards]

DATASET is what ``osteon dataset histology .../osteosarcoma_he_tiles --microns 1`` makes. FOLDER keeps synthetic tiles
and features, so that a second call is quick. Everything is chosen by patient: real patients are left out one by one,
synthetic ones in folds; no tile of a evaluated patient was learnt from.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import msgspec
import numpy as np
import torch

from osteon import __version__
from osteon.data.slide import TILE_CLASSES
from osteon.io.table import read_manifest
from osteon.metrics.calibration import apply_temperature, fit_temperature
from osteon.metrics.conformal import fit_conformal
from osteon.metrics.multiclass import cluster_intervals
from osteon.nets.deployed import DeployedClassifier
from osteon.predict.out_of_distribution import limits_of, training_space
from osteon.systems.histology.detail import Tiles, tile_input
from osteon.systems.histology.recipe import RECIPE
from osteon.train.heads import fit_ridge_head
from osteon.train.run_folder import describe_software, digest
from osteon.train.settings import TileAugmentation
from osteon.train.tile_features import (
    classifier_with_base,
    draw_copies,
    load_tiles,
    seen_tiles,
    tile_features,
    tile_labels,
)
from osteon.weights import Classes, Golden, MeasuredResult, ModelCard, Training, round_to_half, write_model
from osteon_phantoms import people
from osteon_phantoms.slides.sampling import draw_places
from osteon_phantoms.slides.slide import make_slide
from osteon_phantoms.study import SlideStudy

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from osteon.metrics.conformal import ConformalThreshold
    from osteon.nets.tile_classifier import TileHead
    from osteon.weights import Limits
    from osteon_phantoms.slides.slide import PhantomSlide

NAME = "mobilenet_v2_tiles.demo"
SEED = 20261121
PATIENTS = 40
OPTIONS = SlideStudy(size=512, slides=2, tiles=2, jpeg=None)
MIXED = 5  # tiles at random places of a slide: at the border of classes, as a slide has them
SIDE = 448
COPIES = {"real": 8, "synthetic": 1}
AUGMENTATION = TileAugmentation(rotation_degrees=180, flip=True, zoom=0.25, stain=0.4)
STRENGTHS = (3.0, 10.0, 30.0)
SHARES = (0.05, 0.1, 0.2, 0.3)
FOLDS = 4
ERROR_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Set:
    """Features of tiles: (1 + copies, n, d), classes and patients (n,)."""

    features: NDArray[np.float32] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    patients: NDArray[np.str_] = field(repr=False)

    def learn(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Tiles of rows with their copies."""
        return self.features[:, rows].reshape(-1, self.features.shape[2]), np.tile(
            self.labels[rows], len(self.features)
        )


def synthetic_tiles(work: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.str_]]:
    """Tiles of synthetic patients: pure ones of every class, and random ones with the class at their centre."""
    kept = work / "synthetic.npz"
    if not kept.exists():
        rgb, labels, patients = [], [], []
        for patient in people("histology", PATIENTS, seed=SEED, options=OPTIONS):
            for spec in patient.spec:
                slide = make_slide(spec)
                places = [(one.row, one.column, TILE_CLASSES.index(one.label)) for one in draw_places(slide, OPTIONS)]
                for row, column, label in places + random_places(slide):
                    pixels = slide.read(0, row, column, OPTIONS.size, OPTIONS.size)
                    rgb.append(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
                    labels.append(label)
                    patients.append(patient.patient_id)
        np.savez(kept, rgb=np.stack(rgb), labels=np.array(labels), patients=np.array(patients))
    with np.load(kept) as found:
        return found["rgb"], found["labels"].astype(np.int64), found["patients"]


def random_places(slide: PhantomSlide) -> list[tuple[int, int, int]]:
    """Tiles whose middle shows tissue, mostly of one class: (row, column, class)."""
    generator = np.random.default_rng([slide.spec.seed, 99])
    rows, columns = slide.spec.size
    kinds, cell = slide.true_map(step_um=64.0), 64.0 / slide.spec.microns_per_pixel
    quarter, found = OPTIONS.size // 4, []
    for _ in range(60):
        row, column = (
            int(generator.integers(0, rows - OPTIONS.size)),
            int(generator.integers(0, columns - OPTIONS.size)),
        )
        top, bottom = (round((row + part * quarter) / cell) for part in (1, 3))
        left, right = (round((column + part * quarter) / cell) for part in (1, 3))
        counts = np.bincount(kinds[top:bottom, left:right].ravel(), minlength=4)
        tissue, label = int(counts[1:].sum()), int(counts[1:].argmax())
        if tissue >= 0.25 * counts.sum() and counts[1 + label] >= 0.5 * tissue:
            found.append((row, column, label))
        if len(found) == MIXED:
            break
    return found


def make_set(name: str, work: Path, rgb: NDArray[np.uint8], labels: NDArray[np.int64], who: NDArray[np.str_]) -> Set:
    """Features of tiles and copies, kept in the work folder."""
    kept = work / f"features-{name}.npy"
    if not kept.exists():
        network = classifier_with_base(RECIPE.settings())
        round_to_half(network)
        parts = [seen_tiles(rgb)]
        for number in range(COPIES[name]):
            rows = range(number * 100_000, number * 100_000 + len(rgb))
            parts.append(draw_copies(rgb, rows, AUGMENTATION, seed=SEED))
        np.save(kept, np.stack([tile_features(network, part) for part in parts]))
        print(f"features of {name}: {len(rgb)} tiles")
    return Set(np.load(kept), labels, who)


def fit(
    real: Set, synthetic: Set, rows: NDArray[np.int64], made: NDArray[np.int64], strength: float, share: float
) -> TileHead:
    """A head from some real and some synthetic tiles; ``share`` of all weight is the real ones'.

    Synthetic tiles stand twice: as they are, and moved by the difference of the means, where real tiles are. Without
    that "looks real" speaks for whatever class the real tiles of training happen to have.
    """
    (one, first), (two, second) = real.learn(rows), synthetic.learn(made)
    moved = two + (one.mean(axis=0) - two.mean(axis=0))
    half = np.full(len(two), (1 - share) / 2 / len(two))
    weights = np.concatenate([np.full(len(one), share / len(one)), half, half])
    features, labels = np.concatenate([one, two, moved]), np.concatenate([first, second, second])
    return fit_ridge_head(features, labels, weights, strength=strength)


def held_out_logits(
    real: Set, synthetic: Set, strength: float, share: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits of every tile by a head that had not learnt from its patient: (n, 3) of real, (m, 3) of synthetic."""
    everyone, every = np.arange(len(real.labels)), np.arange(len(synthetic.labels))
    one = np.zeros((everyone.size, 3), dtype=np.float32)
    for patient in np.unique(real.patients):
        test = real.patients == patient
        one[test] = logits(fit(real, synthetic, everyone[~test], every, strength, share), real.features[0, test])
    two = np.zeros((every.size, 3), dtype=np.float32)
    people = np.unique(synthetic.patients)
    for number in range(FOLDS):
        test = np.isin(synthetic.patients, people[number::FOLDS])
        two[test] = logits(fit(real, synthetic, everyone, every[~test], strength, share), synthetic.features[0, test])
    return one, two


def logits(head: TileHead, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of features (n, d), (n, 3)."""
    with torch.inference_mode():
        return np.asarray(head(torch.from_numpy(features)).numpy())


def loss(values: NDArray[np.float32], labels: NDArray[np.int64], temperature: float = 1.0) -> float:
    """Mean negative log likelihood."""
    return float(
        -np.log(np.maximum(apply_temperature(values, temperature)[np.arange(len(labels)), labels], 1e-6)).mean()
    )


def choose(real: Set, synthetic: Set) -> tuple[float, float, list[dict[str, float]]]:
    """Strength and share with the smallest loss on held-out patients.

    Three losses count alike: of all real tiles, of the real tiles whose class other patients have too (of the others it
    is punished to learn from real tiles at all), and of synthetic tiles.
    """
    known = np.array(
        [
            np.any((real.labels == label) & (real.patients != patient))
            for label, patient in zip(real.labels, real.patients, strict=True)
        ]
    )
    table = []
    for strength in STRENGTHS:
        for share in SHARES:
            one, two = held_out_logits(real, synthetic, strength, share)
            entry = {
                "strength": strength,
                "real_share": share,
                "real_loss": loss(one, real.labels),
                "real_loss_class_known": loss(one[known], real.labels[known]),
                "real_accuracy": float((one.argmax(1) == real.labels).mean()),
                "synthetic_loss": loss(two, synthetic.labels),
                "synthetic_accuracy": float((two.argmax(1) == synthetic.labels).mean()),
            }
            print(json.dumps(entry))
            table.append(entry)
    best = min(table, key=lambda entry: sum(value for name, value in entry.items() if "loss" in name))
    return best["strength"], best["real_share"], table


def results(one: NDArray[np.float32], two: NDArray[np.float32], real: Set, synthetic: Set) -> list[dict[str, Any]]:
    """Measured on held-out patients, as the card keeps it."""
    measures = {
        "accuracy of three classes, tiles": ("accuracy",),
        "tumour against none, recall, tiles": ("recall", "non_viable", "viable"),
        "tumour against none, precision, tiles": ("precision", "non_viable", "viable"),
        **{f"recall of {name}, tiles": ("recall", name) for name in TILE_CLASSES},
    }
    data = {
        "real tiles, each patient left out once; each tumour class is of one patient, and was then "
        "learnt from synthetic tiles alone": (one, real, False),
        f"synthetic tiles, {FOLDS} folds of patients (SYNTHETIC)": (two, synthetic, True),
    }
    found = []
    for words, (values, tiles, is_synthetic) in data.items():
        predicted = values.argmax(axis=1)
        rates = cluster_intervals(
            tuple(measures.values()), tiles.labels, predicted, tiles.patients, classes=TILE_CLASSES
        )
        people = np.unique(tiles.patients).size
        for metric, key in measures.items():
            rate = rates[key]
            few = "; three patients: hardly an interval" if people < 10 else ""
            interval = None if np.isnan(rate.low) else [round(rate.low, 6), round(rate.high, 6)]
            found.append(
                {
                    "metric": metric,
                    "value": None if np.isnan(rate.value) else round(rate.value, 6),
                    "interval": interval,
                    "interval_method": f"patient bootstrap, percentile, {rate.repeats} draws, seed {rate.seed}{few}"
                    if interval
                    else "",
                    "data": words,
                    "patients": people,
                    "images": len(tiles.labels),
                    "is_synthetic": is_synthetic,
                }
            )
    return found


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description="Make the demo model of histology tiles.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("osteon/weights/cards"))
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(asked.data)
    tiles = load_tiles(manifest, pixels=SIDE // 2)
    real = make_set("real", asked.work, tiles.rgb, tile_labels(manifest), manifest.column("patient"))
    rgb, labels, patients = synthetic_tiles(asked.work)
    synthetic = make_set("synthetic", asked.work, rgb, labels, patients)
    strength, share, table = choose(real, synthetic)
    one, two = held_out_logits(real, synthetic, strength, share)
    # patients of both kinds count alike, and within a kind tiles do
    both, truth = np.concatenate([one, two]), np.concatenate([real.labels, synthetic.labels])
    halves = np.concatenate([np.full(len(one), 0.5 / len(one)), np.full(len(two), 0.5 / len(two))])
    temperature = fit_temperature(both, truth, weights=halves).temperature
    everyone, every = np.arange(len(real.labels)), np.arange(len(synthetic.labels))
    network = classifier_with_base(RECIPE.settings())
    network.head = fit(real, synthetic, everyone, every, strength, share)
    round_to_half(network)
    network.eval()
    sets = fit_conformal(
        apply_temperature(one, temperature),
        real.labels,
        alpha=ERROR_RATE,
        class_conditional=True,
        patients=real.patients,
        seed=1,
    )
    limits = first_limits(network, tiles.rgb, rgb, patients, sets)
    own = logits(network.head, real.features[0]).argmax(axis=1)
    notes = {
        "choice": table,
        "chosen": {"strength": strength, "real_share": share},
        "real_tiles_fitted": float((own == real.labels).mean()),
    }
    made = card(temperature, results(one, two, real, synthetic), notes, manifest_sha256=manifest.sha256)
    golden = seen_tiles(rgb[[int(np.flatnonzero(labels == number)[0]) for number in range(3)]])
    made = write_model(asked.out, made, [network], golden={"image": golden}, limits=limits)
    print(made.folder, temperature, strength, share, notes["real_tiles_fitted"], limits.known)


def first_limits(
    network: nn.Module,
    real: NDArray[np.uint8],
    synthetic: NDArray[np.uint8],
    patients: NDArray[np.str_],
    sets: ConformalThreshold,
) -> Limits:
    """Where training tiles are, real and synthetic ones; thresholds are those of synthetic tiles of held-out patients.

    ``python -m bench.out_of_distribution fit histology`` then takes slides of other stains and scanners for them.
    """
    deployed = DeployedClassifier([network], channels=3, is_rgb=True, scale=1 / 255)
    with torch.inference_mode():
        layers = [
            np.concatenate(
                [deployed(torch.from_numpy(block))[1][:, 0].numpy() for block in np.array_split(seen_tiles(rgb), 40)]
            )
            for rgb in (synthetic, real)
        ]
    distance = np.zeros(len(synthetic), dtype=np.float32)
    people = np.unique(patients)
    for number in range(FOLDS):
        out = np.isin(patients, people[number::FOLDS])
        distance[out] = training_space(layers[0][~out]).distance(layers[0][out])
    unit = float(np.median(distance))
    spaces = [replace(training_space(rows), unit=unit) for rows in layers]
    how: dict[str, Any] = {"distance": distance / unit, "patients": patients, "regions": patients}
    return limits_of([tuple(spaces)], sets, **how, training_images=len(real) + len(synthetic))


def card(
    temperature: float, measured: list[dict[str, Any]], notes: dict[str, Any], *, manifest_sha256: str
) -> ModelCard:
    """The card without files and limits."""
    words = (
        f"45 H&E tiles of 3 patients (Case-3, Case-48, P9) of the osteosarcoma set of UT Southwestern and UT Dallas "
        "(Leavey, Sengupta, Rakheja, Daescu, Arunachalam, Mishra 2019, The Cancer Imaging Archive, "
        f"doi:10.7937/tcia.2019.bvhjhdas, CC BY 3.0), and synthetic tiles of {PATIENTS} synthetic patients"
    )
    training = Training(
        data=words,
        is_synthetic=False,
        split="all tiles are learnt from; all choices by patient: real patients left out one by one, synthetic ones in "
        f"{FOLDS} folds",
        split_sha256=digest(["leave one patient out", FOLDS, PATIENTS, SEED]),
        script=f"scripts/histology_model.py (osteon {__version__})",
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=SEED,
        details={
            "manifest_sha256": manifest_sha256,
            "base": "mobilenet_v2.imagenet, frozen",
            "head": "logistic regression of the pooled feature with a ridge, held by pairs of the head's 100 units; "
            "synthetic tiles as they are and moved to the mean of the real ones",
            "augmentation": {"copies": COPIES, "each": AUGMENTATION.name},
            **notes,
            **describe_software(),
        },
    )
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="histology",
        architecture="mobilenet_v2_tiles",
        storage="float16",
        inputs={"image": tile_input(Tiles(1024.0, pixels=SIDE // 2))},
        output=Classes(
            TILE_CLASSES,
            "viable",
            (round(temperature, 6),),
            "temperature with the smallest negative log likelihood on tiles of held-out patients, real (left out one "
            "by one) and synthetic (folds) counting alike",
        ),
        golden=Golden("three synthetic tiles, one of each class"),
        training=training,
        results=msgspec.convert(measured, tuple[MeasuredResult, ...]),
        licence="CC-BY-3.0",
        intended_use="Show and test that osteon works. Nothing else.",
        exclusions=(
            "any decision about a patient",
            "any claim of accuracy on patients: it has seen three, and each tumour class on one of them alone",
            "tissue other than bone tumours and what surrounds them",
        ),
        is_demo=True,
        statement="Demo: 45 real tiles of three patients (Case-3, Case-48, P9; Leavey et al. 2019, CC BY 3.0) and "
        "synthetic slides. What it says of anybody else is a guess.",
    )


if __name__ == "__main__":
    main()
