"""Looks at what lies around a sender, for ``pushkeep doctor``: files with secrets, names, the operator's own site.

The site is named by the operator and not by a stranger, so it may stand anywhere, also at a private address. Its
certificate is verified all the same, no redirect is followed, and no more is read than the limits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import pycurl

from pushkeep.adapters.address import refusal_reason
from pushkeep.adapters.http2_reply import Reply
from pushkeep.adapters.lying_files import look_at_folder
from pushkeep.domain.doctor.identity import KeyFile
from pushkeep.domain.doctor.secrets import Folder
from pushkeep.domain.doctor.site import Fetched

KEY_FILE_BYTES_MAX = 65_536
"""A key in any form is under 2 KB; more is another file."""

PAGE_BYTES_MAX = 524_288
"""A page's head, with its policy and its manifest's link, comes in the first kilobytes."""

PAGE_HEADER_BYTES_MAX = 65_536
PAGE_HEADER_LINES_MAX = 300
FETCH_SECONDS_MAX = 15.0
"""A page that takes longer is not one to be asked for permission on."""

LOOK_UP_SECONDS_MAX = 10.0
GIT_SECONDS_MAX = 10.0

_POLICY = "content-security-policy"


class SystemSurroundings:
    """This machine and its network."""

    async def secret_file(self, path: str) -> KeyFile:
        """See the port."""
        return await asyncio.to_thread(_secret_file, Path(path))

    async def folder(self, path: str) -> Folder:
        """See the port."""
        return await asyncio.to_thread(look_at_folder, Path(path))

    async def addresses(self, host: str, port: int) -> Sequence[tuple[str, str | None]]:
        """See the port."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS_MAX):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):  # a name with an empty or overlong label is a UnicodeError
            return []
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        return [(address, refusal_reason(address)) for address in addresses]

    async def fetch(self, url: str) -> Fetched:
        """See the port."""
        return await asyncio.to_thread(_fetch, url)


def _secret_file(path: Path) -> KeyFile:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode) if os.name == "posix" else None
            content = file.read(KEY_FILE_BYTES_MAX)
    except OSError as error:
        return KeyFile(str(path), None, error.strerror or "it cannot be read")
    root = next((parent for parent in path.resolve().parents if (parent / ".git").exists()), None)
    if root is None:
        return KeyFile(str(path), content, mode=mode)
    return KeyFile(
        str(path),
        content,
        mode=mode,
        work_tree=str(root),
        tracked=_git(path, "ls-files", "--error-unmatch"),
        ignored=_git(path, "check-ignore", "--quiet"),
    )


def _git(path: Path, *command: str) -> bool:
    """Whether git says yes; a git that is not there, or that refuses the directory, does not."""
    resolved = path.resolve()
    try:
        ran = subprocess.run(  # noqa: S603 - no shell, and the path stands behind "--"
            ["git", "-C", str(resolved.parent), *command, "--", resolved.name],  # noqa: S607 - the user's own git
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=GIT_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0


def _fetch(url: str) -> Fetched:
    reply = Reply(
        body_bytes_max=PAGE_BYTES_MAX,
        header_bytes_max=PAGE_HEADER_BYTES_MAX,
        header_lines_max=PAGE_HEADER_LINES_MAX,
    )
    policies: list[str] = []

    def on_header(line: bytes) -> int | None:
        name, _, value = line.decode("latin-1").partition(":")
        if name.strip().lower() == _POLICY:
            policies.append(value.strip())
        return reply.on_header(line)

    trusted = ssl.get_default_verify_paths()
    curl = pycurl.Curl()
    try:
        for option, value in (
            # A link in a page may have any characters.
            (pycurl.URL, quote(url, safe="%/:?#[]@!$&'()*+,;=~", errors="replace")),
            (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS | pycurl.PROTO_HTTP),
            (pycurl.FOLLOWLOCATION, 0),
            (pycurl.NETRC, pycurl.NETRC_IGNORED),
            (pycurl.NOSIGNAL, 1),
            (pycurl.TIMEOUT_MS, int(FETCH_SECONDS_MAX * 1000)),
            (pycurl.PROXY, ""),
            (pycurl.USERAGENT, "pushkeep doctor"),
            (pycurl.HEADERFUNCTION, on_header),
            (pycurl.WRITEFUNCTION, reply.on_body),
        ):
            curl.setopt(option, value)
        if trusted.cafile is not None:
            curl.setopt(pycurl.CAINFO, trusted.cafile)
        if trusted.capath is not None:
            curl.setopt(pycurl.CAPATH, trusted.capath)
        curl.perform()
    except pycurl.error as error:
        if not reply.answered:
            return Fetched(url, None, failure=f"{url} is not reached: {str(error.args[1])[:200]}")
    finally:
        curl.close()
    answer = reply.response()
    # Of a header that comes twice an answer keeps the last; of policies every one is in force.
    headers = {**answer.headers, **({_POLICY: ", ".join(policies)} if policies else {})}
    return Fetched(url, answer.status, headers, answer.body.decode("utf-8", "replace"))
