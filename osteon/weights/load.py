"""From a card to networks that are proven to be the ones the card speaks of.

Load = verify the hash, build the architecture, fill it strictly from safetensors, run the golden case. No pickle is
ever opened.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from osteon.errors import WeightsError
from osteon.weights.card import Classes, Embedding, ImageInput, Maps
from osteon.weights.graph import import_openvino, modules_of, unpack_graph
from osteon.weights.limits import read_limits
from osteon.weights.store import load_arrays, read_verified, verify_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from osteon.weights.card import ModelCard, Precision
    from osteon.weights.graph import GraphPart

__all__ = [
    "GoldenCase",
    "check_golden",
    "check_golden_member",
    "fitted_kernels",
    "golden_case",
    "load_network",
    "load_networks",
    "load_state",
    "mask_difference",
    "promised",
    "prove_graph",
    "read_graph",
    "run_torch",
    "verify_card",
]

_LONGEST_REASON = 300  # torch lists every tensor that does not fit


def load_network(card: ModelCard, *, member: int = 0) -> nn.Module:
    """One network of a card, in evaluation mode, float32, on the CPU, proven by its golden case.

    Raises:
        WeightsError: files are missing or changed, do not fit the architecture, or the golden case fails.
        UnknownLabelError: the card names an architecture that this version does not have.
        BackendError: torch or timm is not installed.
    """
    return _proven(card, member)[0]


def load_networks(card: ModelCard) -> tuple[nn.Module, ...]:
    """All networks of a card, each as ``load_network`` gives it."""
    return tuple(load_network(card, member=member) for member in range(len(card.members)))


def verify_card(card: ModelCard) -> float:
    """Prove a model: hashes, strict load, golden case of every member by torch, and of the graph by OpenVINO.

    Returns:
        The largest difference of a golden output, float32 on the CPU.

    Raises:
        WeightsError: see ``load_network``.
        BackendError: torch, timm or, where the card has a graph, OpenVINO is not installed.
    """
    verify_files(card)
    read_limits(card)
    differences = [_proven(card, member)[1] for member in range(len(card.members))]
    if card.graph is not None:
        differences.append(prove_graph(card))
    return max(differences)


def prove_graph(card: ModelCard) -> float:
    """Run the golden case through the graph of a model, plainly: one case after the other.

    Returns:
        The largest difference of a golden output, float32.

    Raises:
        WeightsError: it is not reproduced, or as ``read_graph``.
        BackendError: OpenVINO is not installed.
    """
    (part,) = read_graph(card)["float32"]
    if not card.image.rows:
        case = golden_case(card)
        part.model.reshape({name: [1, *values.shape[1:]] for name, values in case.inputs.items()})
    compiled = import_openvino().Core().compile_model(part.model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def predict(inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        rows = [
            compiled({name: values[case : case + 1] for name, values in inputs.items()})
            for case in range(len(inputs["image"]))
        ]
        names = [port.get_any_name() for port in compiled.outputs]
        return promised(card, {name: np.concatenate([row[name] for row in rows]) for name in names})

    return check_golden(card, predict, precision="float32")


def read_graph(card: ModelCard) -> Mapping[Precision, tuple[GraphPart, ...]]:
    """The graph of a model; all its files are verified first. Does not import torch.

    Raises:
        WeightsError: the model has none, or files are missing, changed, or of another OpenVINO.
        BackendError: OpenVINO is not installed.
    """
    if card.graph is None:
        raise WeightsError(
            f"{card.name} has no graph, so OpenVINO cannot run it: use runtime torch, or export the model again"
        )
    return unpack_graph(read_verified(card, card.graph), [read_verified(card, file) for file in card.members])


def load_state(data: bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, floating point widened to float32; ``name`` is for the error.

    Raises:
        WeightsError: it is not a valid safetensors file.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{name} is not a valid safetensors file ({error}); other formats are not opened") from error
    return {key: value.to(torch.float32) if value.is_floating_point() else value for key, value in stored.items()}


def fitted_kernels(network: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """First kernels of stored weights for a network of the same architecture and another number of channels.

    Kernels are summed for one channel, and the sum is shared equally among several: grey images then give what they
    gave before. Kernels for as many channels as there are stay as they are.
    """
    from torch.nn import Conv2d

    found = {}
    for name, part in network.named_modules():
        kernel = state.get(f"{name}.weight")
        # one for every branch; nothing further in reads as few channels as an image has
        if not isinstance(part, Conv2d) or part.groups > 1 or kernel is None or kernel.ndim != 4:
            continue
        if kernel.shape[1] in (1, 3) and kernel.shape[1] != part.in_channels:
            summed = kernel.double().sum(dim=1, keepdim=True) / part.in_channels
            found[f"{name}.weight"] = summed.expand(-1, part.in_channels, -1, -1).to(kernel.dtype)
    return found


def run_torch(module: nn.Module, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
    """What a module of ``modules_of`` gives for some inputs, by name."""
    import torch

    with torch.inference_mode():
        found = module(*(torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in module.takes))  # type: ignore[union-attr]
    outputs = found if isinstance(found, tuple) else (found,)
    return {name: rows.numpy() for name, rows in zip(module.gives, outputs, strict=True)}  # type: ignore[arg-type]


def promised(card: ModelCard, given: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """What of an engine's outputs the golden case holds: of classes, calibrated probabilities (member, n, class)."""
    if isinstance(card.output, Classes):
        return card.output.probability(np.moveaxis(given["logits"], 1, 0))
    return given["maps"] if isinstance(card.output, Maps) else given["embedding"]


def _proven(card: ModelCard, member: int) -> tuple[nn.Module, float]:
    network = _filled(card, member)
    output = card.output
    if isinstance(output, Classes):
        output = Classes(output.names, temperatures=(output.temperatures[member],))
    if isinstance(output, Maps) and getattr(network, "outputs", ()) != output.names:
        raise WeightsError(
            f"the card of {card.name} speaks of the maps {', '.join(output.names)}; {card.architecture} gives "
            f"{', '.join(getattr(network, 'outputs', ())) or 'none'}, in this order: fetch the model again"
        )
    (module,) = modules_of([network], card.inputs, output)

    def predict(inputs: Mapping[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        given = run_torch(module, inputs)
        return (
            output.probability(np.moveaxis(given["logits"], 1, 0))[0]
            if isinstance(output, Classes)
            else next(iter(given.values()))
        )

    return network, check_golden_member(card, predict, member=member)


def _filled(card: ModelCard, member: int) -> nn.Module:
    """The architecture with the member's weights, in evaluation mode."""
    from osteon.nets import build_network

    output, channels, file = card.output, card.image.channels, card.members[member]
    classes = output.head if isinstance(output, Embedding) else len(output.names)
    network = build_network(card.architecture, in_channels=channels, classes=classes)
    state = load_state(read_verified(card, file), str(card.folder / file.path))
    if isinstance(output, Embedding):
        state |= fitted_kernels(network, state)
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error) if len(str(error)) < _LONGEST_REASON else f"{str(error)[:_LONGEST_REASON]}..."
        raise WeightsError(
            f"the weights {file.path} of {card.name} do not fit {card.architecture}: {reason}"
        ) from error
    return network.eval()


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCase:
    """An input and the output that the weights must give for it.

    Attributes:
        inputs: by name, as the card describes them; the first axis counts cases.
        expected: by member, what its network gives as the card promises it: calibrated probabilities (member, n, class)
            or (member, n, map, row, column), or the embedding (1, n, d).
    """

    inputs: Mapping[str, NDArray[np.generic]] = field(repr=False)
    expected: NDArray[np.float32] = field(repr=False)

    @property
    def image(self) -> NDArray[np.generic]:
        """The images."""
        return self.inputs["image"]

    @property
    def mean(self) -> NDArray[np.float32]:
        """What the model gives: the mean over members."""
        return np.asarray(self.expected.mean(axis=0, dtype=np.float64), dtype=np.float32)


def golden_case(card: ModelCard) -> GoldenCase:
    """The golden input and output of a model; its file is verified first. Does not import torch.

    Raises:
        WeightsError: the file is missing, was changed, or does not fit the card.
    """
    file = card.golden.file
    if file is None:
        raise WeightsError(f"{card.name} has no golden case: it is not finished")
    arrays = load_arrays(card, file)
    try:
        inputs = {name: _widened(arrays[f"input.{name}"]) for name in card.inputs}
        raw = np.asarray(arrays["output.embedding" if isinstance(card.output, Embedding) else "output.logits"])
    except KeyError as error:
        raise WeightsError(
            f"{card.folder / file.path} holds no golden case ({error}): fetch the model again"
        ) from error
    raw = raw.astype(np.float32)
    if not _fits(card, inputs, raw):
        shapes = ", ".join(str(each.shape) for each in (*inputs.values(), raw))
        raise WeightsError(f"the golden case of {card.name} has shapes {shapes}, which its card does not allow")
    return GoldenCase(inputs, raw if isinstance(card.output, Embedding) else card.output.probability(raw))


def _widened(stored: NDArray[np.generic]) -> NDArray[np.generic]:
    """Images are stored in half precision, and run as float32."""
    return stored.astype(np.float32) if stored.dtype == np.float16 else stored


def _fits(card: ModelCard, inputs: Mapping[str, NDArray[np.generic]], raw: NDArray[np.float32]) -> bool:
    count, image, output = len(inputs["image"]), card.image, card.output
    size = image.size_of(inputs["image"].shape)
    if not inputs["image"].size or size is None or inputs["image"].dtype != image.dtype:
        return False
    if image.rows and size != (image.rows, image.columns):
        return False
    for name, each in card.inputs.items():
        if not isinstance(each, ImageInput) and inputs[name].shape != (count, len(each.names)):
            return False
    members = len(card.members)
    if isinstance(output, Classes):
        return raw.shape == (members, count, len(output.names))
    if isinstance(output, Maps):
        return raw.shape == (members, count, len(output.maps), *size)
    return raw.shape == (1, count, output.size)


def check_golden(
    card: ModelCard, predict: Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float32]], *, precision: str
) -> float:
    """Run the golden case through whatever will run the model.

    Args:
        card: of the model.
        predict: inputs by name to what ``GoldenCase.expected`` holds of all members, or to its mean.
        precision: that ``predict`` computes in; chooses the card's tolerance.

    Returns:
        The largest difference: of a probability, or of an embedding as a part of its largest value.

    Raises:
        WeightsError: the card does not allow the precision, or the difference is above its tolerance.
    """
    golden = card.golden
    if precision not in golden.tolerance and precision not in golden.mask_tolerance:
        allowed = ", ".join(sorted({*golden.tolerance, *golden.mask_tolerance}))
        raise WeightsError(f"{card.name} was asked for in {precision}; its card allows: {allowed}")
    case = golden_case(card)
    found = predict(case.inputs)
    expected = case.expected if found.ndim == case.expected.ndim else case.mean
    return _compared(card, found, expected, precision=precision)


def check_golden_member(
    card: ModelCard, predict: Callable[[Mapping[str, NDArray[np.generic]]], NDArray[np.float32]], *, member: int
) -> float:
    """As ``check_golden`` in float32, for the network of one member: probabilities (n, ...) out."""
    case = golden_case(card)
    return _compared(card, predict(case.inputs), case.expected[member], precision="float32")


def _compared(card: ModelCard, found: NDArray[np.float32], expected: NDArray[np.float32], *, precision: str) -> float:
    golden, output = card.golden, card.output
    if found.shape != expected.shape:
        raise WeightsError(f"{card.name} gave an output of shape {found.shape}, {expected.shape} was expected")
    scale = float(np.abs(expected).max()) if isinstance(output, Embedding) else 1.0
    difference = float(np.abs(found - expected).max()) / scale
    named = next((value for name, value in golden.tolerance.items() if name == precision), None)
    if named is not None or not isinstance(output, Maps):
        what, value, allowed = "its outputs differ by", difference, named or 0.0
    else:
        what = "1 - Dice of the masks is"
        value = mask_difference(found, expected, thresholds=list(output.thresholds.values()))
        allowed = next(value for name, value in golden.mask_tolerance.items() if name == precision)
        value = value if np.isfinite(found).all() else np.nan
    if not value <= allowed:  # also when it is not a number
        raise WeightsError(
            f"{card.name} does not reproduce its golden case in {precision}: {what} {value:.2g}, allowed is "
            f"{allowed:.2g}; fetch the model again, or report this machine"
        )
    return difference


def mask_difference(found: NDArray[np.float32], expected: NDArray[np.float32], *, thresholds: Sequence[float]) -> float:
    """Largest 1 - Dice of a map's mask (n, map, row, column), all images together; two empty masks are equal.

    Example:
        >>> one, two = np.zeros((1, 1, 1, 4), np.float32), np.zeros((1, 1, 1, 4), np.float32)
        >>> one[..., :2], two[..., :1] = 1, 1
        >>> round(mask_difference(one, two, thresholds=[0.5]), 3)
        0.333
    """
    worst = 0.0
    for index, threshold in enumerate(thresholds):
        one, two = found[:, index] >= threshold, expected[:, index] >= threshold
        total = int(one.sum()) + int(two.sum())
        if total:
            worst = max(worst, int((one ^ two).sum()) / total)
    return worst
