"""How timm's classifiers are made: name and options of each, in one place for the registry and for joined networks.

Transformers take images of any size: patches are 16 x 16, an image is filled up with black to whole patches, and the
embedding of the places is resampled from the 14 x 14 grid of 224 pixels (it has 196 + 1 rows whatever the image).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TIMM_OPTIONS"]

_ANY_SIZE: Final = {"dynamic_img_size": True, "dynamic_img_pad": True}

TIMM_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    name: {"model_name": model, "pretrained": False, **options}
    for name, model, options in (
        ("deit_small", "deit_small_patch16_224", _ANY_SIZE),
        ("deit_tiny", "deit_tiny_patch16_224", _ANY_SIZE),
        ("densenet121", "densenet121", {}),
        ("densenet169", "densenet169", {}),
        ("densenet201", "densenet201", {}),
        ("efficientnet_b0", "efficientnet_b0", {}),
        ("inception_v3", "inception_v3", {}),
        ("resnet18", "resnet18", {}),
        ("resnet50", "resnet50", {}),
        ("resnext50", "resnext50_32x4d", {}),
        ("vit_small", "vit_small_patch16_224", _ANY_SIZE),
        ("vit_tiny", "vit_tiny_patch16_224", _ANY_SIZE),
    )
}
"""Keyword arguments of ``timm.create_model`` by name in the registry, but channels and classes."""
