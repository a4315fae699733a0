"""The registry builds what timm builds, and says so in numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import osteon._torchvision  # noqa: F401 - timm cannot be imported without it
from osteon.errors import InputError, UnknownLabelError
from osteon.nets import build_network, describe_network, is_transformer, least_image_size, network_names

# timm's name, and millions of parameters on its model pages, for 3 channels and 1,000 classes
PUBLISHED_MILLIONS = {
    "deit_small": ("deit_small_patch16_224", 22.05),
    "deit_tiny": ("deit_tiny_patch16_224", 5.72),
    "densenet121": ("densenet121", 7.98),
    "densenet169": ("densenet169", 14.15),
    "densenet201": ("densenet201", 20.01),
    "efficientnet_b0": ("efficientnet_b0", 5.29),
    "inception_v3": ("inception_v3", 23.83),
    "resnet18": ("resnet18", 11.69),
    "resnet50": ("resnet50", 25.56),
    "resnext50": ("resnext50_32x4d", 25.03),
    "vit_small": ("vit_small_patch16_224", 22.05),
    "vit_tiny": ("vit_tiny_patch16_224", 5.72),
}


@pytest.mark.parametrize("name", sorted(PUBLISHED_MILLIONS))
def test_parameter_counts_equal_timm_and_its_published_table(name: str) -> None:
    import timm
    import torch

    theirs, millions = PUBLISHED_MILLIONS[name]
    described = describe_network(name, in_channels=3, classes=1000)
    with torch.device("meta"):
        timms = sum(parameter.numel() for parameter in timm.create_model(theirs).parameters())
    assert described.parameters == timms
    assert round(described.parameters / 1e6, 2) == millions


def test_the_joined_network_has_the_parameters_of_its_branches_and_one_head() -> None:
    branches = sum(describe_network(name, in_channels=3, classes=1000).parameters for name in ("resnext50", "vit_tiny"))
    heads = 1000 * (2048 + 1) + 1000 * (192 + 1)
    joined = describe_network("vit_tiny_resnext50", in_channels=3, classes=2)
    assert joined.parameters == branches - heads + 2 * (2048 + 192 + 1)


def test_only_vit_and_deit_are_trained_as_transformers() -> None:
    found = {name for name in network_names() if is_transformer(name)}
    assert found == {"deit_small", "deit_tiny", "vit_small", "vit_tiny"}


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
    if name == "vit_tiny_resnext50":
        assert info.stages[0].output_shape == (2048,)
    elif name.startswith(("vit", "deit")):
        assert info.stages[0].output_shape[:2] == (16, 16)
        width = info.stages[0].output_shape[2]
        assert [stage.output_shape for stage in info.stages[1:3]] == [(1, width), (197, width)]
    else:
        side = {"alexnet_femur": 63, "inception_v3": 127}.get(name, 128)
        assert info.stages[0].output_shape[1:] == (side, side)
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
    with pytest.raises(InputError, match="at least 75"):
        describe_network("inception_v3", size=least_image_size("inception_v3") - 1)


def test_names_are_listed_without_torch() -> None:
    program = (
        "import sys, osteon.nets; osteon.nets.network_names(); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'torchvision')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
