"""A manifest read from files as people write them."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from osteon.data import ImageRow, Manifest
from osteon.errors import InputError, OutputError
from osteon.io.table import csv_text, plain_cell, read_manifest, write_manifest
from osteon.train.datasets.patients_table import read_patients
from osteon.train.datasets.series_index import read_series_table

PLAIN = "image,patient,label,grade\na.png,007,tumour,high\nb/c.png,008,healthy,\n"


def _file(folder: Path, text: str | bytes, name: str = "manifest.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_text_stays_text_and_unknown_columns_are_kept(tmp_path: Path) -> None:
    path = _file(tmp_path, PLAIN)
    manifest = read_manifest(tmp_path, positive="tumour", labels=("healthy", "tumour"))
    assert manifest.column("patient").tolist() == ["007", "008"]
    assert manifest.column("grade").tolist() == ["high", ""]
    assert manifest.folder == tmp_path
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    _file(tmp_path, b"x", "a.png")


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbf" + PLAIN.encode(),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("b/c.png", "b\\.\\c.png").replace("007", " 007 ") + "\n,,,\n",
    ],
)
def test_spreadsheets_write_csv_in_many_ways(tmp_path: Path, text: str | bytes) -> None:
    wanted = read_manifest(_file(tmp_path, PLAIN, "plain.csv"))
    assert read_manifest(_file(tmp_path, text)).rows == wanted.rows


def test_a_decimal_comma_of_a_semicolon_table_is_an_age(tmp_path: Path) -> None:
    manifest = read_manifest(_file(tmp_path, "image;patient;label;age_years\na.png;1;x;12,5\n"))
    assert manifest.rows[0].age_years == 12.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty: it needs a header"),
        ("image,patient,label\n", "without a single image"),
        ("image,patinet,label\na,b,c\n", "no column 'patient'.*did you mean 'patinet'"),
        ("image,Patient,label\na,b,c\n", "column 'Patient': write it 'patient'"),
        ("image,patient,label,label\na,b,c,c\n", "'label' twice"),
        ("image,patient,label\na,b\n", "row 1 has 2 cells, the header 3"),
        ('image,patient,label\n"a,b,c\n', "not a valid CSV table"),
        ("image,patient,label\na.png,,c\n", "row 1 .*lacks its image, patient or label"),
        ("image,patient,label\na.png,p,c\n./a.png,p,c\n", "row 2 .*an earlier row lists"),
        ("image,patient,label\n/etc/a.png,p,c\n", "row 1 names an image outside"),
        ("image,patient,label\nC:\\x\\a.png,p,c\n", "row 1 names an image outside"),
        ("image,patient,label\nb.png,p,c\nx/../../a.png,p,c\n", "row 2 names an image outside"),
        ("image,patient,label,bone_mask\na.png,p,c,../b.png\n", "row 1 names a bone_mask outside"),
        ("image,patient,label,Lesion mask\na.png,p,c,b.png\n", "column 'Lesion mask': write it 'lesion_mask'"),
        ("image,patient,label,age_years\na.png,p,c,old\n", "row 1 has the age_years 'old'"),
        ("image,patient,label,age_years\na.png,p,c,-1\n", "row 1 has the age_years '-1'"),
        ("image,patient,label,age_years\na.png,p,c,inf\n", "row 1 has the age_years 'inf'"),
        ("image,patient,label,sex\na.png,p,c,female\n", "row 1 has the sex 'female': .*empty, F, M, O"),
        ("image,patient,label,plane\na.png,p,c,axail\n", "row 1 has the plane 'axail'"),
        ("image,patient,label,split\na.png,p,c,validation\n", "row 1 has the split 'validation'"),
        ("image,patient,label\na.png,p,Tumour\nb.png,p,tumour\nc.png,p,tumour\n", r"'Tumour' \(1 rows, first row 1\)"),
        (b"image,patient,label\na\xe9.png,p,c\n", "is not UTF-8"),
        (b"PAR1 and no more", "damaged Parquet"),
    ],
)
def test_what_is_wrong_is_said_with_its_row(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_manifest(_file(tmp_path, text))


def _labels(*labels: str) -> str:
    return "image,patient,label\n" + "".join(f"{i}.png,p{i},{label}\n" for i, label in enumerate(labels))


def test_a_rare_label_one_letter_off_is_a_typing_error(tmp_path: Path) -> None:
    for typo in ("tumor", "tumuor", "tumourr", "tumoer"):
        path = _file(tmp_path, _labels(*["tumour"] * 30, typo))
        with pytest.raises(InputError, match=f"'{typo}' .1 rows, first row 31"):
            read_manifest(path)
        assert typo in read_manifest(path, labels=("tumour", typo)).labels


@pytest.mark.parametrize("others", [["tumor"] * 10, ["tumoral x"], ["T1"], ["grade 2"]])
def test_labels_that_are_meant_are_left_alone(tmp_path: Path, others: list[str]) -> None:
    usual = {"T1": "T2", "grade 2": "grade 1"}.get(others[0], "tumour")
    assert len(read_manifest(_file(tmp_path, _labels(*[usual] * 30, *others))).labels) == 2


def test_a_list_of_labels_is_the_last_word(tmp_path: Path) -> None:
    path = _file(tmp_path, _labels("healthy", "tumour", "tumor"))
    with pytest.raises(InputError, match=r"row 3 has the label 'tumor' \(1 rows\): did you mean 'tumour'"):
        read_manifest(path, labels=("healthy", "tumour"))
    with pytest.raises(InputError, match="no image has the label 'sarcoma'"):
        read_manifest(_file(tmp_path, _labels("healthy", "tumour")), positive="sarcoma")


def _manifest(folder: Path) -> Manifest:
    row = ImageRow(image="a.png", patient="007", label="tumour", plane="axial", split="test", sex="F", age_years=12.25)
    other = ImageRow(image='ü, "b".png', patient="8", label="healthy", centre="north\nwing", age_years=7.0)
    return Manifest(folder, (replace(row, extra={"leg": "left"}), replace(other, extra={"leg": ""})))


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    wanted = _manifest(tmp_path)
    written = write_manifest(wanted, tmp_path / name)
    back = read_manifest(tmp_path)
    assert back.rows == wanted.rows
    assert back.sha256 == written.sha256
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_typed_parquet_columns_become_text(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "image": ["a", "b"],
        "patient": [7, 8],
        "label": ["x", "y"],
        "age_years": [3, None],
        "n": [1.0, 2.5],
    }
    pq.write_table(pa.table({**columns, "ok": [True, None]}), tmp_path / "manifest.parquet")
    manifest = read_manifest(tmp_path)
    assert manifest.column("patient").tolist() == ["7", "8"]
    assert [row.age_years for row in manifest.rows] == [3.0, None]
    assert manifest.column("n").tolist() == ["1", "2.5"]
    assert manifest.column("ok").tolist() == ["true", ""]
    pq.write_table(pa.table({**columns, "n": [[1], [2]]}), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="column 'n' holds lists"):
        read_manifest(tmp_path)


def test_a_manifest_is_found_or_its_place_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no data set at"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"holds neither manifest\.csv nor manifest\.parquet"):
        read_manifest(tmp_path)
    write_manifest(_manifest(tmp_path), tmp_path / "manifest.csv")
    write_manifest(_manifest(tmp_path), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="holds both"):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match=r"as \.csv or \.parquet"):
        write_manifest(_manifest(tmp_path), tmp_path / "manifest.xlsx")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_manifest(_manifest(tmp_path), tmp_path / "manifest.csv")
    before = (tmp_path / "manifest.csv").read_bytes()
    with pytest.raises(OutputError, match=r"manifest\.csv cannot be written"):
        write_manifest(_manifest(tmp_path), tmp_path / "missing" / "manifest.csv")
    with pytest.raises(OutputError, match=r"x\.csv cannot be written .Not a directory"):
        write_manifest(_manifest(tmp_path), tmp_path / "manifest.csv" / "x.csv")
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(OutputError, match=r"taken\.csv cannot be written"):
        write_manifest(_manifest(tmp_path), tmp_path / "taken.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.csv", "taken.csv"]


@pytest.mark.parametrize("name", ["manifest.csv", "manifest.parquet"])
def test_columns_of_masks_are_there_when_one_is_named(tmp_path: Path, name: str) -> None:
    plain = Manifest(tmp_path, (ImageRow(image="a.png", patient="1", label="x", extra={"grade": "2"}),))
    named = ImageRow(image="b.png", patient="1", label="x", lesion_mask="lesion mask/b.png")
    written = write_manifest(Manifest(tmp_path, (*plain.rows, named)), tmp_path / name)
    read = read_manifest(tmp_path)
    assert (read.sha256, [row.lesion_mask for row in read.rows]) == (written.sha256, ["", "lesion mask/b.png"])
    write_manifest(plain, tmp_path / name)
    assert "lesion_mask" not in (tmp_path / name).read_bytes().decode("latin-1")


def test_a_manifest_without_masks_keeps_its_bytes(tmp_path: Path) -> None:
    row = ImageRow(image="a.png", patient="1", label="x", plane="axial", age_years=4.0, extra={"grade": "2"})
    write_manifest(Manifest(tmp_path, (row,)), tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == (
        b"image,patient,label,study,series,plane,split,centre,scanner,sex,age_years,grade\na.png,1,x,,,axial,,,,,4,2\n"
    )


TWO_SPELLINGS = (
    ("P01", "p01"),
    ("007", "7"),
    ("P-07", "P7"),
    ("1000", "1000.0"),
    ("A12", "A12\u200b"),
    ("A12", "\ufeffA1\u00ad2"),
    ("J\u00fcrgen", "Ju\u0308rgen"),
    ("PAT-01", "PAT_01"),
    ("PAT\u201301", "PAT 01"),
    ("P 01", "P01"),
    ("P\u00a001", "p\u30001"),
    ("\uff17\uff11", "71"),
    ("943-476-5919", "9434765919"),
    ("Stra\u00dfe", "STRASSE"),
)
TWO_PEOPLE = (("1-11", "11-1"), ("A1", "A10"), ("P1", "P2"), ("07", "70"), ("1.2.840.1", "1.2.840.10"), ("A+", "A-b"))


@pytest.mark.parametrize("names", TWO_SPELLINGS)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_names_that_may_be_one_person_are_listed_and_refused(
    tmp_path: Path, names: tuple[str, str], delimiter: str
) -> None:
    rows = [("image", "patient", "label"), ("a.png", names[0], "x"), ("b.png", names[1], "x"), ("c.png", "Q", "y")]
    path = _file(tmp_path, "\n".join(delimiter.join(row) for row in rows))
    with pytest.raises(InputError, match="may be one person") as told:
        read_manifest(path)
    assert all(ascii(name) in str(told.value) for name in names)
    # what the message says to write makes it one person, or two
    first, other = sorted(names)
    for means, count in ((first, 2), (f"{first}-B", 3)):
        _file(tmp_path, f"written,means\n{ascii(other)[1:-1]},{means}\n", "aliases.csv")
        settled = read_manifest(path)
        assert len(settled.patients) == count
        assert settled.sha256 != hashlib.sha256(path.read_bytes()).hexdigest()
    _file(tmp_path, "written,means\nsomebody,else\n", "aliases.csv")
    with pytest.raises(InputError, match="may be one person"):
        read_manifest(path)


@pytest.mark.parametrize("names", TWO_PEOPLE)
def test_names_of_two_people_stay_two(tmp_path: Path, names: tuple[str, str]) -> None:
    path = _file(tmp_path, f"image,patient,label\na.png,{names[0]},x\nb.png,{names[1]},x\n")
    assert read_manifest(path).column("patient").tolist() == list(names)
    assert read_manifest(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from,to\na,b\n", "columns written and means"),
        ("written,means\na,\n", "row 1 lacks a name"),
        ("written,means\na,b\na,c\n", "row 2 lacks a name, or an earlier"),
        ("written,means\na,b\nb,c\n", "'a' means 'b', which means 'c'"),
    ],
)
def test_a_table_of_aliases_that_says_two_things_is_refused(tmp_path: Path, text: str, said: str) -> None:
    _file(tmp_path, text, "aliases.csv")
    with pytest.raises(InputError, match=said):
        read_manifest(_file(tmp_path, PLAIN))


def test_every_table_of_patients_is_checked(tmp_path: Path) -> None:
    aliases = [("P01", "P01"), ("p1", "p1")]
    table = "\n".join(["FILE,PATIENT", *(f"{n}.png,{name}" for n, (name, _) in enumerate(aliases))])
    with pytest.raises(InputError, match=r"patients\.csv.*'P01' and 'p1'"):
        read_patients(_file(tmp_path, table, "patients.csv"))
    table = "\n".join(["series,patient", *(f"1.2.{n},{name}" for n, (name, _) in enumerate(aliases))])
    with pytest.raises(InputError, match=r"labels\.csv.*'P01' and 'p1'"):
        read_series_table(_file(tmp_path, table, "labels.csv"), ("series", "patient"))


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("patient", "2.02400E+14"),
        ("patient", "2,024E+14"),
        ("series", "1.2e+25"),
        ("study", "2e+09"),
        ("patient", "202400123456789000"),
    ],
)
def test_names_that_a_spreadsheet_rounded_are_refused(tmp_path: Path, column: str, name: str) -> None:
    cells = {"image": "a.png", "patient": "P1", "label": "x"} | {column: f'"{name}"'}
    with pytest.raises(InputError, match=f"the column {column} holds '{re.escape(name)}'.*as text"):
        read_manifest(_file(tmp_path, f"{','.join(cells)}\n{','.join(cells.values())}\n"))


@pytest.mark.parametrize("name", ["12e45678", "1E5", "1.2.840.113619.2.55.3", "202400123456789012", "1234567890123450"])
def test_names_that_only_look_like_numbers_are_kept(tmp_path: Path, name: str) -> None:
    path = _file(tmp_path, f"image,patient,label\na.png,{name},x\n")
    assert read_manifest(path).patients == (name,)


def test_a_float_column_of_names_is_text_or_refused(tmp_path: Path) -> None:
    def table(*names: float) -> pa.Table:
        return pa.table(
            {"image": [f"{n}.png" for n in range(len(names))], "patient": names, "label": ["x"] * len(names)}
        )

    pq.write_table(table(7.0, 1000.0), tmp_path / "manifest.parquet")
    assert read_manifest(tmp_path).patients == ("1000", "7")
    pq.write_table(table(202400123456789012.0), tmp_path / "manifest.parquet")
    with pytest.raises(InputError, match="rounded"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "None", "null", "NULL", "#N/A", "<NA>", "N/A"])
def test_words_for_nothing_are_empty_cells(tmp_path: Path, word: str) -> None:
    row = read_manifest(_file(tmp_path, f"image,patient,label,sex,age_years,grade\na.png,P1,x,{word},{word},{word}\n"))
    assert (row.rows[0].sex, row.rows[0].age_years, row.rows[0].extra["grade"]) == ("", None, "")
    with pytest.raises(InputError, match=r"row 1 .*lacks its image, patient or label"):
        read_manifest(_file(tmp_path, f"image,patient,label\na.png,{word},x\n"))


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        '"sep=,"\n' + PLAIN,
        "SEP=\t\n" + PLAIN.replace(",", "\t"),
        ("sep=;\n" + PLAIN.replace(",", ";")).encode("utf-16"),
        PLAIN.encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        b"\xef\xbb\xbfsep=;\n" + PLAIN.replace(",", ";").encode(),
    ],
)
def test_excel_says_its_separator_and_writes_utf_16(tmp_path: Path, text: str | bytes) -> None:
    wanted = read_manifest(_file(tmp_path, PLAIN, "plain.csv"))
    assert read_manifest(_file(tmp_path, text)).rows == wanted.rows


@pytest.mark.parametrize("labels", [("1", "1.0"), ("tumour", "tumour\u200b"), ("l\u00e9sion", "le\u0301sion")])
def test_labels_that_differ_in_spelling_only_are_one_misspelt(tmp_path: Path, labels: tuple[str, str]) -> None:
    with pytest.raises(InputError, match="look like one misspelt"):
        read_manifest(_file(tmp_path, _labels(*labels)))


FORMULAS = (
    "=cmd|' /C calc'!A0",
    "=1+1",
    "+49 30",
    "-2+3",
    "@SUM(A1)",
    "'=1+1",
    "''-x",
    "'tis",
    "-",
    "-5",
    "+1e5",
    "-inf",
)


def test_no_cell_is_run_by_a_spreadsheet_and_all_are_read_back(tmp_path: Path) -> None:
    rows = tuple(
        ImageRow(image=f"{n}.png", patient=text, label="a", scanner=text, extra={"=note": text})
        for n, text in enumerate(FORMULAS)
    )
    written = write_manifest(Manifest(tmp_path, rows), tmp_path / "manifest.csv")
    assert read_manifest(tmp_path).rows == rows
    assert read_manifest(tmp_path).sha256 == written.sha256
    with (tmp_path / "manifest.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for line in csv.reader(file) for cell in line]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r\n" and cell not in ("", "-", "-5", "+1e5")]


def test_every_text_comes_back_from_a_safe_cell() -> None:
    texts = ["".join(letters) for count in range(5) for letters in product("'=-1a\t", repeat=count)]
    lines = list(csv.reader(io.StringIO(csv_text(["a", "b"], [[text, 0] for text in texts]), newline="")))[1:]
    assert [plain_cell(cell) for cell, _ in lines] == texts
    assert not [cell for cell, _ in lines if cell.startswith(("=", "\t", "-=", "-a", "--"))]
