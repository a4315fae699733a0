"""``python -m osteon``."""

from osteon.app.cli import main

if __name__ == "__main__":
    main()
