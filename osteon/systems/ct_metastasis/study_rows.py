"""Which trainings stand for which published rows of the metastasis thesis, and how they are planned.

Segmenters are trained on the images with a lesion in the study's folds, classifiers on all images in one division of
80 to 20 by patient.

References:
    Spec bone-metastasis, sections 2.2 to 2.5, 3, 5 and 8.1; appendix B for what the public code has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from osteon.errors import InputError
from osteon.study.plan import PlannedRun
from osteon.study.protocol import check_parts, check_settings, shared_out
from osteon.systems.ct_metastasis.recipe import SEGMENTER, SLICES

if TYPE_CHECKING:
    from osteon.data import Manifest
    from osteon.study.protocol import Choices

__all__ = ["CLASSIFIERS", "LESION_LABEL", "LITERAL", "NESTED", "SEGMENTERS", "SegmenterRow", "plan_metastasis"]

LESION_LABEL: Final = "metastasis"
"""Label of the images that segmenters are trained and evaluated on: the published set has no other."""

NESTED: Final = "ensemble_nested"
LITERAL: Final = "ensemble_literal"

_LIKE_4_1: Final = ("table4_1", "table4_3")
_LIKE_4_2: Final = ("table4_2", "table4_3")
_SEGMENTATION: Final = "segmentation"
_CLASSIFICATION: Final = "classification"
"""The words that choose chapters 4 and 5 with ``only``."""

_MEMBERS: Final = 5


@dataclass(frozen=True, slots=True)
class SegmenterRow:
    """A method of tables 4.1 to 4.4.

    Attributes:
        run: name of its run.
        title: as the tables have it.
        published: as the published tables name it; "" where they do not have it.
        tables: in which it stands.
        switches: of the ablation; None outside it.
        kind: as of ``PlannedRun``.
        network: of an ensemble; "" where the run is named after its segmenter or sequential pair.
    """

    run: str
    title: str
    published: str
    tables: tuple[str, ...] = _LIKE_4_1
    switches: str | None = None
    kind: Literal["single", "pair", "nested", "literal"] = "single"
    network: str = ""

    @property
    def architecture(self) -> str:
        """A segmenter of ``osteon.nets`` or a sequential pair."""
        return self.network or self.run


_ABLATION: Final = (*_LIKE_4_1, "table4_4")
_EVERYWHERE: Final = ("table4_1", "table4_2", "table4_3")
_HYBRID: Final = "hybrid_attunetpp"

SEGMENTERS: Final[tuple[SegmenterRow, ...]] = (
    SegmenterRow("unet", "Unet", "Unet"),
    SegmenterRow("attunet", "AttUnet", "AttUnet"),
    SegmenterRow("unetpp", "Unet++", "Unet++"),
    SegmenterRow("unetpp_plain", "Unet++, plain block", ""),
    SegmenterRow("attunetpp_plain", "AttUnet++", "AttUnet++", _ABLATION, ""),
    SegmenterRow("attunetpp", "AttUnet++ with MB", "", _ABLATION, "MB"),
    SegmenterRow(_HYBRID, "Hybrid-AttUnet++", "Hybrid-AttUnet++", _ABLATION, "MB DD"),
    *(
        SegmenterRow(run, title, title, _LIKE_4_2, kind="pair")
        for run, title in (
            ("unet_then_attunet", "Sequential (Unet, AttUnet)"),
            ("unet_then_unetpp", "Sequential (Unet, Unet++)"),
            ("unet_then_attunetpp", "Sequential (Unet, AttUnet++)"),
        )
    ),
    SegmenterRow(
        NESTED, "EH-AttUnet++, nested", "EH-AttUnet++", (*_EVERYWHERE, "table4_4"), "MB DD EN", "nested", _HYBRID
    ),
    SegmenterRow(LITERAL, "EH-AttUnet++, literal (LEAKS)", "", _EVERYWHERE, kind="literal", network=_HYBRID),
)
"""In the order in which they are shown; the literal ensemble is made of the single runs of its architecture."""


@dataclass(frozen=True, slots=True)
class _ClassifierRow:
    """A model of tables 5.1 and 5.2.

    Attributes:
        architecture: in ``osteon.nets``.
        published: as the published tables name it.
        tables: in which it stands.
    """

    architecture: str
    published: str
    tables: tuple[str, ...] = ("table5_1",)

    @property
    def run(self) -> str:
        """Name of its run."""
        return f"classify_{self.architecture}"


CLASSIFIERS: Final = (
    _ClassifierRow("resnext50", "ResNeXt50", ("table5_1", "table5_2")),
    _ClassifierRow("densenet201", "DenseNet201"),
    _ClassifierRow("efficientnet_b0", "EfficientNet"),
    _ClassifierRow("inception_v3", "Inception V3"),
    _ClassifierRow("vit_small", "ViT Small"),
    _ClassifierRow("vit_tiny", "ViT Tiny", ("table5_1", "table5_2")),
    _ClassifierRow("deit_small", "DeiT Small"),
    _ClassifierRow("deit_tiny", "DeiT Tiny"),
    _ClassifierRow("vit_tiny_resnext50", "ViT Tiny + ResNeXt50", ("table5_2",)),
)
"""In the order of the published tables."""


def plan_metastasis(choices: Choices, manifest: Manifest) -> tuple[PlannedRun, ...]:
    """The trainings, segmenters first.

    Args:
        choices: what is wanted; "members" among the values is the number of networks of the nested ensemble.
        manifest: of the data set: without masks there is nothing to segment, without normal slices nothing to tell
            apart.

    Raises:
        UnknownLabelError: no such part or setting.
        InputError: a setting out of range, or the data allow nothing of what is wanted.
    """
    rows: dict[str, SegmenterRow | _ClassifierRow] = {row.run: row for row in SEGMENTERS}
    rows |= {row.run: row for row in CLASSIFIERS}
    check_parts(choices.only, [_SEGMENTATION, _CLASSIFICATION, *rows])
    lesions = [row for row in manifest.rows if row.label == LESION_LABEL]
    possible = {_SEGMENTATION} if any(row.lesion_mask for row in lesions) else set()
    possible |= {_CLASSIFICATION} if lesions and len(manifest.labels) > 1 else set()
    wanted = set(choices.only) or possible
    lacking = wanted & {_SEGMENTATION, _CLASSIFICATION} - possible
    if lacking or not wanted:
        raise InputError(
            f"{' and '.join(sorted(lacking or {_SEGMENTATION, _CLASSIFICATION}))}: segmenters need images labelled "
            f"{LESION_LABEL!r} with lesion masks, classifiers also images with another label; this data set has none"
        )
    chosen = {
        name
        for name, row in rows.items()
        if name in wanted or (_SEGMENTATION if isinstance(row, SegmenterRow) else _CLASSIFICATION) in wanted
    }
    if LITERAL in chosen:
        chosen.add(rows[LITERAL].architecture)  # of whose networks it is made
    segment, train = SEGMENTER.kind.names(), SLICES.kind.names()
    for values in (choices.values, choices.classifier_values):
        check_settings(values, ("task", "architecture"), instead="choose runs with --only")
    of_segmenters, of_classifiers, _ = shared_out(choices.values, segment, train, ["members"])
    shared_out(choices.classifier_values, train)
    segmenters = [_segmenter(row, of_segmenters, choices) for row in SEGMENTERS if row.run in chosen]
    pretrained = choices.pretrained or "hub"
    start = {"strategy": "scratch"} if pretrained == "none" else {"pretrained": pretrained}
    classifiers = []
    for entry in CLASSIFIERS:
        if entry.run in chosen:
            own = {"architecture": entry.architecture}
            settings = SLICES.settings({**start, **of_classifiers, **choices.classifier_values, **own})
            classifiers.append(PlannedRun(entry.run, entry.tables[0], settings, "holdout"))
    return (*segmenters, *classifiers)


def _segmenter(row: SegmenterRow, values: dict[str, Any], choices: Choices) -> PlannedRun:
    pairs = [other.run for other in SEGMENTERS if other.kind == "pair"]
    return PlannedRun(
        name=row.run,
        table=row.tables[0],
        settings=SEGMENTER.settings({**values, "architecture": row.architecture}),
        label=LESION_LABEL,
        kind=row.kind,
        phase=pairs.index(row.run) if row.kind == "pair" else len(pairs) if row.run == LITERAL else 0,
        source=row.architecture if row.run == LITERAL else "",
        members=_members(choices) if row.run == NESTED else 1,
    )


def _members(choices: Choices) -> int:
    value = choices.values.get("members", _MEMBERS)
    try:
        members = int(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"members is {value!r}; a whole number is needed") from error
    if members < 3:
        raise InputError(f"members is {members}; each is evaluated, chosen and taught on parts of its own: at least 3")
    return members
