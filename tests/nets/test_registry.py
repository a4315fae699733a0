"""The registry builds what timm builds, and says so in numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import osteon._torchvision  # noqa: F401 - timm cannot be imported without it
from osteon.errors import InputError, UnknownLabelError
from osteon.nets import build_network, describe_network, network_names

# millions of parameters on the model pages of timm, for 3 channels and 1,000 classes
PUBLISHED_MILLIONS = {"densenet121": 7.98, "densenet169": 14.15, "resnet18": 11.69, "resnet50": 25.56}


@pytest.mark.parametrize("name", sorted(PUBLISHED_MILLIONS))
def test_parameter_counts_equal_timm_and_its_published_table(name: str) -> None:
    import timm

    described = describe_network(name, in_channels=3, classes=1000)
    timms = sum(parameter.numel() for parameter in timm.create_model(name).parameters())
    assert described.parameters == timms
    assert round(described.parameters / 1e6, 2) == PUBLISHED_MILLIONS[name]


def test_fewer_channels_and_classes_cost_what_the_first_and_last_layers_lose() -> None:
    wide = describe_network("resnet18", in_channels=3, classes=1000)
    narrow = describe_network("resnet18")
    first = 2 * 64 * 7 * 7  # two of three 7x7 input planes of 64 filters
    last = 998 * (512 + 1)
    assert wide.parameters - narrow.parameters == first + last


@pytest.mark.parametrize("name", network_names())
def test_every_network_maps_a_crop_to_two_logits(name: str) -> None:
    info = describe_network(name)
    assert info.input_shape == (1, 256, 256)
    assert info.output_shape == (2,)
    assert info.stages[-1].output_shape == (2,)
    assert info.stages[0].output_shape[1:] == (128, 128)
    assert sum(stage.parameters for stage in info.stages) == info.parameters


def test_described_shapes_are_the_shapes_of_a_real_run() -> None:
    import torch

    network = build_network("densenet_small", in_channels=3, classes=5).eval()
    with torch.inference_mode():
        output = network(torch.zeros(2, 3, 64, 64))
    assert tuple(output.shape) == (2, 5)
    info = describe_network("densenet_small", in_channels=3, classes=5, size=64)
    assert info.output_shape == (5,)
    assert info.parameters == sum(parameter.numel() for parameter in network.parameters())


def test_the_small_network_fits_a_shipped_card() -> None:
    assert describe_network("densenet_small").parameters * 2 < 2_000_000  # float16 bytes


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'densenet121'"):
        build_network("densnet121")


@pytest.mark.parametrize(("options", "words"), [({"in_channels": 2}, "1 or 3"), ({"classes": 0}, "at least 1")])
def test_impossible_shapes_are_refused(options: dict[str, int], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build_network("resnet18", **options)
    with pytest.raises(InputError, match="at least 32"):
        describe_network("resnet18", size=16)


def test_names_are_listed_without_torch() -> None:
    program = (
        "import sys, osteon.nets; osteon.nets.network_names(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
