"""Answers as JSON, HTML, PDF and pictures."""
