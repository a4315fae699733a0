"""Model cards, where models lie, and loading them with proof. Importing it does not import torch."""

from osteon.weights.card import (
    CARD_NAME,
    CardFile,
    InputContract,
    MeasuredResult,
    ModelCard,
    OperatingPoint,
    OutputContract,
    read_card,
)
from osteon.weights.load import (
    GoldenCase,
    check_golden,
    golden_case,
    load_network,
    load_networks,
    verify_card,
    verify_files,
)
from osteon.weights.store import MODELS_VARIABLE, CardProblem, card_problems, find_card, list_cards, model_folders
from osteon.weights.trust import FeatureBank, Novelty, Trust, read_trust
from osteon.weights.write import round_to_half, write_model

__all__ = [
    "CARD_NAME",
    "MODELS_VARIABLE",
    "CardFile",
    "CardProblem",
    "FeatureBank",
    "GoldenCase",
    "InputContract",
    "MeasuredResult",
    "ModelCard",
    "Novelty",
    "OperatingPoint",
    "OutputContract",
    "Trust",
    "card_problems",
    "check_golden",
    "find_card",
    "golden_case",
    "list_cards",
    "load_network",
    "load_networks",
    "model_folders",
    "read_card",
    "read_trust",
    "round_to_half",
    "verify_card",
    "verify_files",
    "write_model",
]
