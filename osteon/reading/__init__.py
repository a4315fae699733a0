"""One case from file to result folder."""

from osteon.reading.case import CaseOptions, CaseResult, Progress, Reading, new_result, read, read_case, require_free

__all__ = ["CaseOptions", "CaseResult", "Progress", "Reading", "new_result", "read", "read_case", "require_free"]
