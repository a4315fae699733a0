"""What is loaded is what the card speaks of; anything else is refused before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from safetensors.torch import save

from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.nets.segmenter import Segmenter
from osteon.nets.segmenter_description import SEGMENTERS
from osteon.weights import (
    Golden,
    MapOutput,
    ModelCard,
    check_golden,
    find_card,
    load_networks,
    mask_difference,
    read_card,
    round_to_half,
    verify_card,
    verify_files,
    write_model,
)
from osteon.weights.load import golden_case, load_network
from tests.cards import exchanged, file_of, plain_card, reread, segmenter_card

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

MAPS = (MapOutput("lesion", 0.4, "chosen by the test", 2.0, 500.0), MapOutput("bone"))
SLICES = np.random.default_rng(0).integers(0, 256, (2, 32, 48), dtype=np.uint8)


@pytest.fixture(scope="module")
def networks() -> list[nn.Module]:
    import torch

    torch.manual_seed(0)
    made = [build_network("hybrid_attunetpp_small").eval() for _ in range(2)]
    for network in made:
        round_to_half(network)
    return made


@pytest.fixture(scope="module")
def segmenters(tmp_path_factory: pytest.TempPathFactory, networks: list[nn.Module]) -> ModelCard:
    """In float32 alone: the chain for bfloat16 takes long to make, and tests/predict has one."""
    card = segmenter_card(MAPS, golden=Golden("noise", {"float32": 3e-4}))
    return write_model(tmp_path_factory.mktemp("segmenters"), card, networks, golden={"image": SLICES})


@pytest.fixture
def spoilt(tmp_path: Path, segmenters: ModelCard) -> ModelCard:
    """A copy of the segmenters that a test may spoil."""
    import shutil

    return read_card(shutil.copytree(segmenters.folder, tmp_path / segmenters.name))


def test_half_precision_storage_gives_the_same_golden_output(random_card: ModelCard) -> None:
    import torch

    case = golden_case(random_card)
    network = load_network(random_card)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert not network.training
    with torch.inference_mode():
        logits = network(torch.from_numpy(case.image)[:, None])
        expected = torch.softmax(logits / 2, dim=1).numpy()
    np.testing.assert_allclose(case.expected, expected[None], atol=1e-6)
    assert verify_card(random_card) < 1e-5
    assert random_card.weights.bytes < 2.2 * sum(value.numel() for value in network.state_dict().values())


def test_weights_are_not_stored_twice(written_card: ModelCard) -> None:
    for card in (written_card, find_card("hybrid_attunetpp_small.phantom"), find_card("mobilenet_v2.phantom")):
        constants = load_arrays(file_of(card, "graph").read_bytes())["constants"]
        assert constants.nbytes < 0.05 * sum(member.bytes for member in card.members)


def test_every_stored_value_is_the_rounded_one(random_card: ModelCard) -> None:
    import torch

    torch.manual_seed(0)
    before = build_network("densenet_small").state_dict()
    loaded = load_network(random_card).state_dict()
    assert list(loaded) == list(before)
    for name, value in before.items():
        expected = value.half().float() if value.is_floating_point() else value
        assert torch.equal(loaded[name], expected), name


def test_a_value_beyond_half_precision_is_refused() -> None:
    import torch

    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 1e6)
    with pytest.raises(WeightsError, match="float32"):
        round_to_half(network)


@pytest.mark.parametrize("name", ["weights", "golden", "graph"])
def test_a_changed_truncated_or_missing_file_is_found(random_card: ModelCard, name: str) -> None:
    path = file_of(random_card, name)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(WeightsError, match="was changed"):
        verify_files(random_card)
    path.write_bytes(data[:-10])
    with pytest.raises(WeightsError, match="the card says"):
        verify_files(random_card)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        verify_files(random_card)


def test_other_weights_with_a_fitting_hash_fail_the_golden_case(random_card: ModelCard) -> None:
    import torch

    torch.manual_seed(99)
    other = build_network("densenet_small").half().state_dict()
    data = save({name: value.contiguous() for name, value in other.items()})
    card = exchanged(random_card, file_of(random_card, "weights"), data)
    verify_files(card)
    with pytest.raises(WeightsError, match="golden case"):
        verify_card(card)


def test_a_graph_that_is_none_or_another_models_is_refused(random_card: ModelCard) -> None:
    path = file_of(random_card, "graph")
    with pytest.raises(WeightsError, match="graph of the model cannot be read"):
        verify_card(exchanged(random_card, path, b"\\x00" * 64))
    other = file_of(find_card("mobilenet_v2.trunk_phantom"), "graph").read_bytes()
    with pytest.raises(WeightsError, match="graph"):  # it points beyond these weights, or takes other images
        verify_card(exchanged(read_card(random_card.folder), path, other))


def test_weights_of_another_architecture_and_pickles_are_refused(random_card: ModelCard) -> None:
    import io
    import pickle

    import torch

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("the pickle was opened",)

    path = file_of(random_card, "weights")
    card = exchanged(random_card, path, save({"conv.weight": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="do not fit densenet_small"):
        load_network(card)
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    for data in (pickle.dumps(Bomb()), buffer.getvalue()):
        card = exchanged(card, path, data)
        with pytest.raises(WeightsError, match="not a valid safetensors file"):
            load_network(card)


def test_a_golden_file_without_a_case_is_refused(random_card: ModelCard) -> None:
    path = file_of(random_card, "golden")
    card = exchanged(random_card, path, save_arrays({"something": np.zeros(1, np.float32)}))
    with pytest.raises(WeightsError, match="holds no golden case"):
        golden_case(card)
    wrong = {"input.image": np.zeros((1, 3, 3), np.float32), "output.logits": np.zeros((1, 1, 2), np.float32)}
    with pytest.raises(WeightsError, match="shapes"):
        golden_case(exchanged(card, path, save_arrays(wrong)))


def test_an_architecture_of_a_later_version_is_named(random_card: ModelCard) -> None:
    later = msgspec.structs.replace(random_card, architecture="densenet_smal")
    with pytest.raises(UnknownLabelError, match="did you mean 'densenet_small'"):
        load_network(later)


def test_golden_check_knows_tolerance_precision_and_not_a_number(random_card: ModelCard) -> None:
    truth = golden_case(random_card).mean
    found = check_golden(random_card, lambda _: truth + np.float32(5e-5), precision="float32")
    assert found == pytest.approx(5e-5, rel=0.01)
    with pytest.raises(WeightsError, match="differ by"):
        check_golden(random_card, lambda _: truth + np.float32(2e-4), precision="float32")
    with pytest.raises(WeightsError, match="differ by nan"):
        check_golden(random_card, lambda _: truth * np.float32(np.nan), precision="float32")
    with pytest.raises(WeightsError, match="its card allows: float32"):
        check_golden(random_card, lambda _: truth, precision="bfloat16")
    with pytest.raises(WeightsError, match="output of shape"):
        check_golden(random_card, lambda _: truth[:1], precision="float32")


def test_writing_replaces_whole_or_leaves_the_old(random_card: ModelCard) -> None:
    parent = random_card.folder.parent
    network = load_network(random_card)
    golden = {"image": golden_case(random_card).image}
    newer = write_model(parent, plain_card(version="0.2.0"), [network], golden=golden)
    assert newer.version == "0.2.0"
    with pytest.raises(WeightsError, match="not a valid model card"):
        write_model(parent, plain_card(version="three"), [network], golden=golden)
    assert read_card(parent / random_card.name).version == "0.2.0"
    assert [entry.name for entry in parent.iterdir()] == [random_card.name]
    with pytest.raises(WeightsError, match="at least one"):
        write_model(parent, plain_card(), [], golden=golden)
    with pytest.raises(WeightsError, match=r"golden images of .* are uint8"):
        write_model(parent, plain_card(), [network], golden={"image": SLICES})
    with pytest.raises(WeightsError, match="golden inputs"):
        write_model(parent, plain_card(), [network], golden={"picture": SLICES})


def test_maps_are_the_mean_of_the_members_sigmoids(segmenters: ModelCard, networks: list[nn.Module]) -> None:
    import torch

    case = golden_case(segmenters)
    inputs = torch.from_numpy(case.image.astype(np.float32) / 255)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        logits = [network(inputs).numpy() for network in networks]
    each = [np.stack([1 / (1 + np.exp(-one[:, 0] / 2)), 1 / (1 + np.exp(-one[:, 1]))], axis=1) for one in logits]
    np.testing.assert_allclose(case.mean, (each[0] + each[1]) / 2, atol=1e-6)
    assert segmenters.maps.maps == MAPS
    assert verify_card(segmenters) < 1e-4
    assert len(load_networks(segmenters)) == len(segmenters.members) == 2


def test_golden_maps_of_other_weights_are_refused(spoilt: ModelCard) -> None:
    path = file_of(spoilt, "golden")
    arrays = load_arrays(path.read_bytes())
    changed = {**arrays, "output.logits": arrays["output.logits"] + np.float32(0.1)}
    with pytest.raises(WeightsError, match="does not reproduce its golden case in float32: its outputs differ by"):
        verify_card(exchanged(spoilt, path, save_arrays(changed)))


def test_a_reduced_precision_is_judged_by_its_masks(segmenters: ModelCard) -> None:
    bounded = Golden("noise", {"float32": 3e-4}, {"bfloat16": 0.1}, segmenters.golden.file)
    card = msgspec.structs.replace(segmenters, golden=bounded)
    expected = golden_case(card).mean
    shifted = np.clip(np.where(expected >= 0.5, expected + 0.2, expected - 0.2), 0, 1).astype(np.float32)
    shifted[:, 0] = expected[:, 0]

    def check(maps: NDArray[np.float32], precision: str) -> float:
        return check_golden(card, lambda _: maps, precision=precision)

    assert check(shifted, "bfloat16") > 0.1
    with pytest.raises(WeightsError, match="outputs differ by"):
        check(shifted, "float32")
    with pytest.raises(WeightsError, match="1 - Dice of the masks is"):
        check(1 - shifted, "bfloat16")
    with pytest.raises(WeightsError, match="its card allows: bfloat16, float32"):
        check(shifted, "float16")
    with pytest.raises(WeightsError, match="is nan"):
        check(expected * np.float32(np.nan), "bfloat16")


def test_mask_difference_is_the_worst_maps() -> None:
    expected = np.zeros((2, 2, 1, 4), np.float32)
    found = expected.copy()
    assert mask_difference(found, expected, thresholds=[0.5, 0.5]) == 0.0
    expected[0, 1, 0, :3], found[0, 1, 0, 1:] = 0.6, 0.6  # 3 and 3 pixels, 2 shared
    expected[1, 0], found[1, 0] = 0.9, 0.9
    assert mask_difference(found, expected, thresholds=[0.5, 0.5]) == pytest.approx(1 - 2 * 2 / 6)


def test_a_missing_member_is_named(spoilt: ModelCard) -> None:
    (spoilt.folder / "weights_2.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"needs .*weights_2\.safetensors; it cannot be read"):
        verify_card(spoilt)


def test_a_member_of_another_architecture_is_refused(tmp_path: Path, networks: list[nn.Module]) -> None:
    description = SEGMENTERS["hybrid_attunetpp_small"]
    other = Segmenter(
        type(description)(block="plain", is_nested=True, outputs=("lesion", "bone"), widths=(2, 2, 2, 2, 2))
    )
    with pytest.raises(WeightsError, match=r"weights_2\.safetensors of .* do not fit hybrid_attunetpp_small") as caught:
        write_model(tmp_path, segmenter_card(MAPS), [networks[0], other.eval()], golden={"image": SLICES})
    assert len(str(caught.value)) < 600
    assert not list(tmp_path.iterdir())


def test_maps_in_another_order_than_the_networks_are_refused(spoilt: ModelCard) -> None:
    turned = reread(spoilt, lambda document: document["output"]["maps"].reverse())
    with pytest.raises(
        WeightsError, match="speaks of the maps bone, lesion; hybrid_attunetpp_small gives lesion, bone"
    ):
        verify_card(turned)


def test_the_command_line_lists_shows_and_verifies_it(segmenters: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from osteon.app.cli.models import build
    from osteon.weights.store import MODELS_VARIABLE

    monkeypatch.setenv(MODELS_VARIABLE, str(segmenters.folder.parent))
    listed = CliRunner().invoke(build(), ["list"])
    for word in (segmenters.name, "ct_metastasis", "mobilenet_v2.phantom"):
        assert word in listed.output
    shown = CliRunner().invoke(build(), ["show", segmenters.name])
    assert "map lesion: from probability 0.4 on (chosen by the test)" in shown.output
    verified = CliRunner().invoke(build(), ["verify", segmenters.name])
    assert verified.exit_code == 0
    assert f"{segmenters.name}: intact; golden output reproduced to " in verified.output
