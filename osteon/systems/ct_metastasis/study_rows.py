"""Which trainings stand for which printed rows of the metastasis thesis.

References:
    Spec bone-metastasis, sections 2.2 to 2.5 and 5; appendix B for what the public code has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "CLAIMS",
    "CLASSIFIERS",
    "LITERAL",
    "NESTED",
    "SEGMENTERS",
    "WHICH_BASELINE",
    "ClassifierRow",
    "SegmenterRow",
]

WHICH_BASELINE: Final = (
    "Which baseline stands for which printed row: AttUnet++ is the one with the plain block (the ablation counts the "
    "modified block, MB, as a step of its own); Unet++, also inside the pairs, is that of the public code, with the "
    "residual block. Unet++ with the plain block, and AttUnet++ with MB in table 4.1, have no printed row."
)

NESTED: Final = "ensemble_nested"
LITERAL: Final = "ensemble_literal"

_LIKE_4_1: Final = ("table4_1", "table4_3")
_LIKE_4_2: Final = ("table4_2", "table4_3")


@dataclass(frozen=True, slots=True)
class SegmenterRow:
    """A method of tables 4.1 to 4.4.

    Attributes:
        run: name of its run.
        title: as the tables have it.
        printed: as the printed tables name it; "" where they do not have it.
        architecture: a segmenter of ``osteon.nets`` or a sequential pair.
        tables: in which it stands.
        switches: of the ablation; None outside it.
        kind: "single": one training a fold. "pair": a bone network that all pairs share, then a lesion network.
            "nested": in each fold an ensemble of members trained inside its training part. "literal": the single
            networks of all folds together on each test part, which all but one of them were trained on.
    """

    run: str
    title: str
    printed: str
    architecture: str
    tables: tuple[str, ...]
    switches: str | None = None
    kind: Literal["single", "pair", "nested", "literal"] = "single"


def _single(run: str, title: str, printed: str, *tables: str, switches: str | None = None) -> SegmenterRow:
    return SegmenterRow(run, title, printed, run, (*_LIKE_4_1, *tables), switches)


def _pair(run: str, title: str) -> SegmenterRow:
    return SegmenterRow(run, title, title, run, _LIKE_4_2, kind="pair")


SEGMENTERS: Final = (
    _single("unet", "Unet", "Unet"),
    _single("attunet", "AttUnet", "AttUnet"),
    _single("unetpp", "Unet++", "Unet++"),
    _single("unetpp_plain", "Unet++, plain block", ""),
    _single("attunetpp_plain", "AttUnet++", "AttUnet++", "table4_4", switches=""),
    _single("attunetpp", "AttUnet++ with MB", "", "table4_4", switches="MB"),
    _single("hybrid_attunetpp", "Hybrid-AttUnet++", "Hybrid-AttUnet++", "table4_4", switches="MB DD"),
    _pair("unet_then_attunet", "Sequential (Unet, AttUnet)"),
    _pair("unet_then_unetpp", "Sequential (Unet, Unet++)"),
    _pair("unet_then_attunetpp", "Sequential (Unet, AttUnet++)"),
    SegmenterRow(
        NESTED,
        "EH-AttUnet++, nested",
        "EH-AttUnet++",
        "hybrid_attunetpp",
        ("table4_1", "table4_2", "table4_3", "table4_4"),
        "MB DD EN",
        "nested",
    ),
    SegmenterRow(
        LITERAL,
        "EH-AttUnet++, literal (LEAKS)",
        "",
        "hybrid_attunetpp",
        ("table4_1", "table4_2", "table4_3"),
        kind="literal",
    ),
)
"""In the order in which they are shown; the literal ensemble is made of the single runs of its architecture."""

CLAIMS: Final = (
    *(("hybrid_attunetpp", other) for other in ("unet", "attunet", "unetpp", "attunetpp_plain")),
    ("attunetpp", "attunetpp_plain"),
    ("hybrid_attunetpp", "attunetpp"),
    (NESTED, "hybrid_attunetpp"),
    *((NESTED, row.run) for row in SEGMENTERS if row.kind == "pair"),
)
"""Which run the thesis says to be better than which: what the comparisons test."""


@dataclass(frozen=True, slots=True)
class ClassifierRow:
    """A model of tables 5.1 and 5.2.

    Attributes:
        architecture: in ``osteon.nets``.
        printed: as the printed tables name it.
        tables: in which it stands.
    """

    architecture: str
    printed: str
    tables: tuple[str, ...] = ("table5_1",)

    @property
    def run(self) -> str:
        """Name of its run."""
        return f"classify_{self.architecture}"


CLASSIFIERS: Final = (
    ClassifierRow("resnext50", "ResNeXt50", ("table5_1", "table5_2")),
    ClassifierRow("densenet201", "DenseNet201"),
    ClassifierRow("efficientnet_b0", "EfficientNet"),
    ClassifierRow("inception_v3", "Inception V3"),
    ClassifierRow("vit_small", "ViT Small"),
    ClassifierRow("vit_tiny", "ViT Tiny", ("table5_1", "table5_2")),
    ClassifierRow("deit_small", "DeiT Small"),
    ClassifierRow("deit_tiny", "DeiT Tiny"),
    ClassifierRow("vit_tiny_resnext50", "ViT Tiny + ResNeXt50", ("table5_2",)),
)
"""In the order of the printed tables."""
