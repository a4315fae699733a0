"""The packaged model on a phantom of the kind it was made for: plumbing, not performance."""

from __future__ import annotations

import json
from typing import Any

from osteon.reading import CaseResult


def test_the_lesion_is_called_where_it_is(lesion_case: CaseResult, truth: dict[str, Any]) -> None:
    findings = json.loads((lesion_case.folder / "findings.json").read_text("utf-8"))
    lesion = truth["lesions"][0]
    runs = [f for f in findings["findings"] if "-run-" in f["identifier"]]
    sides = {f["laterality"]["meaning"].lower() for f in runs}
    assert sides == {lesion["leg"]}
    predicted = {s for f in runs for s in range(f["box"]["start_vox"][0], f["box"]["stop_vox"][0])}
    true = set(range(*lesion["slices"]))
    assert len(predicted & true) / len(predicted | true) > 0.5  # the demo model on the phantoms it was made for
