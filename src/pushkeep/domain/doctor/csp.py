"""Does a page's Content-Security-Policy allow its service worker?

Source: W3C Content Security Policy Level 3, section 6.1.14 (``worker-src`` falls back to ``child-src``, then
``script-src``, then ``default-src``) and section 6.7.2 (matching a source).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

_FALLBACK = ("worker-src", "child-src", "script-src", "default-src")


def directives(policy: str) -> Mapping[str, Sequence[str]]:
    """One policy's directives with their sources; of two of a name the first counts."""
    found: dict[str, Sequence[str]] = {}
    for part in policy.split(";"):
        name, *sources = part.split()[:200] or [""]
        if name:
            found.setdefault(name.lower(), sources)
    return found


def forbidding_directive(policies: Sequence[str], *, worker_url: str, page_origin: str) -> str | None:
    """The directive that keeps the worker from being registered; None if every policy lets it through.

    Args:
        policies: values of Content-Security-Policy headers and meta elements; all of them apply.
        worker_url: absolute.
        page_origin: as a browser's ``Origin`` header has it.
    """
    for header in policies:
        for policy in header.split(","):
            found = directives(policy)
            name = next((name for name in _FALLBACK if name in found), None)
            if name is not None and not any(_matches(source, worker_url, page_origin) for source in found[name]):
                return f"{name} {' '.join(found[name])}".strip()
    return None


def _schemes(named: str) -> tuple[str, ...]:
    """What a scheme in a policy stands for: http means https, too (section 6.7.2.8)."""
    return ("http", "https") if named == "http" else (named,)


def _matches(source: str, url: str, page_origin: str) -> bool:
    text = source.lower()
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}".lower()
    if text in ("'self'", "*"):
        return text == "*" or origin == page_origin.lower()
    if text == "'strict-dynamic'":
        return True  # what a trusted script registers is trusted
    if text.endswith(":") and "'" not in text:
        return parts.scheme in _schemes(text[:-1])
    if text.startswith("'"):
        return False
    scheme, separator, rest = text.rpartition("://")
    host, slash, path = rest.partition("/")
    if separator and parts.scheme not in _schemes(scheme):
        return False
    name, _, port = host.partition(":")
    actual = (parts.hostname or "").lower()
    if name.startswith("*."):
        if not actual.endswith(name[1:]):
            return False
    elif name != actual:
        return False
    if port and port != "*" and port != str(parts.port or (443 if parts.scheme == "https" else 80)):
        return False
    if not port and parts.port is not None:
        return False
    wanted = slash + path
    return not path or (parts.path.startswith(wanted) if wanted.endswith("/") else parts.path.lower() == wanted)
