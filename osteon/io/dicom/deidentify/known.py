"""What is known of a patient, found again in free text; and descriptions of which only harmless words stay."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from osteon.io.dicom.deidentify.profile import vocabulary
from osteon.io.dicom.deidentify.values import decoded, parsed_date

if TYPE_CHECKING:
    from collections.abc import Iterator

    from osteon.io.dicom.deidentify.tree import Item

__all__ = ["CHARACTER_SET", "Known", "clean_description"]

CHARACTER_SET: Final = 0x00080005
_IDENTITY: Final = frozenset({
    0x00080050, 0x00080080, 0x00080081, 0x00100020, 0x00100021, 0x00101000, 0x00101040, 0x00101090, 0x00102154,
    0x00102155, 0x00101050, 0x00120040, 0x00120042, 0x00380010, 0x00380060, 0x00380300, 0x00402016,
    0x00402017, 0x00401001, 0x00400009, 0x00400253,
})  # fmt: skip
"""Elements whose value is looked for elsewhere: ids, numbers, addresses, institution."""

_INSTITUTION: Final = frozenset({0x00080080, 0x00080081})
_BIRTH_DATE: Final = 0x00100030
_TITLES: Final = frozenset({
    "dr", "prof", "med", "dent", "md", "phd", "pd", "priv", "doz", "dipl", "mr", "mrs", "ms", "herr", "frau", "van",
    "von", "der", "den", "de", "la", "el",
})  # fmt: skip
_CODED: Final = frozenset({"CS", "DS", "IS", "AE", "AS", "TM", "UR"})
_SPLIT: Final = re.compile(r"[\^=\s,;/_-]+")
_HARMLESS: Final = re.compile(r"\d{1,3}(?:[.,]\d{1,2})?[a-z]{0,3}|[a-z]{1,2}\d{1,2}[a-z]?", re.IGNORECASE)
_WORD: Final = re.compile(r"[^\W_]+")
_TOKEN: Final = re.compile(r"[^\W_]+(?:[.,]\d+)*")
_DAY: Final = re.compile(
    r"(?<!\d)(?:\d{8}(?=\d{6}(?!\d)|(?!\d))|\d{4}([-./ ])\d\d?\1\d\d?(?!\d)|\d\d?([-./ ])\d\d?\2\d{4}(?!\d))"
)
_NUMBERS: Final = frozenset({"DS", "IS", "TM", "AS"})


class Known:
    """Names, ids and dates of one file, to be found in any text of it.

    Names are compared without regard to case, with umlauts and accents written in either way, as whole words; names in
    Chinese, Japanese and Korean letters anywhere.
    """

    def __init__(self, data_set: Item, keep: frozenset[str] = frozenset()) -> None:
        """Collect every person's name, every id and every date at any depth, but what is kept."""
        spared = _INSTITUTION if "institution" in keep else frozenset()
        found: set[str] = set()
        self._whole: set[str] = set()  # ids and names as a value has them
        self._days: set[str] = set()
        for value, kind, tag in _identities(data_set, b""):
            plain = value.strip()
            if tag in spared:
                continue
            if kind == "date":
                day = parsed_date(plain[:8])
                if day is not None and (tag == _BIRTH_DATE or "real-dates" not in keep):
                    self._days |= {f"{day:%Y%m%d}", f"{day:%d%m%Y}", f"{day:%m%d%Y}"}
                continue
            if len(plain) > 3 or (len(plain) > 1 and not plain.isdigit() and not plain.isalpha()):
                found.add(plain)
                self._whole.add(plain.casefold())
            if kind == "name":
                parts = [part for part in _SPLIT.split(plain) if part]
                found |= {" ".join(parts), *filter(_tells, [*parts, *re.split(r"[\^=\s,;]+", plain)])}
        spelled = {form for word in found if word for form in _spellings(word)}
        self._words = {form.casefold() for form in spelled if _WORD.fullmatch(form) and not _is_joined(form)}
        self._phrases = _pattern({form for form in spelled if form.casefold() not in self._words})

    def without(self, value: str, vr: str) -> str:
        """A text with what is known cut out; the text itself when nothing of it is there.

        A code or a number goes only when it is known as a whole or holds more than a word of our vocabulary: a patient
        called Foot does not cost the body part.
        """
        composed = unicodedata.normalize("NFC", value)
        cut = self._phrases.sub("", composed) if self._phrases else composed
        cut = _DAY.sub(lambda found: "" if self._is_known_day(found[0]) else found[0], cut)
        cut = _WORD.sub(lambda found: "" if found[0].casefold() in self._words else found[0], cut)
        if vr in _CODED:
            plain = value.strip().casefold()
            if vr in _NUMBERS:
                return "" if plain in self._whole and len(plain) > 5 else value
            is_named = len(composed) - len(cut) > 3 and plain not in vocabulary()
            return "" if plain in self._whole or is_named else value
        return value if cut == composed else re.sub(r"[^\S\r\n]{2,}", " ", cut).strip(" ^,;-_/")

    def _is_known_day(self, text: str) -> bool:
        return "".join(part.zfill(2) for part in re.split(r"\D", text)) in self._days


def _identities(data_set: Item, character_set: bytes) -> Iterator[tuple[str, str, int]]:
    """(value, "name", "id" or "date", tag) of a data set and its sequences."""
    character_set = data_set.raw(CHARACTER_SET) or character_set
    for tag, element in data_set.elements.items():
        for item in element.items:
            yield from _identities(item, character_set)
        if isinstance(element.value, bytes) and element.value:
            kind = (
                "name"
                if element.vr == "PN"
                else "id"
                if tag in _IDENTITY
                else "date"
                if element.vr in {"DA", "DT"}
                else ""
            )
            if kind:
                for part in decoded(element.value, character_set).split("\\"):
                    yield part, kind, tag


def _tells(part: str) -> bool:
    plain = part.strip(".").casefold()
    return plain not in _TITLES and (len(plain) > 1 or not plain.isascii()) and not (len(plain) < 4 and plain.isdigit())


def _spellings(word: str) -> set[str]:
    """A word as people and systems write it: Müller, Mueller, Muller."""
    word = unicodedata.normalize("NFC", word)
    german = word
    for one, two in zip("äöüÄÖÜß", ("ae", "oe", "ue", "Ae", "Oe", "Ue", "ss"), strict=True):
        german = german.replace(one, two)
    bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return {word, german, bare if bare.isascii() else word}


def _is_joined(word: str) -> bool:
    """Whether a word has letters that are written without spaces between them: it is found inside others."""
    return any(ord(c) > 0x2E7F for c in word)


def _pattern(phrases: set[str]) -> re.Pattern[str] | None:
    parts = []
    for phrase in sorted(phrases, key=lambda each: (-len(each), each)):
        escaped = re.escape(phrase).replace(r"\ ", r"[\s^]+")
        parts.append(escaped if _is_joined(phrase) else rf"(?<![^\W_]){escaped}(?![^\W_])")
    return re.compile("|".join(parts), re.IGNORECASE) if parts else None


def clean_description(value: str) -> str:
    """The words of a description that tell nothing of a person: of the vocabulary, and short measures as "3mm".

    Example:
        >>> clean_description("t2_tirm_cor Knie li, Hr. Meier 03.04.1961 5mm")
        't2 tirm cor Knie li 5mm'
    """
    words = vocabulary()
    parts = _TOKEN.findall(unicodedata.normalize("NFC", value))
    kept = [part for part in parts if part.casefold() in words or _HARMLESS.fullmatch(part)]
    return value if len(kept) == len(parts) else " ".join(kept)
