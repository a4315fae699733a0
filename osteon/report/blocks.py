"""What a report or a page of results is made of: blocks in one order, for the page and for the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from osteon.io.table import csv_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = [
    "Block",
    "Bullets",
    "Callout",
    "Card",
    "Cards",
    "Cell",
    "Document",
    "Download",
    "Drawing",
    "Figure",
    "Gallery",
    "Heading",
    "Item",
    "KeyValues",
    "Pair",
    "Paragraph",
    "Part",
    "Picture",
    "Row",
    "Section",
    "SliceBrowsers",
    "Table",
    "Viewer3D",
    "results_document",
    "table_csv",
    "table_markdown",
]

Only = Literal["", "page", "paper"]
"""Where a block is shown; "" is both."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG that was drawn.

    Attributes:
        path: of the file; its bytes go into the page.
        caption: what is seen and how it was made; also the text for those who do not see it.
        width: pixels, as the height; 0 where they do not matter.
    """

    path: Path
    title: str
    caption: str
    width: int = 0
    height: int = 0

    @property
    def name(self) -> str:
        """Stem, as "overview"."""
        return self.path.stem


Drawing = Callable[["Path"], Picture]
"""Draws a picture into a file. Drawings of one report share nothing, so that they can run side by side."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a list: what, how much, and how sure."""

    label: str
    value: str
    interval: str = ""


class Cell(str):
    """A cell of a Table with what stands beside its text.

    Attributes:
        dot: colour before it, "#rrggbb", or "".
        link: anchor of the page that it leads to, or "".
        warning: what a reader must not miss: an exclamation mark stands behind the text; or "".
    """

    __slots__ = ("dot", "link", "warning")

    dot: str
    link: str
    warning: str

    def __new__(cls, text: str, *, dot: str = "", link: str = "", warning: str = "") -> Self:
        """The text with what stands beside it."""
        cell = super().__new__(cls, text)
        cell.dot, cell.link, cell.warning = dot, link, warning
        return cell


@dataclass(frozen=True, slots=True)
class Heading:
    """Begins a section (level 2), or a part of one (level 3), which an anchor makes an article of its own."""

    text: str
    level: Literal[2, 3] = 2
    anchor: str = ""
    dot: str = ""
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph of plain text.

    Attributes:
        style: "" for running text; "note" and "small" are smaller, "mark" is a frame nobody overlooks, "nothing" and
            "statement" are of the summary, "warning" begins with "Caution:".
        link: (anchor, words) at its end.
    """

    text: str
    style: Literal["", "disclaimer", "mark", "note", "nothing", "small", "statement", "warning"] = ""
    link: tuple[str, str] | None = None
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Bullets:
    """Sentences, each "info" or a "warning", which begins with "Caution:"."""

    items: tuple[tuple[str, Literal["info", "warning"]], ...]
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Callout:
    """A frame that nobody overlooks: title, sentence and small print."""

    title: str
    text: str
    small: tuple[str, ...] = ()
    style: Literal["demo", "ood"] = "demo"
    only: Only = ""


@dataclass(frozen=True, slots=True)
class KeyValues:
    """Rows of label and value, from the top.

    Attributes:
        style: "key" for the numbers that stand first, with their intervals as small print.
        folded: a title under which the page hides the rows, and which stands above them on paper; "" shows them.
    """

    rows: tuple[Row, ...]
    style: Literal["rows", "key"] = "rows"
    folded: str = ""
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One finding: a title, a sentence and its numbers with their intervals."""

    title: str
    statement: str
    rows: tuple[Row, ...]
    affected: bool


@dataclass(frozen=True, slots=True)
class Cards:
    """Findings."""

    cards: tuple[Card, ...]
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table for a person, and the numbers behind it.

    Attributes:
        name: of its files, as "table1".
        rows: as many texts a row as there are columns; some may be a ``Cell``.
        notes: sentences below the table; warnings stand here, inside the table's own files.
        records: the same content as numbers, one entry a number or row; written as CSV. All have the same keys.
        strong: indices of rows to be set off, as the best or the baselines.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    records: tuple[Mapping[str, object], ...] = field(default=(), repr=False)
    strong: frozenset[int] = frozenset()
    numeric: tuple[int, ...] = ()
    widths_mm: tuple[float, ...] = ()
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, or the name of a drawing of the report; ``told`` with its caption."""

    picture: str | Picture
    told: bool = True
    tallest_mm: float = 100.0
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Pictures side by side, in equal height; below each other where that would make them small."""

    names: tuple[str, ...]
    tallest_mm: float = 86.0
    only: Only = ""


@dataclass(frozen=True, slots=True)
class Item:
    """An image of a Gallery.

    Attributes:
        note: what else a person must know, or "".
        picture: data URI of ``thumbnail``; "" where the image cannot be read.
    """

    name: str
    patient: str = field(repr=False)
    label: str
    note: str = ""
    picture: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Gallery:
    """Groups of images that a person evaluates together.

    Attributes:
        total: groups there are; more than shown when there are too many for a page.
        more: the file that lists all of them, or "".
    """

    groups: tuple[tuple[str, tuple[Item, ...]], ...] = field(default=(), repr=False)
    total: int = 0
    more: str = ""
    only: Only = ""


@dataclass(frozen=True, slots=True)
class SliceBrowsers:
    """Slices of every region beside its curve, to be leafed through: on the page only.

    Attributes:
        make: gives every ``SliceBrowser``; called when the page is written.
        marks: what the boxes of all regions mark, as "Lesions".
    """

    make: Callable[[], tuple[Any, ...]] = field(repr=False)
    note: str
    marks: str = "Affected region"
    only: Only = "page"


@dataclass(frozen=True, slots=True)
class Viewer3D:
    """Surfaces to be turned by hand, on the page only; ``make`` of ``bone_scene`` is called when it is written."""

    make: Callable[[], list[dict[str, Any]]] = field(repr=False)
    only: Only = "page"


@dataclass(frozen=True, slots=True)
class Download:
    """(name, words) of the files beside the page: on the page only."""

    files: tuple[tuple[str, str], ...]
    only: Only = "page"


Block = (
    Heading | Paragraph | Bullets | Callout | KeyValues | Cards | Table | Figure | Pair | Gallery | SliceBrowsers
    | Viewer3D | Download
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report or page of results.

    Attributes:
        blocks: in order; those before the first heading are of the summary.
        patient: whose images they are; () where nothing is known.
        created: day and time in UTC; "" for a page of results, which has sections to jump to and nothing of a patient.
        mark: what every page of the paper must carry, or "".
        skip: (anchor, words) of the first link, for those who do not see the page.
    """

    title: str
    headline: str
    blocks: tuple[Block, ...] = field(repr=False)
    patient: tuple[Row, ...] = field(default=(), repr=False)
    created: str = ""
    mark: str = ""
    skip: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class Part:
    """What a system adds to the report of one answer.

    Attributes:
        blocks: between the summary and what was done.
        drawings: pictures by the stem of their file.
        entries: its own fields of findings.json, a ``msgspec.Struct``.
        summary: blocks of the summary, as that the slide is synthetic.
        image: details of what was read, where the generic ones do not fit.
        files: other files of the result by their name; each is written by a function of its path.
        mark: as of ``Document``, as ``skip``.
    """

    blocks: tuple[Block, ...]
    drawings: Mapping[str, Drawing]
    entries: Any = None
    summary: tuple[Block, ...] = ()
    image: tuple[Row, ...] = ()
    files: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    mark: str = ""
    skip: tuple[str, str] = ("findings", "findings")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page of results under one heading: paragraphs, then pictures, tables and a gallery."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = field(default=(), repr=False)
    pictures: tuple[Picture, ...] = field(default=(), repr=False)
    gallery: Gallery | None = field(default=None, repr=False)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The same as blocks."""
        gallery = () if self.gallery is None else (self.gallery,)
        return (
            Heading(self.title),
            *map(Paragraph, self.paragraphs),
            *map(Figure, self.pictures),
            *self.tables,
            *gallery,
        )


def results_document(
    title: str,
    lead: str,
    *,
    warnings: Iterable[str],
    sections: Iterable[Section],
    links: Iterable[tuple[str, str]] = (),
) -> Document:
    """A page of measured results; links are (file name, words) of files beside the page.

    The lead is the most important sentence; warnings are what nobody may miss, as that the data are synthetic.
    """
    told, files = tuple(warnings), tuple(links)
    blocks: list[Block] = [Callout("", "", told)] if told else []
    blocks += [block for section in sections for block in section.blocks]
    blocks += [Heading("Files"), Download(files)] if files else []
    return Document(title, lead, tuple(blocks))


def table_markdown(table: Table) -> str:
    r"""GitHub's Markdown: a heading, the table, its notes as a list.

    Example:
        >>> print(table_markdown(Table("t", "Counts", ("what", "n"), (("a|b", "2"),), notes=("Made up.",))))
        ### Counts
        <BLANKLINE>
        | what | n |
        | --- | --- |
        | a\|b | 2 |
        <BLANKLINE>
        * Made up.
        <BLANKLINE>
    """
    lines = [f"### {table.title}", "", _line(table.columns), _line(["---"] * len(table.columns))]
    for number, row in enumerate(table.rows):
        lines.append(_line([f"**{cell}**" if number in table.strong and cell else cell for cell in row]))
    if table.notes:
        lines += ["", *(f"* {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def table_csv(table: Table) -> str:
    """The records, or the cells when there are none; the notes follow as lines that begin with #."""
    if table.records:
        names = list(table.records[0])
        text = csv_text(names, ([_plain(record[name]) for name in names] for record in table.records))
    else:
        text = csv_text(table.columns, table.rows)
    return text + "".join(f"# {note}\n" for note in table.notes)


def _plain(value: object) -> object:
    """Floats with six significant digits, nothing for None and for what is not defined."""
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124  # only NaN differs from itself
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
