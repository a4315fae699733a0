"""De-identify a DICOMDIR: its records by the patient they belong to, the names of files as the copies have them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from osteon.errors import InputError
from osteon.io.dicom.deidentify.file import Removal, meta_bytes, report_of, write_part10
from osteon.io.dicom.deidentify.known import Known
from osteon.io.dicom.deidentify.tree import Element, Item, encode
from osteon.io.dicom.deidentify.walk import PATIENT_ID, Place, Walk, person_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from osteon.io.dicom.deidentify.file import Source
    from osteon.io.dicom.deidentify.key import Key, Person
    from osteon.io.dicom.deidentify.options import DeidentifyOptions

__all__ = ["write_directory"]

_RECORDS: Final = 0x00041220
_FILE_SET: Final = 0x00041130
_FILE_ID: Final = 0x00041500
_REFERENCED: Final = 0x00041511
_FIRST: Final = 0x00041200
_NEXT: Final = 0x00041400
_LOWER: Final = 0x00041420
_OFFSETS: Final = (_FIRST, 0x00041202, _NEXT, _LOWER)
_LEFT_OUT: Final = (0x00041141, 0x00041142, 0x00041504, _FILE_ID)
"""A file of remarks, pointers to retired records, the old names of files."""


def write_directory(
    source: Source, target: Path, key: Key, options: DeidentifyOptions, names: Mapping[str, str]
) -> Removal:
    """Write a de-identified DICOMDIR.

    Args:
        source: the open DICOMDIR; changed.
        target: of the copy.
        key: that made the copies of the files.
        options: likewise.
        names: SOP Instance UID as it was -> name of the copy, with slashes. A record of a file that is not there names
            none.

    Raises:
        InputError: its records cannot be followed.
        OutputError: it cannot be written.
    """
    top = source.data_set
    sequence = top.elements.pop(_RECORDS, None)
    records = sequence.items if sequence is not None else []
    counts: Counter[tuple[str, int]] = Counter()
    new_names = [names.get(record.raw(_REFERENCED).decode("ascii", "replace").strip("\0 "), "") for record in records]
    for person, own in _by_person(source, records, key):
        together = Item({_RECORDS: Element(_RECORDS, "SQ", own)})
        walk = Walk(key, options, Known(together, options.keep), is_directory=True, counts=counts)
        for record in own:
            walk.clean(record, Place(person, top.raw(0x00080005)))
    walk = Walk(key, options, Known(top), is_directory=True, counts=counts)
    walk.clean(top, Place(key.person("")))
    top.elements.pop(_FILE_SET, None)
    for record, name in zip(records, new_names, strict=True):
        for tag in _LEFT_OUT:
            record.elements.pop(tag, None)
        if name:
            record.put(_FILE_ID, "CS", name.replace("/", "\\").encode())
    for tag in _LEFT_OUT:
        top.elements.pop(tag, None)
    top.put(_FILE_SET, "CS", b"")
    top.put(_RECORDS, "SQ", records)
    instance = walk.uid(source.instance_uid)
    _point_anew(source, records, len(meta_bytes(source, instance)))
    write_part10(source, target, instance)
    # of no single patient
    return Removal("", instance, identity_removed=True, counts=report_of(counts))


def _number(item: Item, tag: int, source: Source) -> int:
    return int.from_bytes(item.raw(tag)[:4], source.encoding.order)


def _by_person(source: Source, records: list[Item], key: Key) -> list[tuple[Person, list[Item]]]:
    """The records of each patient: his own, and those below it."""
    by_start = {record.start: record for record in records}
    left = dict(by_start)
    groups: list[tuple[Person, list[Item]]] = []
    waiting: list[tuple[int, list[Item] | None]] = [(_number(source.data_set, _FIRST, source), None)]
    while waiting:
        start, group = waiting.pop()
        record = left.pop(start, None)
        if record is None:
            continue
        waiting.append((_number(record, _NEXT, source), group))
        if group is None or record.raw(PATIENT_ID):
            group = []
            groups.append((person_of(record, key, source.data_set.raw(0x00080005)), group))
        group.append(record)
        waiting.append((_number(record, _LOWER, source), group))
    # records that nothing leads to
    return groups + [(person_of(record, key), [record]) for record in left.values()]


def _point_anew(source: Source, records: list[Item], at: int) -> None:
    """Write the offsets of records as they will be."""
    encode(source.data_set, source.encoding, at=at)
    moved = {record.start: record.written for record in records} | {0: 0}
    for item in (source.data_set, *records):
        for tag in _OFFSETS:
            if tag in item.elements:
                old = _number(item, tag, source)
                if old not in moved:
                    raise InputError(f"{source.path.name} is damaged: a record points to where none is")
                item.put(tag, "UL", moved[old].to_bytes(4, source.encoding.order))
