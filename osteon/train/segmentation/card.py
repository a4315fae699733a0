"""The words and settings of a card that is made from a run of segmenters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from osteon import __version__
from osteon.metrics.text import EVALUATED
from osteon.train.card_text import data_words, patient_words, training_entry
from osteon.train.claim import claim_document
from osteon.weights import Golden, Maps, MeasuredResult, ModelCard, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from osteon.train.card_text import CardWords
    from osteon.train.run_data import RunData
    from osteon.train.segmentation.members import SegmentMember
    from osteon.weights import ImageInput, MapOutput

__all__ = ["MAP_TOLERANCE", "SegmentFacts", "segment_card"]

MAP_TOLERANCE = 3e-4
"""Largest difference of a golden probability in float32: engines add in another order, and forty layers pass it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFacts:
    """What was found out about a model.

    Attributes:
        maps: with the thresholds chosen.
        results: measured, as the card keeps them.
        golden: what the golden images show.
        bfloat16_mask_tolerance: largest 1 - Dice of a golden mask in bfloat16; None does not allow the precision.
        is_half: whether weights are stored as float16.
        is_demo: whether all images are synthetic.
    """

    maps: tuple[MapOutput, ...]
    results: list[dict[str, Any]] = field(repr=False)
    golden: str
    bfloat16_mask_tolerance: float | None
    is_half: bool
    is_demo: bool


def segment_card(
    name: str,
    data: RunData,
    members: Sequence[SegmentMember],
    *,
    words: CardWords,
    facts: SegmentFacts,
    inputs: dict[str, ImageInput],
) -> ModelCard:
    """The card of a run of segmenters, without files.

    Args:
        name: ``architecture.tag``.
        data: the run and its images.
        members: as shipped.
        words: complete.
        facts: found out.
        inputs: of the task.
    """
    settings = data.run.settings
    bounded = facts.bfloat16_mask_tolerance
    return ModelCard(
        name=name,
        version=words.version,
        task=settings.task,
        architecture=settings.architecture,
        storage="float16" if facts.is_half else "float32",
        inputs=dict(inputs),
        output=Maps(facts.maps),
        golden=Golden(facts.golden, {"float32": MAP_TOLERANCE}, {} if bounded is None else {"bfloat16": bounded}),
        training=_training(data, members, is_demo=facts.is_demo),
        results=msgspec.convert(facts.results, tuple[MeasuredResult, ...]),
        licence=words.licence,
        intended_use=words.intended_use,
        exclusions=words.exclusions,
        is_demo=facts.is_demo,
        statement=words.statement,
        claim_2024=claim_document(_answers(data, members, words, facts)),
    )


def _training(data: RunData, members: Sequence[SegmentMember], *, is_demo: bool) -> Training:
    run, split = data.run, data.split
    details = {
        "manifest_sha256": data.manifest.sha256,
        "split_seed": split.seed,
        "settings": run.settings.document(),
        "members": [_member(data, member) for member in members],
        "software": dict(run.document.get("versions", {})),
        "machine": dict(run.document.get("machine", {})),
        "warnings": list(split.warnings),
        "unreadable_images": len(run.document.get("unreadable", ())),
    }
    return training_entry(data.manifest, split, data.split_sha256, run.settings.seed, is_demo=is_demo, details=details)


def _member(data: RunData, member: SegmentMember) -> dict[str, Any]:
    fold = member.fold
    people = {
        part: len({data.manifest.rows[int(row)].patient for row in getattr(member.rows, part)})
        for part in ("train", "validation", "test")
    }
    return {
        "fold": fold.fold,
        "best_epoch": fold.best_epoch,
        "epochs": len(fold.history),
        "validation_f1": fold.monitored,
        "thresholds_best_on_validation": {sweep.output: sweep.best for sweep in member.sweeps},
        "seconds": fold.seconds,
        "images": dict(fold.images),
        "patients": people,
    }


def _answers(data: RunData, members: Sequence[SegmentMember], words: CardWords, facts: SegmentFacts) -> dict[str, str]:
    """What the run knows of the reporting items; see claim_2024.json."""
    settings, split, manifest = data.run.settings, data.split, data.manifest
    folds = [member.fold for member in members]
    first = facts.results[0]
    limits = "no interval" if first["interval"] is None else f"95 % {EVALUATED.limits(*first['interval'])}"
    value = EVALUATED.number(first["value"])
    rates = ", ".join(f"{rate:g}" for rate in settings.rates)
    chosen = "the epoch with the largest pooled F1 of lesions on the validation part, of each fold on its own: epochs "
    if settings.selection == "last":
        chosen = "the last epoch of each fold: epochs "
    return {
        "kind": f"deep learning: convolutional networks ({settings.architecture}) that mark pixels of CT slices",
        "intended_use": f"{words.intended_use} Not for: {'; '.join(words.exclusions)}",
        "goal": "making a model, judged on data of the same origin",
        "sources": data_words(manifest, is_demo=facts.is_demo),
        "preprocessing": "8-bit slices, resized as a whole by area to "
        f"{settings.image_size} pixels square, divided by 255; masks resized and cut at one half",
        "missing": f"{len(data.run.document.get('unreadable', ()))} images could not be read and were left out",
        "partition": f"{split.scheme}, {len(split.folds)} folds, stratified by {split.stratify or 'nothing'}, seed "
        f"{split.seed}, osteon split",
        "disjoint": "patients: all images of a patient lie in one part"
        if split.unit == "patient"
        else "images: patients are NOT kept apart, results leak",
        "model": f"{settings.architecture}, input {settings.channels} x {settings.image_size} x {settings.image_size}, "
        f"maps {', '.join(settings.outputs)}; osteon models arch {settings.architecture} lists its layers",
        "software": ", ".join(f"{name} {text}" for name, text in data.run.document.get("versions", {}).items()),
        "initialisation": "random",
        "training": f"loss {settings.loss}, lesion {settings.lesion_weight:g}, bone {settings.bone_weight:g}, batch "
        f"{settings.batch}, {settings.epochs} epochs, {settings.optimiser} at {rates}, "
        f"{'augmented' if settings.augments else 'not augmented'}, seed {settings.seed}",
        "choice": chosen + ", ".join(str(fold.best_epoch) for fold in folds),
        "ensemble": f"mean of the probabilities of {len(members)} networks" if len(members) > 1 else "none",
        "measures": "; ".join(dict.fromkeys(entry["metric"] for entry in facts.results)),
        "uncertainty": "patient bootstrap, percentile",
        "internal": f"{first['data']}: {first['patients']} patients, {first['images']} images",
        "external": "none was done",
        "counts": "; ".join(
            f"fold {fold.fold}: " + ", ".join(f"{name} {count}" for name, count in fold.images.items())
            for fold in folds
        ),
        "characteristics": patient_words(manifest),
        "results": f"{first['metric']}: {value}, {limits}; further results in the card",
        "limits": "one data set; "
        + ("synthetic images say nothing about patients" if facts.is_demo else "no data of another origin")
        + ("; the split leaks" if split.unit == "image" else ""),
        "details": f"settings.json and run.json of the run; hash of split {data.split_sha256[:12]}",
        "availability": f"weights in this folder, licence {words.licence}; software: osteon {__version__}, Apache-2.0",
    }
