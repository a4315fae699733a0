"""An Answer becomes JSON, pictures, a page and a PDF."""

from osteon.report.document import validate_document, write_document
from osteon.report.findings import findings_document
from osteon.report.html import write_html
from osteon.report.lesions import bone_surfaces
from osteon.report.pdf import write_pdf
from osteon.report.run import FileRecord, Run, file_records, run_document, start_run
from osteon.report.view import View
from osteon.report.views import draw_views
from osteon.report.wording import DEMO_MARK, DISCLAIMER
from osteon.systems.histology.report import SLIDE_FILE_WORDS, SlideReport, write_slide_report

__all__ = [
    "DEMO_MARK",
    "DISCLAIMER",
    "SLIDE_FILE_WORDS",
    "FileRecord",
    "Run",
    "SlideReport",
    "View",
    "bone_surfaces",
    "draw_views",
    "file_records",
    "findings_document",
    "run_document",
    "start_run",
    "validate_document",
    "write_document",
    "write_html",
    "write_pdf",
    "write_slide_report",
]
