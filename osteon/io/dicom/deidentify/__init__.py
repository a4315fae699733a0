"""De-identification of DICOM files by the table of PS3.15 E.1-1, with keyed pseudonyms."""

from osteon.io.dicom.deidentify.file import Removal, deidentify_file
from osteon.io.dicom.deidentify.key import Key, Person, open_key
from osteon.io.dicom.deidentify.options import DEFAULT_KEEP, KEEP_CODES, DeidentifyOptions, keep_of

__all__ = [
    "DEFAULT_KEEP",
    "KEEP_CODES",
    "DeidentifyOptions",
    "Key",
    "Person",
    "Removal",
    "deidentify_file",
    "keep_of",
    "open_key",
]
