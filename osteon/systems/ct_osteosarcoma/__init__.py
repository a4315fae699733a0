"""CT of the legs: osteosarcoma."""
