"""The reporting items of CLAIM 2024: what a run can answer, and what is left to a person.

References:
    Tejani, Klontzas, Gatti et al. 2024, doi:10.1148/ryai.240300. The short wording here is ours, not the checklist's.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from osteon.weights.card import Claim, ClaimItem

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OPEN", "claim_document", "claim_markdown"]

OPEN = "open: to be filled by a person"
"""Answer of an item that no run knows."""


def claim_document(answers: Mapping[str, str]) -> Claim:
    """The items with the answers of a run.

    Args:
        answers: by the ``key`` of the items in claim_2024.json; an empty text leaves the item open.

    Raises:
        KeyError: an answer that belongs to no item: a fault of the caller.

    Example:
        >>> [item.answer for item in claim_document({"software": "osteon 1.0"}).items if item.status == "from run"]
        ['osteon 1.0']
    """
    listed = _template()
    unknown = set(answers) - {item["key"] for item in listed["items"]}
    if unknown:
        raise KeyError(f"no item of CLAIM takes {sorted(unknown)}")
    items = []
    for item in listed["items"]:
        answer = answers.get(item["key"], "") if item["key"] else ""
        items.append(
            ClaimItem(
                number=item["number"],
                section=item["section"],
                topic=item["topic"],
                status="from run" if answer else "open",
                answer=answer or OPEN,
                sure=item["sure"],
            )
        )
    return Claim(listed["about"], listed["reference"], tuple(items))


def claim_markdown(name: str, claim: Claim) -> str:
    """The items of ``claim_document`` as a page.

    Args:
        name: of the model.
        claim: of ``claim_document``.
    """
    items = claim.items
    count = sum(item.status == "open" for item in items)
    lines = [
        f"# {name}: reporting items (CLAIM 2024)",
        "",
        claim.about,
        "",
        f"{len(items) - count} of {len(items)} items were filled from the run; {count} are open.",
        "An asterisk marks an item whose number or scope was not checked against the printed checklist.",
        "",
        "| item | topic | answer |",
        "| --- | --- | --- |",
    ]
    section = ""
    for item in items:
        if item.section != section:
            section = item.section
            lines.append(f"| | **{section}** | |")
        mark = "" if item.sure else "*"
        answer = item.answer.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {item.number}{mark} | {item.topic} | {answer} |")
    return "\n".join(lines) + "\n"


@cache
def _template() -> dict[str, Any]:
    text = files("osteon.train").joinpath("claim_2024.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
