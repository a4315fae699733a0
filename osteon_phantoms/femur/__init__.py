"""MR of the thigh of synthetic patients."""
