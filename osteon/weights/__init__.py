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
from osteon.weights.golden_maps import GoldenMaps, check_golden_maps, golden_maps, mask_difference, require_segmenter
from osteon.weights.load import (
    GoldenCase,
    check_golden,
    golden_case,
    load_network,
    load_networks,
    require_classifier,
    verify_card,
    verify_files,
)
from osteon.weights.maps import MapContract, SegmenterContract, segmenter_entries
from osteon.weights.store import MODELS_VARIABLE, CardProblem, card_problems, find_card, list_cards, model_folders
from osteon.weights.trust import FeatureBank, Novelty, Trust, read_trust
from osteon.weights.write import round_to_half, write_model, write_segmenter

__all__ = [
    "CARD_NAME",
    "MODELS_VARIABLE",
    "CardFile",
    "CardProblem",
    "FeatureBank",
    "GoldenCase",
    "GoldenMaps",
    "InputContract",
    "MapContract",
    "MeasuredResult",
    "ModelCard",
    "Novelty",
    "OperatingPoint",
    "OutputContract",
    "SegmenterContract",
    "Trust",
    "card_problems",
    "check_golden",
    "check_golden_maps",
    "find_card",
    "golden_case",
    "golden_maps",
    "list_cards",
    "load_network",
    "load_networks",
    "mask_difference",
    "model_folders",
    "read_card",
    "read_trust",
    "require_classifier",
    "require_segmenter",
    "round_to_half",
    "segmenter_entries",
    "verify_card",
    "verify_files",
    "write_model",
    "write_segmenter",
]
