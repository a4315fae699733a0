"""A ViT for images of any size is timm's, in other operations."""

from __future__ import annotations

import osteon._torchvision  # noqa: F401 - timm cannot be imported without it

# isort: split
import numpy as np
import pytest
import timm
import torch

from osteon.nets import build_network
from osteon.nets.vision_transformer import _bicubic


@pytest.mark.parametrize(("rows", "columns"), [(224, 224), (64, 64), (256, 96), (40, 50)])
def test_it_gives_what_timms_gives_for_images_of_any_size(rows: int, columns: int) -> None:
    torch.manual_seed(1)
    network = build_network("vit_tiny", in_channels=3, classes=7).eval()
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=7, dynamic_img_size=True, dynamic_img_pad=True)
    theirs.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, rows, columns)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), theirs.eval()(images), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 7, 13, 14, 15, 32])
def test_the_matrix_is_the_bicubic_resampling_of_torch(size: int) -> None:
    rows = torch.eye(14, dtype=torch.float64)[None, None]
    wanted = torch.nn.functional.interpolate(rows, size=(size, 14), mode="bicubic", antialias=True)[0, 0]
    np.testing.assert_allclose(_bicubic(size), wanted.numpy(), atol=1e-12)


def test_openvino_gives_what_torch_gives() -> None:
    pytest.importorskip("openvino")
    from osteon.predict.predictor import Predictor, grey_crops

    torch.manual_seed(2)
    network = build_network("vit_tiny").eval()
    crops = np.random.default_rng(0).random((2, 48, 48), dtype=np.float32)
    found = [
        Predictor.from_networks(network, name="vit_tiny", inputs=grey_crops(48), runtime=runtime).scores(crops).logits
        for runtime in ("torch", "openvino")
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
