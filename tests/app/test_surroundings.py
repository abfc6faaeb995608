"""What the doctor sees of this machine: real files, real git, real sockets on loopback."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pushkeep.adapters import surroundings as module
from pushkeep.adapters.surroundings import SystemSurroundings


@pytest.fixture
def around() -> SystemSurroundings:
    return SystemSurroundings()


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives each connection the next answer; with none left it stays silent."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(65536)
            connection.sendall(answer)
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


async def test_a_file_with_its_permissions(around: SystemSurroundings, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"key")
    path.chmod(0o640)
    file = await around.secret_file(str(path))
    assert (file.content, file.mode, file.work_tree, file.tracked) == (b"key", 0o640, None, False)


async def test_a_file_that_is_not_there_or_no_file(around: SystemSurroundings, tmp_path: Path) -> None:
    assert (await around.secret_file(str(tmp_path / "none"))).error == "No such file or directory"
    assert (await around.secret_file(str(tmp_path))).content is None


async def test_an_endless_file_is_read_in_part(around: SystemSurroundings) -> None:
    file = await around.secret_file("/dev/zero")
    assert file.content is not None
    assert len(file.content) == module.KEY_FILE_BYTES_MAX


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    root = tmp_path / "site"
    root.mkdir()
    git("init", "--quiet", str(root))
    return root


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, timeout=60)


async def test_a_key_in_git(around: SystemSurroundings, work_tree: Path) -> None:
    below = work_tree / "config"
    below.mkdir()
    key = below / "-key.pem"  # begins like an option
    key.write_text("key")
    file = await around.secret_file(str(key))
    assert (file.work_tree, file.tracked, file.ignored) == (str(work_tree), False, False)
    (work_tree / ".gitignore").write_text("*.pem\n")
    assert (await around.secret_file(str(key))).ignored is True
    git("-C", str(work_tree), "add", "--force", "config/-key.pem")
    assert (await around.secret_file(str(key))).tracked is True


async def test_without_git_nothing_is_claimed(
    around: SystemSurroundings, work_tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work_tree / "key.pem").write_text("key")
    monkeypatch.setenv("PATH", "")
    file = await around.secret_file(str(work_tree / "key.pem"))
    assert (file.work_tree, file.tracked, file.ignored) == (str(work_tree), False, False)


async def test_addresses_come_with_the_reason_against_them(around: SystemSurroundings) -> None:
    assert await around.addresses("127.0.0.1", 443) == [("127.0.0.1", "loopback")]
    assert all(reason for _, reason in await around.addresses("localhost", 443))
    assert await around.addresses("a" * 64 + ".invalid", 443) == [], "no name at all; nobody is asked"


async def test_a_page_is_fetched_as_it_is(around: SystemSurroundings) -> None:
    body = "grüße".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body)
    with answering(head + body) as url:
        page = await around.fetch(f"{url}/größe")
    assert (page.status, page.headers["content-type"], page.body) == (200, "text/html", "grüße")


async def test_a_redirect_is_not_followed(around: SystemSurroundings) -> None:
    with answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n") as url:
        page = await around.fetch(url)
    assert (page.status, page.headers["location"]) == (302, "http://127.0.0.1:9/")


async def test_a_page_without_end_is_cut(around: SystemSurroundings) -> None:
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (module.PAGE_BYTES_MAX + 1000)) as url:
        page = await around.fetch(url)
    assert (page.status, len(page.body)) == (200, module.PAGE_BYTES_MAX)


async def test_a_page_that_is_not_reached_says_why(around: SystemSurroundings) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    page = await around.fetch(f"http://127.0.0.1:{port}/")
    assert (page.status, "is not reached" in page.failure) == (None, True)


async def test_every_policy_of_a_page_is_in_force(around: SystemSurroundings) -> None:
    policies = b"Content-Security-Policy: worker-src 'none'\r\ncontent-security-policy: img-src *\r\n"
    with answering(b"HTTP/1.1 200 OK\r\n" + policies + b"Content-Length: 0\r\n\r\n") as url:
        page = await around.fetch(url)
    assert page.headers["content-security-policy"] == "worker-src 'none', img-src *"


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "javascript:alert(1)", "gopher://127.0.0.1/", "http://[", "\x00"]
)
async def test_nothing_but_http_is_fetched(around: SystemSurroundings, url: str) -> None:
    page = await around.fetch(url)
    assert (page.status, page.body) == (None, "")


async def test_a_page_that_hangs_is_given_up(around: SystemSurroundings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FETCH_SECONDS_MAX", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        page = await around.fetch(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    assert page.status is None
