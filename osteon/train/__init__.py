"""Training: one engine with objectives, folds, resume, export, evaluation. Called, it trains: ``osteon.train(...)``."""

from osteon._callable import make_callable

make_callable(__name__)
