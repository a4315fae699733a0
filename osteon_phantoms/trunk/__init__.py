"""CT of the trunk of synthetic patients."""
