"""The walk over a data set: what table E.1-1 asks for is done to each element at each depth (PS3.15 E.1 to E.3)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from osteon.io.dicom.deidentify.known import CHARACTER_SET, clean_description
from osteon.io.dicom.deidentify.profile import actions, item_actions, safe_private, structured
from osteon.io.dicom.deidentify.tree import Item, dictionary_vr
from osteon.io.dicom.deidentify.values import (
    BINARY_VRS,
    OLDEST_TOLD,
    age_on,
    capped_age,
    decoded,
    dummy,
    encoded,
    parsed_date,
    shifted,
)

if TYPE_CHECKING:
    from osteon.io.dicom.deidentify.key import Key, Person
    from osteon.io.dicom.deidentify.known import Known
    from osteon.io.dicom.deidentify.options import DeidentifyOptions
    from osteon.io.dicom.deidentify.tree import Element

__all__ = ["PATIENT_ID", "STUDY_UID", "Place", "Walk", "person_of"]

PATIENT_NAME: Final = 0x00100010
PATIENT_ID: Final = 0x00100020
ISSUER: Final = 0x00100021
BIRTH_DATE: Final = 0x00100030
AGE: Final = 0x00101010
STUDY_UID: Final = 0x0020000D
CODE: Final = 0x00080100
SCHEME: Final = 0x00080102
MEANING: Final = 0x00080104
VALUE_TYPE: Final = 0x0040A040
CONCEPT: Final = 0x0040A043
CONCEPT_CODES: Final = 0x0040A168
MEASURED: Final = 0x0040A300
NUMBER: Final = 0x0040A30A
ITEM_VALUES: Final = {"TEXT": 0x0040A160, "UIDREF": 0x0040A124, "DATE": 0x0040A121}
"""Where a content item of a report holds its value."""

_BIRTH: Final = ("DCM", "121031")
_AGES: Final = frozenset({("DCM", "121033"), ("LN", "29553-5"), ("LN", "30525-0")})
_PUBLIC_UIDS: Final = frozenset({
    0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x00080117, 0x00080118, 0x0008115A, 0x00081150,
    0x00083002, 0x00041510, 0x00041512, 0x0004151A, 0x04000010,
})  # fmt: skip
"""UIDs that name a class, a syntax or a coding scheme, also a private one, and never an object."""

_OF_THINGS: Final = frozenset({
    0x00080108, 0x0008010E, 0x00080114, 0x00080115, 0x00080116, 0x00080119, 0x00080120, 0x00187006, 0x00187008,
    0x00660032, 0x00287FE0,
})  # fmt: skip
"""Long texts and addresses that name a code, a coding scheme, a detector or an algorithm."""

_NARRATIVE: Final = frozenset({"LT", "ST", "UT", "UC"})
_FREE: Final = frozenset({"LO", "SH"}) | _NARRATIVE
_CODED: Final = frozenset({"CS", "AE", "AS", "DS", "IS", "TM", "UR"})
_NUMBERS: Final = frozenset({"FD", "FL", "SL", "SS", "UL", "US"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file the walk is."""

    person: Person  # whose the data set is
    character_set: bytes = b""  # of the data set, or of the one around it
    # "clean" within a sequence of descriptions, whose texts keep known words only; "dummy" within one that is to be
    # replaced, whose texts all go
    mode: str = ""


def person_of(data_set: Item, key: Key, character_set: bytes = b"") -> Person:
    """Whose a data set is: by the patient's id and its issuer, else by name and birth date, else by the study."""
    character_set = data_set.raw(CHARACTER_SET) or character_set

    def said(tag: int) -> str:
        return decoded(data_set.raw(tag), character_set)

    return key.person(
        said(PATIENT_ID), said(ISSUER), name=said(PATIENT_NAME), birth=said(BIRTH_DATE), other=said(STUDY_UID)
    )


@dataclass(slots=True)
class Walk:
    """What one file's walk knows and has counted."""

    key: Key
    options: DeidentifyOptions
    known: Known
    is_directory: bool = False  # a DICOMDIR, whose group 0004 stays
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)  # (what was done, tag) -> elements

    def clean(self, data_set: Item, place: Place) -> None:
        """Do to a data set, and to all in it, what the options ask for; it is changed in place."""
        place = replace(place, character_set=data_set.raw(CHARACTER_SET) or place.character_set)
        own_id = decoded(data_set.raw(PATIENT_ID), place.character_set)
        if own_id and not place.person.has_id(own_id):
            place = replace(place, person=person_of(data_set, self.key, place.character_set))
        special = self._special(data_set, place.person)
        decided = self._content_actions(data_set, place) | dict.fromkeys(self._safe_private(data_set), "K")
        for tag, element in list(data_set.elements.items()):
            if tag in special and isinstance(element.value, bytes):
                self._replace(element, special[tag].encode())
                continue
            action = decided.get(tag) or self._action(element, place.mode)
            if action == "X":
                del data_set.elements[tag]
                self.counts["removed", tag] += 1
            elif isinstance(element.value, list):
                self._sequence(action, element, place)
            else:
                self._value(action, element, element.value, place)

    def _replace(self, element: Element, value: bytes) -> None:
        done = "kept" if value == element.value else "replaced" if value else "emptied"
        self.counts[done, element.tag] += 1
        element.value, element.fragments = value, False

    def _value(self, action: str, element: Element, raw: bytes, place: Place) -> None:
        if action == "K" or not raw.strip(b"\0 "):
            self.counts["kept", element.tag] += 1
        elif action in {"Z", "D"}:
            self._replace(element, dummy(_kind(element)) if action == "D" else b"")
        else:
            self._replace(element, self._cleaned(action, _kind(element), raw, place))

    def _sequence(self, action: str, element: Element, place: Place) -> None:
        if action == "Z":
            element.value = []
            self.counts["emptied", element.tag] += 1
            return
        mode = {"D": "dummy"}.get(action, place.mode)
        if action == "C" and element.tag not in structured():
            mode = mode or "clean"
        for item in element.items:
            self.clean(item, replace(place, mode=mode))
            if action == "D" and CODE in item.elements:
                item.put(CODE, "SH", b"REMOVED")
                item.put(SCHEME, "SH", b"99OSTEON")
                item.put(MEANING, "LO", b"Removed")
        self.counts["cleaned", element.tag] += 1

    def _action(self, element: Element, mode: str) -> str:
        """What is done to an element: D, Z, X, K, C, U, or T for a text of which what is known is cut out."""
        tag, kind, keep = element.tag, _kind(element), self.options.keep
        group = tag >> 16
        if not kind or (group < 8 and not (self.is_directory and group == 4)):
            return "X"  # private, not of the standard, of a repeating group, a length of a group, a command
        listed = actions(keep).get(tag)
        if listed == "C" and kind in _NARRATIVE | {"PN"}:
            return "D" if mode else "X"
        if listed is not None:
            return "T" if (listed == "K" and kind in _FREE) or (listed == "C" and kind == "AE") else listed
        dates = "K" if "real-dates" in keep else "C" if "dates" in keep else "D"
        words = "C" if "descriptions" in keep else "D"
        of_kind = {"PN": "Z", "UN": "X", "UI": "U", "UR": "D", "DA": dates, "DT": dates}
        of_kind |= dict.fromkeys(_FREE, {"dummy": "D", "clean": "C"}.get(mode, "T")) | dict.fromkeys(_NARRATIVE, words)
        if tag in _PUBLIC_UIDS or tag == CHARACTER_SET:
            return "K"
        if tag in _OF_THINGS and not mode:
            return "T"
        return of_kind.get(kind, "T" if kind in _CODED else "K")

    def _cleaned(self, action: str, kind: str, raw: bytes, place: Place) -> bytes:
        """A value without what identifies: another UID, another date, a text of fewer words."""
        value = decoded(raw, place.character_set)
        parts = [value] if kind in _NARRATIVE else value.split("\\")
        if kind == "UI":
            new = [self.uid(part) for part in parts]
        elif kind in {"DA", "DT"}:
            days = place.person.shift_days(self.options.longest_shift_days)
            new = [shifted(part, days, with_time=kind == "DT") for part in parts]
        elif kind == "TM" or kind in BINARY_VRS or kind not in _FREE | _CODED:
            return raw if kind == "TM" else dummy(kind)
        else:
            new = [self.known.without(part.split("\0")[0], kind) for part in parts]
            if action == "C":
                new = [clean_description(part) for part in new]
            if new == parts:
                return raw
            if action == "C" and not any(new):
                return dummy(kind)
        return encoded("\\".join(new), place.character_set)

    def uid(self, old: str) -> str:
        """The UID that takes the place of one; its own for those of the standard, and where UIDs are kept."""
        from pydicom.uid import UID_dictionary

        old = old.strip("\0 ")
        keep = not old or old in UID_dictionary or "uids" in self.options.keep
        return old if keep else self.key.uid(old)

    def _content_actions(self, data_set: Item, place: Place) -> dict[int, str]:
        """What is done to the value of a content item of a report, and to the meaning of a code of nobody's list.

        What the table of content items would remove becomes a dummy, so that items keep their places; UIDs are
        exchanged. A text that is not in the table keeps known words only, or goes.
        """
        words = "C" if "descriptions" in self.options.keep else "D"
        scheme = _code_of(data_set, place)[0]
        found = {MEANING: words} if CODE in data_set.elements and (scheme[:2] == "99" or scheme in {"", "L"}) else {}
        kind = data_set.raw(VALUE_TYPE).strip(b"\0 ").decode("ascii", "replace").upper()
        named = data_set.elements.get(CONCEPT)
        if not kind or named is None or not named.items:
            return found
        concept = _code_of(named.items[0], place)
        listed = item_actions(self.options.keep).get((*concept, kind), "")
        if kind in {"CODE", "NUM"}:
            is_old = kind == "NUM" and concept in _AGES and _is_old(data_set)
            return found | ({CONCEPT_CODES: "D", MEASURED: "Z"} if listed == "X" or is_old else {})
        if kind == "DATE" and concept == _BIRTH:
            listed = "D"
        elif kind == "TEXT":
            listed = "T" if listed == "K" else words if listed in {"", "C"} else "D"
        elif kind == "UIDREF":
            listed = "U"
        else:
            return found  # persons, dates, references: by their own elements
        return found | {ITEM_VALUES[kind]: listed}

    def _special(self, data_set: Item, person: Person) -> dict[int, str]:
        """The patient's own elements: pseudonym, birth date, age.

        The birth date is shifted as all dates are, so that ages stay. From 90 years on there is none, and the age says
        090Y.
        """
        found = {PATIENT_NAME: person.pseudonym, PATIENT_ID: person.pseudonym, BIRTH_DATE: ""}
        keep = self.options.keep
        birth = parsed_date(data_set.raw(BIRTH_DATE).decode("ascii", "replace"))
        told = [
            parsed_date(data_set.raw(tag)[:8].decode("ascii", "replace"))
            for tag, element in data_set.elements.items()
            if element.vr in {"DA", "DT"} and tag != BIRTH_DATE
        ]
        days = [day for day in told if day]
        age = capped_age(data_set.raw(AGE).decode("ascii", "replace"))
        is_old = age == "090Y" or bool(birth and days and age_on(birth, max(days)) > OLDEST_TOLD)
        if "patient" in keep:
            found[AGE] = "090Y" if is_old else age
            if is_old and AGE not in data_set.elements:
                data_set.put(AGE, "AS", b"")
            if birth and days and not is_old and "dates" in keep and not self.is_directory:
                found[BIRTH_DATE] = shifted(f"{birth:%Y%m%d}", person.shift_days(self.options.longest_shift_days))
        return found

    def _safe_private(self, data_set: Item) -> set[int]:
        """Private elements that may stay, and their creators."""
        found: set[int] = set()
        if "private" not in self.options.keep:
            return found
        creators = [tag for tag in data_set.elements if tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF]
        for at in creators:
            name = data_set.raw(at).decode("ascii", "replace").strip("\0 ")
            for creator, group, last in safe_private():
                tag = group << 16 | (at & 0xFF) << 8 | last
                if creator == name and group == at >> 16 and _is_number(data_set.elements.get(tag)):
                    found |= {at, tag}
        return found


def _kind(element: Element) -> str:
    """The value representation that decides: of the standard where that of the file hides a text; "" for neither."""
    known = dictionary_vr(element.tag)
    if not known or (known == "SQ") is not isinstance(element.value, list):
        return ""
    is_hidden = element.vr == "UN" or (element.vr in BINARY_VRS and known not in BINARY_VRS)
    return known if is_hidden or element.tag in {BIRTH_DATE, AGE} else element.vr


def _code_of(item: Item, place: Place) -> tuple[str, str]:
    return decoded(item.raw(SCHEME), place.character_set), decoded(item.raw(CODE), place.character_set)


def _is_old(data_set: Item) -> bool:
    """Whether the number of a content item is above the oldest age that is told, in whatever unit."""
    measured = data_set.elements.get(MEASURED)
    texts = [item.raw(NUMBER).decode("ascii", "replace").strip("\0 ") for item in measured.items] if measured else []
    return any(not re.fullmatch(r"\d{1,2}(\.\d*)?", text) or float(text) > OLDEST_TOLD for text in texts)


def _is_number(element: Element | None) -> bool:
    if element is None or not isinstance(element.value, bytes):
        return False
    return element.vr in _NUMBERS or bool(re.fullmatch(rb"[-+0-9.eE\\ ]{1,64}\0?", element.value))
