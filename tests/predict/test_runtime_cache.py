"""The cache of compiled models gives back what was put in, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from osteon.predict.runtime_cache import CACHE_VARIABLE, drop_entry, entry_path, read_entry, write_entry

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"weights": "a", "openvino": "1"}
CONTENTS = {"model.xml": b"<net/>", "model.bin": bytes(range(256))}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    return tmp_path


def test_an_entry_reads_back_and_can_be_replaced_and_dropped() -> None:
    assert read_entry(KEY) is None
    assert write_entry(KEY, CONTENTS)
    assert read_entry(KEY) == CONTENTS
    assert write_entry(KEY, {"model.xml": b"new"})
    assert read_entry(KEY) == {"model.xml": b"new"}
    assert [path.name for path in entry_path(KEY).parent.iterdir()] == [entry_path(KEY).name]
    drop_entry(KEY)
    assert read_entry(KEY) is None


def test_every_part_of_the_key_counts_and_its_order_does_not() -> None:
    write_entry(KEY, CONTENTS)
    assert read_entry({**KEY, "openvino": "2"}) is None
    assert read_entry(dict(reversed(KEY.items()))) == CONTENTS


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"[1]", b'{"model.bin": 3}', b'{"model.xml": "00"}'])
def test_a_damaged_list_is_no_entry(damage: bytes) -> None:
    write_entry(KEY, CONTENTS)
    (entry_path(KEY) / "sha256.json").write_bytes(damage)
    assert read_entry(KEY) is None


def test_a_changed_file_is_no_entry() -> None:
    write_entry(KEY, CONTENTS)
    (entry_path(KEY) / "model.bin").write_bytes(bytes(256))
    assert read_entry(KEY) is None
    (entry_path(KEY) / "model.bin").unlink()
    assert read_entry(KEY) is None


def test_a_list_cannot_lead_out_of_the_cache(cache: Path) -> None:
    write_entry(KEY, CONTENTS)
    (cache / "secret").write_bytes(b"x")
    (entry_path(KEY) / "sha256.json").write_text('{"../../secret": ""}', encoding="utf-8")
    assert read_entry(KEY) is None


def test_a_cache_that_cannot_be_written_is_harmless(cache: Path) -> None:
    (cache / "compiled").write_bytes(b"a file where the folder should be")
    assert not write_entry(KEY, CONTENTS)
    assert read_entry(KEY) is None
