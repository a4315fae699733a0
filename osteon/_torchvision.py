"""The one place that makes ``import torchvision`` work beside a CPU build of torch.

PyPI's torchvision is linked against CUDA torch. Beside a CPU torch its compiled library cannot be loaded, its
operators are never registered, and ``import torchvision`` ends in "operator torchvision::nms does not exist";
timm, segmentation-models-pytorch, lightning and torchmetrics then fail to import too.

Importing this module registers plain torch definitions of the missing operators, and only when they are missing.
Import it before torchvision and before anything that imports torchvision. Where the compiled library loads, it
changes nothing. Still absent without the library: roi_pool, deform_conv2d and torchvision.io decoding.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.machinery
import importlib.util
import os
from pathlib import Path

import torch

__all__ = ["HAS_COMPILED_OPERATORS"]

_KEPT: list[torch.library.Library] = []  # a Library unregisters its operators when it is collected


def _leave_no_folder() -> None:
    """Remove the empty folder that torch makes in the temporary folder, for compiled code that osteon has none of."""
    made = os.environ.get(_FOLDER_VARIABLE)  # torch writes it down
    if made:
        with contextlib.suppress(OSError):  # not empty, or not ours
            Path(made).rmdir()


_FOLDER_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
if _FOLDER_VARIABLE not in os.environ:
    atexit.register(_leave_no_folder)


def _load_compiled() -> bool:
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    for suffix in [*importlib.machinery.EXTENSION_SUFFIXES, ".so", ".pyd"]:
        library = Path(spec.origin).parent / f"_C{suffix}"
        if library.exists():
            try:
                torch.ops.load_library(str(library))
            except OSError:
                return False
            return True
    return False


def _nms(boxes: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Greedy non-maximum suppression; boxes (n, 4) as x0, y0, x1, y1; indices kept, best first."""
    order = scores.argsort(descending=True, stable=True)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while order.numel() > 0:
        best = order[0]
        kept.append(int(best))
        rest = order[1:]
        top_left = torch.maximum(boxes[best, :2], boxes[rest, :2])
        bottom_right = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = (bottom_right - top_left).clamp(min=0).prod(dim=1)
        iou = overlap / (area[best] + area[rest] - overlap)
        order = rest[iou <= iou_threshold]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def _register() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.impl("nms", _nms, "CompositeExplicitAutograd")
    library.impl("qnms", _nms, "CompositeExplicitAutograd")
    _KEPT.append(library)
    boxes = importlib.import_module("torchvision.ops.boxes")
    vars(boxes)["_assert_has_ops"] = lambda: None  # nms and batched_nms ask it before they call the operator


HAS_COMPILED_OPERATORS = _load_compiled()
"""Whether torchvision's own operators are in use."""

if not HAS_COMPILED_OPERATORS and importlib.util.find_spec("torchvision") is not None:
    _register()
