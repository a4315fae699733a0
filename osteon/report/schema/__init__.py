"""JSON schemas of the result files, one file a major version."""
