"""A small site on loopback, served from memory: pages for tests in which a browser must have somewhere to go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STOP_SECONDS_MAX = 10.0

# As strict as a careful site's: a driver must not need eval().
CONTENT_SECURITY_POLICY = "default-src 'none'; script-src 'self'; style-src 'self'"

_PUSH_PAGE = Path(__file__).parent / "page"
_KINDS = {".html": "text/html", ".js": "text/javascript"}

Files = Mapping[str, tuple[str, str]]
"""By path: media type without charset, and text."""


def push_page() -> Files:
    """The page of the fixtures ``firefox_push`` and ``chromium_push``."""
    files = {
        f"/{path.name}": (_KINDS[path.suffix], path.read_text(encoding="utf-8"))
        for path in _PUSH_PAGE.iterdir()
        if path.suffix in _KINDS
    }
    return files | {"/": files["/index.html"]}


@contextlib.contextmanager
def static_site(files: Files) -> Iterator[int]:
    """Serve ``files`` on a free port of loopback; yields the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = files.get(self.path.partition("?")[0])
            kind, text = found or ("text/plain", "")
            body = text.encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="pushkeep-static-site", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_SECONDS_MAX)
