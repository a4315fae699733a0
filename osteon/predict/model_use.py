"""The record that a model leaves in a result: the same for every kind of model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osteon.data import ModelUse
from osteon.errors import WeightsError

if TYPE_CHECKING:
    from osteon.weights import ModelCard

__all__ = ["model_use"]


def model_use(
    card: ModelCard | None,
    name: str,
    *,
    runtime: str,
    device: str,
    temperatures: tuple[float, ...],
    members: int,
    operating_point: str = "",
) -> ModelUse:
    """What a result says of the model that made it.

    Args:
        card: of the model; None when its weights are not described.
        name: of the model, for the error.
        runtime: engine and precision, as "openvino float32".
        device: as "cpu".
        temperatures: one a member, or none.
        members: networks whose mean it is.
        operating_point: in words.

    Raises:
        WeightsError: the model has no card, so nobody knows what it was trained on.
    """
    if card is None:
        raise WeightsError(f"{name} has no model card: results are made with described models only")
    return ModelUse(
        name=card.name,
        version=card.version,
        sha256=card.weights.sha256,
        runtime=runtime,
        device=device,
        is_demo=card.is_demo,
        statement=card.statement,
        members=members,
        temperatures=temperatures,
        calibration=str(card.document["output"]["calibration"]),
        operating_point=operating_point,
    )
