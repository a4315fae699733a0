"""Images that occur twice, and patients that occur under two ids."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from osteon.curation.pairs import chosen_rows, class_codes, similar_pairs
from osteon.data.identifiers import same_spelling
from osteon.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["DuplicateGroup", "PatientMatch", "alias_pairs", "find_duplicates", "match_patients"]


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Images that are the same or nearly so.

    Links reach from image to image: the first and the last of a group of near duplicates may be less alike than the
    threshold.

    Attributes:
        rows: of the images, ascending; two at least.
        patients: whose they are, each once, sorted.
        exact: whether all have the same content.
    """

    rows: tuple[int, ...]
    patients: tuple[str, ...] = field(repr=False)
    exact: bool

    @property
    def across_patients(self) -> bool:
        """Whether images of two patients are in it: a leak as soon as the two lie in different parts of a split."""
        return len(self.patients) > 1


@dataclass(frozen=True, slots=True)
class PatientMatch:
    """Two ids that may be one person: they share many images, or differ only in spelling (``data.identifiers``).

    Attributes:
        first: one id.
        second: the other, later in the alphabet.
        shared: telling images of the first with a near duplicate in the second, and of the second in the first.
        images: telling images of the first and of the second: all but those that many patients share.
        score: the larger of the two shares: 1.0 when all images of one id occur in the other.
        same_spelling: whether they differ only in spelling.
    """

    first: str = field(repr=False)
    second: str = field(repr=False)
    shared: tuple[int, int]
    images: tuple[int, int]
    score: float
    same_spelling: bool = False


def find_duplicates(
    patients: Sequence[str] | NDArray[np.str_],
    *,
    vectors: ArrayLike | None = None,
    hashes: Sequence[str] | None = None,
    threshold: float = 0.995,
) -> tuple[DuplicateGroup, ...]:
    """Groups of images that are the same by content, or nearly the same by their vectors, within and across patients.

    Args:
        patients: (n,).
        vectors: (n, d), one an image; None looks at content only.
        hashes: (n,) of the decoded content, "" where it is not known; None looks at vectors only.
        threshold: least cosine of near duplicates.

    Returns:
        Connected groups of two images or more: those across patients first, then the larger ones, then by row.

    Raises:
        InputError: neither vectors nor hashes, numbers that do not fit, or as ``similar_pairs``.

    Example:
        >>> groups = find_duplicates(["a", "a", "b"], hashes=["77", "42", "77"])
        >>> groups[0].rows, groups[0].exact, groups[0].across_patients
        ((0, 2), True, True)
    """
    count = len(patients)
    names = [str(patient) for patient in patients]
    contents = _contents(hashes, vectors, count)
    # one image stands for all of the same content: a blank slice that occurs a thousand times is compared once
    standing, members = np.unique(contents, return_index=True)[1], _members(contents)
    first = second = np.empty(0, np.int64)
    if vectors is not None:
        found = similar_pairs(chosen_rows(vectors, standing), threshold=threshold)
        first, second = found.first, found.second
    links = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(standing), len(standing)))
    parts, part = connected_components(links, directed=False)
    together: list[list[int]] = [[] for _ in range(parts)]
    for content, index in enumerate(part.tolist()):
        together[index].append(content)
    groups = []
    for inside in together:
        rows = tuple(sorted(row for content in inside for row in members[content]))
        if len(rows) > 1:
            whose = tuple(sorted({names[row] for row in rows}))
            groups.append(DuplicateGroup(rows, whose, exact=len(inside) == 1))
    return tuple(sorted(groups, key=lambda group: (not group.across_patients, -len(group.rows), group.rows)))


def match_patients(
    patients: Sequence[str] | NDArray[np.str_],
    *,
    vectors: ArrayLike | None = None,
    hashes: Sequence[str] | None = None,
    threshold: float = 0.995,
    least_score: float = 0.5,
    least_shared: int = 3,
    most_patients: int = 5,
) -> tuple[PatientMatch, ...]:
    """Pairs of patient ids that share so many images, or are so alike in spelling, that they may be one person.

    An image that is near images of more than ``most_patients`` other ids says nothing about any two of them (a blank
    slice, a plain shaft) and is counted nowhere.

    Args:
        patients: (n,).
        vectors: (n, d), one an image; None looks at content only.
        hashes: (n,) of the decoded content, "" where it is not known; None looks at vectors only.
        threshold: least cosine of near duplicates.
        least_score: share of the images of one id that must occur in the other.
        least_shared: images of one id that must occur in the other.
        most_patients: other ids an image may be near to and still tell something.

    Raises:
        InputError: neither vectors nor hashes, numbers that do not fit, or as ``similar_pairs``.

    Example:
        >>> match_patients(["a", "a", "b", "b"], hashes=["1", "2", "2", "1"], least_shared=2)[0].score
        1.0
    """
    count = len(patients)
    contents = _contents(hashes, vectors, count)
    listed = [str(patient) for patient in patients]
    names = sorted(set(listed))
    code_of = {name: code for code, name in enumerate(names)}
    codes = np.array([code_of[name] for name in listed], np.int64)
    row, other = _links_to_others(contents, codes, vectors, threshold)
    linked = coo_array((np.ones(len(row), np.int64), (row, other)), shape=(count, max(1, len(names)))).tocsr()
    linked.sum_duplicates()
    telling = np.diff(linked.indptr) <= most_patients
    images = np.bincount(codes[telling], minlength=len(names))
    shared: dict[tuple[int, int], int] = defaultdict(int)
    for index in np.flatnonzero(telling & (np.diff(linked.indptr) > 0)).tolist():
        for near in linked.indices[linked.indptr[index] : linked.indptr[index + 1]].tolist():
            shared[int(codes[index]), near] += 1
    matches, alike = [], {(code_of[one], code_of[two]) for one, two in alias_pairs(names)}
    for one, two in sorted({(min(pair), max(pair)) for pair in shared} | alike):
        both = (shared.get((one, two), 0), shared.get((two, one), 0))
        totals = (int(images[one]), int(images[two]))
        enough = [n / total for n, total in zip(both, totals, strict=True) if n >= least_shared]
        score, same = max(enough, default=0.0), (one, two) in alike
        if same or score >= least_score > 0:
            matches.append(PatientMatch(names[one], names[two], both, totals, score, same))
    return tuple(sorted(matches, key=lambda match: (-match.score, match.first, match.second)))


def alias_pairs(patients: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of ids that differ only in spelling, each sorted.

    Example:
        >>> alias_pairs(["007", "7", "8"])
        [('007', '7')]
    """
    return [(one, two) for group in same_spelling(patients) for one, two in combinations(group, 2)]


def _links_to_others(
    contents: NDArray[np.int64], codes: NDArray[np.int64], vectors: ArrayLike | None, threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and other patient, for each row that has a duplicate or near duplicate in that patient; some twice."""
    rows: list[NDArray[np.int64]] = []
    others: list[NDArray[np.int64]] = []
    members = [np.array(inside) for inside in _members(contents)]
    for inside in members:
        for patient in np.unique(codes[inside]).tolist():
            apart = inside[codes[inside] != patient]
            rows.append(apart)
            others.append(np.full(len(apart), patient, np.int64))
    if vectors is not None:
        # images of one content and patient are looked for once
        _, standing, stood_for = np.unique(
            contents * (codes.max(initial=0) + 1) + codes, return_index=True, return_inverse=True
        )
        found = similar_pairs(chosen_rows(vectors, standing), threshold=threshold, across=codes[standing])
        one = np.concatenate([found.first, found.second])
        two = np.concatenate([found.second, found.first])
        near: list[set[int]] = [set() for _ in range(len(standing))]
        for index, patient in zip(one.tolist(), codes[standing][two].tolist(), strict=True):
            near[index].add(patient)
        for row, index in enumerate(stood_for.tolist()):
            if near[index]:
                rows.append(np.full(len(near[index]), row, np.int64))
                others.append(np.array(sorted(near[index]), np.int64))
    nothing = np.empty(0, np.int64)
    return np.concatenate([nothing, *rows]), np.concatenate([nothing, *others])


def _contents(hashes: Sequence[str] | None, vectors: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """A number for each content; rows without a hash have one of their own."""
    if hashes is None and vectors is None:
        raise InputError("duplicates were asked for without vectors or hashes of the images: give at least one of them")
    if vectors is not None and len(np.asarray(vectors)) != count:
        raise InputError(f"{len(np.asarray(vectors))} vectors were given for {count} patients: give one for each image")
    if hashes is None:
        return np.arange(count, dtype=np.int64)
    if len(hashes) != count:
        raise InputError(f"{len(hashes)} hashes were given for {count} patients: give one for each image")
    named = [(value, -1) if value else ("", row) for row, value in enumerate(hashes)]
    return class_codes(named, count, what="hash").astype(np.int64)


def _members(contents: NDArray[np.int64]) -> list[list[int]]:
    members: list[list[int]] = [[] for _ in range(int(contents.max(initial=-1)) + 1)]
    for row, content in enumerate(contents.tolist()):
        members[content].append(row)
    return members
