"""Any CT: its bone."""
