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
from osteon.weights.golden_tiles import GoldenTiles, check_golden_tiles, golden_tiles, require_tiles
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
from osteon.weights.tiles import TileContract, tile_input
from osteon.weights.trust import FeatureBank, Novelty, Trust, read_trust
from osteon.weights.write import round_to_half, write_model, write_segmenter, write_tile_classifier

__all__ = [
    "CARD_NAME",
    "MODELS_VARIABLE",
    "CardFile",
    "CardProblem",
    "FeatureBank",
    "GoldenCase",
    "GoldenMaps",
    "GoldenTiles",
    "InputContract",
    "MapContract",
    "MeasuredResult",
    "ModelCard",
    "Novelty",
    "OperatingPoint",
    "OutputContract",
    "SegmenterContract",
    "TileContract",
    "Trust",
    "card_problems",
    "check_golden",
    "check_golden_maps",
    "check_golden_tiles",
    "find_card",
    "golden_case",
    "golden_maps",
    "golden_tiles",
    "list_cards",
    "load_network",
    "load_networks",
    "mask_difference",
    "model_folders",
    "read_card",
    "read_trust",
    "require_classifier",
    "require_segmenter",
    "require_tiles",
    "round_to_half",
    "segmenter_entries",
    "tile_input",
    "verify_card",
    "verify_files",
    "write_model",
    "write_segmenter",
    "write_tile_classifier",
]
