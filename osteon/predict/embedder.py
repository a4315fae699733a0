"""The embeddings that images are compared by: pooled features of a network with ImageNet weights, by its name."""

from __future__ import annotations

from typing import Final

from osteon.predict.predictor import Predictor
from osteon.weights import Embedding, ImageInput, Preprocessing
from osteon.weights.backbone import describe_backbone, pretrained_network, read_backbone

__all__ = ["load_embedder"]

_IMAGES: Final = "grey images in 0..1, resized as a whole; the network scales them itself"


def load_embedder(name: str, *, device: str = "cpu", runtime: str = "auto", threads: int | None = None) -> Predictor:
    """What ``Predictor.embed`` of grey images in 0..1, of sides that are multiples of 32, gives embeddings with.

    A shipped network is proven by its golden case. Of a package the file is the known one; its network is made ready
    for OpenVINO anew each time (a few seconds).

    Args:
        name: one of ``osteon.weights.backbone.backbone_names()``, or its architecture alone.
        device: as for ``Predictor.load``.
        runtime: as for ``Predictor.load``.
        threads: as for ``Predictor.load``.

    Raises:
        UnknownLabelError: no such backbone, device or engine.
        WeightsError: files are missing or changed, or the golden case is not reproduced.
        BackendError: the package of the weights, torch, the device or the engine is not at hand.
    """
    known = describe_backbone(name)
    if not known.package:
        return Predictor.load(read_backbone(known.name), device=device, runtime=runtime, threads=threads)
    import torch

    with torch.random.fork_rng(devices=[]):  # a head that is not run
        network = pretrained_network(known.architecture, classes=1)
    made = Preprocessing("osteon.train.pixels", {}, _IMAGES)
    return Predictor.from_networks(
        network,
        name=known.name,
        inputs={"image": ImageInput(1, "any", made, size_step=32)},
        output=Embedding(known.size),
        device=device,
        runtime=runtime,
        threads=threads,
    )
