"""Every speed claim of osteon, as a ratio against what a person would run instead; accuracy on synthetic patients."""
