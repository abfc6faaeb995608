"""Rows of a file, whatever holds them: CSV with a header, JSON Lines, JSON values one after the other, a JSON list.

What a file is, is seen at its first character. One wrong line of CSV or JSON Lines is a fault of that line alone; where
nobody can tell how it goes on, behind a quote that is not closed or within a broken JSON list, the file is broken.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pushkeep.adapters.formats.octets import Octets
from pushkeep.domain.moving import LINE_BYTES_MAX, BrokenFile, Fault

Fields = Mapping[str, object]

_SEPARATORS = ",;\t|"
_NULLS = frozenset({"", "\\N", "NULL", "null"})
_COLUMNS_MAX = 200  # tables of subscriptions have a dozen
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_ .-]{0,39}")
_BLANK = " \t\r\n"
_BUFFER_CHARACTERS = 1 << 20
_SHOWN_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Row:
    """A row and where it stands; see :class:`~pushkeep.domain.moving.Numbered`."""

    number: int
    line: int
    fields: Fields


def rows_of(octets: Octets) -> Iterator[Row | Fault]:
    """Every row of a file.

    Raises:
        BrokenFile: it cannot be read any further.
    """
    begin = octets.beginning.lstrip(_BLANK)
    if begin.startswith("["):
        return _json_values(octets, in_list=True)
    if not begin.startswith("{"):
        return _csv_rows(octets)
    try:
        json.loads(begin.partition("\n")[0])
    except (ValueError, RecursionError):
        # Its first line is no object: one that goes over several lines, or one that is broken.
        return _json_lines(octets) if "}\n{" in begin.replace("\r", "") else _json_values(octets, in_list=False)
    return _json_lines(octets)


def lines_of(octets: Octets, *, bytes_max: int = LINE_BYTES_MAX) -> Iterator[tuple[int, str]]:
    """Every line with its number; each with its end.

    Raises:
        BrokenFile: a line is too long, or as :meth:`Octets.text` does.
    """
    rest, number = "", 0
    for text in octets.text():
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            number += 1
            _check_length(line, number, bytes_max)
            yield number, line + "\n"
        _check_length(rest, number + 1, bytes_max)
    if rest:
        yield number + 1, rest


def parsed(text: str) -> object:
    """The value of JSON text.

    Raises:
        ValueError: it is no JSON, names a member twice, or has numbers that JSON has not.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("too deep") from None


def shown(names: Iterable[str]) -> str:
    """Columns for an error; what does not look like a name may be a secret."""
    return ", ".join(map(showable, names))[:_SHOWN_CHARACTERS_MAX]


def showable(name: str) -> str:
    """A column's name as it can be shown anywhere; another file's may be a secret, or steer a terminal."""
    return name if _NAME.fullmatch(name) else "…"


def _check_length(line: str, number: int, bytes_max: int) -> None:
    if len(line) > bytes_max:
        raise BrokenFile(
            f"line {number} is longer than {bytes_max} characters, which no subscription is; is this the right file?",
            field="file",
        )


def _json_lines(octets: Octets) -> Iterator[Row | Fault]:
    number = 0
    for line, text in lines_of(octets):
        if not text.strip(_BLANK):
            continue
        number += 1
        try:
            value = parsed(text)
        except ValueError:
            yield Fault(number, line, "the line is no JSON.")
            continue
        yield _object(number, line, value)


def _object(number: int, line: int, value: object) -> Row | Fault:
    if isinstance(value, dict):
        return Row(number, line, value)
    return Fault(number, line, "a record must be a JSON object.")


def _json_values(octets: Octets, *, in_list: bool) -> Iterator[Row | Fault]:
    """Objects one after the other, or the elements of one list."""
    window = _Window(octets)
    if in_list:
        window.take("[")
    number = 0
    while (found := window.next(in_list=in_list, first=number == 0)) is not None:
        number += 1
        yield _object(number, *found)


class _Window:
    """The part of a file's text that is looked at."""

    def __init__(self, octets: Octets) -> None:
        self._pieces = octets.text()
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def next(self, *, in_list: bool, first: bool) -> tuple[int, object] | None:
        """The next value and its line; None behind the last."""
        self._skip()
        if in_list:
            if self._peek() == "]":
                self.take("]")
                self._skip()
                if self._peek():
                    raise self._broken("something stands behind the list")
                return None
            if not first:
                self.take(",")
                self._skip()
        elif not self._peek():
            return None
        return self._line, self._value()

    def take(self, wanted: str) -> None:
        """Go past a character that must be there."""
        self._skip()
        if self._peek() != wanted:
            raise self._broken(f"{wanted} is missing" if self._peek() else "the file ends within its list")
        self._at += 1

    def _value(self) -> object:
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                if len(self._text) - self._at > LINE_BYTES_MAX or not self._more():
                    raise self._broken("the record that begins here is no JSON") from None
                continue
            self._line += self._text.count("\n", self._at, end)
            self._at = end
            return value

    def _skip(self) -> None:
        while True:
            while self._at < len(self._text) and self._text[self._at] in _BLANK:
                self._line += self._text[self._at] == "\n"
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _more(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        if self._at > _BUFFER_CHARACTERS or self._at == len(self._text):
            self._text, self._at = self._text[self._at :], 0
        self._text += piece
        return True

    def _broken(self, words: str) -> BrokenFile:
        return BrokenFile(f"line {self._line}: {words}.", field="file")


def _csv_rows(octets: Octets) -> Iterator[Row | Fault]:
    counted = _Counted(lines_of(octets))
    separator = max(_SEPARATORS, key=octets.beginning.lstrip(_BLANK).partition("\n")[0].count)
    reader = csv.reader(counted, delimiter=separator, strict=True)
    first: list[str] | None = []
    while first == []:  # blank lines before it
        first = _next_row(reader, counted)
    header = _header(first or [])
    number = 0
    while True:
        line = counted.line + 1
        fields = _next_row(reader, counted)
        if fields is None:
            return
        if not fields:  # a blank line
            continue
        number += 1
        if len(fields) != len(header):
            yield Fault(number, line, f"the row has {len(fields)} fields, and the header has {len(header)}.")
            continue
        values = {name: None if value in _NULLS else value for name, value in zip(header, fields, strict=True)}
        yield Row(number, line, values)


class _Counted:
    """Lines for the reader of CSV, how many it has taken, and how long those of the present row are together."""

    def __init__(self, lines: Iterator[tuple[int, str]]) -> None:
        self._lines = lines
        self.line = 0
        self.row_characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.line, text = next(self._lines)
        self.row_characters += len(text)
        if self.row_characters > LINE_BYTES_MAX:
            raise csv.Error
        return text


def _next_row(reader: Iterator[list[str]], counted: _Counted) -> list[str] | None:
    begun, counted.row_characters = counted.line + 1, 0
    try:
        return next(reader, None)
    except csv.Error:
        if counted.row_characters > LINE_BYTES_MAX:
            raise BrokenFile(
                f"line {begun}: the row that begins here is longer than {LINE_BYTES_MAX} characters, which no "
                "subscription is; are its quotes closed?",
                field="file",
            ) from None
        raise BrokenFile(
            f"line {begun}: the quotes of this row are not those of CSV; export the table again.", field="file"
        ) from None


def _header(names: Sequence[str]) -> list[str]:
    header = [name.strip() for name in names]
    if len(header) > _COLUMNS_MAX:
        raise BrokenFile(f"line 1: the header has {len(header)} columns; is this the right file?", field="file")
    if not all(_NAME.fullmatch(name) for name in header):
        # Not shown: what stands there instead may be an endpoint.
        raise BrokenFile("line 1: the first line of a CSV file must have the names of its columns.", field="file")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise BrokenFile(f"line 1: the header has the column {twice[0]} twice.", field="file")
    return header


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a member is named twice")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
