"""The optimised AlexNet of the paper on femoral tumours in MRI.

AlexNet as torchvision describes it (five convolutions, three fully connected layers, max-pooling behind convolutions 1,
2 and 5, no local response normalisation) with four changes: batch normalisation between convolution and ReLU in the
first two convolutions, dropout of 0.6 behind each of the first two fully connected layers, weights drawn from a normal
distribution, and an L2 penalty on the last three convolutions alone.

Choices where the paper is silent [GAP]: the normal distribution is He's in the convolutions (standard deviation sqrt(2
/ inputs)), and that of Caffe's AlexNet in the fully connected layers (0.005, 0.005, 0.01). With He's there too, whose
features are many and large, the first step at the paper's rate of 0.01 throws the loss from 3 to 85, and the units do
not recover (measured). Biases are 0. The penalty is 1e-4 / 2 times the squared norm, as torch's ``weight_decay`` counts
it, biases of those layers included. Maps of images of another size than 224 are averaged to 6 x 6, as torchvision does.

References:
    Krizhevsky 2014, 10.48550/arXiv.1404.5997 (the widths); spec mri-femur, section 3.
    He et al. 2015, 10.1109/ICCV.2015.123. Jia et al. 2014, 10.1145/2647868.2654889 (Caffe).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, ClassVar

from torch import nn

import osteon._torchvision  # noqa: F401 - every module that uses torch repairs torchvision first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["AlexNetFemur"]

_GRID = 6
_HIDDEN = 4096
_DROPOUT = 0.6
_PENALTY = 1e-4
_HIDDEN_STD, _HEAD_STD = 0.005, 0.01


class AlexNetFemur(nn.Module):
    """The optimised AlexNet; its methods are named as timm's.

    Attributes:
        penalties: L2 penalty by part (``nets.anatomy.feature_stages``); what trains the network hands it to the
            optimiser as the weight decay of that part. Parts that are not named have none.
        feature_map: name of the module that gives the last feature map, which Grad-CAM looks at.
        num_features: length of what the head sees.
        features: five convolutions, the map (n, 256, row, column).
        pool: to 6 x 6, whatever the size of the image; at 224 pixels it changes nothing.
        fc1: first fully connected layer with its dropout.
        fc2: the second.
        classifier: the linear head.
    """

    penalties: ClassVar[Mapping[str, float]] = {"conv3": _PENALTY, "conv4": _PENALTY, "conv5": _PENALTY}
    feature_map: ClassVar[str] = "features.conv5"

    def __init__(self, *, in_chans: int = 3, num_classes: int = 1000) -> None:
        """Random weights from torch's global generator; ``in_chans`` is 1 or 3."""
        super().__init__()
        self.num_features = _HIDDEN
        self.features = nn.Sequential(
            OrderedDict(
                conv1=_convolution(in_chans, 64, kernel=11, stride=4, padding=2, is_normalised=True),
                pool1=_pooling(),
                conv2=_convolution(64, 192, kernel=5, padding=2, is_normalised=True),
                pool2=_pooling(),
                conv3=_convolution(192, 384),
                conv4=_convolution(384, 256),
                conv5=_convolution(256, 256),
                pool5=_pooling(),
            )
        )
        self.pool = nn.AdaptiveAvgPool2d(_GRID)
        self.fc1 = _fully_connected(256 * _GRID**2)
        self.fc2 = _fully_connected(_HIDDEN)
        self.classifier = nn.Linear(_HIDDEN, num_classes)
        self._draw_weights()

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column), at least 63 x 63, to logits (n, class)."""
        return self.forward_head(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images (n, channel, row, column) to the map (n, 256, 6, 6) that the fully connected layers see."""
        found: Tensor = self.pool(self.features(images))
        return found

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:  # noqa: FBT001, FBT002 - timm's signature
        """Map (n, 256, 6, 6) to logits (n, class), or to the features (n, 4096) that the head sees."""
        seen: Tensor = self.fc2(self.fc1(x.flatten(1)))
        return seen if pre_logits else self.classifier(seen)

    def get_classifier(self) -> nn.Module:
        """The linear head."""
        return self.classifier

    def _draw_weights(self) -> None:
        """Draw all weights from normal distributions; see the module."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_HEAD_STD if module is self.classifier else _HIDDEN_STD)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                nn.init.zeros_(module.bias)


def _convolution(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, padding: int = 1, is_normalised: bool = False
) -> nn.Sequential:
    """Convolution, batch normalisation where there is one, ReLU."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        convolution=nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=padding)
    )
    if is_normalised:
        parts["normalisation"] = nn.BatchNorm2d(outputs)
    parts["activation"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)


def _pooling() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2)


def _fully_connected(inputs: int) -> nn.Sequential:
    """A layer of 4,096, and its dropout behind it."""
    return nn.Sequential(
        OrderedDict(linear=nn.Linear(inputs, _HIDDEN), activation=nn.ReLU(inplace=True), dropout=nn.Dropout(_DROPOUT))
    )
