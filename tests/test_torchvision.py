"""torchvision works beside a CPU torch, with the answers of its own operators."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

torch = pytest.importorskip("torch")


def greedy(boxes: list[list[float]], scores: list[float], limit: float) -> list[int]:
    """Non-maximum suppression by the book."""

    def iou(a: list[float], b: list[float]) -> float:
        width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
        height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
        both = width * height
        return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)

    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda k: -scores[k]):
        if all(iou(boxes[i], boxes[k]) <= limit for k in kept):
            kept.append(i)
    return kept


def test_nms_equals_the_book() -> None:
    import osteon._torchvision  # noqa: F401 - must come first

    # isort: split
    from torchvision.ops import batched_nms, nms

    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(60, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 1 + torch.rand(60, 2, generator=generator) * 8], dim=1)
    scores = torch.rand(60, generator=generator)
    assert nms(boxes, scores, 0.4).tolist() == greedy(boxes.tolist(), scores.tolist(), 0.4)
    assert nms(boxes[:0], scores[:0], 0.4).tolist() == []
    assert len(batched_nms(boxes, scores, torch.arange(60), 0.4)) == 60


def test_timm_imports_and_runs() -> None:
    import osteon._torchvision  # noqa: F401 - must come first

    # isort: split
    import timm

    assert "densenet121" in timm.list_models("densenet*")


def test_torch_leaves_no_folder_in_the_temporary_folder(tmp_path: Path) -> None:
    code = "import os, sys, osteon.train.engine; assert os.listdir(sys.argv[1]) != []"  # it is there meanwhile
    environment = {name: value for name, value in os.environ.items() if name != "TORCHINDUCTOR_CACHE_DIR"}
    environment["TMPDIR"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
