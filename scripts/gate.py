"""The gate: prove that a restructured osteon gives what the old one gave. It runs the program and imports none of it.

    python scripts/gate.py inputs DIR --checkout BASE --data SHARED_DATA   # once, with the old code
    python scripts/gate.py run DIR --checkout BASE -o OUT_OLD              # once, with the old code
    python scripts/gate.py run DIR --checkout NEW -o OUT_NEW [--only 'read_*']   # after every step
    python scripts/gate.py compare OUT_OLD OUT_NEW [--renames FILE.json] [--only JOB]   # exit code 1: something differs

``gate.toml`` beside this file holds the commands: when verbs or flags change, change them there. ``run`` goes on
where it was: a job is kept while the packages of the checkout and the job's commands are the same.

A difference in a mask, a number, a text, a table, a surface, the name of a file or an exit code FAILS. Pages, PDFs,
logs, settings, cards and the look of pictures are notes (``--notes`` shows them). New in NEW is not a difference.
FILE.json declares what may differ, each rule with its "why"; "new": null says "dropped on purpose"; ``*`` is any part
of one name, ``**`` of a path; a path means all below it; members of lists that have names are ``list/NAME/field``:

    {"files":  [{"job": "read_*", "old": "**/bone.glb", "new": "**/surfaces.glb", "why": ""}],
     "fields": [{"file": "findings.json", "old": "scores/*/slices", "new": "detail/scores/*/slices", "why": ""}],
     "words":  [{"old": "Grad-CAM", "new": "class activation map", "why": ""}],
     "within": [{"job": "train_ct", "file": "history.csv", "field": "*", "absolute": 0.05, "relative": 0, "why": ""}],
     "accept": [{"file": "tiles.csv", "field": "ood", "why": ""}]}

"words" change old texts, not fields' names; "accept" turns differences into notes. ``--within JOB=0.05`` loosens all
numbers of a job (absolute and relative).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import fnmatch
import hashlib
import html
import io
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


with Path(__file__).with_suffix(".toml").open("rb") as _file:
    TABLE: dict[str, Any] = tomllib.load(_file)
JOBS: dict[str, dict[str, Any]] = TABLE["jobs"]

# ------------------------------------------------------------------------------------------- what is compared, and how
ABSOLUTE, RELATIVE = 2e-6, 1e-6  # numbers are written with six decimals
VOLUME_SHARE, SURFACE_MM, COLOUR_STEPS, MOST_POINTS = 1e-3, 0.1, 0.255, 20000
KINDS = ("files", "fields", "words", "within", "accept")
VOLATILE = re.compile(
    r"(schema_version|osteon_version|osteon|versions?|created|started|.*seconds.*|size_bytes|tracking_uid|id|"
    r"(.*_)?(sha256|hash|identity)|platform|machine|command|peak_.*|manifest|split_file|folder|path)$"
)
SCRUBBED = (
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?"), "TIME"),
    (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12,64}\b"), "HASH"),
    (re.compile(r"\b2\.25\.\d{20,}"), "UID"),
    (re.compile(r"(\b\d+(\.\d+)? (s|seconds?|min|MB|GB)\b *)+"), "COST"),
    (re.compile(r"\bosteon[- ]\d+(\.\d+)+\S*"), "osteon VERSION"),
)
NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
Facts = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Difference:
    """One thing that is not as it was."""

    file: str
    field: str
    text: str
    hard: bool = True


def pattern(words: str) -> re.Pattern[str]:
    """A path with stars as an expression; it also matches the beginning of a longer path."""
    parts = re.split(r"(\*\*|\*)", words)
    return re.compile("".join({"**": "(.*)", "*": "([^/]*)"}.get(part, re.escape(part)) for part in parts) + r"(?=/|$)")


def matches(name: str, words: str) -> bool:
    """Whether a path, or a folder above it, is what stars say, from its beginning or from that of any of its parts."""
    found = pattern(words)
    return any(found.match(name, start) for start in (0, *(place.end() for place in re.finditer("/", name))))


class Rules:
    """What may differ, as FILE.json and the command line say it."""

    def __init__(self, file: Path | None, loosened: Iterable[str]) -> None:
        """Read the rules; a kind or a key that does not exist is refused."""
        told: dict[str, list[dict[str, Any]]] = json.loads(file.read_text("utf-8")) if file else {}
        unknown = set(told) - set(KINDS)
        keys = {"job", "file", "field", "old", "new", "absolute", "relative", "why"}
        unknown |= {key for rules in told.values() for rule in rules for key in rule if key not in keys}
        if unknown:
            sys.exit(f"{file}: no rule knows {sorted(unknown)}")
        self.told = {kind: [*TABLE.get(kind, []), *told.get(kind, [])] for kind in KINDS}
        for words in loosened:
            job, _, value = words.partition("=")
            self.told["within"].append({"job": job, "absolute": float(value), "relative": float(value)})

    def of(self, kind: str, job: str, file: str = "") -> Iterator[dict[str, Any]]:
        """The rules of a kind that speak of a job, and of a file where one is named."""
        for rule in self.told[kind]:
            if fnmatch.fnmatch(job, rule.get("job", "*")) and (not file or matches(file, rule.get("file", "**"))):
                yield rule

    def renamed(self, kind: str, name: str, job: str, file: str = "") -> str | None:
        """The new name of a file or a field; None when it was dropped on purpose."""
        for rule in self.of(kind, job, file):
            found = pattern(rule["old"]).match(name)
            if found:
                if rule.get("new") is None:
                    return None
                parts = itertools.zip_longest(re.split(r"\*\*?", rule["new"]), found.groups(), fillvalue="")
                return "".join(itertools.chain(*parts)) + name[found.end() :]
        return name

    def words(self, text: str, job: str) -> str:
        """An old text in the new words."""
        for rule in self.of("words", job):
            text = text.replace(rule["old"], rule["new"] or "")
        return text

    def tolerance(self, job: str, file: str, field: str) -> tuple[float, float]:
        """How far a number may be off: absolute, and as a share."""
        rules = [rule for rule in self.of("within", job, file) if matches(field, rule.get("field", "**"))]
        absolute, relative = ([float(rule.get(key, 0)) for rule in rules] for key in ("absolute", "relative"))
        return max(ABSOLUTE, *absolute, 0.0), max(RELATIVE, *relative, 0.0)

    def hard(self, job: str, file: str, field: str) -> bool:
        """Whether a difference here fails."""
        return not any(matches(field, rule.get("field", "**")) for rule in self.of("accept", job, file))


# ------------------------------------------------------------------------------------------------- files become facts
def digest(array: np.ndarray[Any, Any]) -> bytes:
    """A hash of shape and values, whatever the type of the numbers; bytes are compared as they are."""
    whole = array.dtype.kind in "biu" or bool(np.all(array == np.round(array)))
    values = array.astype(np.int64 if whole else np.float64).tobytes()
    return f"{'x'.join(map(str, array.shape))} {hashlib.sha256(values).hexdigest()[:16]}".encode()


def scrubbed(text: str) -> str:
    """A text without times, hashes, identifiers and costs."""
    for expression, word in SCRUBBED:
        text = expression.sub(word, text)
    return text


def flattened(value: Any, path: str, facts: Facts) -> None:  # noqa: ANN401 - whatever JSON holds
    """Put each value of a JSON document under its path; members of lists by their names, where they have such."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if not VOLATILE.match(str(key)):
                flattened(inner, f"{path}/{key}" if path else str(key), facts)
    elif isinstance(value, list) and value:
        if (numbers := block(value)) is not None:
            facts[path] = numbers
            return
        for name, inner in zip(member_names(value), value, strict=True):
            flattened(inner, f"{path}/{name}" if path else name, facts)
    else:
        facts[path] = scrubbed(value) if isinstance(value, str) else value


def block(value: list[Any]) -> np.ndarray[Any, Any] | None:
    """Nested lists as one block of numbers, where they are one."""
    try:
        array = np.array(value)
    except ValueError:
        return None
    return array.astype(float) if array.dtype.kind in "iuf" else None


def member_names(value: list[Any]) -> list[str]:
    """Names of the members of a list: their own, or numbers."""
    for key in ("name", "identifier", "image", "code"):
        names = [str(one[key]) for one in value if isinstance(one, dict) and isinstance(one.get(key), str)]
        if len(set(names)) == len(value):
            return [name.replace("/", "|") for name in names]
    return [str(number) for number in range(len(value))]


def json_facts(path: Path) -> Facts:
    """The values of a JSON document by their paths."""
    facts: Facts = {}
    flattened(json.loads(path.read_text("utf-8")), "", facts)
    return facts


def column(values: list[Any]) -> Any:  # noqa: ANN401 - numbers or texts
    """A column as numbers where all of it are numbers, or lists of them; gaps are nan."""
    if values and isinstance(values[0], list):
        return block(values)
    try:
        return np.array([np.nan if one in {"", None} else float(one) for one in values])
    except (TypeError, ValueError):
        return [scrubbed(str(one)) for one in values]


def csv_facts(path: Path) -> Facts:
    """The columns of a table, and its notes."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file))
    rows = [line for line in lines if line and not line[0].startswith("#")]
    facts: Facts = {"notes": [scrubbed(",".join(line)) for line in lines if line and line[0].startswith("#")]}
    for number, name in enumerate(rows[0] if rows else ()):
        if not name.endswith("seconds"):
            facts[name] = column([row[number] if number < len(row) else "" for row in rows[1:]])
    return facts


def parquet_facts(path: Path) -> Facts:
    """The columns of a Parquet table, rows in the order of their texts and whole numbers."""
    import pyarrow.parquet as pq

    columns: dict[str, list[Any]] = pq.read_table(path).to_pydict()
    keys = sorted(name for name, values in columns.items() if values and isinstance(values[0], str | int))
    count = len(next(iter(columns.values()), []))
    order = sorted(range(count), key=lambda row: [str(columns[name][row]) for name in keys])
    return {name: column([values[row] for row in order]) for name, values in columns.items()}


def nifti_facts(path: Path) -> Facts:
    """Voxels and place of a NIfTI image."""
    import nibabel

    image = nibabel.load(path)
    array = np.asanyarray(image.dataobj)
    return {"array": digest(array), "voxels above 0": int((array > 0).sum()), "affine": np.asarray(image.affine)}


def code(dataset: Any, keyword: str) -> str:  # noqa: ANN401 - a DICOM data set
    """A coded concept as SCHEME:VALUE."""
    item = (dataset.get(keyword) or [None])[0]
    return f"{item.CodingSchemeDesignator}:{item.CodeValue}" if item is not None else ""


def content(items: Any, path: str, facts: Facts) -> None:  # noqa: ANN401 - DICOM sequences
    """The content items of a structured report by the codes that lead to them."""
    counts: Counter[str] = Counter()
    for item in items:
        kind, name = str(item.ValueType), code(item, "ConceptNameCodeSequence") or str(item.ValueType)
        counts[name] += 1
        place = f"{path}/{name}[{counts[name]}]".lstrip("/")
        facts[place] = kind
        if kind == "NUM" and item.get("MeasuredValueSequence"):
            value = item.MeasuredValueSequence[0]
            facts[f"{place}/value"] = float(value.NumericValue)
            facts[f"{place}/unit"] = code(value, "MeasurementUnitsCodeSequence")
        elif kind == "CODE":
            facts[f"{place}/code"] = code(item, "ConceptCodeSequence")
        elif kind == "TEXT" and name not in {"DCM:111003", "DCM:121016"}:  # versions
            facts[f"{place}/text"] = scrubbed(str(item.TextValue))
        elif "GraphicData" in item:
            facts[f"{place}/points"] = np.array(item.GraphicData, dtype=float)
        content(item.get("ContentSequence", ()), place, facts)


def segments(dataset: Any) -> Facts:  # noqa: ANN401 - a DICOM data set
    """Names, codes and voxels of each segment; frames without a voxel do not count."""
    frames = np.atleast_3d(dataset.pixel_array)
    frames = frames.reshape(-1, int(dataset.Rows), int(dataset.Columns))
    shared = dataset.SharedFunctionalGroupsSequence[0]
    facts: Facts = {"spacing": np.array(shared.PixelMeasuresSequence[0].PixelSpacing, dtype=float)}
    kept: dict[int, list[tuple[tuple[float, ...], int, bytes]]] = {}
    sources: set[str] = set()
    for frame, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        for derived in group.get("DerivationImageSequence", ()):
            sources |= {str(image.ReferencedSOPInstanceUID) for image in derived.get("SourceImageSequence", ())}
        one = group.get("SegmentIdentificationSequence")  # else a map of labels
        place = tuple(round(float(x), 3) for x in group.PlanePositionSequence[0].ImagePositionPatient)
        for number in [int(one[0].ReferencedSegmentNumber)] if one else [int(n) for n in np.unique(frame) if n]:
            inside = frame > 0 if one else frame == number
            if inside.any():
                kept.setdefault(number, []).append((place, int(inside.sum()), digest(inside)))
    for segment in dataset.SegmentSequence:
        number = int(segment.SegmentNumber)
        facts[f"segment/{number}"] = {
            "label": str(segment.SegmentLabel),
            "category": code(segment, "SegmentedPropertyCategoryCodeSequence"),
            "type": code(segment, "SegmentedPropertyTypeCodeSequence"),
            "site": code(segment, "AnatomicRegionSequence"),
            "made by": str(segment.SegmentAlgorithmType),
            "voxels": sum(one[1] for one in kept.get(number, [])),
            "mask": hashlib.sha256(repr(sorted(kept.get(number, []))).encode()).digest()[:8],
        }
    facts["source images"] = hashlib.sha256(repr(sorted(sources)).encode()).digest()[:8]
    return facts


def dicom_facts(path: Path) -> Facts:
    """What a DICOM object holds: content items, segments, or pixels and their place."""
    import pydicom

    dataset = pydicom.dcmread(path)
    facts: Facts = {"class": str(dataset.SOPClassUID.name)}
    for keyword in ("Modality", "PatientID", "DocumentTitle", "MIMETypeOfEncapsulatedDocument", "SeriesDescription"):
        facts[keyword] = str(dataset.get(keyword, ""))
    if "ContentSequence" in dataset:
        content(dataset.ContentSequence, "", facts)
    elif "SegmentSequence" in dataset:
        flattened(segments(dataset), "", facts)
    elif facts["MIMETypeOfEncapsulatedDocument"] == "model/stl":
        facts |= surfaces(io.BytesIO(dataset.EncapsulatedDocument), "stl")
    elif "PixelData" in dataset:
        facts["pixels"] = digest(dataset.pixel_array)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleIntercept"):
            if dataset.get(keyword) is not None:
                facts[keyword] = np.array(dataset.get(keyword), dtype=float)
    return facts


def surfaces(file: Any, kind: str) -> Facts:  # noqa: ANN401 - a path or an open file
    """The surfaces of a file by their names."""
    import trimesh

    loaded: Any = trimesh.load(file, file_type=kind, process=False)
    if not isinstance(loaded, trimesh.Scene):
        return {"surface": loaded}
    named = {}
    for node in loaded.graph.nodes_geometry:
        matrix, name = loaded.graph[node]
        named[str(node)] = loaded.geometry[name].copy().apply_transform(matrix)
    return named


def text_facts(path: Path) -> Facts:
    """The lines of a page, a PDF or a text, as often as they occur."""
    if path.suffix == ".html":
        page = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", "", path.read_text("utf-8"))
        lines = html.unescape(re.sub(r"<[^>]*>", "\n", page)).splitlines()
    elif path.suffix == ".pdf":
        import pypdf

        lines = [line for page in pypdf.PdfReader(path).pages for line in page.extract_text().splitlines()]
    else:
        lines = path.read_text("utf-8").splitlines()
    return {"text": Counter(" ".join(scrubbed(line).split()) for line in lines if line.strip())}


def tiff_facts(path: Path, *, exact: bool) -> Facts:
    """The levels of a pyramid: size, pixels (the values where they may be a little off) and width of a pixel."""
    import tifffile

    facts: Facts = {}
    with tifffile.TiffFile(path) as file:
        for number, page in enumerate(file.pages):
            array = np.asarray(page.asarray())
            facts[f"level/{number}/pixels"] = digest(array) if exact else array
            tag = page.tags.get("XResolution") if isinstance(page, tifffile.TiffPage) else None
            if tag is not None:
                facts[f"level/{number}/resolution"] = float(tag.value[0]) / float(tag.value[1])
    return facts


def facts_of(path: Path, *, exact: bool) -> Facts:
    """What a file holds, by the kind of file; nothing where only its presence counts."""
    readers: dict[str, Callable[[Path], Facts]] = {".csv": csv_facts, ".parquet": parquet_facts, ".dcm": dicom_facts}
    readers |= {".json": json_facts, ".geojson": json_facts, ".nii": nifti_facts, ".gz": nifti_facts}
    readers |= dict.fromkeys((".html", ".pdf", ".md", ".txt"), text_facts)
    if path.suffix in readers:
        return readers[path.suffix](path)
    if path.suffix in {".stl", ".glb"}:
        return surfaces(path, path.suffix[1:])
    if path.suffix == ".tif":
        return tiff_facts(path, exact=exact)
    if path.suffix in {".png", ".jpg"}:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None:
            return {"picture": "cannot be read"}
        size = {"size": "x".join(map(str, picture.shape[:2]))}
        return size | ({"pixels": digest(picture)} if exact else {"picture": picture})
    return {}


# ------------------------------------------------------------------------------------------------------- what differs
def close(old: Any, new: Any, within: tuple[float, float]) -> bool:  # noqa: ANN401 - numbers or arrays of them
    """Whether numbers are alike; gaps are like gaps."""
    a, b = np.asarray(old, dtype=float), np.asarray(new, dtype=float)
    return a.shape == b.shape and bool(np.allclose(b, a, atol=within[0], rtol=within[1], equal_nan=True))


def text_differs(old: str, new: str, within: tuple[float, float]) -> bool:
    """Whether two texts say different things; numbers in them may be a little off."""
    if old == new:
        return False
    numbers = [NUMBER.findall(text) for text in (old, new)]
    return NUMBER.sub("#", old) != NUMBER.sub("#", new) or not close(
        [float(one) for one in numbers[0]], [float(one) for one in numbers[1]], within
    )


def differs(old: Any, new: Any, within: tuple[float, float], words: Callable[[str], str]) -> str:  # noqa: ANN401, PLR0911
    """How two facts differ, in one line; nothing when they do not."""
    if type(old) is not type(new) and not (number(old) and number(new)):
        return f"{str(old)[:80]!r} -> {str(new)[:80]!r}"
    if isinstance(old, Counter):
        before = Counter({words(line): count for line, count in old.items()})
        gone, came = list((before - new).elements()), list((new - before).elements())
        return f"{len(gone)} of {old.total()} lines gone, {len(came)} new; {gone[:2]} -> {came[:2]}" if gone else ""
    if isinstance(old, str):
        return f"{words(old)!r} -> {new!r}" if text_differs(words(old), new, within) else ""
    if isinstance(old, list):
        pairs = itertools.zip_longest(old, new)
        bad = [f"[{i}] {text}" for i, (a, b) in enumerate(pairs) if (text := differs(a, b, within, words))]
        return f"{len(bad)} of {len(old)} entries; {bad[0]}" if bad else ""
    if isinstance(old, np.ndarray):
        return arrays_differ(old, new, within)
    if hasattr(old, "triangles"):
        return surfaces_differ(old, new)
    same = close(old, new, within) if number(old) else old == new
    return "" if same else f"{old!r} -> {new!r}"


def number(value: Any) -> bool:  # noqa: ANN401 - anything
    """Whether this is a number and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def arrays_differ(old: Any, new: Any, within: tuple[float, float]) -> str:  # noqa: ANN401 - arrays
    """How two arrays differ: pictures in the mean, numbers one by one."""
    if old.shape != new.shape:
        return f"shape {old.shape} -> {new.shape}"
    if old.dtype == np.uint8 and new.dtype == np.uint8:
        off = float(np.abs(old.astype(np.int16) - new).mean()) if old.size else 0.0
        return f"pixels are off by {off:.3f} of 255 in the mean" if off > COLOUR_STEPS else ""
    bad = ~np.isclose(new, old, atol=within[0], rtol=within[1], equal_nan=True)
    return f"{bad.sum()} of {old.size} numbers differ, by up to {np.nanmax(np.abs(new - old)):.6g}" if bad.any() else ""


def surfaces_differ(old: Any, new: Any) -> str:  # noqa: ANN401 - trimesh's meshes
    """How two surfaces differ by more than the volume and the distance that are allowed."""
    if np.array_equal(old.vertices, new.vertices) and np.array_equal(old.faces, new.faces):
        return ""
    share = abs(new.volume - old.volume) / max(abs(old.volume), 1e-9)
    distance = max(furthest_mm(old.vertices, new), furthest_mm(new.vertices, old))
    bad = share > VOLUME_SHARE or distance > SURFACE_MM
    return f"volume off by {100 * share:.4f} %, distance up to {distance:.4f} mm" if bad else ""


def compare_facts(old: Facts, new: Facts, job: str, file: str, rules: Rules) -> list[Difference]:
    """All fields of a file that are not as they were; what is new is none of them."""
    found = []
    for field, value in old.items():
        name = rules.renamed("fields", field, job, file)
        if name is None:
            continue
        hard = rules.hard(job, file, field) and rules.hard(job, file, name)
        if name not in new:
            empty = value is None or (isinstance(value, list | dict | str) and not value)
            found.append(Difference(file, field, f"gone (was {str(value)[:60]!r})", hard and not empty))
            continue
        within = rules.tolerance(job, file, name)
        text = differs(value, new[name], within, lambda words: rules.words(words, job))
        if text:
            found.append(Difference(file, field, text, hard))
    return found


def furthest_mm(points: Any, surface: Any) -> float:  # noqa: ANN401 - trimesh's arrays and meshes
    """The largest distance from points to a surface, from exact distances to the triangles nearest by their middles."""
    import trimesh
    from scipy.spatial import cKDTree

    points = points[np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int)]
    triangles, tree = surface.triangles, cKDTree(surface.triangles_center)
    far = np.full(len(points), np.inf)
    for neighbours, most in ((20, len(points)), (400, 4000)):
        left = np.flatnonzero(far > SURFACE_MM)[:most]
        for part in np.array_split(left, max(1, len(left) * neighbours // 500_000)):
            if len(part):
                near = tree.query(points[part], k=min(neighbours, len(triangles)))[1].reshape(len(part), -1)
                repeated = np.repeat(points[part], near.shape[1], axis=0)
                on = trimesh.triangles.closest_point(triangles[near.ravel()], repeated)
                far[part] = np.linalg.norm(on - repeated, axis=1).reshape(near.shape).min(axis=1)
    return float(far.max())


def compare_job(old: Path, new: Path, rules: Rules) -> tuple[list[Difference], int, int]:
    """The differences of a job, how many files and how many fields were looked at."""
    job, fields, exact = old.name, 0, JOBS[old.name].get("exact_pictures", False)
    before, after = (json.loads((folder / "job.json").read_text("utf-8")) for folder in (old, new))
    found = [] if before["good"] else [Difference("job.json", "", "the old run failed")]
    for step, a, b in itertools.zip_longest(before["steps"], before["exits"], after["exits"]):
        if a != b:
            hard = rules.hard(job, "exit codes", str(step))
            found.append(Difference("exit codes", str(step), f"{a} -> {b}", hard))
    every = sorted(str(path.relative_to(old)) for path in old.rglob("*") if path.is_file())
    names = [name for name in every if not any(matches(name, words) for words in TABLE["skipped"])]
    for name in names:
        wanted = rules.renamed("files", name, job)
        if wanted is None:
            continue
        if not (new / wanted).exists():
            found.append(Difference(name, "", "this file is gone"))
            continue
        try:
            facts, others = (facts_of(path, exact=exact) for path in (old / name, new / wanted))
            found += compare_facts(facts, others, job, name, rules)
            fields += len(facts)
        except Exception as error:  # noqa: BLE001 - a file that cannot be read is a difference, not an end
            found.append(Difference(name, "", f"cannot be compared: {error!r}"))
    return found, len(names), fields


# --------------------------------------------------------------------------------------------------------------- verbs
def code_digest(checkout: Path) -> str:
    """A hash of all that the packages of a checkout hold, committed or not."""
    whole = hashlib.sha256()
    for path in sorted(checkout.glob("osteon*/**/*")):
        if path.is_file() and path.suffix not in {".pyc", ".nbi", ".nbc"} and "egg-info" not in str(path):
            whole.update(str(path.relative_to(checkout)).encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def run_step(words: list[str], checkout: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the program of a checkout."""
    told = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "osteon", *words]
    return subprocess.run(command, cwd=folder, env=told, capture_output=True, text=True, check=False)


def expanded(step: str, places: dict[str, Path]) -> Iterator[tuple[list[str], str]]:
    """The words of a step and the file that keeps its stdout; a star runs it for each file that it stands for."""
    command, _, kept = step.partition(" > ")
    words = [word.format_map(places) for word in shlex.split(command)]
    starred = next((word for word in words if word.startswith(str(places["in"])) and word.endswith("*")), "")
    if not starred:
        yield words, kept
        return
    for path in sorted(Path(starred).parent.glob(Path(starred).name)):
        yield [str(path) if word == starred else word.replace("*", path.stem) for word in words], kept


def run_job(name: str, inputs: Path, checkout: Path, out: Path) -> bool:
    """Run one job unless it is there already; whether all of its commands ended as they should."""
    job, folder, code = JOBS[name], out / name, code_digest(checkout)
    file = folder / "job.json"
    if file.exists():
        state = json.loads(file.read_text("utf-8"))
        if state["code"] == code and state["commands"] == job["steps"] and state["good"]:
            print(f"{name:18} kept", flush=True)
            return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    steps, exits, good = [], [], True
    places = {"in": inputs, "job": folder, "out": out}
    for words, kept in itertools.chain.from_iterable(expanded(step, places) for step in job["steps"]):
        done = run_step(words, checkout, folder)
        steps.append(" ".join(words[:2]))
        exits.append(done.returncode)
        said = done.stdout.replace(str(folder), "JOB").replace(str(out), "OUT")
        (folder / (kept or f"stdout-{len(steps):02}.txt")).write_text(said, "utf-8")
        if done.returncode not in {0, 3} and not job.get("refused"):
            good = False
            print(
                f"{name}: osteon {shlex.join(words)}\n  ended with {done.returncode}: {done.stderr[-600:]}", flush=True
            )
            break
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    wall = time.perf_counter() - began
    state = {"code": code, "commands": job["steps"], "steps": steps, "exits": exits, "good": good}
    state |= {"seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}
    file.write_text(json.dumps(state, indent=1), "utf-8")
    print(f"{name:18} {'done' if good else 'FAILED'} in {wall:.0f} s ({cpu:.0f} s of CPU)", flush=True)
    return good


def make_inputs(told: argparse.Namespace) -> int:
    """Make and keep the stored inputs; what is there is kept."""
    folder, checkout = told.folder.resolve(), told.checkout.resolve()
    for name, files in TABLE["real"].items():
        (folder / "real" / name).mkdir(parents=True, exist_ok=True)
        found = sorted(told.data.resolve().glob(files))
        if not found:
            sys.exit(f"{told.data}/{files}: nothing is there")
        for path in found:
            shutil.copyfile(path, folder / "real" / name / path.name)
    log = folder / "made.txt"
    made = log.read_text("utf-8").splitlines() if log.exists() else []
    for step in TABLE["inputs"]:
        if step not in made:
            words = [word.format_map({"in": folder}) for word in shlex.split(step)]
            done = run_step(words, checkout, folder)
            if done.returncode:
                sys.exit(f"osteon {shlex.join(words)} ended with {done.returncode}: {done.stderr[-600:]}")
            with log.open("a", encoding="utf-8") as file:
                file.write(step + "\n")
            print(step, flush=True)
    for name, text in TABLE["tables"].items():
        (folder / name).write_text(re.sub(r"UID\((.*?)\)", lambda hit: series(folder / hit[1]), text), "utf-8")
    return 0


def series(folder: Path) -> str:
    """The Series Instance UID of a phantom."""
    import pydicom

    return str(pydicom.dcmread(next((folder / "dicom").glob("*.dcm")), stop_before_pixels=True).SeriesInstanceUID)


def chosen(only: list[str]) -> list[str]:
    """The jobs that were asked for, each behind the one that it needs."""
    wanted = [name for name in JOBS if not only or any(fnmatch.fnmatch(name, words) for words in only)]
    if not wanted:
        sys.exit(f"no job is called {only}: {', '.join(JOBS)}")
    needed = {JOBS[name].get("after", name) for name in wanted} - set(wanted)
    return [name for name in JOBS if name in needed or name in wanted]


def run_jobs(told: argparse.Namespace) -> int:
    """Run the jobs with a checkout."""
    inputs, checkout, out = told.folder.resolve(), told.checkout.resolve(), told.out.resolve()
    where = [sys.executable, "-c", "import osteon; print(osteon.__file__)"]
    place = subprocess.check_output(where, env={**os.environ, "PYTHONPATH": str(checkout)}, text=True)
    if not place.startswith(str(checkout)):
        sys.exit(f"{place.strip()} would run, not the code of {checkout}")
    good: list[bool] = []
    with concurrent.futures.ThreadPoolExecutor(told.jobs) as pool:
        for late in (False, True):
            now = [name for name in chosen(told.only) if ("after" in JOBS[name]) is late]
            good += pool.map(lambda name: run_job(name, inputs, checkout, out), now)
    return 0 if all(good) else 1


def compare(told: argparse.Namespace) -> int:
    """Compare two folders of results, job by job; 1 when something differs."""
    rules, failed = Rules(told.renames, told.within), 0
    print(f"{'job':18} {'files':>5} {'fields':>7} {'differ':>7} {'notes':>6}")
    told_later: list[str] = []
    for name in chosen(told.only):
        old, new = told.old / name, told.new / name
        missing = [str(folder) for folder in (old, new) if not (folder / "job.json").exists()]
        if missing:
            print(f"{name:18} NOT RUN: {', '.join(missing)}")
            failed += 1
            continue
        found, files, fields = compare_job(old, new, rules)
        hard, soft = [one for one in found if one.hard], [one for one in found if not one.hard]
        failed += bool(hard)
        print(f"{name:18} {files:5} {fields:7} {len(hard):7} {len(soft):6}  {'FAILS' if hard else 'equal'}", flush=True)
        told_later += [
            f"{'FAIL' if one.hard else 'note'} {name}/{one.file} {one.field}: {one.text[:300]}"
            for one in hard[: told.show] + (soft[: told.show] if told.notes else [])
        ]
        if len(hard) > told.show:
            told_later.append(f"     {name}: {len(hard) - told.show} more")
    print("\n".join(told_later))
    print(f"the gate is {'SHUT: ' + str(failed) + ' job(s) differ' if failed else 'open'}")
    return 1 if failed else 0


def main() -> int:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    inputs, run, both = (verbs.add_parser(name) for name in ("inputs", "run", "compare"))
    for one, do in ((inputs, make_inputs), (run, run_jobs), (both, compare)):
        one.set_defaults(do=do)
    for one in (inputs, run):
        one.add_argument("folder", type=Path, help="the stored inputs")
        one.add_argument("--checkout", type=Path, required=True, help="whose osteon is run")
    for one in (run, both):
        one.add_argument("--only", action="append", default=[], help="a job, or jobs as 'read_*'; repeatable")
    inputs.add_argument("--data", type=Path, required=True, help="folder of the real public images (shared/data)")
    run.add_argument("--jobs", type=int, default=1, help="at a time; seconds of CPU are only told right for one")
    run.add_argument("-o", "--out", type=Path, required=True, help="folder of the results")
    both.add_argument("old", type=Path)
    both.add_argument("new", type=Path)
    both.add_argument("--renames", type=Path, help="JSON file of what may differ")
    both.add_argument("--within", action="append", default=[], help="JOB=NUMBER; repeatable")
    both.add_argument("--show", type=int, default=10, help="differences told of a job")
    both.add_argument("--notes", action="store_true", help="tell the notes, too")
    told = parser.parse_args()
    return int(told.do(told))


if __name__ == "__main__":
    sys.exit(main())
