"""Scores of scans: each patient once, by the fold that tests them, on the crop of the margins and nothing else."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from osteon.data import ImageRow, Manifest
from osteon.errors import InputError
from osteon.io.image import write_png8
from osteon.io.split_file import read_split, write_split
from osteon.io.table import write_manifest
from osteon.metrics.blind_masks import BlindEllipsoid
from osteon.metrics.bootstrap import Resampling
from osteon.metrics.volume_agreement import dice, volume_agreement
from osteon.systems.limb_sarcoma.recipe import SEGMENTER
from osteon.systems.limb_sarcoma.scores import (
    BLIND,
    PIXEL_MEASURES,
    ScanScore,
    limb_crops,
    median_gains,
    medians,
    pooled_pixels,
    read_scores,
    score_blind_masks,
    score_networks,
    scores_text,
)
from osteon.train.export.card import ExportOptions
from osteon.train.export.maps import stored_network
from osteon.train.export.run import export_run
from osteon.train.objectives.segment import SEGMENT, Evaluator, kept_network
from osteon.train.pixels import Pixels
from osteon.train.run import RunOptions, open_run, train_run
from osteon.train.views import neighbour_rows, view_text
from osteon.weights import round_to_half
from tests.systems.limb_sarcoma.toy_limbs import PATIENTS, SIZE, SLICES, VIEW, Limbs


def test_a_crop_has_the_slices_in_order_and_the_part_that_is_shown(limbs: Limbs) -> None:
    manifest, pixels, _ = limbs
    crops = limb_crops(manifest, pixels)
    assert [crop.patient for crop in crops] == [f"p{number}" for number in range(PATIENTS)]
    for crop in crops:
        assert [manifest.rows[row].extra["slice"] for row in crop.rows] == [str(10 + at) for at in range(SLICES)]
        assert crop.cut(pixels.values[crop.rows]).shape == (SLICES, 20, 28)
        assert crop.spacing_mm == (3.0, 2.0, 2.0)


def test_blind_masks_are_fitted_on_those_who_are_not_tested(limbs: Limbs) -> None:
    manifest, pixels, split = limbs
    scores = score_blind_masks(manifest, pixels, split)
    assert sorted((each.patient, each.method) for each in scores) == sorted(
        (f"p{number}", name) for number in range(PATIENTS) for name in BLIND
    )
    truth = {crop.patient: crop.cut(pixels.masks["lesion"][crop.rows]) for crop in limb_crops(manifest, pixels)}
    for each in scores:
        assert each.patient in split.folds[each.fold].test
        if each.method == "ellipsoid":
            others = [mask for who, mask in truth.items() if who not in split.folds[each.fold].test]
            wanted = BlindEllipsoid.fitted(others).mask((SLICES, 20, 28))
            assert each.agreement.dice == dice(truth[each.patient], wanted)
    assert score_blind_masks(manifest, pixels, split, folds=[1]) == tuple(each for each in scores if each.fold == 1)


def test_blind_masks_of_mr_know_nothing_of_ct(limbs: Limbs) -> None:
    manifest, pixels, split = limbs
    alone = {each.patient: each for each in score_blind_masks(manifest, pixels, split)}
    rows, twice = [], {}
    for modality in ("mr", "ct"):  # on CT, the tumours are those of the next patient
        rows += [
            replace(row, image=f"{modality}-{row.image}", series=modality, extra={**row.extra, "modality": modality})
            for row in manifest.rows
        ]
    shifted = np.roll(pixels.masks["lesion"], SLICES, axis=0)
    both = replace(
        pixels,
        values=np.concatenate([pixels.values] * 2),
        masks={"lesion": np.concatenate([pixels.masks["lesion"], shifted])},
        views=None if pixels.views is None else np.concatenate([pixels.views] * 2),
    )
    for each in score_blind_masks(Manifest(manifest.folder, tuple(rows)), both, replace(split, manifest_sha256="")):
        twice[each.patient, each.modality, each.method] = each
    assert len(twice) == 4 * PATIENTS
    for who, each in alone.items():
        assert twice[who, "mr", each.method].agreement == each.agreement
    assert any(twice[who, "ct", each.method].agreement != each.agreement for who, each in alone.items())


def test_networks_are_scored_within_the_crop_by_the_fold_that_tests(limbs: Limbs, tmp_path: Path) -> None:
    manifest, pixels, split = limbs
    small = {"image_size": SIZE, "crop": 0, "epochs": 4, "batch": 4, "threads": 1, "device": "cpu", "rates": "0.003"}
    settings = SEGMENTER.settings(small)
    run = train_run(manifest, split, settings, tmp_path / "run", options=RunOptions(folds=[0], pixels=pixels))
    networks = {fold.fold: kept_network(settings, fold.weights) for fold in run.done}
    scores = score_networks(manifest, pixels, split, settings, networks, method="unet_small")
    assert {each.patient for each in scores} == set(split.folds[0].test)
    evaluate = Evaluator([networks[0]], settings, manifest, pixels, "cpu")
    for each in scores:  # slice by slice, whatever their order in the manifest
        rows = [index for index, row in enumerate(manifest.rows) if row.patient == each.patient]
        rows.sort(key=lambda index: int(manifest.rows[index].extra["slice"]))
        maps = [next(evaluate.maps(np.array([row]), ""))[1][0, 0] for row in rows]
        predicted = np.stack(maps)[:, 8:28, 4:32] >= 0.5
        true = pixels.masks["lesion"][rows][:, 8:28, 4:32]
        assert each.agreement == volume_agreement(true, predicted, spacing_mm=(3.0, 2.0, 2.0))
        counted = (true & predicted, predicted & ~true, true & ~predicted, ~true & ~predicted)
        assert each.pixels == tuple(int(part.sum()) for part in counted)
    # another data set: a patient of the study is asked of the fold that tests them, a stranger of every fold
    moved = tuple(
        replace(row, patient={"p0": "stranger"}.get(row.patient, row.patient), image=f"other/{row.image}")
        for row in manifest.rows
        if row.patient in {"p0", min(split.folds[0].test), min(split.folds[0].train)}
    )
    kept = [index for index, row in enumerate(manifest.rows) if f"other/{row.image}" in {one.image for one in moved}]
    other = Manifest(manifest.folder, moved)
    assert pixels.views is not None
    seen = Pixels(
        pixels.values[kept],
        masks={name: masks[kept] for name, masks in pixels.masks.items()},
        around=neighbour_rows(other, 1),
        views=pixels.views[kept],
    )
    known = {row.patient for row in moved} & {"stranger", *split.folds[0].test}
    elsewhere = score_networks(other, seen, split, settings, networks, method="unet_small")
    assert {each.patient for each in elsewhere} == known
    assert {each.patient for each in score_blind_masks(manifest, pixels, split, folds=[0], on=(other, seen))} == known


def test_pixels_of_all_crops_count_together(limbs: Limbs) -> None:
    scores = score_blind_masks(*limbs)
    found = pooled_pixels(scores)["ellipsoid"]
    hits, extra, missed, clear = np.sum([each.pixels for each in scores if each.method == "ellipsoid"], axis=0)
    wanted = {
        "precision": hits / (hits + extra),
        "sensitivity": hits / (hits + missed),
        "specificity": clear / (clear + extra),
        "iou": hits / (hits + extra + missed),
        "f1": 2 * hits / (2 * hits + extra + missed),
    }
    assert {name: found[name].value for name in PIXEL_MEASURES} == pytest.approx(wanted)
    assert found["f1"].patients == PATIENTS


def test_gains_are_paired_by_patient_and_holm_looks_at_all_pairs(limbs: Limbs) -> None:
    blind = score_blind_masks(*limbs)
    ellipsoid = {each.patient: each.agreement for each in blind if each.method == "ellipsoid"}
    true = np.ones((4, 8, 8), dtype=np.bool_)
    perfect = volume_agreement(true, true, spacing_mm=(3, 2, 2))
    scores = [
        *blind,
        *(ScanScore(who, "s", "mr", 0, "perfect", perfect, (256, 0, 0, 0)) for who in list(ellipsoid)[:5]),
    ]
    (gain, p), (lost, q) = median_gains(scores, [("perfect", "ellipsoid"), ("ellipsoid", "perfect")])
    assert gain.value == pytest.approx(np.median([1 - each.dice for each in list(ellipsoid.values())[:5]]))
    assert (gain.patients, lost.value) == (5, -gain.value)
    assert gain.low > 0
    assert gain.p_value is not None
    assert p == q == pytest.approx(2 * gain.p_value)
    assert medians(scores)["perfect"]["dice"].value == 1
    assert set(medians(scores)) == {*BLIND, "perfect"}
    with pytest.raises(InputError, match="on no patient both"):
        median_gains(scores, [("perfect", "nobody")])


def test_scores_are_lines_of_a_table(limbs: Limbs) -> None:
    scores = score_blind_masks(*limbs)
    lines = list(csv.DictReader(io.StringIO(scores_text(scores))))
    assert [line["method"] for line in lines] == [each.method for each in scores]
    assert [float(line["dice"]) for line in lines] == [each.agreement.dice for each in scores]
    assert read_scores(lines) == scores


def test_a_scan_with_gaps_and_a_data_set_of_another_kind_are_refused(limbs: Limbs) -> None:
    manifest, pixels, _ = limbs
    kept = [index for index, row in enumerate(manifest.rows) if row.extra["slice"] != "12"]
    with pytest.raises(InputError, match="have gaps"):
        limb_crops(manifest.select(kept), pixels)
    bare = ImageRow(image="a.png", patient="p", label="tumour")
    with pytest.raises(InputError, match="has no slice, pixel_mm or slice_mm"):
        limb_crops(Manifest(Path("bare"), (bare,)), pixels)


def test_a_card_tells_of_each_modality_beside_its_floor(limbs: Limbs, tmp_path: Path) -> None:
    manifest, pixels, split = limbs
    folder = tmp_path / "data"
    rows = []
    for index, row in enumerate(manifest.rows):  # p0 to p2 are MR, the others CT
        for name, plane in ((row.image, pixels.values[index]), (f"mask-{row.image}", pixels.masks["lesion"][index])):
            folder.mkdir(exist_ok=True)
            write_png8(folder / name, plane)
        modality = "mr" if row.patient < "p3" else "ct"
        extra = {**row.extra, "modality": modality, "view": view_text(VIEW)}
        rows.append(replace(row, lesion_mask=f"mask-{row.image}", extra=extra))
    written = write_manifest(Manifest(folder, tuple(rows)), folder / "manifest.csv")
    write_split(replace(split, manifest_sha256=written.sha256), folder / "splits.json")
    few = {"image_size": SIZE, "crop": 0, "epochs": 2, "batch": 4, "threads": 1, "device": "cpu", "rates": "0.003"}
    settings = SEGMENTER.settings({"architecture": "unet_small", **few})
    train_run(written, read_split(folder / "splits.json"), settings, tmp_path / "run")
    options = ExportOptions(resampling=Resampling(repeats=50), trust=False, bfloat16=False)
    card = export_run(open_run(tmp_path / "run", folder), tmp_path / "model", SEGMENTER, options=options)
    results = {each.metric: each for each in card.results}
    assert card.golden.mask_tolerance == {}
    data = open_run(tmp_path / "run", folder)
    kept = {each.fold: stored_network(settings, each) for each in data.run.done}
    for network in kept.values():
        round_to_half(network)
    seen = SEGMENT.load(written, settings, None)
    scores = score_networks(written, seen, data.split, settings, kept, method="unet_small")
    for modality, people in (("mr", 3), ("ct", 3)):
        dices = [each.agreement.dice for each in scores if each.modality == modality]
        told = results[f"Dice, {modality.upper()}, 3-D, median of patients"]
        assert told.value == pytest.approx(np.median(dices))
        assert (told.patients, told.images, len(dices)) == (people, people * SLICES, people)
        floor = results[f"Dice of a blind ellipsoid, {modality.upper()}, 3-D, median of patients"]
        assert floor.value is not None
        assert floor.value > 0.3
        assert f"gain in Dice over a blind ellipsoid, {modality.upper()}, 3-D, median of patients" in results
    assert next(iter(results)).startswith("Dice, MR, 3-D")
    assert any("size: small" in metric for metric in results)
    assert any(metric.startswith("F1, lesion") for metric in results)
