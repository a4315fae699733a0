"""Films taken in a second, of CR films of 2 megapixels, against a plain loop with pydicom that does the same work.

Run ``python -m bench.archive_ingest [--films N] [--json FILE]``. The loop hashes, decodes, copies, makes the thumbnail
and writes a row to SQLite, in one transaction for all: it cannot go on after a kill and finds no duplicate.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from bench.measuring import Row, Timed, own_peak_mb, print_head, print_rows, write_rows
from osteon.archive.ingest import add_sources
from osteon.archive.store import create_archive

__all__ = ["make_films", "run"]

FILMS = 60
SHAPE = (1760, 1160)
AIM = 40.0
"""Films a second of one processor."""


def make_films(folder: Path, count: int) -> None:
    """CR films of 12 of 16 bits, uncompressed, each of other pixels."""
    folder.mkdir()
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ground = 2000 + 900 * np.sin(rows / 300) * np.cos(columns / 200)
    generator = np.random.default_rng(1)
    for number in range(count):
        image = pydicom.Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID, image.PatientName, image.PatientSex = f"P{number // 4}", f"Bench^{number // 4}", "F"
        image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.{number // 2}", f"1.3.{number}"
        image.StudyDate, image.Modality, image.BodyPartExamined = "20100101", "CR", "KNEE"
        image.Rows, image.Columns = SHAPE
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME1"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.WindowCenter, image.WindowWidth = 2000, 3600
        noisy = ground + generator.normal(0, 30, SHAPE)
        image.PixelData = np.clip(noisy, 0, 4095).astype(np.uint16).tobytes()
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)


def plain_loop(source: Path, target: Path) -> int:
    """What a person writes with pydicom; returns how many films were taken in."""
    from pydicom.pixels import apply_voi_lut

    target.mkdir()
    table = sqlite3.connect(target / "films.sqlite")
    table.execute("CREATE TABLE films (path, sha256, patient, study, date, modality, part, pixels)")
    for path in sorted(source.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        image = pydicom.dcmread(path)
        grey = np.asarray(apply_voi_lut(image.pixel_array, image), dtype=np.float32)
        if image.PhotometricInterpretation == "MONOCHROME1":
            grey = grey.max() - grey
        grey = (grey - grey.min()) / np.ptp(grey)
        pixels = hashlib.sha256(grey).hexdigest()
        factor = 256 / max(grey.shape)
        small = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(target / f"{digest}.jpg"), np.rint(small * 255).astype(np.uint8))
        shutil.copy(path, target / f"{digest}.dcm")
        cells = (image.PatientID, image.StudyInstanceUID, image.StudyDate, image.Modality, image.BodyPartExamined)
        table.execute("INSERT INTO films VALUES (?,?,?,?,?,?,?,?)", (str(path), digest, *map(str, cells), pixels))
    table.commit()
    (count,) = table.execute("SELECT count(*) FROM films").fetchone()
    table.close()
    return int(count)


def run(count: int) -> list[Row]:
    """A line for the whole, in seconds of the processor."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_films(folder / "warm", 2)
        make_films(folder / "films", count)
        plain_loop(folder / "warm", folder / "plain-warm")
        with create_archive(folder / "archive-warm") as archive:
            add_sources(archive, [folder / "warm"])
        start = time.process_time()
        plain = plain_loop(folder / "films", folder / "plain")
        theirs = Timed(plain, time.process_time() - start, own_peak_mb())
        with create_archive(folder / "archive") as archive:
            start = time.process_time()
            states = add_sources(archive, [folder / "films"]).states
            ours = Timed(states, time.process_time() - start, own_peak_mb())
    speeds = [count / each.seconds for each in (ours, theirs)]
    print(f"{speeds[0]:.1f} films a second of one processor (aim: {AIM:g}), the loop {speeds[1]:.1f}")
    equal = states == {"stored": count} and plain == count
    return [Row.of(f"archive add, {count} CR of 2 MP", "plain loop with pydicom", ours, theirs, equal=equal)]


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; returns 1 when films were lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=FILMS)
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    options = parser.parse_args(arguments)
    rows = run(options.films)
    print_head()
    print_rows(rows)
    if options.json:
        write_rows(rows, options.json)
    return 0 if all(row.equal for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
