"""Make the ImageNet backbone that osteon ships: float MobileNetV2 from Google Coral's int8 TFLite files.

    pip install ai-edge-litert
    python scripts/convert_mobilenet.py ../shared/data/weights_mobilenet [--write]

Both files of the folder are converted and compared with the int8 networks themselves, run by LiteRT: on the three
photos and on the images given with --images. Without --write the comparison is printed; with it the file in ``CHOSEN``
is written to osteon/weights/backbones, float16, with card, golden case and licence.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save as save_tensors

from osteon.nets import build_network
from osteon.nets.anatomy import pooled_features
from osteon.nets.mobilenet_v2 import MobileNetV2, SameConv2d
from osteon.weights import Embedding, Golden, ImageInput, ModelCard, Preprocessing, Training, write_model
from osteon.weights.load import fitted_kernels

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHOSEN = "mobilenet_v2_1.0_224_quant.tflite"
"""Trained with its quantisation in the loop: its int8 weights are the weights that were trained, so the float network
follows it more closely than it follows the other file, whose weights were rounded after training."""
FILES = (CHOSEN, "tf2_mobilenet_v2_1.0_224_ptq.tflite")
PHOTOS = ("cat.bmp", "dragonfly.bmp", "sunflower.bmp")
NAME = "mobilenet_v2.imagenet"
ROOT = Path(__file__).resolve().parents[1]
BACKBONES = ROOT / "osteon" / "weights" / "backbones"
SIZE = 224
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png"}
WEIGHED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


class Quantised:
    """An int8 network run by LiteRT, and what is stored in it."""

    def __init__(self, path: Path) -> None:
        """Read a TFLite file."""
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        self._net = Interpreter(
            model_path=str(path),
            experimental_preserve_all_tensors=True,
            # without delegates: they fuse operations away whose tensors are read here
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._net.allocate_tensors()
        self._tensors = {entry["index"]: entry for entry in self._net.get_tensor_details()}
        self._steps = self._net._get_ops_details()  # noqa: SLF001 - LiteRT lists its operations nowhere else

    def constant(self, index: int) -> NDArray[np.float64]:
        """A tensor as real numbers: (stored - zero point) * scale, channel by channel."""
        detail = self._tensors[index]["quantization_parameters"]
        stored = self._net.get_tensor(index).astype(np.float64)
        if len(detail["scales"]) == 0:
            return np.asarray(stored)
        shape = [1] * stored.ndim
        if len(detail["scales"]) > 1:
            shape[detail["quantized_dimension"]] = -1
        scale = detail["scales"].astype(np.float64).reshape(shape)
        return np.asarray((stored - detail["zero_points"].reshape(shape)) * scale)

    def layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Kernels (out, in / groups, row, column) and biases, in the order in which data passes."""
        found = []
        for step in self._steps:
            if step["op_name"] in WEIGHED:
                kernel, bias = (self.constant(int(index)) for index in list(step["inputs"])[1:3])
                if kernel.ndim == 2:
                    kernel = kernel[:, None, None, :]
                is_depthwise = step["op_name"] == "DEPTHWISE_CONV_2D"
                found.append((kernel.transpose(3, 0, 1, 2) if is_depthwise else kernel.transpose(0, 3, 1, 2), bias))
        return found

    def scaling(self) -> tuple[float, float]:
        """Scale and offset for images in 0..1; the network itself takes bytes."""
        scale, zero = self._net.get_input_details()[0]["quantization"]
        return 255.0 * scale, -zero * scale

    def run(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pooled feature and logits of (row, column, 3)."""
        self._net.set_tensor(self._net.get_input_details()[0]["index"], image[None])
        self._net.invoke()
        last = [step for step in self._steps if step["op_name"] in WEIGHED][-1]
        return self.constant(int(last["inputs"][0])).ravel(), self.constant(int(last["outputs"][0])).ravel()


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well the float network follows the int8 one."""

    images: int
    same_top1: int
    least_feature_cosine: float
    mean_feature_cosine: float
    least_logit_correlation: float


def float_network(quantised: Quantised) -> MobileNetV2:
    """The float network of an int8 one."""
    network = MobileNetV2(in_chans=3, num_classes=1001).eval()
    places: list[torch.nn.Module] = [part for part in network.features.modules() if isinstance(part, SameConv2d)]
    layers = quantised.layers()
    if len(layers) != len(places) + 1:
        raise SystemExit(f"{len(layers)} layers with weights were found; MobileNetV2 1.0 has {len(places) + 1}")
    scale, offset = quantised.scaling()
    with torch.no_grad():
        network.input_scale.fill_(scale)
        network.input_offset.fill_(offset)
        for place, (kernel, bias) in zip([*places, network.classifier], layers, strict=True):
            weight = place.get_parameter("weight")
            weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)).reshape(weight.shape))
            place.get_parameter("bias").copy_(torch.from_numpy(bias))
    return network


def to_half(network: MobileNetV2) -> dict[str, torch.Tensor]:
    """What is stored; the network is rounded to it. Biases and input scaling stay float32: they cost 70 kB."""
    state = {name: value.half() if value.ndim > 1 else value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return state


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image as both networks get it: RGB bytes, 224x224, areas averaged, proportions not kept."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise SystemExit(f"{path} is not an image")
    return np.asarray(cv2.resize(image, (SIZE, SIZE), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def run_float(network: MobileNetV2, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pooled feature and logits of (row, column, 3) bytes."""
    with torch.inference_mode():
        given = torch.from_numpy(image.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
        feature = pooled_features(network, given)
        return feature[0].double().numpy(), network.classifier(feature)[0].double().numpy()


def agreement(quantised: Quantised, network: MobileNetV2, images: list[NDArray[np.uint8]]) -> Agreement:
    """Compare image by image."""
    cosines, correlations, same = [], [], 0
    for image in images:
        (coarse, coarse_logits), (fine, fine_logits) = quantised.run(image), run_float(network, image)
        cosines.append(float(coarse @ fine / np.linalg.norm(coarse) / np.linalg.norm(fine)))
        correlations.append(float(np.corrcoef(coarse_logits, fine_logits)[0, 1]))
        same += int(coarse_logits.argmax() == fine_logits.argmax())
    return Agreement(len(images), same, min(cosines), float(np.mean(cosines)), min(correlations))


def synthetic_crops() -> NDArray[np.float16]:
    """Two grey crops (2, 96, 64) in 0..1 that anybody can make again: a soft disc, and stripes under noise."""
    row, column = np.mgrid[0:96, 0:80].astype(np.float64)
    disc = 1.0 / (1.0 + np.exp((np.hypot(row - 40.0, column - 45.0) - 20.0) / 2.0))
    stripes = 0.5 + 0.3 * np.sin(row / 5.0 + column / 9.0) + np.random.default_rng(0).uniform(-0.2, 0.2, row.shape)
    return np.stack([disc, stripes]).clip(0.0, 1.0).astype(np.float16)[:, :, :64]


def write(folder: Path, quantised: Quantised, network: MobileNetV2, checks: list[dict[str, Any]]) -> None:
    """Write weights, golden case, card and licence, and prove them; what the photos give goes to the tests."""
    photos = [read_image(folder / name) for name in PHOTOS]
    arrays = {
        "photo_logits": np.stack([run_float(network, photo)[1] for photo in photos]).astype(np.float32),
        "photo_int8_features": np.stack([quantised.run(photo)[0] for photo in photos]).astype(np.float32),
        "photo_int8_logits": np.stack([quantised.run(photo)[1] for photo in photos]).astype(np.float32),
    }
    save_arrays(arrays, ROOT / "tests" / "weights" / "photos.safetensors")
    state = to_half(network)
    grey = build_network("mobilenet_v2", in_channels=1, classes=1001)
    wide = {name: value.float() for name, value in state.items()}
    grey.load_state_dict(wide | fitted_kernels(grey, wide))
    source_sha256 = hashlib.sha256((folder / CHOSEN).read_bytes()).hexdigest()
    made = write_model(
        BACKBONES,
        backbone_card(quantised.scaling(), source_sha256, checks),
        [grey.eval()],
        golden={"image": synthetic_crops()},
        stored=[save_tensors(state)],
    )
    shutil.copyfile(folder / "LICENSE", made.folder / "LICENSE")


def backbone_card(scaling: tuple[float, float], source_sha256: str, checks: list[dict[str, Any]]) -> ModelCard:
    """The card without its files."""
    scale, offset = scaling
    words = (
        f"grey images in 0..1, resized as a whole; the network scales them itself: value * {scale:.7g} - {-offset:.7g} "
        "(buffers input_scale and input_offset), before the first padding; the source takes bytes as (byte - 128) / 128"
    )
    details = {
        "storage": "float16; biases and input scaling float32",
        "grey": "one channel: the first kernels summed over their three inputs; the same result as three equal "
        "channels, at the border too, because the scaling comes before the padding",
        "features": "mean over the last feature map, after its ReLU6; not normalised",
        "source": {
            "repository": "https://github.com/google-coral/test_data",
            "commit": "104342d",
            "file": CHOSEN,
            "file_sha256": source_sha256,
            "copyright": "Copyright Google LLC and the contributors to google-coral/test_data",
        },
        "checks": checks,
    }
    return ModelCard(
        name=NAME,
        version="1.0.0",
        task="pretraining",
        architecture="mobilenet_v2",
        storage="float16",
        inputs={"image": ImageInput(1, "any", Preprocessing("osteon.train.pixels", {}, words), size_step=32)},
        output=Embedding(1280, head=1001),
        golden=Golden("two synthetic grey images: a soft disc, and stripes under noise", {"float32": 1e-3}),
        training=Training(
            data="ImageNet (ILSVRC 2012) photographs, by Google, with quantisation in the loop; batch normalisation "
            "was folded into the convolutions before publication",
            is_synthetic=False,
            split="none: as published",
            split_sha256=source_sha256,
            script="scripts/convert_mobilenet.py",
            date="2026-11-21",
            seed=0,
            details=details,
        ),
        licence="Apache-2.0",
        intended_use="start of fine-tuning and embeddings to compare images with",
        exclusions=("classifying anything as it is: it knows everyday photographs, no radiological image",),
        is_demo=False,
        statement="ImageNet photographs only; converted from int8, changed: float16, no quantised activations.",
    )


def main() -> None:
    """Convert, compare, and write when asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="holds the TFLite files and the photos")
    parser.add_argument("--images", type=Path, nargs="*", default=[], help="folders of further images to compare on")
    parser.add_argument("--write", action="store_true", help="write the backbone into the package")
    options = parser.parse_args()
    names = (options.folder / "imagenet_labels.txt").read_text("utf-8").splitlines()
    photos = [read_image(options.folder / name) for name in PHOTOS]
    found = [path for folder in options.images for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES]
    others = [read_image(path) for path in found]
    for file in FILES:
        quantised = Quantised(options.folder / file)
        network = float_network(quantised)
        print(file, "parameters", sum(value.numel() for value in network.parameters()), "scaling", quantised.scaling())
        print("  float32, photos:", agreement(quantised, network, photos))
        to_half(network)
        checks = show(quantised, network, {"photos of the source": photos, "radiological images": others})
        for path, photo in zip(PHOTOS, photos, strict=True):
            coarse, fine = quantised.run(photo)[1], run_float(network, photo)[1]
            print(f"  {path}: int8 {names[int(coarse.argmax())]!r} {_softmax(coarse).max():.3f}, ", end="")
            print(f"float {names[int(fine.argmax())]!r} {_softmax(fine).max():.3f}")
        if options.write and file == CHOSEN:
            write(options.folder, quantised, network, checks)


def show(
    quantised: Quantised, network: MobileNetV2, groups: dict[str, list[NDArray[np.uint8]]]
) -> list[dict[str, Any]]:
    """Print the agreement on each group of images, and give it as the checks of a card."""
    checks: list[dict[str, Any]] = []
    for name, images in groups.items():
        if images:
            found = agreement(quantised, network, images)
            print(f"  float16, {name}:", found)
            for field in fields(found)[1:]:
                what = f"{field.name.replace('_', ' ')} with the int8 network, {name}"
                value = round(float(getattr(found, field.name)), 4)
                checks.append({"what": what, "images": len(images), "value": value})
    return checks


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    shares = np.exp(logits - logits.max())
    return np.asarray(shares / shares.sum())


if __name__ == "__main__":
    main()
