"""The papers' protocols, one file a system: data in, tables beside the printed values out."""
