"""One door for every image that comes in and every object that goes out.

Importing this package costs numpy and nothing more: pydicom, nibabel and the decoders are imported by the functions
that need them.
"""

from osteon.io.choose import choose_series
from osteon.io.find import find_images
from osteon.io.inventory import Inventory, Progress, SeriesEntry, SkippedFile, Stack
from osteon.io.mask import parse_labels, read_mask_volume
from osteon.io.volume import load_image, load_volume, open_image, open_volume

open = open_image  # noqa: A001 - osteon.io.open: the door

__all__ = [
    "Inventory",
    "Progress",
    "SeriesEntry",
    "SkippedFile",
    "Stack",
    "choose_series",
    "find_images",
    "load_image",
    "load_volume",
    "open",
    "open_image",
    "open_volume",
    "parse_labels",
    "read_mask_volume",
]
