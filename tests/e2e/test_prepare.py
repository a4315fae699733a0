"""One reading as a process of its own: what it leaves behind, and what it never imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEVER = {
    "lightning", "matplotlib.pyplot", "monai", "pandas", "pyarrow", "sklearn", "statsmodels", "timm", "torch",
    "osteon.study", "osteon.train",
}  # fmt: skip
MOST_OWN_MODULES = 150

CODE = """
import json, sys
from osteon.app.cli import main
sys.argv = ["osteon", "demo", "--prepare", "--quiet"]
try:
    main()
except SystemExit as end:
    if end.code:
        raise
print(json.dumps(sorted(sys.modules)))
"""


def test_a_reading_is_lean_and_prepare_leaves_nothing(tmp_path: Path) -> None:
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=here, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout)
    assert not NEVER & set(modules)
    assert sum(name.startswith("osteon.") for name in modules) <= MOST_OWN_MODULES
    assert list(here.iterdir()) == list(temporary.iterdir()) == []
