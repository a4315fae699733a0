"""CT of the legs of synthetic patients."""
