"""The systems: one folder each. Called, it lists them: ``osteon.systems()``."""

from osteon._callable import make_callable

make_callable(__name__)
