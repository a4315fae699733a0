"""Keys, dates, ages, what a file says of itself, folders and DICOMDIRs, and input that cannot be done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.fileset import FileSet
from pydicom.uid import ImplicitVRLittleEndian, JPEGBaseline8Bit

from osteon.errors import InputError, OutputError, UnsupportedError, UsageError
from osteon.io.deidentify_files import deidentify_files
from osteon.io.dicom.deidentify import DEFAULT_KEEP, DeidentifyOptions, Key, deidentify_file, keep_of, open_key
from osteon.io.dicom.deidentify.known import Known
from osteon.io.dicom.deidentify.profile import actions, item_actions
from osteon.io.dicom.deidentify.tree import Encoding, Item, encode, parse
from tests.planted_identity import base, contents, found_in, report, write

KEY = Key(b"osteon test key, thirty-two bytes")
ROOT = Path(__file__).resolve().parents[2]


def copy_of(folder: Path, options: DeidentifyOptions | None = None, **attributes: object) -> Dataset:
    """The copy of a planted image with other attributes; None takes one out."""
    planted = base()
    for keyword, value in attributes.items():
        if value is None:
            delattr(planted.data_set, keyword)
        else:
            setattr(planted.data_set, keyword, value)
    deidentify_file(write(planted, folder / "in.dcm"), folder / "out.dcm", KEY, options)
    return dcmread(folder / "out.dcm")


def test_the_table_is_that_of_the_standard() -> None:
    basic = actions(frozenset())
    table = json.loads(files("osteon.io.dicom.deidentify").joinpath("profile.json").read_text("utf-8"))
    assert (len(table["attributes"]), len(table["content_items"])) == (657, 214)
    assert len(basic) == 657 - 4 + len(table["also"])  # less three repeating groups and the private elements
    # read in the standard, 2026d
    assert {tag: basic[tag] for tag in (0x00100010, 0x00080018, 0x00181000, 0x00080050, 0x00101010, 0x00081140)} == {
        0x00100010: "Z", 0x00080018: "U", 0x00181000: "D", 0x00080050: "Z", 0x00101010: "X", 0x00081140: "U",
    }  # fmt: skip
    shifted = actions(frozenset({"dates"}))
    assert shifted[0x00080020] == "C"
    assert actions(frozenset({"real-dates"}))[0x00080020] == "K"
    assert actions(frozenset({"device"}))[0x00181000] == "K"
    assert actions(frozenset({"patient"}))[0x00101010] == "K"
    assert actions(frozenset({"descriptions"}))[0x0008103E] == "C"
    assert item_actions(frozenset())["DCM", "121008", "PNAME"] == "D"


def test_the_same_key_gives_the_same_file_in_another_process(tmp_path: Path) -> None:
    source = write(base("ISO_IR 192"), tmp_path / "in.dcm")
    deidentify_file(source, tmp_path / "here.dcm", KEY)
    code = (
        "from pathlib import Path; from osteon.io.dicom.deidentify import *; import sys;"
        "deidentify_file(Path(sys.argv[1]), Path(sys.argv[2]), Key(b'osteon test key, thirty-two bytes'))"
    )
    for seed in ("1", "77"):
        there = tmp_path / f"{seed}.dcm"
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, "-c", code, source, there], check=True, env=environment)
        assert there.read_bytes() == (tmp_path / "here.dcm").read_bytes()
    deidentify_file(source, tmp_path / "other.dcm", Key(bytes(32)))
    assert dcmread(tmp_path / "other.dcm").PatientID != dcmread(tmp_path / "here.dcm").PatientID


@given(st.text(max_size=20), st.text(max_size=20), st.binary(min_size=32, max_size=32))
def test_pseudonyms_uids_and_shifts_follow_from_key_and_identity(patient_id: str, other: str, secret: bytes) -> None:
    key = Key(secret)
    person = key.person(patient_id, other, other="1.2")
    assert person.pseudonym == Key(secret).person(f" {patient_id}\0", other, other="1.2").pseudonym
    assert len(person.pseudonym) == 16
    assert -30 <= person.shift_days(30) <= -1
    uid = key.uid(patient_id)
    assert len(uid) <= 44
    assert (key.uid(patient_id) == key.uid(other)) == (patient_id == other)
    assert 2**124 > int(uid.removeprefix("2.25.")) >> 4 > 0
    assert patient_id not in repr(key) + repr(person) or len(patient_id) < 3


def test_known_digests() -> None:
    # worked out with openssl: HMAC-SHA256 of "uid\0" "1.2.3" under 32 zero bytes
    expected = "b0110fd6a7f49072c7fdf98ccc91a161feef5c8737661759ccac8feda38f197d"
    assert Key(bytes(32)).digest("uid", "1.2.3").hex() == expected
    number = int(expected[:12] + "8" + expected[13:16] + "8" + expected[17:32], 16)  # version 8, variant 2
    assert Key(bytes(32)).uid("1.2.3") == f"2.25.{number}"


@pytest.mark.parametrize(
    ("age", "birth", "told", "birth_stays"),
    [
        ("089Y", "19170101", "089Y", True),  # 89 on 12 July 2006
        ("090Y", "19160101", "090Y", False),
        ("093Y", "19130101", "090Y", False),
        (None, "19100101", "090Y", False),
        (None, "19610302", None, True),
    ],
)
def test_an_age_from_ninety_on_cannot_be_worked_out(
    tmp_path: Path, age: str | None, birth: str, told: str | None, birth_stays: bool
) -> None:
    planted = base()
    planted.data_set.PatientAge, planted.data_set.PatientBirthDate = age or "", birth
    if age is None:
        del planted.data_set.PatientAge
    write(planted, tmp_path / "in.dcm")
    deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", KEY)
    copy = dcmread(tmp_path / "out.dcm")
    assert copy.get("PatientAge") == told
    assert bool(copy.PatientBirthDate) == birth_stays
    assert copy.PatientBirthDate != birth


def test_what_was_done_is_written_as_codes(tmp_path: Path) -> None:
    copy = copy_of(tmp_path)
    assert [code.CodeValue for code in copy.DeidentificationMethodCodeSequence] == [
        "113100", "113104", "113105", "113108", "113107",
    ]  # fmt: skip
    assert copy.PatientIdentityRemoved == "NO"
    assert "pixels not checked for burnt-in text" in copy.DeidentificationMethod
    assert copy.LongitudinalTemporalInformationModified == "MODIFIED"
    assert "BurnedInAnnotation" not in copy
    checked = copy_of(tmp_path, DeidentifyOptions(pixels_checked=True, keep=frozenset({"real-dates", "device"})))
    codes = [code.CodeValue for code in checked.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113104", "113106", "113109"]
    assert (checked.PatientIdentityRemoved, checked.BurnedInAnnotation) == ("YES", "NO")
    assert checked.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_a_removal_counts_and_names_nobody(tmp_path: Path) -> None:
    planted = base()
    write(planted, tmp_path / "in.dcm", JPEGBaseline8Bit)
    done = deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", KEY)
    assert done.counts["replaced"]["(0010,0010)"] == 1
    assert done.counts["emptied"]["(0008,0050)"] == 1
    assert done.total("kept") > 20
    assert done.bytes_left_out > 20
    assert not found_in(planted.secrets, repr((done, done.counts)).encode())


def test_odd_values_of_dates_are_shifted_or_go(tmp_path: Path) -> None:
    shift = KEY.person("PID-4711").shift_days(365)
    assert shift == KEY.person(" pid-4711").shift_days(365)
    copy = copy_of(
        tmp_path, AcquisitionDate="", AcquisitionDateTime="20060710235959.99+0100",
        DateOfSecondaryCapture="19000101", ContentDate="00010101", SeriesTime="101112",
    )  # fmt: skip
    assert copy.AcquisitionDateTime[8:] == "235959.99+0100"
    assert copy.StudyDate == copy.AcquisitionDateTime[:8]
    assert (copy.AcquisitionDate, copy.ContentDate, copy.SeriesTime) == ("", "", "101112")


def test_names_are_found_however_they_are_written() -> None:
    item = Item()
    item.put(0x00080005, "CS", b"ISO_IR 192")
    item.put(0x00100010, "PN", "von der Gräfe-Müller^Jörg^^Dr.=山田^太郎".encode())
    item.put(0x00100030, "DA", b"19610302")
    item.put(0x00100020, "LO", b"12345678")
    known = Known(item)
    for text in (
        "GRAEFE",
        "Joerg",
        "jorg",
        "Mueller, Jörg",
        "山田様",
        "02.03.1961",
        "3/2/1961",
        "1961-03-02",
        "12345678",
    ):
        assert len(known.without(f"knee {text} ap", "LO")) <= len("knee 様 ap")
    assert known.without("knee von der ap", "LO") == "knee von der ap"
    assert known.without("Jorgensen 123456789 19610303", "LO") == "Jorgensen 123456789 19610303"
    assert known.without("12345678", "IS") == ""
    foot = Item()
    foot.put(0x00100010, "PN", b"Foot^Anna")
    assert Known(foot).without("FOOT", "CS") == "FOOT"
    assert Known(foot).without("ANNA FOOT", "CS") == ""


def test_safe_private_numbers_stay_when_asked_for_and_texts_do_not(tmp_path: Path) -> None:
    planted = base()
    block = planted.data_set.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    block.add_new(0x0E, "FL", 1.25)
    block.add_new(0x0D, "LO", planted.secret("ZQHIDDEN"))
    write(planted, tmp_path / "in.dcm")
    deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", KEY, DeidentifyOptions(keep=DEFAULT_KEEP | {"private"}))
    copy = dcmread(tmp_path / "out.dcm")
    assert copy[0x2005, 0x100E].value == 1.25
    assert (0x2005, 0x100D) not in copy
    deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", KEY)
    assert not [e for e in dcmread(tmp_path / "out.dcm") if e.tag.is_private]


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_are_a_data_set_or_an_input_error(data: bytes, explicit: bool, little: bool) -> None:
    encoding = Encoding(explicit=explicit, little=little)
    try:
        found, _ = parse(data, 0, encoding)
        again, _ = parse(encode(found, encoding), 0, encoding)
    except InputError:
        return
    assert again.elements.keys() == {tag for tag in found.elements if tag < 0x7FE00008}


def test_input_that_cannot_be_done_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    whole = write(base(), tmp_path / "in.dcm", tail=False).read_bytes()
    for name, data in {"cut": whole[:-100], "short": whole[:900], "text": b"no image" * 40, "empty": b""}.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError):
            deidentify_file(tmp_path / name, tmp_path / "out.dcm", KEY)
    packed = write(base(), tmp_path / "jpeg.dcm", JPEGBaseline8Bit, tail=False).read_bytes()
    (tmp_path / "jpeg.dcm").write_bytes(packed[:-20])
    with pytest.raises(InputError, match="fragments"):
        deidentify_file(tmp_path / "jpeg.dcm", tmp_path / "out.dcm", KEY)
    assert not list(tmp_path.glob("out*"))
    assert not list(tmp_path.glob(".osteon*"))
    with pytest.raises(OutputError):
        deidentify_file(tmp_path / "in.dcm", tmp_path / "none" / "out.dcm", KEY)


def test_a_file_without_meta_information_becomes_a_whole_one(tmp_path: Path) -> None:
    data = write(base(), tmp_path / "in.dcm", ImplicitVRLittleEndian, tail=False).read_bytes()
    at = data.index(b"\x08\x00\x05\x00\x0a\0\0\0ISO_IR 100")
    (tmp_path / "bare.dcm").write_bytes(data[at:])
    deidentify_file(tmp_path / "bare.dcm", tmp_path / "out.dcm", KEY)
    copy = dcmread(tmp_path / "out.dcm")
    assert copy.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert copy.Modality == "CR"


def test_the_key_file(tmp_path: Path) -> None:
    path, out = tmp_path / "key", tmp_path / "out"
    key = open_key(path, out=out)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_key(path, out=out) == key
    assert open_key(tmp_path / "other", out=out) != key
    assert key.secret.hex() not in repr(key)
    path.chmod(0o640)
    with pytest.raises(InputError, match="can be read by others"):
        open_key(path, out=out)
    path.chmod(0o600)
    with pytest.raises(InputError, match="in the output"):
        open_key(out / "key", out=out)
    out.mkdir()
    (out / "file").touch()
    with pytest.raises(InputError, match="lost"):
        open_key(tmp_path / "gone", out=out)
    path.write_text("osteon key 1 abc")
    with pytest.raises(InputError, match="not a key"):
        open_key(path, out=out)


def test_options_that_mean_nothing_are_refused() -> None:
    assert keep_of("none") == frozenset()
    with pytest.raises(UsageError, match="did you mean 'device'"):
        DeidentifyOptions(keep=frozenset({"devices"}))
    with pytest.raises(UsageError, match="not both"):
        DeidentifyOptions(keep=frozenset({"dates", "real-dates"}))
    with pytest.raises(UsageError, match="36500"):
        DeidentifyOptions(longest_shift_days=0)


def study(folder: Path) -> list[bytes]:
    """A folder named after the patient: an image, its report, a damaged file, a text, the image again."""
    planted = base("ISO_IR 192")
    place = folder / "Nguyen_Zoe"
    place.mkdir(parents=True)
    document = report(planted)
    write(planted, place / "film.dcm")
    write(planted, place / "again.dcm")
    document.file_meta = dcmread(place / "film.dcm").file_meta
    document.file_meta.MediaStorageSOPClassUID = document.SOPClassUID
    document.file_meta.MediaStorageSOPInstanceUID = document.SOPInstanceUID
    document.save_as(place / "sr.dcm")
    (place / "broken.dcm").write_bytes((place / "film.dcm").read_bytes()[:-300])
    (place / "notes.txt").write_text("Zoe")
    return [*planted.secrets, b"Nguyen_Zoe", b"film", b"notes"]


def test_a_folder_is_done_though_some_files_fail(tmp_path: Path) -> None:
    secrets = study(tmp_path / "in")
    done = deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "key", with_table=True)
    assert len(done.files) == 2
    assert sorted(Path(name).name for name, _ in done.left_out) == ["broken.dcm", "film.dcm", "notes.txt"]
    assert done.unchecked == 1
    assert not found_in(secrets, b"".join(contents(tmp_path / "out" / name) for name in done.files))
    assert not found_in(secrets, repr((done.files, done.document())).encode())
    (pseudonym,) = done.pseudonyms
    assert all(name.startswith(pseudonym[:8] + "/") and name.endswith(".dcm") for name in done.files)
    table = tmp_path / "key.patients.csv"
    assert table.read_text().splitlines() == ["pseudonym,patient_id,issuer", f"{pseudonym},PID-4711,"]
    assert table.stat().st_mode & 0o777 == 0o600
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    assert deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "key").files == done.files
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    with pytest.raises(InputError, match="lie in one another"):
        deidentify_files(tmp_path / "in", tmp_path / "in" / "out", tmp_path / "key")


def test_a_dicomdir_leads_to_the_copies(tmp_path: Path) -> None:
    secrets: list[bytes] = []
    made = FileSet()
    for number, patient in enumerate(("Gräfe", "Ørsted")):
        planted = base("ISO_IR 192", (patient, "Zoë"))
        image = planted.data_set
        image.PatientID, image.StudyID = planted.secret(f"ZQPID{number}"), planted.secret(f"ZQST{number}")
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(image, keyword, planted.secret(f"{image[keyword].value}.{number}.5"))
        image.StudyDate, image.StudyTime = "20060710", "101112"
        made.add(write(planted, tmp_path / f"{number}.dcm", tail=False))
        secrets += planted.secrets
    made.ID = "ZQFILESET"
    made.write(tmp_path / "in")
    done = deidentify_files(tmp_path / "in", tmp_path / "out", tmp_path / "key")
    assert done.files[-1] == "DICOMDIR"
    assert not done.left_out
    assert not found_in([*secrets, b"ZQFILESET"], (tmp_path / "out" / "DICOMDIR").read_bytes())
    read = FileSet(tmp_path / "out" / "DICOMDIR")
    for each in (made, read):
        each._stage["t"].cleanup()
    loaded = [instance.load() for instance in read]
    assert len(loaded) == 2
    for instance, image in zip(read, loaded, strict=True):
        assert instance.SOPInstanceUID == image.SOPInstanceUID
        assert instance.PatientID == image.PatientID
        assert instance.StudyDate == image.StudyDate != "20060710"
    first = next(path for path in (tmp_path / "in").rglob("*") if path.is_file() and path.name != "DICOMDIR")
    first.unlink()
    deidentify_files(tmp_path / "in", tmp_path / "less", tmp_path / "key")
    records = dcmread(tmp_path / "less" / "DICOMDIR").DirectoryRecordSequence
    named = ["/".join(record.ReferencedFileID) for record in records if "ReferencedFileID" in record]
    assert len(named) == 1, "a record of a file that is not there names none"
    assert (tmp_path / "less" / named[0]).is_file()
    with pytest.raises(UnsupportedError, match="DICOMDIR"):
        deidentify_file(tmp_path / "in" / "DICOMDIR", tmp_path / "one", KEY)
