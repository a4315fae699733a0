"""Every engine gives torch's answer, for any grouping of the crops, or says why it cannot."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.predict.runtime import SliceClassifier
from osteon.predict.runtime_openvino import import_openvino

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import nn

SIZE = 64
TOLERANCE = 1e-5
"""Of a probability, float32, any engine against torch run one crop at a time."""


@pytest.fixture(scope="module")
def crops() -> NDArray[np.float32]:
    return np.random.default_rng(0).random((9, SIZE, SIZE), dtype=np.float32)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """Random weights whose scores spread: a fresh network gives every noise crop nearly the same."""
    import torch

    torch.manual_seed(1)
    built = build_network("densenet_small")
    with torch.no_grad():
        for _ in range(3):  # running statistics of noise, so that evaluation mode normalises
            built(torch.rand(8, 1, SIZE, SIZE))
        torch.nn.init.normal_(built.get_parameter("classifier.weight"), std=1.0)
    return built.eval()


@pytest.fixture(scope="module")
def truth(network: nn.Module, crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """The slow, obvious way: torch, one crop after the other."""
    import torch

    with torch.inference_mode():
        rows = [torch.softmax(network(torch.from_numpy(crop)[None, None]), dim=1)[0, 1] for crop in crops]
    return np.array([float(row) for row in rows], dtype=np.float32)


@pytest.fixture(scope="module")
def openvino(network: nn.Module) -> SliceClassifier:
    return SliceClassifier.from_module(network, name="noise", size=SIZE, runtime="openvino")


@pytest.fixture(scope="module")
def torch_eager(network: nn.Module) -> SliceClassifier:
    return SliceClassifier.from_module(network, name="noise", size=SIZE, runtime="torch")


def test_the_scores_of_the_test_network_spread(truth: NDArray[np.float32]) -> None:
    assert np.ptp(truth) > 0.01


def test_engines_equal_torch(
    openvino: SliceClassifier,
    torch_eager: SliceClassifier,
    crops: NDArray[np.float32],
    truth: NDArray[np.float32],
) -> None:
    assert openvino.runtime == "openvino float32"
    assert torch_eager.runtime == "torch float32"
    np.testing.assert_allclose(openvino.predict(crops), truth, atol=TOLERANCE)
    np.testing.assert_allclose(torch_eager.predict(crops), truth, atol=TOLERANCE)


def test_openvino_scores_do_not_depend_on_neighbours_or_on_the_run(
    openvino: SliceClassifier, crops: NDArray[np.float32]
) -> None:
    together = openvino.predict(crops)
    np.testing.assert_array_equal(openvino.predict(crops), together)
    np.testing.assert_array_equal(np.concatenate([openvino.predict(crop[None]) for crop in crops]), together)
    np.testing.assert_array_equal(openvino.predict(crops[::-1]), together[::-1])


def test_torch_scores_do_not_depend_on_neighbours(torch_eager: SliceClassifier, crops: NDArray[np.float32]) -> None:
    together = torch_eager.predict(crops)
    np.testing.assert_allclose(
        np.concatenate([torch_eager.predict(crop[None]) for crop in crops]), together, atol=TOLERANCE
    )


def test_blocks_are_taken_one_at_a_time(openvino: SliceClassifier, crops: NDArray[np.float32]) -> None:
    seen: list[tuple[str, int, int]] = []

    def blocks() -> Iterator[NDArray[np.float32]]:
        for start in range(0, 9, 4):
            assert len(seen) == start // 4  # the earlier block was finished before the next is asked for
            yield crops[start : start + 4]
        yield crops[:0]

    streamed = openvino.predict(blocks(), progress=lambda *step: seen.append(step), total=9)
    np.testing.assert_array_equal(streamed, openvino.predict(crops))
    assert seen == [("classifying slices", done, 9) for done in (4, 8, 9)]


def test_no_crops_give_no_scores(openvino: SliceClassifier) -> None:
    assert openvino.predict(np.empty((0, SIZE, SIZE), dtype=np.float32)).shape == (0,)
    assert openvino.predict([]).dtype == np.float32


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (np.zeros((1, SIZE, SIZE + 1), np.float32), r"takes crops of shape \(n, 64, 64\)"),
        (np.zeros((SIZE, SIZE), np.float32), "takes crops of shape"),
        (np.full((1, SIZE, SIZE), 40.0, np.float32), "values from 0 to 1; found 40"),
        (np.full((1, SIZE, SIZE), np.nan, np.float32), "found nan"),
    ],
)
def test_what_breaks_the_contract_is_refused(openvino: SliceClassifier, block: NDArray[np.float32], words: str) -> None:
    with pytest.raises(InputError, match=words):
        openvino.predict(block)


def test_random_weights_come_from_the_seed() -> None:
    noise = np.random.default_rng(5).random((2, SIZE, SIZE), dtype=np.float32)
    scores = [
        SliceClassifier.from_network("densenet_small", seed=seed, size=SIZE, device="cpu", runtime="torch").predict(
            noise
        )
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_random_weights_leave_torchs_generator_alone() -> None:
    import torch

    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    SliceClassifier.from_network("densenet_small", seed=1, size=SIZE, device="cpu", runtime="torch")
    assert torch.equal(torch.rand(3), expected)


def test_without_a_card_there_is_no_record(torch_eager: SliceClassifier) -> None:
    with pytest.raises(WeightsError, match="no model card"):
        torch_eager.use()


def test_a_gpu_that_is_not_there_is_named_with_the_way_out() -> None:
    import torch

    beyond = torch.cuda.device_count()
    with pytest.raises(BackendError, match=rf"cuda:{beyond} was asked for.*use --device cpu"):
        SliceClassifier.from_network("densenet_small", device=f"cuda:{beyond}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "gpu0"}, "no device 'gpu0'"),
        ({"device": "cpu", "runtime": "openvin"}, "did you mean 'openvino'"),
        ({"device": "cpu", "runtime": "torch", "precision": "float16"}, "did you mean 'bfloat16'|'float32'"),
    ],
)
def test_unknown_choices_are_answered_with_what_exists(options: dict[str, str], words: str) -> None:
    with pytest.raises(UnknownLabelError, match=words):
        SliceClassifier.from_network("densenet_small", size=SIZE, **options)  # type: ignore[arg-type]  # strings only


def test_reduced_precision_is_close_or_refused(
    network: nn.Module, crops: NDArray[np.float32], truth: NDArray[np.float32]
) -> None:
    capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in capabilities:
        with pytest.raises(BackendError, match="use float32"):
            SliceClassifier.from_module(network, name="noise", size=SIZE, precision="bfloat16")
        return
    reduced = SliceClassifier.from_module(network, name="noise", size=SIZE, precision="bfloat16")
    assert reduced.runtime == "openvino bfloat16"
    np.testing.assert_allclose(reduced.predict(crops), truth, atol=0.05)


def test_three_channel_networks_see_the_crop_three_times(crops: NDArray[np.float32]) -> None:
    import torch

    from osteon.predict.runtime_openvino import OpenVinoRuntime, convert_network
    from osteon.predict.runtime_torch import TorchRuntime

    torch.manual_seed(2)
    network = build_network("resnet18", in_channels=3).eval()
    with torch.inference_mode():
        expected = network(torch.from_numpy(crops[:3])[:, None].repeat(1, 3, 1, 1)).numpy()
    model = convert_network(network, channels=3, rows=SIZE, columns=SIZE)
    np.testing.assert_allclose(OpenVinoRuntime(model, precision="float32").logits(crops[:3]), expected, atol=1e-4)
    np.testing.assert_allclose(TorchRuntime(network, channels=3).logits(crops[:3]), expected, atol=1e-5)


def test_openvino_reports_to_nobody() -> None:
    program = (
        "import sys; from osteon.predict.runtime_openvino import import_openvino; import_openvino(); "
        "import openvino.tools.ovc; "
        "sys.exit(any(name.startswith('openvino_telemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_importing_the_runtime_imports_no_engine() -> None:
    program = (
        "import sys, osteon.predict.runtime; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'openvino')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
