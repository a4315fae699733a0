"""Torch modules and their registry; no files, no network. Importing it does not import torch."""

from osteon.nets.registry import (
    ArchitectureInfo,
    StageInfo,
    build_network,
    describe_network,
    is_transformer,
    least_image_size,
    network_names,
)

__all__ = [
    "ArchitectureInfo",
    "StageInfo",
    "build_network",
    "describe_network",
    "is_transformer",
    "least_image_size",
    "network_names",
]
