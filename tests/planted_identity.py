"""Files with identity planted wherever DICOM can hold it, and what must stay: the judge of de-identification."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.charset import convert_encodings, encode_string
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import (
    ComprehensiveSRStorage,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
)

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
)
SCRIPTS: dict[str, tuple[str, str]] = {  # Specific Character Set -> family and given name
    "": ("Müller-Gräfe", "Jürgen"),  # undeclared Latin-1
    "ISO_IR 100": ("Müller-Gräfe", "Jürgen"),
    "ISO_IR 144": ("Люксембург", "Роза"),
    "ISO_IR 148": ("Çavuşoğlu", "Işil"),
    "ISO_IR 192": ("Nguyễn-Øster", "Zoë"),
    "ISO_IR 13": ("ﾔﾏﾀﾞｼﾀ", "ﾀﾛｳ"),
    "\\ISO 2022 IR 87": ("山田", "太郎"),
    "\\ISO 2022 IR 149": ("홍판서", "길동"),
    "GB18030": ("王歐陽", "小东"),
}
NESTS = (0x52009230, 0x00209113, 0x0008114A)
"""Sequences that table E.1-1 does not name: from the outer to the inner one."""

EPOCH = date(1961, 1, 2)
STUDY, SERIES, FRAME = "1.2.826.0.1.77.1", "1.2.826.0.1.77.2", "1.2.826.0.1.77.3"
PIXELS = bytes(range(256)) * 2
KEPT = {
    "Modality": "CR", "BodyPartExamined": "KNEE", "ImageType": ["DERIVED", "PRIMARY"], "Laterality": "L",
    "ViewPosition": "AP", "WindowCenter": 2000.5, "WindowWidth": 3000, "PixelSpacing": [0.143, 0.143],
    "ImagerPixelSpacing": [0.15, 0.15], "Rows": 16, "Columns": 16, "BitsAllocated": 16, "BitsStored": 12, "HighBit": 11,
    "PixelRepresentation": 0, "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "RescaleSlope": 1,
    "RescaleIntercept": 0, "ImagePositionPatient": [1.5, -2, 3], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "InstanceNumber": 7, "SeriesNumber": 3, "Manufacturer": "Phantom Works", "ManufacturerModelName": "Ray 3",
    "KVP": 60, "PatientSex": "F", "PatientAge": "045Y", "PatientSize": 1.7, "PatientWeight": 61, "SeriesTime": "101112",
}  # fmt: skip
WORDS = "Knie ap li"


@dataclass
class Planted:
    """A data set, and what must not be found in its copy, in any encoding."""

    data_set: Dataset
    secrets: list[bytes] = field(default_factory=list)
    count: int = 0

    def token(self) -> int:
        self.count += 1
        return self.count

    def secret(self, text: str) -> str:
        self.secrets.append(text.encode())
        return text


def rows() -> list[tuple[int, str, dict[str, str]]]:
    """(tag, VR, options) of each single tag of the table above the command groups."""
    table = json.loads(files("osteon.io.dicom.deidentify").joinpath("profile.json").read_text("utf-8"))
    found = []
    for tag, _, basic, options in table["attributes"]:
        if tag != "private" and "x" not in tag and int(tag, 16) >> 16 >= 8 and dictionary_has_tag(int(tag, 16)):
            vr = dictionary_VR(int(tag, 16)).split()[0]
            found.append((int(tag, 16), vr, options | ({"*": "U"} if "*" in basic else {})))
    return found


def planted_day(number: int) -> date:
    """Days a multiple of seven apart: a shift that is none gives no planted day."""
    return EPOCH + timedelta(days=7 * number)


def _value(planted: Planted, vr: str, keep: frozenset[str]) -> str | bytes | None:
    n = planted.token()
    day = f"{planted_day(n):%Y%m%d}"
    time = f"2359{n % 60:02}.{n:06}"
    secrets = dict.fromkeys(("SH", "CS", "AE"), f"ZQ{n:05}XQ")
    secrets |= dict.fromkeys(("LO", "LT", "ST", "UT", "UC"), f"ZQ{n:05}XQ Vogt")
    secrets |= {"PN": f"Vogt{n:05}", "DA": day, "DT": day, "UI": f"1.2.826.0.1.99.{100000 + n}.1", "TM": time}
    secrets |= {"UR": f"http://x.example/{n:06}", "DS": f"7{n:07}", "IS": f"7{n:07}"}
    secrets |= dict.fromkeys(("OB", "OW", "UN"), f"ZQB{n:06}X")
    if vr == "TM" and keep & {"dates", "real-dates"}:
        return time  # times of day stay
    if vr not in secrets:
        return None
    text = planted.secret(secrets[vr])
    return text.encode() if vr in {"OB", "OW", "UN"} else text + {"PN": "^Ilse", "DT": "101500"}.get(vr, "")


def add_rows(planted: Planted, target: Dataset, keep: frozenset[str]) -> None:
    """A secret in every row of the table but those that are set by name and those that the options keep."""
    by_name = {0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00101010, 0x00080018, 0x0020000D, 0x0020000E}
    for tag, vr, options in rows():
        is_kept = any(options.get(name) == "K" for name in keep)
        if tag in by_name or is_kept or "structure" in options or Tag(tag) in target:
            continue
        if vr == "SQ":
            item = Dataset()
            item.add_new(0x0040A124, "UI", _value(planted, "UI", keep))
            if "*" not in options:
                item.add_new(0x00080104, "LO", _value(planted, "LO", keep))
                item.add_new(0x00080100, "SH", _value(planted, "SH", keep))
                item.PersonName = _value(planted, "PN", keep)
            target.add_new(tag, "SQ", Sequence([item]))
        elif (value := _value(planted, vr, keep)) is not None:
            target.add_new(tag, vr, value)


def add_elsewhere(planted: Planted, target: Dataset) -> None:
    """Secrets in private blocks, UN, overlays, curves, retired and unknown elements."""
    block = target.private_block(0x0019, planted.secret("ZQ CREATOR"), create=True)
    block.add_new(1, "LO", planted.secret("ZQPRIV1"))
    block.add_new(2, "UN", planted.secret("ZQPRIV2 ").encode())
    inner = Dataset()
    inner.PatientName = planted.secret("ZQPrivVogt")
    block.add_new(3, "SQ", Sequence([inner]))
    target.add(DataElement(0x60003000, "OW", planted.secret("ZQOVERLAYX").encode()))
    target.add_new(0x60000022, "LO", planted.secret("ZQOVDESC"))
    target.add_new(0x60021500, "LO", planted.secret("ZQOVLAB"))
    target.add(DataElement(0x50003000, "OW", planted.secret("ZQCURVE ").encode()))
    target.add_new(0x50000022, "LO", planted.secret("ZQCURVED"))
    target.add_new(0x002031AA, "CS", planted.secret("ZQ31XX"))
    target.add_new(0x08FE0010, "UN", planted.secret("ZQNOTAG ").encode())
    for tag, vr in ((0x00400400, "LT"), (0x00620006, "ST"), (0x0040A160, "UT"), (0x00100033, "LO"), (0x00401006, "SH")):
        target.add_new(tag, vr, planted.secret(f"ZQTEXT{tag:08X}"))
    target.add_new(0x00081190, "UR", planted.secret("http://zq.example"))
    item = Dataset()
    item.ModifiedAttributesSequence = [inner]
    item.SourceOfPreviousValues = planted.secret("ZQOriginal")
    target.OriginalAttributesSequence = [item]


def add_known(planted: Planted, target: Dataset, family: str, given: str) -> None:
    """What is known of the patient, in elements that the table does not name and in a description of known words."""
    target.ContrastBolusIngredient = "NONE"
    target.SoftwareVersions = f"v3 {family}"
    target.ConvolutionKernel = f"B30 {family}"[:16]
    target.FilterType = planted.secret("PID-4711")
    target.FilterMaterial = planted.secret("ACC4711")
    target.SeriesDescription = f"{WORDS} {given} {family} 02.03.1961 Dr. {planted.secret('Wunderlich')}"
    if target.get("SpecificCharacterSet") == "ISO_IR 13":  # pydicom writes no text of both halves of it
        target.SoftwareVersions = target.ConvolutionKernel = target.SeriesDescription = family


def base(character_set: str = "ISO_IR 100", names: tuple[str, str] | None = None) -> Planted:
    """An image with what must stay, and a patient."""
    family, given = names or SCRIPTS[character_set]
    image = Dataset()
    if character_set:
        image.SpecificCharacterSet = character_set.split("\\")
    image.SOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID = "1.2.826.0.1.77.4"
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = STUDY, SERIES, FRAME
    image.PatientName = f"{family}^{given}"
    image.PatientID, image.AccessionNumber = "PID-4711", "ACC4711"
    image.PatientBirthDate, image.StudyDate, image.SeriesDate = "19610302", "20060710", "20060712"
    for keyword, value in KEPT.items():
        setattr(image, keyword, value)
    planted = Planted(image)
    planted.secrets += [b"PID-4711", b"ACC4711", b"19610302", b"02.03.1961", b"20060710", b"20060712"]
    for name in (family, given, *family.split("-")):
        planted.secrets += _encodings(name, character_set)
    planted.secrets += [uid.encode() + b"\0" for uid in (STUDY, SERIES, FRAME, str(image.SOPInstanceUID))]
    return planted


def _encodings(name: str, character_set: str) -> list[bytes]:
    found = {name.encode(), name.encode("utf-16-le"), name.encode("latin-1", "ignore")}
    if character_set:
        raw = encode_string(name, convert_encodings(character_set.split("\\")))
        found |= {raw, raw.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B").removeprefix(b"\x1b$)C")}
    return [each for each in found if len(each) > 3]


def full(keep: frozenset[str]) -> Planted:
    """An image with a secret in every row of the table at the depths 0, 1 and 3, and in all other places."""
    planted = base("ISO_IR 192", ("Voigtländer", "Ottilie"))
    image = planted.data_set
    add_elsewhere(planted, image)
    add_known(planted, image, "Voigtländer", "Ottilie")
    levels = [Dataset(), Dataset(), Dataset()]
    for outer, inner, tag in zip(([image], levels[:1], levels[1:2]), levels, NESTS, strict=True):
        outer[0].add_new(tag, "SQ", Sequence([inner]))
    for level in (image, levels[0], levels[2]):
        add_rows(planted, level, keep)
    add_elsewhere(planted, levels[2])
    return planted


def report(planted: Planted) -> Dataset:
    """A structured report on the image: secrets in each value type, a reference, and words that stay."""
    document = Dataset()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        setattr(document, keyword, getattr(planted.data_set, keyword))
    document.SpecificCharacterSet = "ISO_IR 192"
    document.SOPClassUID, document.SOPInstanceUID = ComprehensiveSRStorage, "1.2.826.0.1.77.5"
    document.SeriesInstanceUID, document.Modality, document.ValueType = "1.2.826.0.1.77.6", "SR", "CONTAINER"

    def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    def item(kind: str, concept: tuple[str, str, str], **values: object) -> Dataset:
        made = Dataset()
        made.ValueType, made.ConceptNameCodeSequence = kind, code(*concept)
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return made

    reference = Dataset()
    reference.ReferencedSOPClassUID = ComputedRadiographyImageStorage
    reference.ReferencedSOPInstanceUID = planted.data_set.SOPInstanceUID
    s = planted.secret
    free = ("121106", "DCM", "Comment")
    length = Dataset()
    length.NumericValue = "42"
    findings = [
        item("TEXT", free, TextValue=s("ZQSRTEXT1") + " femur"),
        item("TEXT", ("112039", "DCM", "Tracking Identifier"), TextValue="lesion 1 " + s("ZQSRTEXT2")),
        item("TEXT", ("ZQ", "99ZQ", s("ZQSRMEAN")), TextValue=s("ZQSRTEXT3")),
        item("PNAME", ("121008", "DCM", "Person Observer Name"), PersonName=s("ZQSRVogt") + "^Ilse"),
        item("DATE", ("111060", "DCM", "Study Date"), Date="20060710"),
        item("DATE", ("121031", "DCM", "Subject Birth Date"), Date=s("19610302")),
        item("DATETIME", ("121125", "DCM", "DateTime of Recording"), DateTime=s("20060710") + "1200"),
        item("UIDREF", ("112040", "DCM", "Tracking Unique Identifier"), UID=s("1.2.826.0.1.99.7777.1")),
        item("CODE", ("121071", "DCM", "Finding"), ConceptCodeSequence=code("K1", "99ZQ", s("ZQCODE") + " Knie")),
        item("IMAGE", ("121112", "DCM", "Source of Measurement"), ReferencedSOPSequence=[reference]),
        item("NUM", ("103339001", "SCT", "Long Axis"), MeasuredValueSequence=[length]),
    ]
    deeper = item("CONTAINER", ("126010", "DCM", "Imaging Measurements"), ContentSequence=findings)
    document.ContentSequence = [item("CONTAINER", ("121070", "DCM", "Findings"), ContentSequence=[deeper])]
    document.VerifyingObserverSequence = [Dataset()]
    document.VerifyingObserverSequence[0].VerifyingObserverName = s("ZQVerify")
    return document


def write(planted: Planted, path: Path, syntax: str = ExplicitVRLittleEndian, *, tail: bool = True) -> Path:
    """Write the image, with secrets in the preamble, the meta information and behind the pixels."""
    image = planted.data_set
    encapsulated = syntax == JPEGBaseline8Bit
    image.add_new(0x7FE00010, "OB" if encapsulated else "OW", encapsulate([PIXELS]) if encapsulated else PIXELS)
    image["PixelData"].is_undefined_length = encapsulated
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    meta.SourceApplicationEntityTitle = planted.secret("ZQSOURCEAE")
    meta.PrivateInformationCreatorUID = planted.secret("1.2.826.0.1.99.8888.1")
    meta.PrivateInformation = planted.secret("ZQMETAPRIV").encode()
    image.file_meta = meta
    image.preamble = planted.secret("ZQPREAMBLE").encode().ljust(128, b"\0")
    if tail:
        image.add_new(0x7FE0000A, "LT", planted.secret("ZQBETWEEN"))
        image.add_new(0xFFFCFFFC, "OB", planted.secret("ZQPADDED").encode())
        signature = Dataset()
        signature.MACIDNumber = 1
        signature.CertificateOfSigner = planted.secret("ZQSIGNER").encode()
        image.add_new(0xFFFAFFFA, "SQ", Sequence([signature]))
    image.save_as(path, enforce_file_format=True)
    return path


def contents(path: Path) -> bytes:
    """All bytes of a file; of a deflated one its inflated data set too."""
    data = path.read_bytes()
    meta = dcmread(path, stop_before_pixels=True, force=True).file_meta
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return data
    length = int(meta.FileMetaInformationGroupLength)
    return data + zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[144 + length :])


def found_in(secrets: list[bytes], data: bytes) -> list[bytes]:
    return [secret for secret in dict.fromkeys(secrets) if secret in data]
