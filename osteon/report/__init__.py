"""An Answer becomes JSON, pictures, a page and a PDF; so does everything that was measured of a model."""

from osteon.report.blocks import Document, Part
from osteon.report.result import SystemReport, Written, result_document, write_result
from osteon.report.run import FileRecord, Run, file_records, schema, validate_document
from osteon.report.wording import DISCLAIMER

__all__ = [
    "DISCLAIMER",
    "Document",
    "FileRecord",
    "Part",
    "Run",
    "SystemReport",
    "Written",
    "file_records",
    "result_document",
    "schema",
    "validate_document",
    "write_result",
]
