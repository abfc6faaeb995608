"""The demo page carries the publishable key, tells what to type, and escapes what it is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pushkeep.compose import create_app
from pushkeep.web.demo_page import DemoPage
from tests.web.conftest import Site, client_for, settings_for


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
