"""The SDK's and the demo page's files: read once from the package, named in a table, answered with conditions.

A name that is not in the table does not exist, so there is no path to traverse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from pushkeep.errors import NotFound
from pushkeep.web.security_headers import DATA_POLICY

MEDIA_TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".js": "text/javascript; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".svg": "image/svg+xml",
        ".png": "image/png",
        ".webmanifest": "application/manifest+json",
    }
)
"""What is served; other files of the directory (templates, sources) are not."""

FILE_BYTES_MAX = 1_048_576
"""Files are kept in memory; the largest has some 30 KB."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file ready to be sent.

    Attributes:
        content: its octets.
        media_type: with charset where it is text.
        etag: strong, from the content.
    """

    content: bytes
    media_type: str
    etag: str


def load_files(package: str) -> Mapping[str, StaticFile]:
    """Read every servable file that lies directly in a package's directory, by name."""
    found: dict[str, StaticFile] = {}
    for entry in files(package).iterdir():
        media_type = MEDIA_TYPES.get("." + entry.name.rpartition(".")[2])
        if entry.is_file() and media_type is not None:
            content = entry.read_bytes()
            assert len(content) <= FILE_BYTES_MAX, entry.name
            found[entry.name] = StaticFile(content, media_type, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """Status, headers and body of the answer for a file."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_file(
    directory: Mapping[str, StaticFile],
    name: str,
    *,
    if_none_match: str | None,
    cache_control: str,
    policy: str = DATA_POLICY,
) -> FileAnswer:
    """Answer for a file, with 304 where the client has it (RFC 9110 section 13.1.2).

    Args:
        directory: as :func:`load_files` returns it.
        name: what was asked for.
        if_none_match: the request's header.
        cache_control: how long it may be used without asking again.
        policy: its Content-Security-Policy, which matters for workers and pictures opened by themselves.

    Raises:
        NotFound: there is no such file.
    """
    file = directory.get(name)
    if file is None:
        raise NotFound("There is no such file.")
    headers = {"ETag": file.etag, "Cache-Control": cache_control, "Content-Security-Policy": policy}
    if if_none_match is not None and _matches(if_none_match, file.etag):
        return FileAnswer(304, headers, b"")
    headers["Content-Type"] = file.media_type
    return FileAnswer(200, headers, file.content)


def _matches(if_none_match: str, etag: str) -> bool:
    """The weak comparison, which If-None-Match asks for: proxies that compress make an ETag weak."""
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags
