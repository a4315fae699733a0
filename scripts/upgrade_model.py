"""Rewrite model folders of osteon before the format of cards changed (schema_version 1), in place.

    python scripts/upgrade_model.py FOLDER [FOLDER ...]

Weights and what was measured stay as they are, byte for byte; the card takes the new form, and the graph that runs
without torch is made and proven by the golden case. Limits (out of distribution, prediction sets) are measured in
another way now and are left out: export the run anew where they are needed. Needs torch, timm and OpenVINO.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from safetensors.numpy import load

from osteon.nets import build_network
from osteon.weights import ModelCard, write_model
from osteon.weights.load import load_state

if TYPE_CHECKING:
    from torch import nn

_TRAINING = ("data", "is_synthetic", "split", "split_sha256", "script", "date", "seed")
_SHARED = (
    "name", "version", "task", "architecture", "storage", "results", "licence", "intended_use", "exclusions", "is_demo",
    "statement", "operating_point", "claim_2024",
)  # fmt: skip


def new_document(old: dict[str, Any]) -> dict[str, Any]:
    """The card in the new form, without files and limits."""
    given, wanted, training = old["input"], old["output"], old["training"]
    image: dict[str, Any] = {
        "kind": "image",
        "channels": given["channels"],
        "orientation": given["orientation"],
        "preprocessing": given["preprocessing"],
    }
    parameters = dict(given["preprocessing"]["parameters"])
    if "maps" in wanted:
        parameters |= {"window_hu": given["window_hu"], "pixel_mm": given["pixel_mm"]}
        image |= {"size_step": given["size_step"], "values": "byte"}
        output = {"kind": "maps", "maps": wanted["maps"], "calibration": wanted["calibration"]}
    else:
        image |= {name: given[name] for name in ("rows", "columns", "minimum", "maximum")}
        if "tile_um" in given:
            parameters["tile_um"] = given["tile_um"]
            image |= {"colour": "rgb", "values": "byte"}
        members = 1 + len(old["files"].get("members", ()))
        output = {
            "kind": "classes",
            "names": wanted["classes"],
            "positive": wanted["positive"],
            "temperatures": wanted.get("temperatures") or [wanted["temperature"]] * members,
            "calibration": wanted["calibration"],
        }
    function = given["preprocessing"]["function"].replace("osteon.ops.slice_frame", "osteon.ops.series_images")
    image["preprocessing"] = {**given["preprocessing"], "function": function, "parameters": parameters}
    return {
        "schema_version": 2,
        **{name: old[name] for name in _SHARED if name in old},
        "inputs": {"image": image},
        "output": output,
        "golden": old["golden"],
        "training": {
            **{name: training[name] for name in _TRAINING},
            "details": {name: value for name, value in training.items() if name not in _TRAINING},
        },
    }


def upgrade(folder: Path) -> ModelCard:
    """Write the new folder beside the old one and put it in its place."""
    old = json.loads((folder / "card.json").read_text("utf-8"))
    if old.get("schema_version") != 1:
        raise SystemExit(f"{folder} holds no card of schema_version 1")
    card = msgspec.convert(new_document(old), ModelCard)
    files = [old["files"]["weights"]["path"], *(entry["path"] for entry in old["files"].get("members", ()))]
    stored = [(folder / name).read_bytes() for name in files]
    networks: list[nn.Module] = []
    for data, name in zip(stored, files, strict=True):
        classes = len(old["output"].get("classes") or old["output"]["maps"])
        network = build_network(card.architecture, in_channels=card.image.channels, classes=classes)
        network.load_state_dict(load_state(data, name))
        networks.append(network.eval())
    golden = load((folder / "golden.safetensors").read_bytes())
    (image,) = (golden[name] for name in ("crops", "images", "tiles") if name in golden)
    aside = folder.with_name(f".upgrade-{folder.name}")
    made = write_model(aside, card, networks, golden={"image": image}, stored=stored).folder
    for extra in ("claim.md", "LICENSE"):
        if (folder / extra).is_file():
            shutil.copyfile(folder / extra, made / extra)
    shutil.rmtree(folder)
    shutil.move(made, folder)
    aside.rmdir()
    return card


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(upgrade(Path(name).resolve()))
