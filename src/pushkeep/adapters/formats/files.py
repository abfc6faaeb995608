"""Which format a file has, and reading it as that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pushkeep.adapters.formats import (
    django_push_notifications,
    django_webpush,
    laravel,
    pywebpush,
    web_push,
    web_push_php,
)
from pushkeep.adapters.formats.django_dump import as_in_table
from pushkeep.adapters.formats.fields import Wishes, text_of
from pushkeep.adapters.formats.octets import Octets
from pushkeep.adapters.formats.rows import Fields, Row, rows_of, showable, shown
from pushkeep.domain.moving import BrokenFile, Fault, ForeignSubscription, Format, Numbered, Read
from pushkeep.errors import InvalidInput

_COLUMNS_NAMED_MAX = 40
_ROWS_LOOKED_AT = 1000  # a dump may begin with other models' rows


class RowReader(Protocol):
    """Reads the rows of one file."""

    def read(self, fields: Fields, wishes: Wishes) -> ForeignSubscription | str:
        """A row as a subscription, or in a word why it is left out.

        Raises:
            InvalidInput: a part is missing or wrong.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Plain:
    """A format whose rows do not know of each other."""

    of_row: Callable[[Fields, Wishes], ForeignSubscription]

    def read(self, fields: Fields, wishes: Wishes) -> ForeignSubscription | str:
        return self.of_row(fields, wishes)


@dataclass(frozen=True, slots=True)
class Kind:
    """A format of another product.

    Attributes:
        format: its name.
        recognises: whether rows with these columns can be of it.
        used: the columns that mean something to it.
        reader: made for each reading.
        models: what its rows are called in a dump of Django.
    """

    format: Format
    recognises: Callable[[frozenset[str]], bool]
    used: frozenset[str]
    reader: Callable[[], RowReader]
    models: frozenset[str] = frozenset()


KINDS: Mapping[Format, Kind] = {
    kind.format: kind
    for kind in (
        # In this order they are tried: the more columns one asks for, the earlier.
        Kind(
            Format.DJANGO_PUSH_NOTIFICATIONS,
            django_push_notifications.recognises,
            django_push_notifications.USED,
            django_push_notifications.Reader,
            frozenset({django_push_notifications.MODEL}),
        ),
        Kind(Format.LARAVEL, laravel.recognises, laravel.USED, laravel.Reader),
        Kind(Format.WEB_PUSH_PHP, web_push_php.recognises, web_push_php.USED, lambda: _Plain(web_push_php.read)),
        Kind(Format.PYWEBPUSH, pywebpush.recognises, pywebpush.USED, lambda: _Plain(pywebpush.read)),
        Kind(
            Format.DJANGO_WEBPUSH,
            django_webpush.recognises,
            django_webpush.USED,
            django_webpush.Reader,
            frozenset({django_webpush.SUBSCRIPTION, django_webpush.INFORMATION, django_webpush.GROUP}),
        ),
        Kind(Format.WEB_PUSH, web_push.recognises, web_push.USED, lambda: _Plain(web_push.read)),
    )
}
"""Every format but our own."""


class ForeignFile:
    """:class:`pushkeep.ports.moving.Source` of a file of another product.

    Args:
        octets: of the file.
        kind: its format.
        wishes: how it is to be read.
    """

    def __init__(self, octets: Octets, kind: Kind, wishes: Wishes) -> None:
        self._octets = octets
        self._kind = kind
        self._wishes = wishes
        self._names: dict[str, None] = {}

    @property
    def format(self) -> Format:
        """See the port."""
        return self._kind.format

    @property
    def size_bytes(self) -> int:
        """See the port."""
        return self._octets.size_bytes

    @property
    def position_bytes(self) -> int:
        """See the port."""
        return self._octets.position_bytes

    @property
    def unused(self) -> tuple[str, ...]:
        """See the port."""
        wished = {*(self._wishes.owner_columns or ()), *(name for name, _ in self._wishes.where)}
        left = (showable(name) for name in self._names if name not in self._kind.used | wished)
        return tuple(dict.fromkeys(left))

    def digest(self) -> bytes:
        """See the port."""
        asked = [self.format, self._wishes.owner_columns, self._wishes.where]
        return hashlib.sha256(self._octets.digest() + json.dumps(asked).encode()).digest()

    def read(self) -> Read:
        """See the port."""
        reader = self._kind.reader()
        if isinstance(reader, django_webpush.Reader):
            for row in rows_of(self._octets):
                if isinstance(row, Row):
                    reader.note(as_in_table(row.fields))
        for row in rows_of(self._octets):
            if isinstance(row, Fault):
                yield row
                continue
            yield self._numbered(reader, row)
        self._check_wished()

    def _numbered(self, reader: RowReader, row: Row) -> Numbered | Fault:
        fields = as_in_table(row.fields)
        if len(self._names) < _COLUMNS_NAMED_MAX:
            self._names.update(dict.fromkeys(fields))
        try:
            if any(text_of(fields, name) != value for name, value in self._wishes.where):
                return Numbered(row.number, row.line, None, "filtered")
            found = reader.read(fields, self._wishes)
        except InvalidInput as error:
            return Fault.of(row.number, row.line, error)
        if isinstance(found, str):
            return Numbered(row.number, row.line, None, found)
        return Numbered(row.number, row.line, found)

    def _check_wished(self) -> None:
        """A name that no record has is a slip."""
        for option, names in (
            ("--owner-column", self._wishes.owner_columns or ()),
            ("--where", [name for name, _ in self._wishes.where]),
        ):
            missing = next((name for name in names if name not in self._names), None)
            if missing is not None and len(self._names) < _COLUMNS_NAMED_MAX:
                raise BrokenFile(
                    f"{option}: no record has the column {missing}; there are {shown(self._names)}.", field="file"
                )


def open_foreign(octets: Octets, format: Format | None, wishes: Wishes) -> ForeignFile:
    """A file as what it is said to be, or what its first rows look like.

    Raises:
        BrokenFile: it looks like nothing known, or not like what it is said to be.
    """
    columns, kind = _recognised(octets, [KINDS[format]] if format is not None else list(KINDS.values()))
    if kind is not None:
        return ForeignFile(octets, kind, wishes)
    found = f"its columns are {shown(columns)}" if columns else "it has no rows"
    if format is None:
        raise BrokenFile(
            f"the file's format is not known: {found}; the formats and their columns stand in docs/moving.md.",
            field="file",
        )
    raise BrokenFile(f"the file does not look like {format.value}: {found}.", field="file")


def _recognised(octets: Octets, kinds: list[Kind]) -> tuple[list[str], Kind | None]:
    """The columns of the first row, and which of the formats it has."""
    columns: list[str] = []
    for number, row in enumerate(rows_of(octets)):
        if number >= _ROWS_LOOKED_AT:
            break
        if isinstance(row, Fault):
            continue
        fields = as_in_table(row.fields)
        columns = columns or list(fields)
        names, model = frozenset(fields), fields.get("model")
        for kind in kinds:
            if model in kind.models if "fields" in row.fields else kind.recognises(names):
                return columns, kind
        if "fields" not in row.fields:
            break
    return columns, None
