"""The demo page carries the publishable key, tells what to type, and escapes what it is told."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pushkeep.app.projects import create_api_key
from pushkeep.compose import create_app
from pushkeep.protocol.encoding import b64_decode
from pushkeep.pushservice import PushService
from pushkeep.web.demo_page import PEOPLE, DemoPage
from tests.processes.helpers import new_visitor
from tests.web.conftest import WAIT_SECONDS, Site, client_for, settings_for
from tests.web.test_real_server import served


async def test_the_page_is_wired_to_its_project(site: Site) -> None:
    answer = await site.client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert f'data-project-key="{site.project.publishable_key}"' in answer.text
    assert "/tmp/api-key" in answer.text
    assert site.api_key not in answer.text


async def test_everything_the_page_loads_is_served_from_here(site: Site) -> None:
    page = (await site.client.get("/")).text
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        if not address.startswith("#"):
            assert address.startswith("/")
            assert (await site.client.get(address)).status_code == 200, address
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "inline scripts do not run under the page's policy"
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)


async def test_info_has_the_same_for_programs(site: Site) -> None:
    info = (await site.client.get("/demo/info")).json()
    assert info == {
        "project_key": site.project.publishable_key,
        "public_url": "http://localhost:8200",
        "server_url": "http://localhost:8200",
        "pushkeep_command": "pushkeep",
        "api_key_file": "/tmp/api-key",
        "data_dir_flag": "--data-dir /tmp/x",
        "offline": False,
        "insecure": False,
        "explanation": None,
    }
    insecure = (await site.client.get("/demo/info", headers={"Host": "192.168.1.5:8200"})).json()
    assert insecure["insecure"] is True
    assert "http://localhost:8200" in insecure["explanation"]


async def test_what_the_command_line_says_is_escaped(tmp_path: Path) -> None:
    demo = DemoPage("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', offline=True)
    app = create_app(settings_for(tmp_path), demo=demo)
    async with app.lifespan(), client_for(app) as client:
        page = (await client.get("/")).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize("path", ["/", "/demo/info", "/demo/demo.js"])
async def test_without_a_demo_there_is_no_page(tmp_path: Path, path: str) -> None:
    app = create_app(settings_for(tmp_path))
    async with app.lifespan(), client_for(app) as client:
        assert (await client.get(path)).status_code == 404


async def test_what_it_tells_to_type_sends_and_shows_what_became_of_it(
    tmp_path: Path, push_service: PushService
) -> None:
    """Twice: once the message arrives, and once the push service says that the visitor has left."""
    key_file = tmp_path / "it's the key"
    settings = settings_for(tmp_path, port=0, origin_map=push_service.origin_map_entries())
    async with served(settings, demo=DemoPage("pushkeep", str(key_file))) as serving:
        services, project = serving.services, serving.project
        key_file.write_text(await create_api_key(services, project, "demo"))
        subscriber, short_id = await new_visitor(services, project, push_service)
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"http://127.0.0.1:{serving.settings.port}/")).text
        shown = {name: _shown(page, name, short_id) for name in ("curl", "look", "python")}
        sent = json.loads(await _run("bash", "-c", shown["curl"].replace("curl ", "curl -s ", 1)))
        assert (sent["targeted"], sent["unknown"]) == (1, [])
        assert json.loads((await subscriber.receive(10)).data or b"")["notification"]["body"] == "Sent with curl"
        await subscriber.unsubscribe()
        assert '"dropped"' in await _run(sys.executable, "-c", shown["python"])
        looked = json.loads(await _run("bash", "-c", shown["look"].replace("curl ", "curl -s ", 1)))
        assert looked["items"][0]["counts"] == {"gone": 1}


def _shown(page: str, name: str, short_id: str) -> str:
    """A command as the visitor copies it."""
    found = re.search(rf'<code id="code-{name}">(.*?)</code>', page, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<mark data-id>ID</mark>", short_id, found[1]))


async def _run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]})
    async with asyncio.timeout(WAIT_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


async def test_two_people_can_sign_in_and_nobody_else(site: Site) -> None:
    for person in PEOPLE:
        answer = await site.client.get(f"/demo/identity/{person}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        claims = answer.json()["identity"].split(".")[1]
        assert json.loads(b64_decode(claims, field="claims"))["sub"] == person
    for other in ("carol", "Ada", "ada%2F..", "%00"):
        assert (await site.client.get(f"/demo/identity/{other}")).status_code == 404
