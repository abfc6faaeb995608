"""Files that are no such thing: one sentence each, that shows nothing of what stands in them."""

from __future__ import annotations

import gzip
import io
import json
import os
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pushkeep.adapters.formats.members import Members
from pushkeep.adapters.formats.octets import Octets
from pushkeep.domain.moving import LINE_BYTES_MAX, BrokenFile, Fault, Numbered
from pushkeep.errors import InvalidInput
from tests.formats.samples import AUTH, P256DH, as_csv, as_lines, browser_json, laravel_row, opened, records, url

GOOD = as_csv([laravel_row()])


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("subscriptions.csv", GOOD)
    return made.getvalue()


def _empty_zip() -> bytes:
    made = io.BytesIO()
    zipfile.ZipFile(made, "w").close()
    return made.getvalue()


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "nothing": (b"", "the file is empty."),
    "blanks": ("\ufeff \r\n\n", "the file is empty."),
    "gzip": (gzip.compress(GOOD.encode()), "the file is a gzip archive; unpack it first."),
    "zip": (_zip(), "the file is a zip archive; unpack it first."),
    "a zip of nothing": (_empty_zip(), "the file is a zip archive; unpack it first."),
    "UTF-16": (GOOD.encode("utf-16"), "the file is UTF-16 or UTF-32 text; save it as UTF-8."),
    "UTF-16 without a mark": (GOOD.encode("utf-16-le"), "the file is UTF-16 or UTF-32 text; save it as UTF-8."),
    "Latin-1": (GOOD.encode() + "é,\n".encode("latin-1"), "line 3: the file is not UTF-8 text; save it as UTF-8."),
    "half a character": (GOOD.encode() + "é".encode()[:1], "line 3: the file ends within a UTF-8 character."),
    "NUL": (GOOD + "a\0b\n", "the file has NUL characters up to line 4; it is no text."),
    "a huge line": ("x" * 10_000_000, f"line 1 is longer than {LINE_BYTES_MAX} characters"),
    "a huge line later": (GOOD + "x" * LINE_BYTES_MAX * 2, f"line 3 is longer than {LINE_BYTES_MAX} characters"),
    "a column twice": ("endpoint,auth,endpoint\n1,2,3\n", "line 1: the header has the column endpoint twice."),
    "a thousand columns": (",".join(f"c{n}" for n in range(1000)) + "\n", "line 1: the header has 1000 columns"),
    "no header": (GOOD.partition("\n")[2], "line 1: the first line of a CSV file must have the names of its columns."),
    "an open quote": (
        GOOD + '"' + GOOD,
        "line 3: the quotes of this row are not those of CSV; export the table again.",
    ),
    "an open list": ("[" + json.dumps(browser_json()), "line 1: the file ends within its list."),
    "a list cut within": (json.dumps([browser_json()])[:-20], "line 1: the record that begins here is no JSON."),
    "behind a list": ("[]\n[]", "line 2: something stands behind the list."),
    "no comma": ('[{"endpoint":1,"keys":2}\n{}]', "line 2: , is missing."),
    "deep lists": ("[" * 100_000, "line 1: the record that begins here is no JSON."),
    "deep objects": ('{"a":' * 50_000, "line 1: the record that begins here is no JSON."),
    "a member twice": ('[{"a":1,"a":2}]', "line 1: the record that begins here is no JSON."),
    "a huge number": ("[{" + '"a":' + "9" * 6000 + "}]", "line 1: the record that begins here is no JSON."),
    "no numbers": ('[{"a":NaN}]', "line 1: the record that begins here is no JSON."),
    "nothing known": ("hello,world\n1,2\n", "the file's format is not known: its columns are hello, world"),
    "no rows": ("endpoint,p256dh,auth\n", "the file's format is not known: it has no rows"),
    "an empty list": ("[]", "the file's format is not known: it has no rows"),
    "a page": ("<!doctype html>\n<p>Not found\n", "line 1: the first line of a CSV file must have the names"),
    "PDF": (b"%PDF-1.7\n", "the file is a PDF document"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_refused_in_a_sentence(file: Path, name: str) -> None:
    content, words = BROKEN[name]
    with pytest.raises(BrokenFile) as refused:
        records(file, content)
    assert refused.value.message.startswith(words)
    assert len(refused.value.message) < 400
    for secret in (P256DH, AUTH, url()):
        assert secret not in refused.value.message


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e400", str(2**63)])
def test_a_time_that_is_no_number_of_any_clock(file: Path, number: str) -> None:
    (fault,) = records(file, json.dumps(browser_json() | {"created_at": 7}).replace(": 7", f": {number}"))
    assert isinstance(fault, Fault)
    assert fault.message.startswith("created_at must be a time")


def test_a_row_without_an_end_is_not_kept_in_memory(file: Path) -> None:
    """Each quoted field ends in the line behind, and the next one begins there."""
    with pytest.raises(BrokenFile, match="line 2: the row that begins here is longer than"):
        records(file, 'endpoint,p256dh,auth\nx,"\n' + '",a,"\n' * LINE_BYTES_MAX)


def test_a_column_that_cannot_be_shown_is_not(file: Path) -> None:
    with opened(file, as_lines([laravel_row(**{"\ud800": 1, "\x1b[2J": 2, "shop": 3})])) as source:
        list(source.read())
        assert source.unused == ("…", "shop")
    with pytest.raises(InvalidInput, match=r"^a member with control characters is not known"):
        Members({"\ud800": 1}).end()


def test_a_database_is_no_table(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE push_subscriptions (id)")
    database.close()
    with pytest.raises(BrokenFile, match="is a SQLite database; export the table"):
        Octets(file)


@pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "input", "closed"])
def test_what_is_no_regular_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    made: dict[str, Callable[[], object]] = {
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "closed": lambda: path.touch(0),
    }
    made.get(kind, lambda: None)()
    if kind == "closed" and os.access(path, os.R_OK):
        path.unlink()  # nothing is closed to root
    with pytest.raises(BrokenFile, match=r"cannot read|no regular file|standard input"):
        Octets(Path("-") if kind == "input" else path)


def test_marks_line_ends_and_blank_lines_do_not_matter(file: Path) -> None:
    rows = [laravel_row(), laravel_row("two")]
    plain = [one.record for one in records(file, as_csv(rows, end="\n")) if isinstance(one, Numbered)]
    for content in (
        "\ufeff" + as_csv(rows),
        "\n\n" + as_csv(rows, end="\n\n"),
        as_csv(rows, separator=";"),
        as_csv(rows, separator="\t"),
        "\ufeff" + as_lines(rows),
        as_lines(rows).replace("\n", "\r\n\r\n"),
        "\ufeff\n " + json.dumps(rows, indent=3),
    ):
        assert [one.record for one in records(file, content) if isinstance(one, Numbered)] == plain


def test_one_wrong_line_is_that_line_alone(file: Path) -> None:
    good = as_lines([browser_json("one")])
    content = good + "{not json}\n\n[1]\n" + '{"endpoint": 5, "endpoint": 5}\n' + as_lines([browser_json("two")])
    found = records(file, content)
    assert [(one.number, one.line, isinstance(one, Fault)) for one in found] == [
        (1, 1, False),
        (2, 2, True),
        (3, 4, True),
        (4, 5, True),
        (5, 6, False),
    ]
    header, row = as_csv([laravel_row()], end="\n").splitlines(keepends=True)
    table = records(file, header + row + "1,2\n" + row.replace("\n", ",more\n") + row)
    assert [(one.line, isinstance(one, Fault)) for one in table] == [(2, False), (3, True), (4, True), (5, False)]


def test_lines_are_those_of_the_file_where_a_field_goes_over_several(file: Path) -> None:
    rows = [laravel_row(note="a\nb\n\nc"), laravel_row("two", note="", auth_token="?")]
    _, fault = records(file, as_csv(rows, end="\n"))
    assert isinstance(fault, Fault)
    assert (fault.number, fault.line) == (2, 6)
    listed = json.dumps([laravel_row(), laravel_row(auth_token="?")], indent=1)
    _, fault = records(file, listed)
    assert isinstance(fault, Fault)
    assert fault.line == 2 + len(laravel_row()) + 2


def test_a_list_longer_than_what_is_read_at_once(file: Path) -> None:
    rows = [laravel_row(f"{number}-{'x' * 300}") for number in range(3000)]
    found = records(file, json.dumps(rows))
    assert [one.number for one in found if isinstance(one, Numbered)] == list(range(1, 3001))


def test_a_file_that_changes_is_not_read_on(file: Path) -> None:
    rows = [laravel_row(str(number)) for number in range(1000)]
    with opened(file, as_csv(rows)) as source:
        source.digest()
        reading = source.read()
        next(reading)
        with file.open("a") as more:
            more.write("x\n")
        with pytest.raises(BrokenFile, match="has changed while it was read"):
            list(reading)


def test_other_octets_of_the_same_length_and_time_are_noticed_at_the_end(file: Path) -> None:
    with opened(file, GOOD) as source:
        source.digest()
        stamp = file.stat()
        with file.open("r+b") as other:
            other.seek(len(GOOD) - 5)
            other.write(b"1")
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        with pytest.raises(BrokenFile, match="has changed while it was read"):
            list(source.read())
