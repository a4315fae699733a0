"""Every code osteon knows, against the dictionaries of the standard that pydicom carries."""

from __future__ import annotations

import re
from typing import Final

import pytest
from pydicom.sr._concepts_dict import concepts as dictionary

from osteon.errors import UnknownLabelError
from osteon.labels import Concept, concept, concept_names

OTHER_TEXTS: Final = {"unit_mm": "mm"}
"""Short name -> the dictionary's word, where ours is another accepted term of the same code."""

NOT_IN_THE_DICTIONARY: Final = {
    "unit_pixels",  # UCUM annotation, PS3.16 TID 1602
}


def words(text: str) -> str:
    """Without "(body structure)", "structure", "region" and other words that only say which hierarchy a term is of."""
    plain = re.sub(r"\([^)]*\)|,", " ", text.lower())
    return " ".join(word for word in plain.split() if word not in {"structure", "region", "device", "property"})


@pytest.mark.parametrize("name", concept_names())
def test_a_code_is_what_the_standard_says(name: str) -> None:
    ours = concept(name)
    assert 0 < len(ours.value) <= 16, "Code Value is a short string"
    assert 0 < len(ours.meaning) <= 64, "Code Meaning is a long string"
    theirs = {
        meaning
        for codes in dictionary.get(ours.scheme, {}).values()
        for value, (meaning, _) in codes.items()
        if value == ours.value
    }
    if ours.scheme == "99OSTEON" or name in NOT_IN_THE_DICTIONARY:
        assert not theirs
    elif name in OTHER_TEXTS:
        assert theirs == {OTHER_TEXTS[name]}
    else:
        assert words(ours.meaning) in {words(meaning) for meaning in theirs}


def test_no_code_has_two_names() -> None:
    codes = [(concept(name).scheme, concept(name).value) for name in concept_names()]
    assert sorted(codes) == sorted(set(codes))


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownLabelError, match="did you mean 'femur'"):
        concept("femurr")


def test_a_concept_reads_as_its_meaning() -> None:
    assert str(concept("femur")) == "Femur"
    assert concept("femur") == Concept("71341001", "SCT", "Femur")
