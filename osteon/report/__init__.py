"""An Answer becomes JSON, pictures, a page and a PDF; so does everything that was measured of a model."""

from osteon.report.result import SystemReport, result_document, write_result
from osteon.report.run import Run, file_records, schema

__all__ = ["Run", "SystemReport", "file_records", "result_document", "schema", "write_result"]
