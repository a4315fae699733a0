"""What the report of a CT's bone calls things."""

from __future__ import annotations

from typing import Final

from osteon.data.system import PERSON_LIMIT, TaskText
from osteon.report.skeleton import SKELETON_FILES

__all__ = ["TEXT"]

TEXT: Final = TaskText(
    title="CT: bone",
    demo="",
    ood="",
    limits=(
        ("always", PERSON_LIMIT),
        ("always", "Nothing was looked for but bone: that no disease is mentioned does not show that none is there."),
        (
            "always",
            "Bone without a cortex can be missing; vessels and bowel with contrast can be taken for bone.",
        ),
    ),
    masks=SKELETON_FILES,
)
