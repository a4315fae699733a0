"""Writing a model folder: weights, golden case and card, proven before it is put in place."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.card import CARD_NAME, ModelCard, read_card
from osteon.weights.load import verify_card
from osteon.weights.trust import trust_arrays, trust_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.weights.trust import Trust

__all__ = ["round_to_half", "write_model", "write_segmenter", "write_tile_classifier"]

_WEIGHTS_NAME = "weights.safetensors"
_GOLDEN_NAME = "golden.safetensors"
_TRUST_NAME = "trust.safetensors"


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
    network: nn.Module | Sequence[nn.Module],
    *,
    golden_crops: NDArray[np.float32],
    trust: Trust | None = None,
) -> ModelCard:
    """Write ``parent/NAME`` whole or not at all; a model of that name is replaced.

    Args:
        parent: folder of model folders; made when it is not there.
        document: the card without ``files`` and ``trust``; ``storage`` decides the precision of the weights files.
        network: in evaluation mode, on the CPU; for float16 already rounded (``round_to_half``). Several make an
            ensemble, whose probability is the mean of theirs.
        golden_crops: (n, row, column) that every network will have to reproduce; stored as float16.
        trust: of ``osteon.predict.trust.fit_trust``, on the same networks in the same order.

    Returns:
        The card as read back, after the model was verified.

    Raises:
        WeightsError: the card is not valid, or the model does not reproduce itself when loaded.
        OSError: the folder cannot be written.
    """
    from safetensors.numpy import save as save_arrays

    networks = list(network) if isinstance(network, Sequence) else [network]
    if not networks:
        raise WeightsError(f"{document['name']} was to be written without a network; at least one is needed")
    if trust is not None and len(trust.novelty.banks) != len(networks):
        raise WeightsError(
            f"{document['name']}: trust was fitted for {len(trust.novelty.banks)} networks, {len(networks)} are given"
        )
    half = document["storage"] == "float16"
    crops = golden_crops.astype(np.float16)
    logits = np.stack([_logits(each, crops, document["input"]["channels"]) for each in networks])
    contents = _weight_files(networks, half=half)
    contents[_GOLDEN_NAME] = save_arrays({"crops": crops, "logits": logits if len(networks) > 1 else logits[0]})
    return _classifier_placed(parent, document, contents, trust)


def write_tile_classifier(
    parent: Path,
    document: Mapping[str, Any],
    networks: Sequence[nn.Module],
    *,
    golden_tiles: NDArray[np.uint8],
    trust: Trust | None = None,
) -> ModelCard:
    """Write the model folder ``parent/NAME`` of a classifier of histology tiles whole or not at all.

    Args:
        parent: folder of model folders; made when it is not there.
        document: the card without ``files`` and ``trust``; ``osteon.weights.tiles.tile_input`` makes its ``input``.
        networks: the members, in evaluation mode, on the CPU; for float16 already rounded (``round_to_half``).
        golden_tiles: (n, row, column, 3) uint8 RGB, as the network is given them.
        trust: on the same networks in the same order.

    Returns:
        The card as read back, after the model was verified.

    Raises:
        WeightsError: the card is not valid, or the model does not reproduce itself when loaded.
        OSError: the folder cannot be written.
    """
    import torch
    from safetensors.numpy import save as save_arrays

    name = str(document["name"])
    if not networks:
        raise WeightsError(f"{name} was to be written without a network; at least one is needed")
    if golden_tiles.dtype != np.uint8 or golden_tiles.ndim != 4:
        raise WeightsError(
            f"golden tiles of {name} are {golden_tiles.dtype} {golden_tiles.shape}; give uint8 (n, row, column, 3)"
        )
    images = torch.from_numpy(golden_tiles.astype(np.float32) / np.float32(255)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = np.stack([np.asarray(each(images).numpy(), dtype=np.float32) for each in networks])
    contents = _weight_files(networks, half=document["storage"] == "float16")
    contents[_GOLDEN_NAME] = save_arrays({"tiles": np.ascontiguousarray(golden_tiles), "logits": logits})
    return _classifier_placed(parent, document, contents, trust)


def _classifier_placed(
    parent: Path, document: Mapping[str, Any], contents: dict[str, bytes], trust: Trust | None
) -> ModelCard:
    """Add trust and card to the files of a classifier, and put them in their place."""
    from safetensors.numpy import save as save_arrays

    listed = _files_entry(contents)
    whole = {**document, "files": listed}
    if trust is not None:
        contents[_TRUST_NAME] = save_arrays(dict(trust_arrays(trust)))
        listed["trust"] = _listed(_TRUST_NAME, contents)
        whole["trust"] = trust_entry(trust)
    contents[CARD_NAME] = (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()
    return _placed(parent, str(document["name"]), contents)


def write_segmenter(
    parent: Path,
    document: Mapping[str, Any],
    networks: Sequence[nn.Module],
    *,
    golden_images: NDArray[np.uint8],
) -> ModelCard:
    """Write the model folder ``parent/NAME`` of a segmenter whole or not at all; a model of that name is replaced.

    Args:
        parent: folder of model folders; made when it is not there.
        document: the card without ``files``; ``osteon.weights.segmenter_entries`` makes three of its entries, and
            ``storage`` decides the precision of the weights files.
        networks: the members, all of the card's architecture, in evaluation mode, on the CPU; for float16 already
            rounded (``round_to_half``). The model's probability is the mean of theirs.
        golden_images: (n, row, column) uint8, rows and columns multiples of 16, that every network must reproduce; two
            of 64 x 64 are enough, and they should have pixels of every map.

    Returns:
        The card as read back, after the model was verified.

    Raises:
        WeightsError: the card is not valid, a member is of another architecture, or the model does not reproduce
            itself when loaded.
        OSError: the folder cannot be written.
    """
    from safetensors.numpy import save as save_arrays

    name = str(document["name"])
    if not networks:
        raise WeightsError(f"{name} was to be written without a network; at least one is needed")
    if golden_images.dtype != np.uint8 or golden_images.ndim != 3:
        raise WeightsError(
            f"golden images of {name} are {golden_images.dtype} {golden_images.shape}; give uint8 (n, row, column)"
        )
    values = golden_images.astype(np.float32) / np.float32(255)
    logits = np.stack([_logits(each, values, document["input"]["channels"]) for each in networks])
    contents = _weight_files(networks, half=document["storage"] == "float16")
    contents[_GOLDEN_NAME] = save_arrays({"images": np.ascontiguousarray(golden_images), "maps": logits})
    whole = {**document, "files": _files_entry(contents)}
    contents[CARD_NAME] = (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()
    return _placed(parent, name, contents)


def _weight_files(networks: Sequence[nn.Module], *, half: bool) -> dict[str, bytes]:
    """Weights of the members by file name, the first member's first."""
    from safetensors.torch import save

    names = [_WEIGHTS_NAME, *(f"weights_{number}.safetensors" for number in range(2, len(networks) + 1))]
    return {
        name: save({key: _stored(value, half=half) for key, value in each.state_dict().items()})
        for name, each in zip(names, networks, strict=True)
    }


def _files_entry(contents: Mapping[str, bytes]) -> dict[str, object]:
    """The card's entry ``files`` for weights and golden case."""
    members = [name for name in contents if name not in (_WEIGHTS_NAME, _GOLDEN_NAME)]
    listed: dict[str, object] = {
        "weights": _listed(_WEIGHTS_NAME, contents),
        "golden": _listed(_GOLDEN_NAME, contents),
    }
    if members:
        listed["members"] = [_listed(name, contents) for name in members]
    return listed


def _placed(parent: Path, name: str, contents: Mapping[str, bytes]) -> ModelCard:
    """Write files to a folder aside, prove the model there, and move it to its place."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for file, data in contents.items():
            (folder / file).write_bytes(data)
        verify_card(read_card(folder))
        target = parent / name
        if target.exists():
            shutil.move(target, Path(temporary) / "replaced")
        shutil.move(folder, target)
    return read_card(target)


def _logits(network: nn.Module, crops: NDArray[np.floating], channels: int) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        images = torch.from_numpy(crops.astype(np.float32))[:, None]
        return np.asarray(network(images.expand(-1, channels, -1, -1)).numpy(), dtype=np.float32)


def _stored(value: Tensor, *, half: bool) -> Tensor:
    import torch

    kept = value.detach().cpu().contiguous()
    return kept.to(torch.float16) if half and kept.is_floating_point() else kept


def _listed(name: str, contents: Mapping[str, bytes]) -> dict[str, object]:
    data = contents[name]
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
