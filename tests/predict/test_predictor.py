"""Every engine gives torch's answer, for any grouping of the images, or says why it cannot."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from osteon.data import TILE_CLASSES
from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.metrics.conformal import ConformalThreshold
from osteon.nets import build_network
from osteon.nets.anatomy import middle_map_modules
from osteon.nets.deployed import DeployedClassifier
from osteon.predict import engines
from osteon.predict import predictor as module
from osteon.predict.engines import openvino
from osteon.predict.predictor import Predictor, combined, grey_crops, joined, set_names
from osteon.systems.histology.detail import Tiles, tile_input
from osteon.weights import (
    Classes,
    FieldsInput,
    Golden,
    Limits,
    ModelCard,
    OutOfDistribution,
    find_card,
    load_networks,
    read_card,
    read_limits,
)
from osteon.weights.backbone import read_backbone
from osteon.weights.graph import import_openvino
from osteon.weights.limits import TrainingSpace
from osteon.weights.load import golden_case
from tests.predict.conftest import SIZE
from tests.slide_doubles import TILE, write_tile_card

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TOLERANCE = 1e-5
"""Of a probability, float32, any engine against torch run one image at a time."""
ENGINES = ("openvino", "torch")
SHIPPED = "mobilenet_v2.phantom"


@pytest.fixture(scope="module")
def crops() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((9, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def predictors(ensemble: ModelCard) -> dict[str, Predictor]:
    return {engine: Predictor.load(ensemble, device="cpu", runtime=engine, threads=2) for engine in ENGINES}


def part_maps(network: nn.Module, image: torch.Tensor) -> list[NDArray[np.float32]]:
    """What the middle modules of a network give for one image, each (channel, row, column)."""
    found: list[NDArray[np.float32]] = []
    hooks = [
        part.register_forward_hook(lambda _, __, out: found.append(out[0].numpy()))
        for part in middle_map_modules(network)
    ]
    network(image)
    for hook in hooks:
        hook.remove()
    return found


def _moments(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([maps.mean(axis=(1, 2)), maps.std(axis=(1, 2))])


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_mean_spread_and_distance(
    engine: str, ensemble: ModelCard, predictors: dict[str, Predictor], crops: NDArray[np.float32]
) -> None:
    networks, limits = load_networks(ensemble), read_limits(ensemble)
    assert limits is not None
    each, layers = [], []
    with torch.inference_mode():
        for network, temperature in zip(networks, (1.0, 2.0), strict=True):  # the slow way: one crop after the other
            logits = torch.cat([network(torch.from_numpy(crop)[None, None]) for crop in crops])
            each.append(torch.softmax(logits / temperature, dim=1)[:, 1].numpy())
            seen = [part_maps(network, torch.from_numpy(crop)[None, None]) for crop in crops]
            layers.append(np.stack([np.concatenate([_moments(each) for each in maps]) for maps in seen]))
    assert np.ptp(each[0]) > 0.005, "the scores must differ for the test to mean anything"
    found = predictors[engine].scores(crops)
    np.testing.assert_allclose(found.positive, (each[0] + each[1]) / 2, atol=TOLERANCE)
    np.testing.assert_allclose(found.probability[:, 0], 1 - found.positive, atol=1e-6)
    assert found.positive_spread is not None
    np.testing.assert_allclose(found.positive_spread, np.abs(each[0] - each[1]) / 2, atol=TOLERANCE)  # half of two's
    assert found.positive_spread.max() > 1e-3
    assert found.distance is not None
    np.testing.assert_allclose(found.distance, limits.distance(layers), rtol=2e-2, atol=1e-3)
    assert found.sets is not None
    assert found.sets.shape == (9, 2)
    assert found.layers is None
    use = predictors[engine].use()
    assert (use.runtime, use.device, use.members, use.temperatures) == (f"{engine} float32", "cpu", 2, (1.0, 2.0))
    verdict = predictors[engine].ood(found.distance)
    assert verdict is not None
    assert verdict.score == pytest.approx(float(np.median(found.distance)))


@pytest.mark.parametrize("engine", ENGINES)
def test_scores_do_not_depend_on_neighbours_or_on_the_run(
    engine: str, predictors: dict[str, Predictor], crops: NDArray[np.float32]
) -> None:
    one = predictors[engine]
    together = one.scores(crops).probability
    close = 0 if engine == "openvino" else TOLERANCE
    np.testing.assert_allclose(one.scores(crops).probability, together, rtol=0, atol=close)
    np.testing.assert_allclose(one.scores(crop[None] for crop in crops).probability, together, rtol=0, atol=close)
    np.testing.assert_allclose(one.scores(crops[::-1]).probability, together[::-1], rtol=0, atol=close)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("lengths", [(9,), (3, 0, 5, 1), (1,) * 9, (0, 9, 0)])
def test_a_stream_of_blocks_gives_what_the_whole_gives(
    engine: str, lengths: tuple[int, ...], predictors: dict[str, Predictor], crops: NDArray[np.float32]
) -> None:
    whole = predictors[engine].scores(crops, keeps_layers=True)
    told: list[tuple[str, int, int]] = []
    blocks = np.split(crops, np.cumsum(lengths)[:-1])
    found = list(predictors[engine].run(blocks, progress=lambda *step: told.append(step), total=9))
    assert [len(block["probability"]) for block in found] == list(lengths)
    assert told == [("classifying slices", int(done), 9) for done in np.cumsum(lengths)]
    again = joined(found, predictors[engine].output, keeps_layers=True)  # type: ignore[arg-type]  # classes
    np.testing.assert_allclose(again.probability, whole.probability, atol=1e-6)
    assert again.layers is not None
    assert again.layers.shape == (9, 2, whole.layers.shape[2] if whole.layers is not None else 0)


def test_a_stream_holds_two_blocks_at_most(predictors: dict[str, Predictor], crops: NDArray[np.float32]) -> None:
    asked = 0

    def blocks() -> Iterator[NDArray[np.float32]]:
        nonlocal asked
        for _ in range(20):
            asked += 1
            yield crops[:2]

    most = 0
    for answered, _ in enumerate(predictors["openvino"].run(blocks()), start=1):
        most = max(most, asked - answered)
    assert asked == 20
    assert most <= 1, "an answer leaves as soon as one more block was begun"


def test_what_stops_the_reading_passes_and_the_engine_goes_on(
    predictors: dict[str, Predictor], crops: NDArray[np.float32]
) -> None:
    def broken() -> Iterator[NDArray[np.float32]]:
        yield crops
        raise InputError("the series is damaged")

    for one in predictors.values():
        before = one.scores(crops).probability
        with pytest.raises(InputError, match="damaged"):
            list(one.run(broken()))
        left = one.run([crops, crops, crops])
        next(left)
        left.close()
        np.testing.assert_array_equal(one.scores(crops).probability, before)


def test_no_images_keep_the_kinds(predictors: dict[str, Predictor]) -> None:
    for one in predictors.values():
        for empty in (one.scores([]), one.scores(np.empty((0, SIZE, SIZE), np.float32))):
            assert empty.positive_spread is not None
            assert empty.distance is not None
            assert empty.sets is not None
            assert len(empty.positive) == len(empty.positive_spread) == len(empty.distance) == len(empty.sets) == 0
            assert one.ood(empty.distance) is None
        assert list(one.run([])) == []


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (np.zeros((1, SIZE, SIZE + 1), np.float32), r"takes float32 images of shape \(n, 64, 64\)"),
        (np.zeros((SIZE, SIZE), np.float32), "images of shape"),
        (np.zeros((1, SIZE, SIZE), np.uint8), "found uint8"),
        (np.full((1, SIZE, SIZE), 40.0, np.float32), "values from 0 to 1; found 40"),
        (np.full((1, SIZE, SIZE), np.nan, np.float32), "found nan"),
        ({"picture": np.zeros((1, SIZE, SIZE), np.float32)}, "takes image; found picture"),
    ],
)
def test_what_breaks_the_contract_is_refused(predictors: dict[str, Predictor], block: Any, words: str) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=words):
        predictors["openvino"].scores(block)


def test_what_a_model_does_not_give_is_not_asked_of_it(predictors: dict[str, Predictor]) -> None:
    one = predictors["torch"]
    with pytest.raises(WeightsError, match="asked for maps"):
        one.maps(np.zeros((1, SIZE, SIZE), np.float32))
    with pytest.raises(WeightsError, match="asked for embeddings"):
        one.embed(np.zeros((1, SIZE, SIZE), np.float32))


def test_members_that_were_exchanged_do_not_pass(ensemble: ModelCard) -> None:
    swapped = msgspec.structs.replace(ensemble, members=ensemble.members[::-1])
    for engine in ENGINES:
        with pytest.raises(WeightsError, match="golden case"):
            Predictor.load(swapped, device="cpu", runtime=engine)


def test_changed_weights_are_refused(ensemble: ModelCard, tmp_path: Path) -> None:
    folder = tmp_path / ensemble.name
    shutil.copytree(ensemble.folder, folder)
    changed = bytearray((folder / "weights.safetensors").read_bytes())
    changed[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(bytes(changed))
    with pytest.raises(WeightsError, match="was changed"):
        Predictor.load(read_card(folder), device="cpu")


def test_the_shipped_model_says_loudly_what_it_is_and_needs_no_torch() -> None:
    card = find_card(SHIPPED)
    assert card.is_demo
    assert card.statement == "Trained on synthetic phantoms only. It has never seen a patient."
    assert all(result.is_synthetic for result in card.results)
    assert sum(path.stat().st_size for path in card.folder.iterdir()) < 20_000_000
    program = (
        "import sys; import osteon.predict.predictor as p; "
        "early = [n for n in ('torch', 'timm', 'openvino') if n in sys.modules]; "
        f"from osteon.weights import find_card; one = p.Predictor.load(find_card({SHIPPED!r}), device='cpu'); "
        "import numpy as np; maps, told = one.heat_maps(np.zeros((1, *one.size), np.float32)); "
        "sys.exit(bool(early) or told != () or any(n in sys.modules for n in ('torch', 'timm')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_every_shipped_model_is_the_same_by_torch_and_by_its_graph() -> None:
    for name in (SHIPPED, "mobilenet_v2_tiles.demo"):
        card = find_card(name)
        case = golden_case(card)
        distances = []
        for engine in ENGINES:
            found = Predictor.load(card, device="cpu", runtime=engine, precision="float32").scores(case.image)
            np.testing.assert_allclose(found.probability, case.mean, atol=TOLERANCE)
            assert found.distance is not None
            distances.append(found.distance)
        np.testing.assert_allclose(distances[0], distances[1], rtol=1e-3)


def test_without_openvino_torch_runs_the_model(ensemble: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = msgspec.structs.replace(ensemble, graph=None)
    assert Predictor.load(bare, device="cpu").runtime == "torch float32"
    with pytest.raises(WeightsError, match="has no graph"):
        Predictor.load(bare, device="cpu", runtime="openvino")
    monkeypatch.setattr(engines, "has_package", lambda _: False)
    assert Predictor.load(ensemble, device="cpu").runtime == "torch float32"


def test_where_openvino_fails_torch_runs_the_model_and_says_so(
    ensemble: ModelCard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise BackendError("this CPU is not known")

    monkeypatch.setattr(openvino, "compile_for_cpu", fail)
    with caplog.at_level(logging.WARNING):
        assert Predictor.load(ensemble, device="cpu").runtime == "torch float32"
    assert "this CPU is not known" in caplog.text
    with pytest.raises(BackendError, match="not known"):
        Predictor.load(ensemble, device="cpu", runtime="openvino")


def test_a_broken_graph_is_not_hidden_by_another_engine(ensemble: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "promised", lambda card, _: 1 - golden_case(card).expected)
    with pytest.raises(WeightsError, match="golden case"):
        Predictor.load(ensemble, device="cpu")


def test_reduced_precision_needs_the_cards_word(ensemble: ModelCard) -> None:
    with pytest.raises(WeightsError, match="its card allows: float32"):
        Predictor.load(ensemble, device="cpu", runtime="torch", precision="bfloat16")
    assert Predictor.load(ensemble, device="cpu").runtime == "openvino float32"
    loose = Golden("noise", {"float32": 1e-4, "bfloat16": 0.1}, file=ensemble.golden.file)
    wide = msgspec.structs.replace(ensemble, golden=loose)
    assert Predictor.load(wide, device="cpu").runtime == "openvino float32"  # allowed, but not without being asked
    if "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert Predictor.load(wide, device="cpu", precision="bfloat16").runtime == "openvino bfloat16"
        tight = Golden("noise", {"float32": 1e-4, "bfloat16": 1e-9}, file=ensemble.golden.file)
        strict = msgspec.structs.replace(ensemble, golden=tight)
        assert Predictor.load(strict, device="cpu").runtime == "openvino float32"  # it was tried, and did not hold


class TwoInputs(nn.Module):
    """Bright images of old patients are class 2, of young ones class 1, dark ones class 0."""

    def forward(self, images: torch.Tensor, fields: torch.Tensor) -> torch.Tensor:
        bright = images.mean(dim=(1, 2, 3)) - 0.5
        old = fields[:, 0] - 50
        return torch.stack([-bright * 50, bright * 50 - old, bright * 50 + old], dim=1)


@pytest.mark.parametrize("engine", ENGINES)
def test_clinical_fields_and_many_classes_go_the_same_way(engine: str) -> None:
    inputs = {**grey_crops(SIZE), "fields": FieldsInput(("age_years", "sex"), "years; 0 or 1")}
    one = Predictor.from_networks(
        TwoInputs(), name="fields", inputs=inputs, output=Classes(("none", "young", "old")), runtime=engine
    )
    images = np.stack([np.full((SIZE, SIZE), value, np.float32) for value in (0.1, 0.9, 0.9)])
    fields = np.array([[80, 0], [12, 1], [80, 1]], np.float32)
    found = one.scores({"image": images, "fields": fields})
    assert found.probability.argmax(axis=1).tolist() == [0, 1, 2]
    with pytest.raises(InputError, match=r"the fields age_years, sex of 3 images; found shape \(3, 1\)"):
        one.scores({"image": images, "fields": fields[:, :1]})
    with pytest.raises(InputError, match="a field is not a number"):
        one.scores({"image": images, "fields": fields * np.nan})
    with pytest.raises(InputError, match="takes image, fields; found image"):
        one.scores(images)
    with pytest.raises(WeightsError, match="a positive one: none is"):
        _ = found.positive


@pytest.mark.parametrize("engine", ENGINES)
def test_colour_bytes_go_in_as_the_plain_network_wants_them(engine: str, tmp_path: Path) -> None:
    card = write_tile_card(tmp_path, members=2)
    tiles = np.random.default_rng(7).integers(0, 256, (11, TILE, TILE, 3), dtype=np.uint8)
    images = torch.from_numpy(tiles.astype(np.float32) / 255).permute(0, 3, 1, 2)
    with torch.inference_mode():
        chances = [torch.softmax(member(images) / 1.5, dim=1) for member in load_networks(card)]
    expected = torch.stack(chances).mean(dim=0).numpy()
    one = Predictor.load(card, device="cpu", runtime=engine, threads=2)
    found = one.scores(tiles)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(found.probability, expected, atol=2e-4)
    assert found.probability.shape == (11, len(TILE_CLASSES))
    for wrong in (tiles[:, :32], tiles[..., :1], tiles[0], np.zeros(tiles.shape)):
        with pytest.raises(InputError, match="takes uint8 images of shape"):
            one.scores(wrong)


def test_a_base_that_members_share_is_run_once() -> None:
    def network(seed: int, *, base: int) -> nn.Module:
        torch.manual_seed(base)
        made = build_network("mobilenet_v2_tiles").eval()
        torch.manual_seed(seed)
        for value in made.get_classifier().parameters():  # type: ignore[operator]  # every network of the registry
            nn.init.normal_(value, std=0.2)
        return made

    runs = []
    for bases in ((0, 0), (0, 1)):
        networks = [network(seed, base=base) for seed, base in enumerate(bases)]
        deployed = DeployedClassifier(networks, channels=3, is_rgb=True, scale=1 / 255)
        count: list[int] = []
        for each in networks:
            each.get_submodule("base").features.register_forward_hook(lambda *_, count=count: count.append(1))  # type: ignore[union-attr]
        deployed(torch.zeros(1, TILE, TILE, 3, dtype=torch.uint8))
        runs.append(len(count))
    assert runs == [1, 2]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_backbone_embeds_images_of_any_size_that_fits(engine: str) -> None:
    card = read_backbone("mobilenet_v2")
    one = Predictor.load(card, device="cpu", runtime=engine)
    case = golden_case(card)
    np.testing.assert_allclose(one.embed(case.image), case.mean, atol=1e-3 * float(case.mean.max()))
    noise = np.random.default_rng(0).random((5, 12, 12), dtype=np.float32).repeat(8, axis=1).repeat(8, axis=2)
    small, large = noise[:3, :64, :64], noise[3:]
    told: list[tuple[str, int, int]] = []
    found = one.embed(iter([small[:0], small, large]), progress=lambda *step: told.append(step), total=5)
    singles = [one.embed(image[None])[0] for image in [*small, *large]]
    np.testing.assert_allclose(found, np.stack(singles), atol=1e-3)
    assert told[-1] == ("embedding images", 5, 5)
    assert one.embed([]).shape == (0, 1280)
    with pytest.raises(InputError, match="multiples of 32; found 40 x 64"):
        one.embed(np.zeros((1, 40, 64), np.float32))
    with pytest.raises(InputError, match="from 0 to 1"):
        one.embed(np.full((1, 64, 64), 255.0, np.float32))


def test_three_channel_networks_see_the_crop_three_times(crops: NDArray[np.float32]) -> None:
    torch.manual_seed(2)
    network = build_network("resnet18", in_channels=3).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops[:3])[:, None].repeat(1, 3, 1, 1)).numpy()
    for engine, close in (("openvino", 1e-4), ("torch", 1e-5)):
        one = Predictor.from_networks(network, name="own", inputs=grey_crops(SIZE, channels=3), runtime=engine)
        np.testing.assert_allclose(one.scores(crops[:3]).logits[:, 0], expected, atol=close)
        with pytest.raises(WeightsError, match="no model card"):
            one.use()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"device": "gpu0"}, UnknownLabelError, "no device 'gpu0'"),
        ({"device": "cpu", "runtime": "openvin"}, UnknownLabelError, "did you mean 'openvino'"),
        ({"device": "cpu", "runtime": "torch", "precision": "float16"}, UnknownLabelError, "no precision 'float16'"),
        ({"device": f"cuda:{torch.cuda.device_count()}"}, BackendError, "use --device cpu"),
    ],
)
def test_unknown_choices_are_answered_with_what_exists(
    options: dict[str, str], error: type[Exception], words: str
) -> None:
    network = build_network("densenet_small")
    with pytest.raises(error, match=words):
        Predictor.from_networks(network, name="own", inputs=grey_crops(SIZE), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="from 0 networks"):
        Predictor.from_networks([], name="none", inputs=grey_crops(SIZE))


def test_an_operating_point_is_the_cards_unless_a_person_chose(ensemble: ModelCard) -> None:
    one = Predictor.load(ensemble, device="cpu", runtime="torch")
    assert one.operating_point() == module.PAPER_POINT
    card = find_card(SHIPPED)
    one.card = card
    assert one.operating_point() == card.operating_point
    one.card = None
    chosen = one.operating_point(0.4)
    assert (chosen.threshold, chosen.gaussian_sigma_slices, chosen.source) == (0.4, 2.0, "chosen for this reading")


def test_openvino_reports_to_nobody() -> None:
    program = (
        "import sys; from osteon.weights.graph import import_openvino; import_openvino(); "
        "import openvino.tools.ovc; "
        "sys.exit(any(name.startswith('openvino_telemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def _limits(thresholds: tuple[float, float]) -> Limits:
    known = OutOfDistribution("none", ((1.0,),), 1.0, 1.0, 0.1, 2, 1, 1, 1)
    sets = ConformalThreshold(0.1, "lac", thresholds, (9, 9), "draw", class_conditional=True)
    one = np.ones(2, dtype=np.float32)
    return Limits(known, ((TrainingSpace(one, one, np.eye(2, dtype=np.float32), one, 1.0),),), sets)


def test_prediction_sets_by_hand() -> None:
    chance = np.array([0.1, 0.55, 0.65, 0.9], dtype=np.float32)
    logits = np.stack([np.zeros(4), np.log(chance / (1 - chance))], axis=1).astype(np.float32)[:, None]
    given = {"logits": logits, "layers": np.ones((4, 1, 2), dtype=np.float32)}
    output = Classes(("healthy", "tumour"), "tumour")
    sets = joined([combined(given, output, _limits((0.6, 0.3)))], output, keeps_layers=False).pair_sets
    assert sets is not None
    # healthy belongs while p(tumour) <= 0.6, tumour from p(tumour) >= 0.7
    assert set_names(sets, negative="healthy", positive="tumour") == ("healthy", "healthy", "neither", "tumour")
    turned = Classes(("tumour", "healthy"), "tumour")
    mirrored = combined({**given, "logits": logits[..., ::-1]}, turned, _limits((0.3, 0.6)))
    np.testing.assert_array_equal(joined([mirrored], turned, keeps_layers=False).pair_sets, sets)
    with pytest.raises(WeightsError, match="gives none"):
        combined({"logits": logits}, output, _limits((0.6, 0.3)))


def test_tiles_of_a_card_say_their_size() -> None:
    made = tile_input(Tiles(512.0, "macenko", pixels=96))
    assert made.parameters_of(Tiles, name="x") == Tiles(512.0, "macenko")
    nothing = msgspec.structs.replace(made.preprocessing, parameters={"tile_um": 0})
    with pytest.raises(WeightsError, match=r"cannot be used: .*has no size"):
        msgspec.structs.replace(made, preprocessing=nothing).parameters_of(Tiles, name="x")
