"""Model cards, where models are, and loading them with proof. Importing it does not import torch."""

from osteon.weights.card import (
    Classes,
    Embedding,
    FieldsInput,
    Golden,
    ImageInput,
    Input,
    MapOutput,
    Maps,
    MeasuredResult,
    ModelCard,
    OperatingPoint,
    OutOfDistribution,
    Output,
    Precision,
    Preprocessing,
    Training,
    read_card,
)
from osteon.weights.limits import Limits, read_limits
from osteon.weights.load import check_golden, load_networks, mask_difference, verify_card
from osteon.weights.store import card_problems, find_card, list_cards, verify_files
from osteon.weights.write import round_to_half, write_model

__all__ = [
    "Classes",
    "Embedding",
    "FieldsInput",
    "Golden",
    "ImageInput",
    "Input",
    "Limits",
    "MapOutput",
    "Maps",
    "MeasuredResult",
    "ModelCard",
    "OperatingPoint",
    "OutOfDistribution",
    "Output",
    "Precision",
    "Preprocessing",
    "Training",
    "card_problems",
    "check_golden",
    "find_card",
    "list_cards",
    "load_networks",
    "mask_difference",
    "read_card",
    "read_limits",
    "round_to_half",
    "verify_card",
    "verify_files",
    "write_model",
]
