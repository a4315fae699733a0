"""H&E slides of synthetic patients."""
