"""From a card to a network that is proven to be the one the card speaks of.

Load = verify the hash, build the architecture, fill it strictly from safetensors, run the golden case. No pickle is
ever opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.files import read_verified
from osteon.weights.golden_maps import check_golden_maps, require_segmenter
from osteon.weights.golden_tiles import check_golden_tiles
from osteon.weights.trust import read_trust

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.weights.card import CardFile, ModelCard

__all__ = [
    "GoldenCase",
    "check_golden",
    "golden_case",
    "load_network",
    "load_networks",
    "require_classifier",
    "verify_card",
    "verify_files",
]

_LONGEST_REASON = 300  # torch lists every tensor that does not fit


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """An input and the output that the weights must give for it.

    Attributes:
        crops: (n, row, column) float32, as the input contract says.
        logits: (member, n, class) float32.
        probability: (n,) float32, of the positive class: the mean over members.
        member_probability: (member, n) float32.
    """

    crops: NDArray[np.float32] = field(repr=False)
    logits: NDArray[np.float32] = field(repr=False)
    probability: NDArray[np.float32] = field(repr=False)
    member_probability: NDArray[np.float32] = field(repr=False)


def verify_files(card: ModelCard) -> None:
    """Check size and SHA-256 of every file of a model.

    Raises:
        WeightsError: a file is missing or was changed.
    """
    for file in (*card.members, card.golden, *([card.trust_file] if card.trust_file else [])):
        read_verified(card.name, file)


def require_classifier(card: ModelCard) -> None:
    """Refuse the card of a segmenter, and of a classifier of histology tiles.

    Raises:
        WeightsError: the model gives maps, or takes tiles in colour.
    """
    if card.segmenter is not None:
        raise WeightsError(
            f"{card.name} (task {card.task}) was asked for classes; it gives the maps "
            f"{', '.join(card.segmenter.names)}: choose a classification model (osteon models list)"
        )
    if card.tiles is not None:
        raise WeightsError(
            f"{card.name} (task {card.task}) was asked to classify grey crops; it takes histology tiles in colour: "
            "choose another classification model (osteon models list)"
        )


def golden_case(card: ModelCard) -> GoldenCase:
    """The golden input and output of a model; its file is verified first. Does not import torch.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    require_classifier(card)
    data = read_verified(card.name, card.golden)
    try:
        tensors = load(data)
        crops, logits = tensors["crops"].astype(np.float32), tensors["logits"].astype(np.float32)
    except (SafetensorError, KeyError) as error:
        raise WeightsError(f"{card.golden.path} holds no golden case ({error}): fetch the model again") from error
    members = len(card.members)
    if members == 1 and logits.ndim == 2:  # how one network's golden case is stored
        logits = logits[None]
    if crops.shape[1:] != (card.input.rows, card.input.columns) or logits.shape != (
        members,
        len(crops),
        len(card.output.classes),
    ):
        raise WeightsError(
            f"the golden case of {card.name} has shapes {crops.shape} and {logits.shape}, which its card does not allow"
        )
    each = np.stack([card.output.probability(rows, member=member) for member, rows in enumerate(logits)])
    return GoldenCase(crops, logits, each.mean(axis=0, dtype=np.float64).astype(np.float32), each)


def check_golden(
    card: ModelCard,
    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    precision: str = "float32",
    member: int | None = None,
) -> float:
    """Run the golden case through whatever will run the model.

    Args:
        card: of the model.
        predict: crops (n, row, column) to probability of the positive class (n,).
        precision: that ``predict`` computes in; chooses the card's tolerance.
        member: whose probability ``predict`` gives; None for the mean over members.

    Returns:
        The largest difference of a probability.

    Raises:
        WeightsError: the card does not allow the precision, or the difference is above its tolerance.
    """
    if precision not in card.tolerance:
        allowed = ", ".join(sorted(card.tolerance))
        raise WeightsError(f"{card.name} was asked for in {precision}; its card allows: {allowed}")
    case = golden_case(card)
    expected = case.probability if member is None else case.member_probability[member]
    difference = float(np.abs(predict(case.crops) - expected).max())
    tolerance = card.tolerance[precision]
    if not difference <= tolerance:  # also when it is not a number
        raise WeightsError(
            f"{card.name} does not reproduce its golden case in {precision}: probabilities differ by {difference:.2g}, "
            f"allowed is {tolerance:.2g}; fetch the model again, or report this machine"
        )
    return difference


def load_network(card: ModelCard, *, member: int = 0) -> nn.Module:
    """One network of a card, in evaluation mode, float32, on the CPU, proven by its golden case.

    Args:
        card: of the model.
        member: which, where the model has several.

    Raises:
        WeightsError: files are missing or changed, do not fit the architecture, or the golden case fails.
        UnknownLabelError: the card names an architecture that this version does not have.
        BackendError: torch or timm is not installed.
    """
    return _load(card, member)[0]


def load_networks(card: ModelCard) -> tuple[nn.Module, ...]:
    """All networks of a card, each as ``load_network`` gives it.

    Raises:
        WeightsError: see ``load_network``.
        BackendError: torch or timm is not installed.
    """
    return tuple(load_network(card, member=member) for member in range(len(card.members)))


def verify_card(card: ModelCard) -> float:
    """Prove a model: hashes, strict load, golden case; of every member.

    Returns:
        The largest difference of a golden probability, float32 on the CPU.

    Raises:
        WeightsError: see ``load_network``.
        BackendError: torch or timm is not installed.
    """
    verify_files(card)
    if card.trust_file is not None:
        read_trust(card)
    return max(_load(card, member)[1] for member in range(len(card.members)))


def _load(card: ModelCard, member: int) -> tuple[nn.Module, float]:
    from osteon.nets import build_network

    network = build_network(card.architecture, in_channels=card.input.channels, classes=len(card.output.classes))
    network.eval()
    state = _read_state(card, card.members[member])
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error) if len(str(error)) < _LONGEST_REASON else f"{str(error)[:_LONGEST_REASON]}..."
        raise WeightsError(
            f"the weights {card.members[member].path.name} of {card.name} do not fit {card.architecture}: {reason}"
        ) from error
    if card.segmenter is not None:
        return network, _check_segmenter(card, network, member)
    if card.tiles is not None:
        return network, _check_tiles(card, network, member)

    def predict(crops: NDArray[np.float32]) -> NDArray[np.float32]:
        return card.output.probability(_run(network, crops, card.input.channels), member=member)

    return network, check_golden(card, predict, member=member)


def _check_segmenter(card: ModelCard, network: nn.Module, member: int) -> float:
    contract = require_segmenter(card)
    outputs = getattr(network, "outputs", ())
    if outputs != contract.names:
        raise WeightsError(
            f"the card of {card.name} speaks of the maps {', '.join(contract.names)}; {card.architecture} gives "
            f"{', '.join(outputs) or 'none'}, in this order: fetch the model again"
        )

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return contract.probability(_run(network, images.astype(np.float32) / np.float32(255), contract.channels))

    return check_golden_maps(card, predict, member=member)


def _check_tiles(card: ModelCard, network: nn.Module, member: int) -> float:
    import torch

    def predict(tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            images = torch.from_numpy(tiles.astype(np.float32) / np.float32(255)).permute(0, 3, 1, 2)
            return card.output.probabilities(network(images).numpy(), member=member)

    return check_golden_tiles(card, predict, member=member)


def _run(network: nn.Module, crops: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        images = torch.from_numpy(crops)[:, None].expand(-1, channels, -1, -1)
        logits: NDArray[np.float32] = network(images).numpy()
    return logits


def _read_state(card: ModelCard, file: CardFile) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = read_verified(card.name, file)
    try:
        stored = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{file.path} is no safetensors file ({error}): fetch the model again") from error
    return {name: value.to(torch.float32) if value.is_floating_point() else value for name, value in stored.items()}
