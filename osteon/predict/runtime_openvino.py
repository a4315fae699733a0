"""Networks compiled by OpenVINO: the quickest way on a CPU.

Measured on 256x256 crops with DenseNet121 (bench.ct_pipeline repeats it): one crop a request and one stream a core
was as quick as any larger batch, and it makes a crop's score independent of its neighbours by construction.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from osteon._optional import MissingPackageError, require
from osteon.errors import BackendError
from osteon.predict.runtime_cache import drop_entry, read_entry, write_entry

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from numpy.typing import NDArray
    from openvino import CompiledModel, InferRequest, Model
    from torch import Tensor, nn

__all__ = [
    "OpenVinoRuntime",
    "compile_for_cpu",
    "convert_module",
    "convert_network",
    "converted_model",
    "import_openvino",
    "source_digest",
    "usable_cores",
]

_TELEMETRY = "openvino_telemetry"
_MOST_STREAMS = 16
_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_DECIDING_PACKAGES = ("openvino", "timm", "torch")


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


class OpenVinoRuntime:
    """A network compiled for this CPU.

    Attributes:
        description: as "openvino float32".
        device: "cpu".
    """

    def __init__(self, model: Model, *, precision: str, threads: int | None = None) -> None:
        """Compile for this CPU.

        Args:
            model: ``openvino.Model`` of one image, as ``convert_network`` gives it.
            precision: "float32", or "bfloat16" where the CPU computes in it.
            threads: cores to use; all that this process may use by default.

        Raises:
            BackendError: the CPU does not compute in that precision, or OpenVINO cannot compile for it.
        """
        openvino = import_openvino()
        cores = threads or usable_cores()
        self._streams = min(cores, _MOST_STREAMS)
        self._compiled = compile_for_cpu(model, precision=precision, streams=self._streams, cores=cores)
        self._queue = openvino.AsyncInferQueue(self._compiled, self._streams)
        self._lengths = tuple(int(output.shape[1]) for output in self._compiled.outputs)
        self._channels = int(self._compiled.input(0).shape[1])
        self.description = f"openvino {precision}"
        self.device = "cpu"

    def scores(self, crops: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Logits (n, class) of crops (n, row, column), and pooled features (n, d) where the model gives them."""
        answers = [np.empty((len(crops), length), dtype=np.float32) for length in self._lengths]

        def keep(request: InferRequest, index: int) -> None:
            for output, rows in enumerate(answers):
                rows[index] = request.get_output_tensor(output).data[0]

        self._queue.set_callback(keep)
        for index, crop in enumerate(crops):
            image = np.broadcast_to(crop, (1, self._channels, *crop.shape))
            self._queue.start_async({0: np.ascontiguousarray(image)}, index)
        self._queue.wait_all()
        return answers[0], answers[1] if len(answers) > 1 else None

    def logits(self, crops: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, class) of crops (n, row, column)."""
        return self.scores(crops)[0]


def compile_for_cpu(model: Model, *, precision: str, streams: int, cores: int, is_pinned: bool = True) -> CompiledModel:
    """A model compiled for this CPU.

    Args:
        model: of one fixed shape.
        precision: "float32", or "bfloat16" where the CPU computes in it.
        streams: requests that run at a time.
        cores: of all streams together.
        is_pinned: whether threads stay on their core; not where several models take turns.

    Raises:
        BackendError: the CPU does not compute in that precision, or OpenVINO cannot compile for it.
    """
    core = import_openvino().Core()
    if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise BackendError("bfloat16 was asked for; this CPU does not compute in it: use float32")
    options = {
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": cores,
    }
    if not is_pinned:
        options["ENABLE_CPU_PINNING"] = False
    try:
        return core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot compile the network for this CPU: {error}") from error


def convert_network(network: nn.Module, *, channels: int, rows: int, columns: int) -> Model:
    """A torch network as an ``openvino.Model`` of one image, float32: logits and, of a registry network, features.

    Args:
        network: in evaluation mode, on the CPU.
        channels: of the input.
        rows: of the input.
        columns: of the input.

    Raises:
        BackendError: OpenVINO is not installed or cannot express the network.
    """
    import torch

    from osteon.predict.scored_network import with_features

    return convert_module(with_features(network), torch.zeros(1, channels, rows, columns))


def convert_module(module: nn.Module, *examples: Tensor) -> Model:
    """Any torch module as an ``openvino.Model`` of the examples' shapes, float32.

    Args:
        module: in evaluation mode, on the CPU.
        examples: its inputs, in their order.

    Raises:
        BackendError: OpenVINO is not installed or cannot express the module.
    """
    import torch

    openvino = import_openvino()
    shapes = [list(example.shape) for example in examples]
    with warnings.catch_warnings():
        # OpenVINO's reader of exported programs still asks for a class that torch will rename
        warnings.filterwarnings("ignore", message=r".*LeafSpec.*", category=FutureWarning)
        try:
            exported = torch.export.export(module, examples)
            model = openvino.convert_model(exported, input=shapes if len(shapes) > 1 else shapes[0], verbose=False)
        except RuntimeError as error:
            raise BackendError(f"OpenVINO cannot express {type(module).__name__}: {error}") from error
    model.reshape(dict(enumerate(shapes)))
    return model


def converted_model(
    weights_sha256: str, build: Callable[[], Model], *, renew: bool = False, form: str = "2"
) -> tuple[Model, bool]:
    """A converted model from the cache, or made by ``build`` and kept there.

    Args:
        weights_sha256: of the weights file; with the versions of the packages it decides the result.
        build: makes the ``openvino.Model``; called only when the cache has none.
        renew: do not look into the cache.
        form: what ``build`` makes of the weights; another text for everything that decides the result besides them.

    Returns:
        The model, and whether it came from the cache.
    """
    openvino = import_openvino()
    key = {"form": form, "weights": weights_sha256} | {name: _version(name) for name in _DECIDING_PACKAGES}
    if not renew:
        entry = read_entry(key)
        if entry is not None:
            try:
                return openvino.Core().read_model(entry["model.xml"], entry["model.bin"]), True
            except (RuntimeError, KeyError):
                drop_entry(key)
    model = build()
    write_entry(key, _serialised(model))
    return model, False


def source_digest(*modules: str) -> str:
    """A short hash of the source of modules that decide what a network becomes: part of a ``form``.

    The modules are found, not imported. Without their source, as in a compiled program, the release stands for it.
    """
    digest = hashlib.sha256(_version("osteon").encode())
    for name in modules:
        spec = find_spec(name)
        path = Path(spec.origin) if spec is not None and spec.origin else None
        digest.update(path.read_bytes() if path is not None and path.is_file() else b"absent")
    return digest.hexdigest()[:16]


def _serialised(model: Model) -> dict[str, bytes]:
    openvino = import_openvino()
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "model.xml"
        openvino.save_model(model, str(path), compress_to_fp16=False)
        return {name: (path.parent / name).read_bytes() for name in ("model.xml", "model.bin")}


def usable_cores() -> int:
    """CPU cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
