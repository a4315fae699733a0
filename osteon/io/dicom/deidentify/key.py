"""Pseudonyms, UIDs and shifts of dates that follow from a secret key alone, and the file that holds the key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError, OutputError
from osteon.io.whole_file import file_bytes, part_name

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Key", "Person", "open_key"]

_HEAD: Final = b"osteon key 1 "
_BYTES: Final = 32
_FILE_NAME_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class Key:
    """The secret. The same key gives the same results in every run, process and version of Python.

    Every result is an HMAC-SHA256 of what it replaces (RFC 2104): without the key nobody can tell one from the other,
    nor try out names.
    """

    secret: bytes = field(repr=False)  # 32 bytes

    def digest(self, kind: str, value: str) -> bytes:
        """32 bytes for a value; another kind gives others."""
        return hmac.new(self.secret, f"{kind}\0{value}".encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def word(self, kind: str, value: str, *, length: int) -> str:
        """Letters and digits (A to Z, 2 to 7) for a value."""
        return base64.b32encode(self.digest(kind, value)).decode()[:length]

    def uid(self, old: str) -> str:
        """The UID that takes the place of another: 2.25 and a UUID as a number (PS3.5 B.2)."""
        number = int.from_bytes(self.digest("uid", old)[:16], "big")
        # version 8 and variant 2 (RFC 9562): a UUID of our own making
        number = number & ~(0xF << 76) & ~(0x3 << 62) | 0x8 << 76 | 0x2 << 62
        return f"2.25.{number}"

    def person(self, patient_id: str, issuer: str = "", *, name: str = "", birth: str = "", other: str = "") -> Person:
        """Who a patient is from now on.

        Args:
            patient_id: as in the file; spaces, case and compatible characters make no difference.
            issuer: of the id, likewise.
            name: that decides where there is no id, together with the birth date.
            birth: as said.
            other: what decides where there is neither: a UID of the study.
        """
        parts = [patient_id, issuer] if _plain(patient_id) else ["", "", name, birth] if _plain(name) else ["", other]
        return Person(self, "\x1f".join(_plain(part) for part in parts))


@dataclass(frozen=True, slots=True)
class Person:
    """One patient under one key."""

    key: Key
    identity: str = field(repr=False)  # normalised; never leaves this object

    def has_id(self, patient_id: str) -> bool:
        """Whether an id, without its issuer, is that of this patient."""
        return self.identity.split("\x1f")[0] == _plain(patient_id)

    @property
    def pseudonym(self) -> str:
        """16 letters and digits: 80 bits."""
        return self.key.word("patient", self.identity, length=16)

    def shift_days(self, longest: int) -> int:
        """By how many days all dates of this patient go back: -1 to ``-longest``."""
        return -1 - int.from_bytes(self.key.digest("dates", self.identity)[:8], "big") % longest

    def file_name(self, study: str, series: str, instance: str) -> str:
        """Folders and name of a file, fit for a DICOMDIR: four words of eight letters and digits with slashes."""
        words = [
            self.key.word(kind, uid, length=_FILE_NAME_LENGTH)
            for kind, uid in (("study", study), ("series", series), ("instance", instance))
        ]
        return "/".join([self.pseudonym[:_FILE_NAME_LENGTH], *words])


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("\0", " ").split())


def open_key(path: Path, *, out: Path) -> Key:
    """The key of a file; made when neither it nor the output is there yet.

    Args:
        path: of the key file: readable by its owner only, outside the output.
        out: the folder or file that results go to.

    Raises:
        InputError: the file is no key, can be read by others, lies in the output, or is lost: the output is there and
            the key that made it is not.
        OutputError: it cannot be made.
    """
    if path.resolve().is_relative_to(out.resolve()):
        raise InputError(f"the key {path.name} would lie in the output: whoever gets that could undo the pseudonyms")
    if not path.exists():
        if out.is_dir() and any(out.iterdir()):
            raise InputError(
                f"the key {path.name} is not there, but {out.name} is and was made with a key: give that key, "
                "or another folder for other pseudonyms. A lost key cannot be made again"
            )
        _make(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise InputError(f"the key {path.name} can be read by others: chmod 600 it, and ask who has seen it")
    data = file_bytes(path)
    with suppress(ValueError):
        secret = bytes.fromhex(data.removeprefix(_HEAD).decode("ascii").strip())
        if data.startswith(_HEAD) and len(secret) == _BYTES:
            return Key(secret)
    raise InputError(f"{path.name} is not a key that osteon made, or it was changed: restore it from a copy")


def _make(path: Path) -> None:
    """Write a new key, whole or not at all; of two processes that do so at once the first wins."""
    work = path.with_name(part_name())
    try:
        number = os.open(work, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(number, "wb") as file:
            file.write(_HEAD + secrets.token_hex(_BYTES).encode() + b"\n")
            file.flush()
            os.fsync(number)
        with suppress(FileExistsError):
            os.link(work, path)
    except OSError as error:
        raise OutputError(f"the key {path.name} cannot be made ({error.strerror or type(error).__name__})") from error
    finally:
        with suppress(OSError):
            work.unlink()
