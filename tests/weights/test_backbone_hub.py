"""Weights from the hub: fetched once, pinned, adapted to grey crops; a server of the test stands in for the hub."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network, least_image_size, network_names
from osteon.nets.anatomy import pooled_features
from osteon.weights.backbone import pretrained_network, pretrained_weights
from osteon.weights.hub import _PUBLISHED, HUB_VARIABLE, HubFile, fetch_hub_file, fold_normalisation
from osteon.weights.package_weights import PACKAGES

IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])
HALVES = torch.full((2, 3), 0.5)
FIRST = {  # the first convolution, what follows it, the normalisation of photographs, pixels of the border it sees
    "resnet18": ("conv1", "bn1", IMAGENET, 2),
    "densenet121": ("features.conv0", "features.norm0", IMAGENET, 2),
    "efficientnet_b0": ("conv_stem", "bn1", IMAGENET, 2),
    "inception_v3": ("Conv2d_1a_3x3.conv", "Conv2d_1a_3x3.bn", HALVES, 0),
    "deit_tiny": ("patch_embed.proj", "patch_embed.norm", IMAGENET, 0),
    "vit_tiny": ("patch_embed.proj", "patch_embed.norm", HALVES, 0),
}


class Hub(ThreadingHTTPServer):
    """Answers as the hub does: a redirect that states the SHA-256, then the bytes."""

    data = b""
    stated = ""
    asked = 0


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.asked += 1
        if self.path.endswith("/resolve/main/model.safetensors"):
            self.send_response(302)
            self.send_header("X-Linked-ETag", f'"{self.server.stated or hashlib.sha256(self.server.data).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(self.server.data)))
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/store")
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.data)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        if self.path == "/store":
            self.wfile.write(self.server.data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        del format, args


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv(HUB_VARIABLE, f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("OSTEON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@cache
def published(name: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A three-channel network as timm publishes it, with statistics that are not the fresh ones."""
    torch.manual_seed(0)
    network = build_network(name, in_channels=3, classes=1000)
    size = max(64, least_image_size(name))
    with torch.inference_mode():
        network.train()(torch.randn(2, 3, size, size))
    return network.eval(), dict(network.state_dict())


@pytest.mark.parametrize("name", FIRST)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_crop_gives_what_the_published_network_gives_for_the_normalised_photo(name: str, channels: int) -> None:
    network, state = published(name)
    folded = fold_normalisation(name, state)
    grey = torch.full((1, 1, 64, 64), 0.3)
    grey[..., 20:44, 20:44] = 0.9
    first, norm, (mean, deviation), border = FIRST[name]
    photo = (grey.expand(-1, 3, -1, -1) - mean[:, None, None]) / deviation[:, None, None]
    adapted = build_network(name, in_channels=channels, classes=1000).eval()
    kernel = folded[f"{first}.weight"]
    folded[f"{first}.weight"] = kernel.sum(dim=1, keepdim=True) if channels == 1 else kernel
    adapted.load_state_dict(folded)
    with torch.inference_mode():
        found = adapted.get_submodule(norm)(adapted.get_submodule(first)(grey.expand(-1, channels, -1, -1)))
        wanted = network.get_submodule(norm)(network.get_submodule(first)(photo))
    if border:
        found, wanted = (value[..., border:-border, border:-border] for value in (found, wanted))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_a_second_head_is_left_behind() -> None:
    _, state = published("inception_v3")
    assert fold_normalisation("inception_v3", {**state, "AuxLogits.fc.bias": torch.zeros(1)}).keys() == state.keys()


def test_a_joined_network_begins_with_the_weights_of_its_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for name, repository in (("resnext50", "timm/resnext50_32x4d.a1h_in1k"), ("vit_tiny", "timm/vit_tiny_patch16_224")):
        data = save(published(name)[1])
        files[name] = HubFile(repository, data, hashlib.sha256(data).hexdigest())
    monkeypatch.setattr("osteon.weights.backbone.fetch_hub_file", files.__getitem__)
    weights = pretrained_weights("vit_tiny_resnext50", source="hub")
    assert weights.name == "timm/resnext50_32x4d.a1h_in1k and timm/vit_tiny_patch16_224"
    assert weights.licence == "Apache-2.0"
    network = pretrained_network("vit_tiny_resnext50", source="hub").eval()
    state = network.state_dict()
    branches = {"convolutional.layer4.2.conv3.weight": "resnext50", "transformer.blocks.11.mlp.fc2.bias": "vit_tiny"}
    for key, name in branches.items():
        torch.testing.assert_close(state[key], published(name)[1][key.partition(".")[2]])
    # one grey channel: the patches of the transformer are those of the published network for the normalised photo
    grey = torch.rand(1, 1, 32, 32)
    patches = network.get_submodule("transformer.patch_embed.proj")(grey)
    wanted = published("vit_tiny")[0].get_submodule("patch_embed.proj")((grey.expand(-1, 3, -1, -1) - 0.5) / 0.5)
    torch.testing.assert_close(patches, wanted, atol=1e-4, rtol=1e-4)


def test_old_names_of_densenet_layers_are_understood() -> None:
    _, state = published("densenet121")
    old = {name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value for name, value in state.items()}
    assert old.keys() != state.keys()
    assert fold_normalisation("densenet121", old).keys() == state.keys()


def test_the_first_use_fetches_and_pins_and_later_uses_need_no_network(hub: Hub, tmp_path: Path) -> None:
    network, state = published("resnet18")
    hub.data = save(state)
    weights = pretrained_weights("resnet18", source="hub")
    assert (weights.name, weights.sha256) == ("timm/resnet18.a1_in1k", hashlib.sha256(hub.data).hexdigest())
    asked = hub.asked
    begun = pretrained_network("resnet18", source="hub")
    assert hub.asked == asked  # nothing is asked again
    inside = begun.state_dict()["layer1.0.conv1.weight"]
    torch.testing.assert_close(inside, network.state_dict()["layer1.0.conv1.weight"])
    assert pooled_features(begun.eval(), torch.zeros(1, 1, 32, 32)).shape == (1, 512)
    (kept,) = (tmp_path / "cache" / "hub").rglob("model.safetensors")
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(WeightsError, match="not those first used on this machine"):
        fetch_hub_file("resnet18")
    kept.unlink()
    hub.data += b" "  # the hub has another file now
    with pytest.raises(WeightsError, match="not those first used on this machine"):
        fetch_hub_file("resnet18")


def test_a_file_that_is_not_what_the_hub_states_is_refused_and_not_pinned(hub: Hub, tmp_path: Path) -> None:
    hub.data, hub.stated = b"half a file", "0" * 64
    with pytest.raises(WeightsError, match="arrived damaged"):
        fetch_hub_file("resnet18")
    assert not list((tmp_path / "cache").rglob("sha256"))


def test_without_a_network_it_says_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda _: None)  # it tries again, and waits longer
    monkeypatch.setenv(HUB_VARIABLE, "http://127.0.0.1:9")  # nobody listens there
    with pytest.raises(WeightsError, match=r"--pretrained embedded --arch mobilenet_v2.*--pretrained PATH"):
        pretrained_network("densenet121", source="hub")
    monkeypatch.setenv(HUB_VARIABLE, "file:///etc")
    with pytest.raises(WeightsError, match="by http or https"):
        fetch_hub_file("densenet121")


def test_a_network_that_is_not_on_the_hub_is_named(hub: Hub) -> None:
    with pytest.raises(UnknownLabelError, match="no weights for 'densenet_small'"):
        fetch_hub_file("densenet_small")
    assert hub.asked == 0
    elsewhere = {"alexnet_femur", "densenet_small", "googlenet", "mobilenet_v2", "vit_tiny_resnext50", *PACKAGES}
    assert set(_PUBLISHED) == set(network_names()) - elsewhere
