"""One case from file to result folder."""

from osteon.reading.case import CaseOptions, CaseResult, Progress, read_case
from osteon.reading.folder import new_result, require_free
from osteon.reading.slide_case import SlideResult, read_slide_case
from osteon.reading.study import read_study

__all__ = [
    "CaseOptions",
    "CaseResult",
    "Progress",
    "SlideResult",
    "new_result",
    "read_case",
    "read_slide_case",
    "read_study",
    "require_free",
]
