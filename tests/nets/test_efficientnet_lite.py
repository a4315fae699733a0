"""EfficientNet-Lite has the published sizes, and is timm's network of that name at any size of image."""

from __future__ import annotations

import pytest
import torch

import osteon._torchvision  # noqa: F401 - before timm
from osteon.errors import UnknownLabelError
from osteon.nets import describe_network
from osteon.nets.efficientnet_lite import VARIANTS, EfficientNetLite

# timm's and the packages' counts for 1,000 classes; the published table has them as 4.7, 5.4 and 6.1 million
PARAMETERS = {"lite0": 4_652_008, "lite1": 5_416_680, "lite2": 6_092_072}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_size_is_the_published_one(variant: str) -> None:
    info = describe_network(f"efficientnet_{variant}", in_channels=3, classes=1000, size=128)
    assert info.parameters == PARAMETERS[variant]
    shapes = {stage.name: stage.output_shape[1:] for stage in info.stages}
    places = [shapes[f"features.stage{number}"][0] for number in range(1, 8)]
    assert places == [64, 32, 16, 8, 8, 4, 4]


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_it_is_timms_network_of_that_name(variant: str) -> None:
    """An implementation of its own, with the same weights in the order in which data passes."""
    import timm

    torch.manual_seed(0)
    own = EfficientNetLite(variant=variant, num_classes=10)
    other = timm.create_model(f"tf_efficientnet_{variant}", pretrained=False, num_classes=10)
    with torch.no_grad():
        for _ in range(2):  # statistics of images: with fresh ones a normalisation does nothing
            own(torch.rand(4, 3, 64, 64))
    kept = [value for name, value in own.state_dict().items() if not name.startswith("input_")]
    other.load_state_dict(dict(zip(other.state_dict(), kept, strict=True)))
    own.eval(), other.eval()
    for size in ((128, 128), (97, 150)):
        byte = torch.randint(0, 256, (2, 3, *size)).float()
        with torch.inference_mode():
            expected = other((byte - 127) / 128)
            torch.testing.assert_close(own(byte / 255), expected, atol=1e-4, rtol=1e-4)
        assert float(expected.std()) > 1e-3


def test_another_variant_is_refused() -> None:
    with pytest.raises(UnknownLabelError, match="no EfficientNet-Lite 'lite9'"):
        EfficientNetLite(variant="lite9")
