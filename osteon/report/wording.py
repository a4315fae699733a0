"""Numbers, units and plurals as a person reads them."""

from __future__ import annotations

from typing import Final

__all__ = [
    "DISCLAIMER",
    "count",
    "date",
    "direction_text",
    "duration",
    "interval_text",
    "one_line",
    "p_text",
    "percent",
    "person_name",
    "position",
    "probability",
    "quantity",
    "upper",
    "whole_range",
]

DISCLAIMER: Final = "Decision support for research. Not a diagnosis."
"""Stands on every page and in every document; the only place where that word is used."""

_MINUS: Final = "\u2212"
_DIVIDED: Final = {"mm2": ("mm²", "cm²", 100), "mm3": ("mm³", "cm³", 1000)}
_NAMES: Final = {"mm": "mm", "cm3": "cm³", "[hnsf'U]": "HU", "%": "%"}
_DIRECTIONS: Final = {"F": "feet", "H": "head", "L": "left", "R": "right", "A": "front", "P": "back"}


def p_text(value: float) -> str:
    """A p value; one that rounds to 0 is not 0.

    Example:
        >>> p_text(0.0123), p_text(0.0)
        ('p 0.012', 'p < 0.001')
    """
    return "p < 0.001" if value < 0.0005 else f"p {value:.3f}"


def count(number: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun.

    Example:
        >>> count(1, "slice"), count(2, "slice"), count(0, "finding"), count(3, "box", "boxes")
        ('1 slice', '2 slices', '0 findings', '3 boxes')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def probability(value: float | None) -> str:
    """A probability with two decimals; never rounded to certainty.

    Example:
        >>> probability(0.953), probability(0.9999), probability(0.0), probability(None)
        ('0.95', '> 0.99', '< 0.01', 'not given')
    """
    if value is None:
        return "not given"
    if value > 0.99:
        return "> 0.99"
    if value < 0.01:
        return "< 0.01"
    return f"{value:.2f}"


def percent(share: float) -> str:
    """A share in percent with one decimal; never rounded to none or all.

    Example:
        >>> percent(0.7031), percent(0.9999), percent(1.0), percent(0.0001), percent(0.0)
        ('70.3 %', '> 99.9 %', '100 %', '< 0.1 %', '0 %')
    """
    if share in {0.0, 1.0}:
        return f"{100 * share:.0f} %"
    if share > 0.999:
        return "> 99.9 %"
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def position(value_mm: float) -> str:
    """A coordinate in millimetres, with a true minus sign.

    Example:
        >>> position(812.25)
        '812.2 mm'
    """
    return f"{value_mm:.1f} mm".replace("-0.0 mm", "0.0 mm").replace("-", _MINUS)


def whole_range(first: int, last: int) -> str:
    """Inclusive range of whole numbers, as "41 to 60", or one number.

    Example:
        >>> whole_range(41, 60), whole_range(7, 7)
        ('41 to 60', '7')
    """
    return str(first) if first == last else f"{first} to {last}"


def _digits(value: float, unit: str) -> str:
    if unit in _DIVIDED:
        small, large, divisor = _DIVIDED[unit]
        return f"{value / divisor:,.1f} {large}" if abs(value) >= 100 else f"{value:.1f} {small}"
    match unit:
        case "mm":
            return f"{value:,.1f} mm ({value / 10:,.1f} cm)" if abs(value) >= 10 else f"{value:.1f} mm"
        case "cm3":
            return f"{value:,.1f} cm³"
        case "[hnsf'U]":
            return f"{value:,.0f} HU"
        case _:
            number = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
            return f"{number} {unit}" if unit in {"%", "s", "g"} else number


def quantity(value: float, code: str) -> str:
    """A measured number with its unit (UCUM), in digits that the measurement can carry.

    Example:
        >>> quantity(38.0, "mm"), quantity(1234567.0, "mm3"), quantity(20.0, "1")
        ('38.0 mm (3.8 cm)', '1,234.6 cm³', '20')
    """
    return _digits(value, code).replace("-", _MINUS)


def interval_text(interval: tuple[float, float] | None, code: str) -> str:
    """A 95 % CI with its unit (UCUM), or the statement that there is none.

    Example:
        >>> interval_text(None, "mm"), interval_text((1.0, 2.5), "mm")
        ('no interval', '1.0 to 2.5 mm')
    """
    if interval is None:
        return "no interval"
    low, high = interval
    if code in _DIVIDED:
        small, large, divisor = _DIVIDED[code]
        low, high, name = (low / divisor, high / divisor, large) if abs(high) >= 100 else (low, high, small)
    else:
        name = _NAMES.get(code, "")
    digits = 0 if code == "[hnsf'U]" else 1 if name else 2
    return f"{low:,.{digits}f} to {high:,.{digits}f} {name}".rstrip().replace("-", _MINUS)


def date(text: str) -> str:
    """A DICOM date as ISO, or the text as it is when it is not one.

    Example:
        >>> date("20260107"), date(""), date("unknown")
        ('2026-01-07', '', 'unknown')
    """
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def person_name(text: str) -> str:
    """A DICOM person name as a person writes it; ideographic and phonetic groups follow in brackets.

    Example:
        >>> person_name("Doe^Jane^^Dr")
        'Doe, Jane (Dr)'
        >>> person_name("Yamada^Tarou=山田^太郎")
        'Yamada, Tarou [山田 太郎]'
    """
    groups = text.split("=")
    family, given, middle, prefix, suffix, *_ = [*(part.strip() for part in groups[0].split("^")), "", "", "", "", ""]
    forenames = " ".join(part for part in (given, middle) if part)
    name = ", ".join(part for part in (family, forenames) if part)
    title = ", ".join(part for part in (prefix, suffix) if part)
    others = [" ".join(part for part in group.split("^") if part) for group in groups[1:]]
    others = [group for group in others if group]
    return " ".join(
        part for part in (name, f"({title})" if title else "", f"[{'; '.join(others)}]" if others else "") if part
    )


def duration(seconds: float) -> str:
    """A time span.

    Example:
        >>> duration(0.042), duration(12.34), duration(75.2)
        ('0.04 s', '12.3 s', '1 min 15 s')
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def one_line(text: str, *, longest: int = 120) -> str:
    r"""Text of a header as one line of a page: no character that does not show, and not longer than a line or two.

    Args:
        text: anything; the standard allows 64 characters, files do not keep to it.
        longest: characters kept; what is cut is shown as an ellipsis.

    Example:
        >>> one_line("a\x1b[2J\nb"), one_line("abcdef", longest=4)
        ('a [2J b', 'abc…')
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def upper(words: str) -> str:
    """With a capital letter first."""
    return words[:1].upper() + words[1:]


def direction_text(letters: str) -> str:
    """The main patient direction of a string of letters in words, as "feet" for "F"."""
    return _DIRECTIONS.get(letters[:1], "start")
