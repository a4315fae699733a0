"""The papers' protocols, one file a system: data in, tables beside the published values out."""
