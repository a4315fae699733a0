"""One file a system: value in, Answer out."""
