"""The shipped backbone is the int8 network it was made from, and pretrained networks take grey crops as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.nets.anatomy import feature_stages, pooled_features
from osteon.weights import verify_card
from osteon.weights.backbone import (
    PretrainedWeights,
    backbone_names,
    fill_network,
    pretrained_network,
    pretrained_weights,
    read_backbone,
)
from osteon.weights.load import fitted_kernels

NAME = "mobilenet_v2.imagenet"
PHOTOS = {"cat.bmp": "Egyptian cat", "dragonfly.bmp": "dragonfly", "sunflower.bmp": "daisy"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(read_backbone(NAME).folder, tmp_path / NAME))


def test_the_shipped_backbone_is_intact_and_says_what_it_is() -> None:
    assert backbone_names(shipped=True) == (NAME,)
    card = read_backbone("mobilenet_v2")
    assert verify_card(card) <= card.golden.tolerance["float32"]
    assert (card.name, card.licence, card.embedding.size) == (NAME, "Apache-2.0", 1280)
    assert card.weights.bytes < 7_100_000
    assert (card.folder / "LICENSE").read_text("utf-8").split()[:2] == ["Apache", "License"]
    assert card.training.details["source"]["repository"].endswith("google-coral/test_data")


@pytest.mark.shared_data
def test_it_sees_on_the_photos_what_the_int8_network_sees(shared_data: Path) -> None:
    golden = load_file(Path(__file__).with_name("photos.safetensors"))
    folder = shared_data / "weights_mobilenet"
    labels = (folder / "imagenet_labels.txt").read_text("utf-8").splitlines()
    network = build_network("mobilenet_v2", in_channels=3, classes=1001).eval()
    state = dict(pretrained_weights("mobilenet_v2").state)
    network.load_state_dict(state | fitted_kernels(network, state), strict=True)
    for index, (name, wanted) in enumerate(PHOTOS.items()):
        photo = cv2.imread(str(folder / name), cv2.IMREAD_COLOR_RGB)
        assert photo is not None
        small = cv2.resize(photo, (224, 224), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        with torch.inference_mode():
            image = torch.from_numpy(small).permute(2, 0, 1)[None]
            logits = network(image)[0].numpy()
            feature = pooled_features(network, image)[0].numpy()
        np.testing.assert_allclose(logits, golden["photo_logits"][index], atol=0.05)
        int8 = golden["photo_int8_features"][index]
        assert labels[int(logits.argmax())].startswith(wanted)
        assert logits.argmax() == golden["photo_int8_logits"][index].argmax()
        assert float(feature @ int8 / np.linalg.norm(feature) / np.linalg.norm(int8)) > 0.998


def test_one_grey_channel_gives_what_three_equal_ones_give() -> None:
    image = torch.rand(2, 1, 64, 47, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        grey = pooled_features(pretrained_network("mobilenet_v2").eval(), image)
        wide = pretrained_network("mobilenet_v2", in_channels=3).eval()
        colour = pooled_features(wide, image.expand(-1, 3, -1, -1))
    torch.testing.assert_close(grey, colour, atol=1e-4, rtol=1e-3)


def test_the_head_is_fresh_and_all_else_is_not() -> None:
    network = build_network("mobilenet_v2", classes=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fill_network(network, pretrained_weights("mobilenet_v2"))
    same = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    assert same == {"classifier.weight", "classifier.bias", "input_offset"}  # the offset is -1 for both
    assert [name for name, _ in feature_stages(network)][-1] == "classifier"


@pytest.mark.parametrize("file", ["weights.safetensors", "golden.safetensors"])
def test_a_changed_file_is_refused(copied: Path, file: str) -> None:
    data = bytearray((copied / file).read_bytes())
    data[-1] ^= 1
    (copied / file).write_bytes(data)
    with pytest.raises(WeightsError, match="was changed"):
        verify_card(read_backbone(copied))
    (copied / file).unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        verify_card(read_backbone(copied))


def test_a_broken_card_is_refused(copied: Path) -> None:
    (copied / "card.json").write_text("{}")
    with pytest.raises(WeightsError, match="is not a valid model card"):
        read_backbone(copied)
    (copied / "card.json").write_text("{")
    with pytest.raises(WeightsError, match="cannot be read"):
        read_backbone(copied)


def test_what_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'mobilenet_v2"):
        read_backbone("mobilenet_v3")
    with pytest.raises(UnknownLabelError, match="use --arch mobilenet_v2"):
        pretrained_network("densenet121")
    with pytest.raises(UnknownLabelError, match="did you mean 'embedded'"):
        pretrained_network("mobilenet_v2", source="embeded")


def test_weights_of_another_network_or_of_no_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit ResNet"):
        fill_network(build_network("resnet18"), pretrained_weights("mobilenet_v2"))
    with pytest.raises(WeightsError, match="cannot be read"):
        pretrained_network("resnet18", source=tmp_path / "absent.safetensors")
    pickle = tmp_path / "weights.pth"
    pickle.write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(WeightsError, match="not a valid safetensors file"):
        pretrained_network("resnet18", source=pickle)


def test_a_grey_file_of_osteon_goes_in_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trained = build_network("resnet18").eval()
    save_file(trained.state_dict(), tmp_path / "trained.safetensors")
    image = torch.rand(1, 1, 64, 64)
    for channels in (1, 3):
        begun = pretrained_network("resnet18", in_channels=channels, source=tmp_path / "trained.safetensors").eval()
        with torch.inference_mode():
            found = pooled_features(begun, image.expand(-1, channels, -1, -1))
            torch.testing.assert_close(found, pooled_features(trained, image), atol=1e-5, rtol=1e-4)


def test_weights_say_where_they_came_from() -> None:
    weights = pretrained_weights("mobilenet_v2")
    assert isinstance(weights, PretrainedWeights)
    assert (weights.name, weights.sha256) == (NAME, read_backbone(NAME).weights.sha256)
