"""Train the demo slice classifier on synthetic phantoms and write its model folder.

    python scripts/train_demo_ct_osteosarcoma.py

Everything follows from one seed: the phantoms, the split (by phantom, never by slice), the order of the slices, the
augmentation, the weights. Phantoms are cached in the temporary folder, keyed by the source code that makes them.
The test phantoms are measured after epoch, temperature and precision are fixed on the others.

The model shows that the machinery works from picture to report. It has never seen a patient.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import hashlib
import inspect
import json
import math
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import osteon.ops
import osteon.phantoms
from osteon.errors import NotThisTaskError
from osteon.inference.runtime_openvino import OpenVinoRuntime, convert_network, import_openvino
from osteon.nets import build_network
from osteon.ops.crops import leg_crops
from osteon.ops.legs import find_legs
from osteon.ops.runs import positive_runs, smooth_scores
from osteon.phantoms import BenignSpec, LegSpec, make_leg_ct, random_leg_spec
from osteon.weights import OutputContract, round_to_half, write_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from osteon.phantoms.spec import BoneName, Side, SiteName

NAME = "densenet_small.phantom"
STATEMENT = "Trained on synthetic phantoms only. It has never seen a patient."
CLASSES = ("healthy", "tumour")
SPLIT_NOTE = (
    "by phantom; seeds in split_seeds. The test phantoms were measured once before, for version 1.0.0, which was "
    "trained for 8 epochs instead of 18; nothing else was changed after that look"
)
THRESHOLD, SIGMA, MEDIAN = 0.95, 2.0, 3  # spec, section 8
CARDS = Path(__file__).resolve().parents[1] / "osteon" / "weights" / "cards"


@dataclass(frozen=True, slots=True)
class Plan:
    """All choices of a training; written into the card.

    Attributes:
        seed: of everything.
        train: phantoms to learn from.
        validation: phantoms that choose epoch and temperature.
        test: phantoms that choose nothing, 4 mm slices.
        test_fine: the same, 1.5 mm slices as a patient's series would have.
        epochs: passes; each draws ``epoch_slices``.
        epoch_slices: slices a pass, half of them with tumour.
        batch: slices a step.
        peak_rate: largest learning rate of the one-cycle schedule.
        decay: weight decay.
        faint_mm2: slices with less tumour than this, but some, are left out of training: nobody could call them.
    """

    seed: int = 20261121
    train: int = 120
    validation: int = 20
    test: int = 32
    test_fine: int = 6
    epochs: int = 18
    epoch_slices: int = 2400
    batch: int = 16
    peak_rate: float = 2e-3
    decay: float = 1e-4
    faint_mm2: float = 60.0


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of one phantom, as the classifier sees it.

    Attributes:
        phantom: seed of the phantom.
        side: "left" or "right".
        crops: (n, 256, 256) float16.
        area_mm2: (n,) tumour in each slice, 0 for none.
    """

    phantom: int
    side: str
    crops: NDArray[np.float16] = field(repr=False)
    area_mm2: NDArray[np.float32] = field(repr=False)


# ------------------------------------------------------------------------------------------------------------ phantoms

_FORMS = {
    "coarse": ((84, 256, 256), (4.0, 1.6, 1.6)),
    "sharp": ((56, 512, 512), (6.0, 0.8, 0.8)),
    "fine": ((224, 512, 512), (1.5, 0.8, 0.8)),
}
"""Shape and spacing (mm) of a phantom: few slices to learn from, many as a patient's series has."""

_ENDS: dict[BoneName, SiteName] = {"femur": "distal_metaphysis", "tibia": "proximal_metaphysis"}


def split_seeds(plan: Plan) -> dict[str, list[int]]:
    """Seeds of the phantoms of each part; no phantom is in two parts."""
    counts = {"train": plan.train, "validation": plan.validation, "test": plan.test, "test_fine": plan.test_fine}
    seeds = np.random.default_rng([plan.seed, 0]).choice(10**6, size=sum(counts.values()), replace=False).tolist()
    ends = np.cumsum(list(counts.values())).tolist()
    return {part: seeds[end - count : end] for (part, count), end in zip(counts.items(), ends, strict=True)}


def phantom_spec(seed: int, *, with_lesion: bool, form: str) -> LegSpec:
    """A random patient; the healthy ones have more look-alikes and metal, and some scans show hip or feet."""
    generator = np.random.default_rng(seed)
    shape, spacing_mm = _FORMS[form]
    drawn = random_leg_spec(generator, with_lesion=with_lesion)
    spec = replace(drawn, shape=shape, spacing_mm=spacing_mm)
    if not with_lesion:
        return _harder(spec, generator)
    site = (spec.lesions[0].bone, spec.lesions[0].site)
    if site == ("femur", "proximal_metaphysis") and generator.random() < 0.5:
        return replace(spec, coverage="hip")
    if site[0] != "femur" and site[1] == "distal_metaphysis" and generator.random() < 0.5:
        return replace(spec, coverage="feet")
    return spec


def _harder(spec: LegSpec, generator: np.random.Generator) -> LegSpec:
    """A healthy patient with something that is not a tumour, in six of seven."""
    bone: BoneName = "femur" if generator.random() < 0.6 else "tibia"
    heads = bool(generator.random() < 0.5)
    share = float(generator.random())
    match int(generator.integers(7)):
        case 0 | 1:
            side: Side = "left" if heads else "right"
            return replace(
                spec, benign=(BenignSpec(leg=side, bone=bone, site=_ENDS[bone], position=share, size_mm=5 + 8 * share),)
            )
        case 2:
            callus = BenignSpec(kind="callus", bone=bone, site="diaphysis", position=share, size_mm=20 + 25 * share)
            return replace(spec, benign=(callus,), coverage="femur" if bone == "femur" else "tibia")
        case 3 if spec.amputee is None:
            return replace(spec, metal="nail" if heads else "prosthesis")
        case 4 | 5:
            return replace(spec, coverage="feet" if heads else "hip")
    return spec


def phantom_legs(phantom: int, spec: LegSpec, cache: Path) -> list[Leg]:
    """The legs of a phantom as the reading finds them; none when it says that this is no leg."""
    key = hashlib.sha256(f"{_source_hash()} {spec!r}".encode()).hexdigest()[:32]
    file = cache / f"{key}.npz"
    if not file.exists():
        arrays: dict[str, Any] = {}
        for i, leg in enumerate(_find_and_crop(phantom, spec)):
            arrays |= {f"{i}_{leg.side}_crops": leg.crops, f"{i}_{leg.side}_area": leg.area_mm2}
        with tempfile.NamedTemporaryFile(dir=cache, suffix=".npz", delete=False) as written:
            np.savez(written, **arrays)
        Path(written.name).rename(file)
    with np.load(file) as stored:
        names = sorted({name.rpartition("_")[0] for name in stored.files})
        return [Leg(phantom, name, stored[f"{name}_crops"], stored[f"{name}_area"]) for name in names]


def _find_and_crop(seed: int, spec: LegSpec) -> list[Leg]:
    phantom = make_leg_ct(spec)
    try:
        search = find_legs(phantom.volume)
    except NotThisTaskError as error:
        print(f"phantom {seed} left out: {error}", flush=True)
        return []
    lesions = [lesion.label for lesion in phantom.lesions]
    _, row_mm, column_mm = spec.spacing_mm
    legs = []
    for leg in search.legs:
        territory = leg.mask()
        crops = leg_crops(phantom.volume.array, leg.box, leg.present, keep=territory).astype(np.float16)
        tumour = np.isin(phantom.truth.array[leg.box.slices], lesions) & territory
        area = np.count_nonzero(tumour, axis=(1, 2)) * np.float32(row_mm * column_mm)
        legs.append(Leg(seed, leg.side, crops, area[leg.present[leg.box.slices[0]]].astype(np.float32)))
    return legs


@functools.cache
def _source_hash() -> str:
    """Of the code that makes, finds and crops the phantoms: another look is another data set."""
    packages = [Path(inspect.getfile(module)).parent for module in (osteon.phantoms, osteon.ops)]
    files = sorted(file for package in packages for file in package.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def load_split(plan: Plan, cache: Path) -> dict[str, list[Leg]]:
    """All legs of every part: two of three training phantoms have a tumour, every second one elsewhere."""
    parts: dict[str, list[Leg]] = {}
    for part, seeds in split_seeds(plan).items():
        started = time.perf_counter()
        period = 3 if part == "train" else 2
        legs: list[Leg] = []
        for number, seed in enumerate(seeds):
            form = {"test": "coarse", "test_fine": "fine"}.get(part, ("coarse", "sharp")[number // period % 2])
            with_lesion = number % period != period - 1
            legs += phantom_legs(seed, phantom_spec(seed, with_lesion=with_lesion, form=form), cache)
        parts[part] = legs
        slices = sum(len(leg.crops) for leg in legs)
        positive = sum(int((leg.area_mm2 > 0).sum()) for leg in legs)
        seconds = time.perf_counter() - started
        print(f"{part}: {len(seeds)} phantoms, {slices} slices, {positive} with tumour, {seconds:.0f} s", flush=True)
    return parts


# ---------------------------------------------------------------------------------------------------------- statistics


def roc_auc(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> float:
    """Area under the ROC curve as the Mann-Whitney probability; ties count half; NaN for one class only."""
    from scipy.stats import rankdata

    positives = int(truth.sum())
    negatives = truth.size - positives
    if positives == 0 or negatives == 0:
        return math.nan
    ranks = rankdata(score)
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def patient_bootstrap(
    measure: Callable[[Sequence[int]], float], patients: int, *, seed: int, repeats: int = 2000
) -> tuple[float, float] | None:
    """95 % percentile interval over patients drawn with replacement; None when every draw gives the same value."""
    generator = np.random.default_rng(seed)
    values = np.array([measure(generator.integers(patients, size=patients).tolist()) for _ in range(repeats)])
    values = values[np.isfinite(values)]
    if values.size == 0 or np.ptp(values) == 0:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def wilson(hits: int, of: int) -> tuple[float, float] | None:
    """95 % Wilson interval of a proportion; None of nothing."""
    if of == 0:
        return None
    z = 1.959963984540054
    share = hits / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


# ------------------------------------------------------------------------------------------------------------ training


def train(network: nn.Module, legs: Sequence[Leg], validation: Sequence[Leg], plan: Plan) -> dict[str, Any]:
    """Fit; the epoch with the smallest validation loss stays in the network.

    Returns:
        The chosen epoch, and loss and AUC after every epoch.
    """
    import torch

    generator = np.random.default_rng([plan.seed, 1])
    positives, negatives = training_slices(legs, plan)
    steps = plan.epoch_slices // plan.batch
    optimiser = torch.optim.AdamW(network.parameters(), lr=plan.peak_rate, weight_decay=plan.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, plan.peak_rate, total_steps=plan.epochs * steps)
    history: list[dict[str, float]] = []
    best: dict[str, torch.Tensor] = {}
    for epoch in range(plan.epochs):
        started = time.perf_counter()
        network.train()
        losses = []
        for _ in range(steps):
            images, labels = draw_batch(legs, positives, negatives, plan.batch, generator)
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
        truth, logits = pooled(validation, score_all(network, validation))
        row = {
            "train_loss": float(np.mean(losses)),
            "validation_loss": cross_entropy(logits, truth, 1.0),
            "validation_auc": roc_auc(truth, (logits[:, 1] - logits[:, 0])),
        }
        if row["validation_loss"] <= min((entry["validation_loss"] for entry in history), default=math.inf):
            best = {name: value.clone() for name, value in network.state_dict().items()}
        history.append(row)
        seconds = time.perf_counter() - started
        print(
            f"epoch {epoch + 1}/{plan.epochs}",
            *(f"{k} {v:.4f}" for k, v in row.items()),
            f"{seconds:.0f} s",
            flush=True,
        )
    network.load_state_dict(best)
    network.eval()
    chosen = int(np.argmin([entry["validation_loss"] for entry in history])) + 1
    return {"chosen_epoch": chosen, "history": history}


def training_slices(legs: Sequence[Leg], plan: Plan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(leg, slice) pairs with tumour and without; the faint ones are in neither."""
    pairs = [(i, k, area) for i, leg in enumerate(legs) for k, area in enumerate(leg.area_mm2)]
    positive = np.array([(i, k) for i, k, area in pairs if area >= plan.faint_mm2], dtype=np.int64)
    negative = np.array([(i, k) for i, k, area in pairs if area == 0], dtype=np.int64)
    return positive, negative


def draw_batch(
    legs: Sequence[Leg],
    positives: NDArray[np.int64],
    negatives: NDArray[np.int64],
    batch: int,
    generator: np.random.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of augmented slices (n, 1, 256, 256), half of them with tumour, and their labels."""
    import torch

    labels = np.arange(batch) % 2
    chosen = [
        pool[generator.integers(len(pool))] for pool in (negatives if label == 0 else positives for label in labels)
    ]
    images = torch.from_numpy(np.stack([legs[i].crops[k] for i, k in chosen]).astype(np.float32))[:, None]
    return augment(images, generator).contiguous(memory_format=torch.channels_last), torch.from_numpy(labels)


def augment(images: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
    """Flips, turns, zoom, intensity and noise: the paper's list (spec section 5) without dropout."""
    import torch

    count = len(images)
    angle = generator.uniform(-math.pi / 12, math.pi / 12, count) * (generator.random(count) < 0.5)
    zoom = 1 + generator.uniform(-0.12, 0.12, count)
    flip = np.where(generator.random((2, count)) < 0.5, -1.0, 1.0)
    matrix = np.zeros((count, 2, 3))
    matrix[:, 0, 0], matrix[:, 0, 1] = np.cos(angle) * zoom * flip[0], -np.sin(angle) * zoom
    matrix[:, 1, 0], matrix[:, 1, 1] = np.sin(angle) * zoom, np.cos(angle) * zoom * flip[1]
    matrix[:, :, 2] = generator.uniform(-0.05, 0.05, (count, 2))
    grid = torch.nn.functional.affine_grid(torch.from_numpy(matrix).float(), list(images.shape), align_corners=False)
    turned = torch.nn.functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)

    def one_each(values: NDArray[np.float64]) -> torch.Tensor:
        return torch.from_numpy(values.astype(np.float32)).view(-1, 1, 1, 1)

    gain = one_each(1 + generator.uniform(-0.2, 0.2, count))
    shift = one_each(generator.uniform(-0.1, 0.1, count) * (generator.random(count) < 0.8))
    sigma = one_each(0.04 * generator.random(count) * (generator.random(count) < 0.4))
    noise = torch.from_numpy(generator.standard_normal(tuple(turned.shape), dtype=np.float32))
    return (turned * gain + shift + noise * sigma).clamp(0, 1)


def score_all(network: nn.Module, legs: Sequence[Leg]) -> list[NDArray[np.float32]]:
    """Logits (n, 2) of every leg."""
    import torch

    network.eval()
    scores = []
    with torch.inference_mode():
        for leg in legs:
            blocks = [leg.crops[start : start + 8].astype(np.float32) for start in range(0, len(leg.crops), 8)]
            images = [
                torch.from_numpy(block)[:, None].contiguous(memory_format=torch.channels_last) for block in blocks
            ]
            scores.append(np.concatenate([network(image).numpy() for image in images]))
    return scores


def pooled(legs: Sequence[Leg], logits: Sequence[NDArray[np.float32]]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Truth (any tumour in the slice) and logits of all slices."""
    return np.concatenate([leg.area_mm2 > 0 for leg in legs]), np.concatenate(list(logits))


def cross_entropy(logits: NDArray[np.float32], truth: NDArray[np.bool_], temperature: float) -> float:
    """Mean negative log likelihood after division by the temperature."""
    margin = (logits[:, 1] - logits[:, 0]).astype(np.float64) / temperature
    return float(np.logaddexp(0, np.where(truth, -margin, margin)).mean())


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """The temperature with the smallest negative log likelihood."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log_t: cross_entropy(logits, truth, math.exp(log_t)), bounds=(-3.0, 3.0), method="bounded"
    )
    return round(math.exp(float(found.x)), 4)


# ---------------------------------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True, slots=True)
class Scored:
    """One leg with its scores.

    Attributes:
        phantom: seed of the phantom.
        truth: (n,) any tumour in the slice.
        probability: (n,) of the model.
        smoothed: (n,) after the filters.
    """

    phantom: int
    truth: NDArray[np.bool_] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    smoothed: NDArray[np.float32] = field(repr=False)


def scored(legs: Sequence[Leg], logits: Sequence[NDArray[np.float32]], output: OutputContract) -> list[Scored]:
    """Probabilities, and the filters of the spec's section 8."""
    rows = []
    for leg, values in zip(legs, logits, strict=True):
        probability = output.probability(values)
        smoothed = smooth_scores(probability, sigma=SIGMA, median=MEDIAN)
        rows.append(Scored(leg.phantom, leg.area_mm2 > 0, probability, smoothed))
    return rows


def slice_results(legs: Sequence[Scored], data: str, seed: int) -> list[dict[str, object]]:
    """Results with the slice as the unit and an interval over phantoms."""
    phantoms = sorted({leg.phantom for leg in legs})
    grouped = [[leg for leg in legs if leg.phantom == phantom] for phantom in phantoms]

    def over(measure: Callable[[list[Scored]], float]) -> tuple[float, tuple[float, float] | None]:
        def drawn(indices: Sequence[int]) -> float:
            return measure([leg for index in indices for leg in grouped[index]])

        return measure(list(legs)), patient_bootstrap(drawn, len(phantoms), seed=seed)

    def auc(rows: list[Scored], which: str) -> float:
        return roc_auc(
            np.concatenate([leg.truth for leg in rows]), np.concatenate([getattr(leg, which) for leg in rows])
        )

    def share(rows: list[Scored], *, tumour: bool) -> float:
        called = np.concatenate([(leg.smoothed >= THRESHOLD)[leg.truth == tumour] for leg in rows])
        return float(np.mean(called == tumour)) if called.size else math.nan

    def brier(rows: list[Scored]) -> float:
        return float(np.mean(np.concatenate([np.square(leg.probability - leg.truth) for leg in rows])))

    measures: dict[str, Callable[[list[Scored]], float]] = {
        "ROC AUC, slices": lambda rows: auc(rows, "probability"),
        "ROC AUC, slices after smoothing": lambda rows: auc(rows, "smoothed"),
        f"sensitivity, slices, smoothed >= {THRESHOLD}": lambda rows: share(rows, tumour=True),
        f"specificity, slices, smoothed >= {THRESHOLD}": lambda rows: share(rows, tumour=False),
        "Brier score, slices": brier,
    }
    images = sum(leg.truth.size for leg in legs)
    results = []
    for metric, measure in measures.items():
        value, interval = over(measure)
        method = "percentile bootstrap over phantoms, 2000 draws"
        results.append(_result(metric, value, interval, method, data=data, patients=len(phantoms), images=images))
    return results


def leg_results(legs: Sequence[Scored], data: str) -> list[dict[str, object]]:
    """Results with the leg as the unit: was the tumour found, was a healthy leg left in peace."""
    runs = [positive_runs(leg.smoothed, threshold=THRESHOLD) for leg in legs]
    sick = [(leg, run) for leg, run in zip(legs, runs, strict=True) if leg.truth.any()]
    found = sum(any(leg.truth[a:b].any() for a, b in run) for leg, run in sick)
    healthy = [run for leg, run in zip(legs, runs, strict=True) if not leg.truth.any()]
    quiet = sum(not run for run in healthy)
    images = sum(leg.truth.size for leg in legs)
    rows = []
    for metric, hits, of in (
        ("legs with tumour in which a run overlaps it", found, len(sick)),
        ("legs without tumour in which no run is called", quiet, len(healthy)),
    ):
        value = hits / of if of else math.nan
        label = f"{metric} ({hits} of {of})"
        rows.append(_result(label, value, wilson(hits, of), "Wilson, legs", data=data, patients=of, images=images))
    return rows


def _result(
    metric: str,
    value: float,
    interval: tuple[float, float] | None,
    method: str,
    *,
    data: str,
    patients: int,
    images: int,
) -> dict[str, object]:
    return {
        "metric": metric,
        "value": round(value, 4) if math.isfinite(value) else None,
        "interval": None if interval is None else [round(end, 4) for end in interval],
        "interval_method": method if interval is not None else f"{method}: every draw was equal, no interval",
        "data": data,
        "patients": patients,
        "images": images,
        "is_synthetic": True,
    }


def reduced_precision_difference(network: nn.Module, legs: Sequence[Leg], output: OutputContract) -> float | None:
    """Largest change of a probability by bfloat16 on these legs; None where this CPU has no bfloat16."""
    core = import_openvino().Core()
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return None
    model = convert_network(network, channels=1, rows=256, columns=256)
    exact, reduced = (OpenVinoRuntime(model, precision=precision) for precision in ("float32", "bfloat16"))
    largest = 0.0
    for leg in legs:
        crops = leg.crops.astype(np.float32)
        change = output.probability(exact.logits(crops)) - output.probability(reduced.logits(crops))
        largest = max(largest, float(np.abs(change).max(initial=0.0)))
    return largest


# ---------------------------------------------------------------------------------------------------------------- card


def card_document(plan: Plan, split: dict[str, list[int]], measured: dict[str, Any]) -> dict[str, Any]:
    """The card without its files."""
    split_text = json.dumps(split, sort_keys=True)
    tolerance = {"float32": 1e-4}
    if measured["bfloat16_difference"] is not None and measured["bfloat16_difference"] <= 0.05:
        tolerance["bfloat16"] = math.ceil(measured["bfloat16_difference"] * 1e4) / 1e4
    counts = ", ".join(f"{len(seeds)} {name}" for name, seeds in split.items())
    return {
        "schema_version": 1,
        "name": NAME,
        "version": "1.1.0",
        "task": "ct_osteosarcoma",
        "architecture": NAME.partition(".")[0],
        "storage": "float16",
        "input": {
            "rows": 256,
            "columns": 256,
            "channels": 1,
            "minimum": 0.0,
            "maximum": 1.0,
            "orientation": "axial slice of one leg as it lies in the volume: rows front to back, columns right to left "
            "of a patient on the back; other ways round were seen in training as flips",
            "preprocessing": {
                "function": "osteon.ops.crops.leg_crops",
                "parameters": {"size": 256, "keep": "Leg.mask()", "find_legs": {"mode": "series", "margin_mm": 5.0}},
                "description": "the box of a leg, what is not of the leg filled with the slice's smallest value, "
                "min-max normalised slice by slice, nearest neighbour",
            },
        },
        "output": {
            "classes": list(CLASSES),
            "positive": "tumour",
            "activation": "softmax",
            "temperature": measured["temperature"],
            "calibration": "temperature with the smallest negative log likelihood on the validation phantoms",
        },
        "operating_point": {
            "threshold": THRESHOLD,
            "gaussian_sigma_slices": SIGMA,
            "median_slices": MEDIAN,
            "source": "CT osteosarcoma paper, fixed before training",
        },
        "golden": {
            "description": "validation slices of phantoms: two with tumour, two without",
            "tolerance": tolerance,
        },
        "training": {
            "data": f"synthetic CT of legs (osteon.phantoms), {counts} phantoms, patient-wise",
            "is_synthetic": True,
            "split": SPLIT_NOTE,
            "split_seeds": split,
            "split_sha256": hashlib.sha256(split_text.encode()).hexdigest(),
            "script": "scripts/train_demo_ct_osteosarcoma.py",
            "date": dt.datetime.now(dt.UTC).date().isoformat(),
            "seed": plan.seed,
            "plan": asdict(plan),
            "slices": measured["slices"],
            "chosen_epoch": measured["chosen_epoch"],
            "history": [{k: round(v, 5) for k, v in row.items()} for row in measured["history"]],
            "validation_loss_before_calibration": round(measured["loss_before"], 5),
            "validation_loss_after_calibration": round(measured["loss_after"], 5),
            "largest_change_by_bfloat16": measured["bfloat16_difference"],
        },
        "results": measured["results"],
        "licence": "Apache-2.0",
        "intended_use": "Show and test that osteon works from a CT series to a report. Nothing else.",
        "exclusions": [
            "any decision about a patient",
            "any claim of accuracy on real images: it has never seen one",
            "body parts other than legs",
            "comparison with the networks of the paper",
        ],
        "is_demo": True,
        "statement": STATEMENT,
    }


def golden_crops(legs: Sequence[Leg]) -> NDArray[np.float32]:
    """Four slices: of the two legs with most tumour the slice with most, of two healthy legs the middle one."""
    sick = sorted((leg for leg in legs if leg.area_mm2.any()), key=lambda leg: -float(leg.area_mm2.max()))[:2]
    healthy = [leg for leg in legs if not leg.area_mm2.any()][:2]
    chosen = [leg.crops[int(leg.area_mm2.argmax())] for leg in sick] + [
        leg.crops[len(leg.crops) // 2] for leg in healthy
    ]
    return np.stack(chosen).astype(np.float32)


def evaluate(
    network: nn.Module, parts: dict[str, list[Leg]], output: OutputContract, plan: Plan
) -> list[dict[str, object]]:
    """Results on the test phantoms; called once."""
    descriptions = {
        "test": "held-out synthetic phantoms, slices of 4 mm (SYNTHETIC)",
        "test_fine": "held-out synthetic phantoms, slices of 1.5 mm (SYNTHETIC)",
    }
    results: list[dict[str, object]] = []
    for part, data in descriptions.items():
        rows = scored(parts[part], score_all(network, parts[part]), output)
        results += [*slice_results(rows, data, plan.seed), *leg_results(rows, data)]
    return results


def main() -> None:
    """Train, calibrate, measure, write."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=Path, default=CARDS, help="folder of model folders (default: the package's)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "osteon-demo-training")
    parser.add_argument("--threads", type=int, default=2, help="of torch; another number may round differently")
    for field_name in ("train", "validation", "test", "test_fine", "epochs", "epoch_slices"):
        option = f"--{field_name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(Plan(), field_name), help="smaller for a trial")
    arguments = parser.parse_args()
    chosen = {name: value for name, value in vars(arguments).items() if name not in {"cards", "cache", "threads"}}
    plan = Plan(**chosen)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(plan.seed)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    parts = load_split(plan, arguments.cache)

    network = build_network(NAME.partition(".")[0])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this form
    fitted = train(network, parts["train"], parts["validation"], plan)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stub lacks this form
    round_to_half(network)
    truth, logits = pooled(parts["validation"], score_all(network, parts["validation"]))
    temperature = fit_temperature(logits, truth)
    output = OutputContract(CLASSES, "tumour", temperature)
    measured = {
        **fitted,
        "temperature": temperature,
        "loss_before": cross_entropy(logits, truth, 1.0),
        "loss_after": cross_entropy(logits, truth, temperature),
        "slices": {part: sum(len(leg.crops) for leg in legs) for part, legs in parts.items()},
        "bfloat16_difference": reduced_precision_difference(network, parts["validation"], output),
        "results": evaluate(network, parts, output, plan),
    }
    document = card_document(plan, split_seeds(plan), measured)
    card = write_model(arguments.cards, document, network, golden_crops=golden_crops(parts["validation"]))
    print(f"wrote {card.folder}, temperature {temperature}, bfloat16 changes {measured['bfloat16_difference']}")
    for result in card.results:
        print(f"  {result.data}: {result.metric}: {result.value} {result.interval}")


if __name__ == "__main__":
    main()
