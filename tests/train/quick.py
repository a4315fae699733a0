"""The settings of a training that is over in seconds, for the tests of this folder."""

from osteon.train.settings import TrainSettings

QUICK = TrainSettings(
    architecture="densenet_small",
    strategy="scratch",
    epochs=3,
    image_size=32,
    batch=8,
    learning_rate=1e-3,
    threads=1,
    device="cpu",
)
"""Threads: one, or the machine's other work makes torch wait for itself."""
