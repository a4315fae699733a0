"""Weights from the hub: fetched once, pinned, adapted to grey crops; a server of the test stands in for the hub."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from osteon.errors import UnknownLabelError, WeightsError
from osteon.nets import build_network
from osteon.nets.anatomy import pooled_features
from osteon.weights.backbone import pretrained_network, pretrained_weights
from osteon.weights.hub import HUB_VARIABLE, fetch_hub_file, fold_normalisation, hub_architectures

MEAN, DEVIATION = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class Hub(ThreadingHTTPServer):
    """Answers as the hub does: a redirect that states the SHA-256, then the bytes."""

    data = b""
    stated = ""
    asked = 0


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.server.asked += 1
        if self.path.endswith("/resolve/main/model.safetensors"):
            self.send_response(302)
            self.send_header("X-Linked-ETag", f'"{self.server.stated or hashlib.sha256(self.server.data).hexdigest()}"')
            self.send_header("Location", "/store")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.server.data)))
            self.end_headers()
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
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def published(name: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A three-channel network as timm publishes it, with statistics that are not the fresh ones."""
    torch.manual_seed(0)
    network = build_network(name, in_channels=3, classes=1000)
    with torch.inference_mode():
        network.train()(torch.randn(4, 3, 64, 64))
    return network.eval(), dict(network.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_grey_crop_gives_what_the_published_network_gives_for_the_normalised_photo(name: str, channels: int) -> None:
    network, state = published(name)
    folded = fold_normalisation(name, state)
    grey = torch.full((1, 1, 64, 64), 0.3)
    grey[..., 20:44, 20:44] = 0.9
    photo = (grey.expand(-1, 3, -1, -1) - MEAN[:, None, None]) / DEVIATION[:, None, None]
    first, norm = ("conv1", "bn1") if name == "resnet18" else ("features.conv0", "features.norm0")
    adapted = build_network(name, in_channels=channels, classes=1000).eval()
    kernel = folded[f"{first}.weight"]
    folded[f"{first}.weight"] = kernel.sum(dim=1, keepdim=True) if channels == 1 else kernel
    adapted.load_state_dict(folded)
    with torch.inference_mode():
        found = adapted.get_submodule(norm)(adapted.get_submodule(first)(grey.expand(-1, channels, -1, -1)))
        wanted = network.get_submodule(norm)(network.get_submodule(first)(photo))
    torch.testing.assert_close(found[..., 2:-2, 2:-2], wanted[..., 2:-2, 2:-2], atol=1e-4, rtol=1e-4)


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
    assert hub.asked == asked == 2  # the redirect and the store, once
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
    assert not (tmp_path / "cache").exists()


def test_without_a_network_it_says_what_to_do(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert set(hub_architectures()) == {"densenet121", "densenet169", "resnet18", "resnet50"}
