"""What an object that refers to images needs of them, asked when they are found and not after the work."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from osteon.io.inventory import Frame

__all__ = ["counted", "reference_problem", "shown_uid"]

UID: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))+")
LONGEST_UID: Final = 64
SHOWN: Final = 80
NEEDED: Final = {
    "sop_class": "SOP Class UID (0008,0016)",
    "instance": "SOP Instance UID (0008,0018)",
    "study": "Study Instance UID (0020,000D)",
    "series": "Series Instance UID (0020,000E)",
    "frame_of_reference": "Frame of Reference UID (0020,0052)",
}


def reference_problem(frames: Sequence[Frame]) -> str:
    """Why no DICOM object can refer to these images, in words; "" when one can.

    An object belongs to one study, and names every image by identifiers that the standard allows (PS3.5 9.1).
    """
    for field, name in NEEDED.items():
        values = [getattr(frame.uids, field) for frame in frames]
        if missing := values.count(""):
            return f"it needs {name}, which {_of(missing, len(frames))} not have; repair the series"
        broken = [value for value in values if not UID.fullmatch(value) or len(value) > LONGEST_UID]
        if broken:
            return (
                f"{name} is not a valid UID on {len(broken)} of {len(frames)} images (as {shown_uid(broken[0])!r}: "
                f"digits and points, no part with a leading zero, at most {LONGEST_UID} characters); repair the series"
            )
    files = {(frame.uids.instance, frame.path) for frame in frames}
    if (named := len({uid for uid, _ in files})) < len(files):
        return f"{len(files)} images share {named} {NEEDED['instance']}, so that none can be named; repair the series"
    if len({frame.uids.study for frame in frames}) > 1:
        return f"the images are of several studies: {NEEDED['study']} {counted(frame.uids.study for frame in frames)}"
    return ""


def shown_uid(value: str) -> str:
    """A UID for a message: its digits and points, as a broken header may hold the patient's name in it.

    Example:
        >>> shown_uid("1.2.x3")
        '1.2.?3'
    """
    return re.sub(r"[^0-9.]", "?", value[:SHOWN])


def counted(values: Iterable[str]) -> str:
    """The different values with how often each is there, the most frequent first, at most four.

    Example:
        >>> counted(["1.2", "", "1.2"])
        '1.2 (2), empty (1)'
    """
    found = Counter(values).most_common()
    more = f" and {len(found) - 4} more" if len(found) > 4 else ""
    return ", ".join(f"{value or 'empty'} ({count})" for value, count in found[:4]) + more


def _of(missing: int, total: int) -> str:
    return "the images do" if missing == total else f"{missing} of {total} images do"
