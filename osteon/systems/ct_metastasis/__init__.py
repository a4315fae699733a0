"""CT of the trunk: bone metastases."""
