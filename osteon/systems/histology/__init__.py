"""H&E slides of osteosarcoma."""
