"""Writing a model folder: weights, golden case and card, proven before it is put in place."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.card import CARD_NAME, ModelCard, read_card
from osteon.weights.load import verify_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

__all__ = ["round_to_half", "write_model"]

_WEIGHTS_NAME = "weights.safetensors"
_GOLDEN_NAME = "golden.safetensors"


def round_to_half(network: nn.Module) -> None:
    """Round a network's weights, in place, to the float16 values that will be stored.

    Do this before anything is measured: then what was measured is what is shipped.

    Raises:
        WeightsError: a value does not fit into float16.
    """
    import torch

    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                rounded = value.to(torch.float16).to(value.dtype)
                if not bool(torch.isfinite(rounded).all()):
                    raise WeightsError(f"{name} holds values beyond float16: store the model in float32")
                value.copy_(rounded)


def write_model(
    parent: Path,
    document: Mapping[str, Any],
    network: nn.Module,
    *,
    golden_crops: NDArray[np.float32],
) -> ModelCard:
    """Write ``parent/NAME`` whole or not at all; a model of that name is replaced.

    Args:
        parent: folder of model folders; made when it is not there.
        document: the card without ``files``; ``storage`` decides the precision of the weights file.
        network: in evaluation mode, on the CPU; for float16 already rounded (``round_to_half``).
        golden_crops: (n, row, column) that the network will have to reproduce; stored as float16.

    Returns:
        The card as read back, after the model was verified.

    Raises:
        WeightsError: the card is not valid, or the model does not reproduce itself when loaded.
        OSError: the folder cannot be written.
    """
    import torch
    from safetensors.numpy import save as save_arrays
    from safetensors.torch import save as save_tensors

    half = document["storage"] == "float16"
    state = {name: _stored(value, half=half) for name, value in network.state_dict().items()}
    crops = golden_crops.astype(np.float16)
    with torch.inference_mode():
        images = torch.from_numpy(crops.astype(np.float32))[:, None]
        logits = network(images.expand(-1, document["input"]["channels"], -1, -1)).numpy()
    contents = {
        _WEIGHTS_NAME: save_tensors(state),
        _GOLDEN_NAME: save_arrays({"crops": crops, "logits": logits.astype(np.float32)}),
    }
    listed = {"weights": _listed(_WEIGHTS_NAME, contents), "golden": _listed(_GOLDEN_NAME, contents)}
    contents[CARD_NAME] = (json.dumps({**document, "files": listed}, indent=1, ensure_ascii=False) + "\n").encode()

    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        verify_card(read_card(folder))
        target = parent / str(document["name"])
        if target.exists():
            shutil.move(target, Path(temporary) / "replaced")
        shutil.move(folder, target)
    return read_card(target)


def _stored(value: Tensor, *, half: bool) -> Tensor:
    import torch

    kept = value.detach().cpu().contiguous()
    return kept.to(torch.float16) if half and kept.is_floating_point() else kept


def _listed(name: str, contents: Mapping[str, bytes]) -> dict[str, object]:
    data = contents[name]
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
