"""DICOM: find, read and write."""
