"""MRI of the femur: benign or malignant."""
