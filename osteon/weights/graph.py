"""Graphs: networks as OpenVINO runs them, kept beside their weights, so that reading needs no torch.

A graph is OpenVINO's own format (a text, and constants at places of a buffer). Weights are not stored twice: constants
point into the safetensors files of the members, and what is not there (shapes, sums of kernels) is in the file of the
graph. That file is safetensors, too: its tensors are the texts, compressed, and those constants. A model may be a chain
of parts, each in a precision of its own, and the chain may differ by the precision that is asked for.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import tempfile
import warnings
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import ModuleType

    from numpy.typing import NDArray
    from openvino import Model
    from torch import Tensor, nn

    from osteon.weights.card import Input, Output, Precision

__all__ = ["GraphPart", "chains_of", "converted", "import_openvino", "modules_of", "pack_graph", "unpack_graph"]

_TELEMETRY = "openvino_telemetry"
_ALIGNED = 64
_LEAST_LOOKED_UP = 16  # bytes; a shape may look like a bias
_CONSTANTS = "constants"
_DATA = re.compile(r'(<data element_type="\w+" shape="[\d, ]*" offset=")(\d+)(" size=")(\d+)(")')
_EXAMPLE = 64  # rows and columns that a network of many sizes is converted with; any other size is a reshape


@dataclass(frozen=True, slots=True, eq=False)
class GraphPart:
    """One part of a chain.

    Attributes:
        model: ``openvino.Model``; its inputs and outputs have names.
    """

    model: Model
    precision: Precision


def import_openvino() -> ModuleType:
    """OpenVINO without its telemetry.

    ``import openvino`` reports the import to Google Analytics unless the package ``openvino_telemetry`` is absent.
    A hospital's program reports nothing to anyone: the package is made absent while OpenVINO is imported, and
    OpenVINO then takes the silent stand-in that it brings for that case.

    Raises:
        BackendError: OpenVINO is not installed.
    """
    loaded = sys.modules.get("openvino")
    if loaded is not None:
        return loaded
    hidden = _TELEMETRY not in sys.modules
    if hidden:
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # the import system's own word for "not there"
    try:
        return require("openvino", extra="models", purpose="to run a network quickly on the CPU")
    except MissingPackageError as error:
        raise BackendError(str(error)) from error
    finally:
        if hidden:
            del sys.modules[_TELEMETRY]


def modules_of(
    networks: Sequence[nn.Module],
    inputs: Mapping[str, Input],
    output: Output,
    *,
    precision: Precision = "float32",
    for_graph: bool = False,
    layers: bool = True,
) -> tuple[nn.Module, ...]:
    """Torch modules that run networks (on the CPU) as a card describes them; what one gives the next take, by name.

    ``for_graph`` keeps weights as they are stored, and takes a segmenter apart where its precision asks for it.
    Without ``layers`` a segmenter does not give what limits are measured in; a classifier always does.

    Raises:
        InputError: networks that do not give such an output.
    """
    from osteon.nets.deployed import DeployedClassifier, DeployedEmbedder
    from osteon.nets.deployed_segmenter import DeployedSegmenter
    from osteon.weights.card import Embedding, ImageInput, Maps

    image = inputs["image"]
    if not isinstance(image, ImageInput):
        raise WeightsError(f"the input 'image' is {type(image).__name__}; an image is needed")
    if isinstance(output, Maps):
        temperatures = [each.temperature for each in output.maps]
        whole = DeployedSegmenter(
            networks,
            temperatures=temperatures,
            precision=precision,
            keeps_weights=for_graph,
            neighbours=image.neighbours,
            layers=layers,
        )
        return (for_graph and precision == "bfloat16" and whole.parts()) or (whole,)
    if isinstance(output, Embedding):
        return (DeployedEmbedder(networks[0], channels=image.channels),)
    spread = image.maximum - image.minimum
    is_byte = image.values == "byte"
    return (
        DeployedClassifier(
            networks,
            channels=image.channels,
            is_rgb=image.colour == "rgb",
            scale=spread / 255 if is_byte else 1.0,
            offset=image.minimum if is_byte else 0.0,
            more_inputs=tuple(name for name in inputs if name != "image"),
        ),
    )


def chains_of(
    networks: Sequence[nn.Module],
    inputs: Mapping[str, Input],
    output: Output,
    *,
    precisions: Iterable[Precision],
    layers: bool = False,
) -> dict[Precision, tuple[GraphPart, ...]]:
    """Networks converted, by the precision asked for; a classifier has one chain for all of them.

    ``layers`` as of ``modules_of``.

    Raises:
        BackendError: OpenVINO is not installed or cannot express the networks.
        InputError: networks that do not give such an output.
    """
    from osteon.weights.card import Maps

    found: dict[Precision, tuple[GraphPart, ...]] = {}
    for precision in precisions:
        if found and not isinstance(output, Maps):
            break
        modules = modules_of(networks, inputs, output, precision=precision, for_graph=True, layers=layers)
        found[precision] = _chain(modules, inputs, precision)
    return found


def _chain(modules: Sequence[nn.Module], inputs: Mapping[str, Input], precision: Precision) -> tuple[GraphPart, ...]:
    import torch

    from osteon.weights.card import FieldsInput

    tensors = {}
    for name, each in inputs.items():
        if isinstance(each, FieldsInput):
            tensors[name] = torch.zeros(1, len(each.names))
            continue
        rows, columns = each.rows or max(_EXAMPLE, each.size_step), each.columns or max(_EXAMPLE, each.size_step)
        kind = torch.uint8 if each.values == "byte" else torch.float32
        tensors[name] = torch.zeros(each.shape_of(1, rows, columns), dtype=kind)
    is_fixed = all(isinstance(each, FieldsInput) or each.rows > 0 for each in inputs.values())
    chain = []
    for place, module in enumerate(modules):
        examples = [tensors[name] for name in module.takes]  # type: ignore[union-attr]  # of modules_of
        with torch.inference_mode():
            given = module(*examples)
        tensors |= zip(module.gives, given if isinstance(given, tuple) else (given,), strict=True)  # type: ignore[arg-type]
        is_outer = len(modules) > 1 and place in (0, len(modules) - 1)  # all at full resolution, a fifth of the work
        chain.append(GraphPart(converted(module, *examples, is_fixed=is_fixed), "float32" if is_outer else precision))
    return tuple(chain)


def converted(module: nn.Module, *examples: Tensor, is_fixed: bool = True) -> Model:
    """A module of ``modules_of`` as an ``openvino.Model``, float32, whose constants are the module's own tensors.

    OpenVINO's own ``convert_model`` would multiply normalisations into weights; the front end behind it does not. The
    module is in evaluation mode on the CPU; what follows from shapes is worked out where they are fixed.

    Raises:
        BackendError: OpenVINO is not installed or cannot express the module.
    """
    import torch

    openvino = import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
    from openvino.passes import ConstantFolding, Manager

    with warnings.catch_warnings():
        # OpenVINO's reader of exported programs still asks for a class that torch will rename
        warnings.filterwarnings("ignore", message=r".*LeafSpec.*", category=FutureWarning)
        try:
            with _silent_root_logger():
                decoder = TorchFXPythonDecoder.from_exported_program(torch.export.export(module, examples))
            front = FrontEndManager().load_by_framework("pytorch")
            model = openvino.Model(front.convert(front.load(decoder)))
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot express {type(module).__name__}: {error}") from error
    model.reshape({place: list(example.shape) for place, example in enumerate(examples)})
    if is_fixed:
        passes = Manager()
        passes.register_pass(ConstantFolding())
        passes.run_passes(model)
    for port, name in zip([*model.inputs, *model.outputs], [*module.takes, *module.gives], strict=True):  # type: ignore[misc]
        port.get_tensor().set_names({name})
    return model


@contextmanager
def _silent_root_logger() -> Iterator[None]:
    """OpenVINO writes to the root logger, with a traceback each, which operators torch does not have."""
    root, handler = logging.getLogger(), logging.NullHandler()
    was_disabled, root.disabled = root.disabled, True
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.disabled = was_disabled


def pack_graph(chains: Mapping[Precision, Sequence[GraphPart]], weights: Sequence[bytes]) -> bytes:
    """The file of a graph.

    Args:
        chains: of ``chains_of``; the models are changed.
        weights: safetensors files of the members, in their order: whoever runs the graph gives the same.

    Raises:
        BackendError: OpenVINO is not installed.
    """
    from safetensors.numpy import save

    places, start = _places_of_tensors(weights)
    constants = bytearray()
    tensors: dict[str, NDArray[np.uint8]] = {}
    order: dict[str, list[str]] = {}

    for precision, chain in chains.items():
        order[precision] = [part.precision for part in chain]
        for number, part in enumerate(chain):
            held = _narrow(part.model, places)
            text, data = _serialised(part.model)
            del held

            def moved(match: re.Match[str], data: bytes = data) -> str:
                offset, size = int(match[2]), int(match[4])
                content = data[offset : offset + size]
                if content not in places or size < _LEAST_LOOKED_UP:
                    places[content] = start + len(constants)
                    constants.extend(content + bytes(-size % _ALIGNED))
                return f"{match[1]}{places[content]}{match[3]}{size}{match[5]}"

            packed = zlib.compress(_DATA.sub(moved, text).encode(), level=9)
            tensors[f"{precision}.{number}"] = np.frombuffer(packed, dtype=np.uint8)
    tensors[_CONSTANTS] = np.frombuffer(bytes(constants), dtype=np.uint8)
    return save(tensors, metadata={"precisions": json.dumps(order)})


def unpack_graph(data: bytes, weights: Sequence[bytes]) -> dict[Precision, tuple[GraphPart, ...]]:
    """The chains of a verified file of a graph, by the precision that they are for; weights are those of the members.

    Raises:
        WeightsError: it is not a graph, or not one that this OpenVINO reads.
        BackendError: OpenVINO is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    openvino = import_openvino()
    core = openvino.Core()
    try:
        tensors = load(data)
        order: dict[Precision, list[Precision]] = json.loads(_header(data)["__metadata__"]["precisions"])
        joined = b"".join(each + bytes(-len(each) % _ALIGNED) for each in weights)
        buffer = openvino.Tensor(np.frombuffer(joined + tensors[_CONSTANTS].tobytes(), dtype=np.uint8))
        return {
            precision: tuple(
                GraphPart(core.read_model(zlib.decompress(tensors[f"{precision}.{number}"].tobytes()), buffer), own)
                for number, own in enumerate(parts)
            )
            for precision, parts in order.items()
        }
    except (SafetensorError, KeyError, ValueError, TypeError, zlib.error, RuntimeError) as error:
        raise WeightsError(f"the graph of the model cannot be read ({type(error).__name__}: {error})") from error


def _header(data: bytes) -> dict[str, dict[str, str]]:
    """What a safetensors file says of its tensors."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, dict[str, str]] = json.loads(data[8 : 8 + length])
    return found


def _places_of_tensors(weights: Sequence[bytes]) -> tuple[dict[bytes, int], int]:
    """Where each tensor's bytes are when the files follow one another, each to the next multiple; and their length."""
    places: dict[bytes, int] = {}
    start = 0
    for data in weights:
        first = 8 + int.from_bytes(data[:8], "little")
        for name, entry in _header(data).items():
            if name != "__metadata__":
                begin, end = (first + int(place) for place in entry["data_offsets"])
                places.setdefault(data[begin:end], start + begin)
        start += len(data) + (-len(data) % _ALIGNED)
    return places, start


def _narrow(model: Model, places: Mapping[bytes, int]) -> list[NDArray[np.uint16]]:
    """Store constants that half of the bytes hold exactly as such; what is returned must live as long as the model."""
    openvino = import_openvino()
    from openvino import opset13

    held: list[NDArray[np.uint16]] = []
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Constant" or node.get_element_type() != openvino.Type.f32:
            continue
        values = np.array(node.data)
        if values.nbytes < _LEAST_LOOKED_UP or values.tobytes() in places:
            continue
        half = values.astype(np.float16)
        if half.tobytes() in places:
            short = opset13.constant(half)
        elif not (values.view(np.uint32) & 0xFFFF).any():  # every value is one of bfloat16
            held.append(np.ascontiguousarray(values.view(np.uint32) >> 16).astype(np.uint16))
            short = opset13.constant(openvino.Tensor(held[-1], openvino.Shape(list(values.shape)), openvino.Type.bf16))
        else:
            continue
        node.output(0).replace(opset13.convert(short, "f32").output(0))
    return held


def _serialised(model: Model) -> tuple[str, bytes]:
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as temporary:
        text, data = Path(temporary) / "model.xml", Path(temporary) / "model.bin"
        openvino.serialize(model, str(text), str(data))
        return text.read_text(encoding="utf-8"), data.read_bytes()
