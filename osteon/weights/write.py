"""Writing a model folder: weights, graph, golden case and card, proven before it is put in place."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from osteon._optional import has_package
from osteon.errors import BackendError, WeightsError
from osteon.weights.card import CARD_NAME, CardFile, Embedding, Maps, ModelCard, card_bytes, read_card
from osteon.weights.graph import chains_of, modules_of, pack_graph
from osteon.weights.limits import limits_arrays, limits_entries
from osteon.weights.load import prove_graph, run_torch, verify_card

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.weights.card import Precision
    from osteon.weights.limits import Limits

__all__ = ["round_to_half", "write_model"]

_LOG = logging.getLogger(__name__)
_GRAPH = "graph.safetensors"


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
    card: ModelCard,
    networks: Sequence[nn.Module],
    *,
    golden: Mapping[str, NDArray[np.generic]],
    limits: Limits | None = None,
    stored: Sequence[bytes] = (),
) -> ModelCard:
    """Write ``parent/NAME`` whole or not at all; a model of that name is replaced.

    Args:
        parent: folder of model folders; made when it is not there.
        card: without files and limits; ``storage`` decides the precision of the weights files.
        networks: the members, in evaluation mode, on the CPU; for float16 already rounded (``round_to_half``).
        golden: inputs by name, as the card describes them, that every network will have to reproduce; float32 is
            stored as float16. Two images are enough; a segmenter's should have pixels of every map.
        limits: of ``osteon.predict.out_of_distribution``, on the same networks in the same order.
        stored: safetensors files of the networks where there are some already, to be kept as they are.

    Returns:
        The card as read back, after the model was verified.

    Raises:
        WeightsError: the card is not valid, a golden input is not as it says, a member is of another architecture, or
            the model does not reproduce itself when loaded.
        OSError: the folder cannot be written.
    """
    if not networks:
        raise WeightsError(f"{card.name} was to be written without a network; at least one is needed")
    if limits is not None and len(limits.spaces) != len(networks):
        fitted = f"its limits were fitted for {len(limits.spaces)} networks"
        raise WeightsError(f"{card.name}: {fitted}, {len(networks)} are given")
    inputs = _golden_inputs(card, golden)
    contents = _weight_files(networks, stored, half=card.storage == "float16")
    members = tuple(contents)
    whole: dict[str, Any] = {"members": tuple(_listed(name, contents[name]) for name in members)}
    contents["golden.safetensors"] = _golden_file(card, networks, inputs)
    case = _listed("golden.safetensors", contents["golden.safetensors"])
    whole["golden"] = msgspec.structs.replace(card.golden, file=case)
    if limits is not None:
        contents["limits.safetensors"] = _saved(limits_arrays(limits))
        known, whole["prediction_sets"] = limits_entries(limits)
        file = _listed("limits.safetensors", contents["limits.safetensors"])
        whole["out_of_distribution"] = msgspec.structs.replace(known, file=file)
    return _placed(parent, msgspec.structs.replace(card, **whole), networks, contents)


def _golden_inputs(card: ModelCard, golden: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    """As they are stored: float32 in half precision."""
    if set(golden) != set(card.inputs):
        raise WeightsError(
            f"golden inputs of {card.name} are {', '.join(golden) or 'none'}; the card has {', '.join(card.inputs)}"
        )
    image, given = card.image, golden["image"]
    if image.size_of(given.shape) is None or (image.values == "byte") != (given.dtype == np.uint8):
        raise WeightsError(
            f"golden images of {card.name} are {given.dtype} {given.shape}; give {np.dtype(image.dtype)} {image.axes}"
        )
    halves = {name: each if each.dtype == np.uint8 else each.astype(np.float16) for name, each in golden.items()}
    return {name: np.ascontiguousarray(each) for name, each in halves.items()}


def _golden_file(card: ModelCard, networks: Sequence[nn.Module], inputs: Mapping[str, NDArray[np.generic]]) -> bytes:
    """Inputs, and what each network gives for them: logits (member, n, ...), or the embedding (1, n, d)."""
    given = {name: each if each.dtype == np.uint8 else each.astype(np.float32) for name, each in inputs.items()}
    rows = [_raw(card, network, given) for network in networks]
    name = "output.embedding" if isinstance(card.output, Embedding) else "output.logits"
    return _saved({**{f"input.{key}": each for key, each in inputs.items()}, name: np.stack(rows)})


def _raw(card: ModelCard, network: nn.Module, inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
    """What a network gives before temperatures."""
    import torch

    if isinstance(card.output, Maps):
        values = torch.from_numpy(inputs["image"].astype(np.float32) / np.float32(255))
        if not card.image.neighbours:
            values = values[:, None].expand(-1, card.image.channels, -1, -1)
        with torch.inference_mode():
            return np.asarray(network(values).numpy(), dtype=np.float32)
    (module,) = modules_of([network], card.inputs, card.output)
    found = next(iter(run_torch(module, inputs).values()))
    return found if isinstance(card.output, Embedding) else found[:, 0]


def _graph_file(card: ModelCard, networks: Sequence[nn.Module], weights: Sequence[bytes]) -> bytes | None:
    """The graph; None where OpenVINO is not installed or cannot express the networks: torch runs the model then."""
    if not has_package("openvino"):
        _LOG.warning("%s is written without a graph: OpenVINO is not installed, so torch will be needed", card.name)
        return None
    bounded = {*card.golden.tolerance, *card.golden.mask_tolerance}
    try:
        precisions: list[Precision] = [one for one in ("float32", "bfloat16") if one in bounded]
        layers = card.out_of_distribution is not None
        chains = chains_of(networks, card.inputs, card.output, precisions=precisions, layers=layers)
    except BackendError as error:
        _LOG.warning("%s is written without a graph, so torch will be needed: %s", card.name, error)
        return None
    return pack_graph(chains, weights)


def _weight_files(networks: Sequence[nn.Module], stored: Sequence[bytes], *, half: bool) -> dict[str, bytes]:
    """Weights of the members by file name, the first member's first."""
    from safetensors.torch import save

    def kept(value: Tensor) -> Tensor:
        own = value.detach().cpu().contiguous()
        return own.half() if half and own.is_floating_point() else own

    names = ["weights.safetensors", *(f"weights_{number}.safetensors" for number in range(2, len(networks) + 1))]
    made = stored or [save({key: kept(value) for key, value in each.state_dict().items()}) for each in networks]
    return dict(zip(names, made, strict=True))


def _saved(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    from safetensors.numpy import save

    return save(dict(arrays))


def _listed(name: str, data: bytes) -> CardFile:
    return CardFile(name, hashlib.sha256(data).hexdigest(), len(data))


def _placed(parent: Path, card: ModelCard, networks: Sequence[nn.Module], contents: Mapping[str, bytes]) -> ModelCard:
    """Write files to a folder aside, prove the networks there, then their graph, and move the folder to its place."""
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".writing-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        for file, data in {**contents, CARD_NAME: card_bytes(card)}.items():
            (folder / file).write_bytes(data)
        verify_card(read_card(folder))
        graph = _graph_file(card, networks, [contents[member.path] for member in card.members])
        if graph is not None:
            (folder / _GRAPH).write_bytes(graph)
            whole = msgspec.structs.replace(card, graph=_listed(_GRAPH, graph))
            (folder / CARD_NAME).write_bytes(card_bytes(whole))
            prove_graph(read_card(folder))
        target = parent / card.name
        if target.exists():
            shutil.move(target, Path(temporary) / "replaced")
        shutil.move(folder, target)
    return read_card(target)
