"""The demo page: explains before it asks, shows how to send, and has words for everything that can go wrong."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path

import pytest
from playwright.async_api import Page

from .conftest import OpenPage, StartWorker, until
from .site import Site, Sites

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]

PHONE = {"width": 390, "height": 844}


async def state(page: Page) -> str | None:
    return await page.get_attribute("#status", "data-state")


async def settled(page: Page) -> None:
    await until(page, "() => !['loading', 'working'].includes(document.querySelector('#status').dataset.state)")


async def opened(open_page: OpenPage, **options: object) -> Page:
    page = await open_page("/", **options)
    await settled(page)
    return page


async def subscribed(open_page: OpenPage) -> Page:
    page = await opened(open_page)
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    return page


async def test_explains_before_it_asks(site: Site, open_page: OpenPage) -> None:
    page = await opened(open_page, granted=False)
    assert await state(page) == "unsubscribed"
    for heading in ("What you will see", "How often", "How to stop", "What is stored"):
        assert await page.get_by_text(heading, exact=True).is_visible()
    assert await page.is_enabled("#subscribe")
    assert await page.is_hidden("#unsubscribe")
    assert await page.is_hidden("#error")
    assert await page.evaluate("() => Notification.permission") != "granted"
    assert [path for _, path, _, _ in site.requests] == ["purposes"]
    assert await page.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0


async def test_one_click_subscribes_and_shows_the_short_id(open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    assert await state(page) == "subscribed"
    assert await page.inner_text("#short-id") == "S0000001"
    assert "send S0000001" in await page.inner_text("#code-cli")
    assert await page.evaluate("() => document.activeElement.id") == "after-title"
    await page.reload()
    await until(page, "() => document.querySelector('#short-id').textContent === 'S0000001'")


async def test_unsubscribing_leads_back(open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    await page.click("#unsubscribe")
    await page.wait_for_selector("#note:not([hidden])")
    assert await state(page) == "unsubscribed"
    assert "S0000001" in await page.inner_text("#note")
    assert await page.is_visible("#subscribe")
    assert await page.is_hidden("#unsubscribe")


async def test_messages_appear_as_they_are_shown(open_page: OpenPage, start_worker: StartWorker) -> None:
    page = await subscribed(open_page)
    worker = await start_worker(page)
    hostile = "<img src=x onerror=alert(1)>"
    for number in range(22):
        await worker.push(json.dumps({"title": f"Message {number}", "body": hostile}))
    await until(page, "() => document.querySelector('#messages strong')?.textContent === 'Message 21'")
    assert await page.locator("#messages li").count() == 20
    assert hostile in await page.inner_text("#messages li:first-child")
    assert await page.locator("#messages img").count() == 0
    assert await page.is_hidden("#messages-empty")


@pytest.mark.parametrize(
    ("told", "code", "words"),
    [
        ("fakePush.error = 'AbortError';", "push_service_unavailable", "pushkeep demo --offline"),
        ("fakePush.error = 'NotSupportedError';", "unsupported", "cannot subscribe"),
    ],
)
async def test_a_failure_is_explained_and_can_be_tried_again(
    told: str, code: str, words: str, open_page: OpenPage
) -> None:
    page = await opened(open_page, script=told)
    await page.click("#subscribe")
    await page.wait_for_selector(f"#error[data-code={code}]")
    assert words in await page.inner_text("#error")
    assert await state(page) == "unsubscribed"
    await page.evaluate("() => { fakePush.error = null; }")
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    assert await page.is_hidden("#error")


async def test_offline_mode_says_which_browser_to_use(site: Site, open_page: OpenPage) -> None:
    site.variables["offline"] = True
    page = await opened(open_page, script="fakePush.error = 'AbortError';")
    assert "nothing leaves" in await page.inner_text("main")
    await page.click("#subscribe")
    await page.wait_for_selector("#error:not([hidden])")
    assert "wired to the local push service" in await page.inner_text("#error")


async def test_a_question_closed_without_an_answer_is_no_accident(open_page: OpenPage) -> None:
    page = await opened(open_page, granted=False, script="Notification.requestPermission = async () => 'default';")
    await page.click("#subscribe")
    await page.wait_for_selector("#error[data-code=dismissed]")
    assert await page.is_enabled("#subscribe")


@pytest.mark.parametrize(
    ("agent", "words"), [("Firefox/153.0", "✕"), ("Chrome/156.0", "two sliders"), ("Safari", "settings")]
)
async def test_a_block_can_be_undone(agent: str, words: str, open_page: OpenPage) -> None:
    script = f"Object.defineProperty(navigator, 'userAgent', {{ value: '{agent}' }});"
    page = await opened(open_page, granted=False, script=script)
    await page.click("#subscribe")
    await page.wait_for_selector("#error[data-code=denied]")
    assert words in await page.inner_text("#error")
    assert await state(page) == "denied"


async def test_an_insecure_page_says_where_to_go(sites: Sites, open_page: OpenPage) -> None:
    site = sites.new("insecure.test")
    site.variables |= {"insecure": True, "public_url": "http://localhost:8200"}
    page = await opened(open_page, granted=False, base=site.base)
    assert await state(page) == "insecure"
    assert await page.is_disabled("#subscribe")
    assert "http://localhost:8200" in await page.inner_text("#error[data-code=insecure]")


async def test_a_browser_without_push_is_told(open_page: OpenPage) -> None:
    page = await opened(open_page, script="delete self.PushManager;")
    assert await state(page) == "unsupported"
    assert await page.is_disabled("#subscribe")
    assert await page.is_visible("#error[data-code=unsupported]")


async def test_a_server_that_is_gone_is_told(open_page: OpenPage) -> None:
    page = await opened(open_page)
    await page.route("**/v1/**", lambda route: route.abort())
    await page.click("#subscribe")
    await page.wait_for_selector("#error[data-code=network]")
    assert "still running" in await page.inner_text("#error")


async def test_a_lost_subscription_is_offered_again(open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    await page.evaluate("() => fakePush.lose()")
    await page.add_init_script("fakePush.error = 'AbortError';")
    await page.reload()
    await settled(page)
    assert await state(page) == "lost"
    assert await page.inner_text("#subscribe") == "Subscribe again"


# ---- what is pasted works


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    return output.decode()


async def test_the_command_line_shown_is_one_command(site: Site, open_page: OpenPage) -> None:
    site.variables["data_dir_flag"] = "--data-dir '/home/ada/my data'"
    page = await subscribed(open_page)
    argv = shlex.split((await page.inner_text("#code-cli")).replace("\\\n", " "))
    assert argv[:3] == ["pushkeep", "send", "S0000001"]
    assert argv[3:7] == ["--title", "Hello", "--body", "Sent from my terminal"]
    assert argv[7:] == ["--data-dir", "/home/ada/my data"]


@pytest.mark.parametrize("tab", ["curl", "python"])
async def test_the_commands_shown_reach_the_server(tab: str, site: Site, open_page: OpenPage, tmp_path: Path) -> None:
    key_file = tmp_path / "it's the key"
    key_file.write_text("sk_demo\n")
    # Programs outside the browser need not know *.localhost.
    site.variables |= {
        "api_key_file": str(key_file),
        "server_url": site.base.replace(site.base.split(":")[1], "//127.0.0.1"),
    }
    page = await subscribed(open_page)
    await page.click(f"#tab-{tab}")
    text = await page.inner_text(f"#code-{tab}")
    host = site.base.removeprefix("http://")
    if tab == "curl":
        output = await run("bash", "-c", text.replace("curl ", f"curl -sS -H 'Host: {host}' ", 1))
    else:
        output = await run(sys.executable, "-c", text.replace("headers={", f"headers={{'Host': '{host}', ", 1))
    accepted, end = json.JSONDecoder().raw_decode(output)
    assert accepted == {"id": "n-1"}
    became = output[end:].strip()
    assert became == "" if tab == "curl" else json.loads(became) == [{"kind": "accepted"}]
    verb, path, body, authorization = site.requests[-1]
    assert (verb, path, authorization) == ("POST", "notifications", "Bearer sk_demo")
    assert body["to"] == {"subscriptions": ["S0000001"]}


async def test_the_secret_key_is_never_in_the_page(open_page: OpenPage) -> None:
    page = await opened(open_page)
    assert "sk_" not in await page.content()


async def test_copies_what_is_shown(site: Site, open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    await page.context.grant_permissions(["clipboard-read", "clipboard-write", "notifications"], origin=site.base)
    await page.click("[data-copy=code-cli]")
    await until(page, "() => document.querySelector('#copied').textContent !== ''")
    copied = await page.evaluate("() => navigator.clipboard.readText()")
    assert copied == (await page.inner_text("#code-cli")).strip()


# ---- for everybody


async def test_tabs_work_with_the_keyboard(open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    await page.focus("#tab-cli")
    for key, panel in (("ArrowRight", "curl"), ("End", "python"), ("ArrowRight", "cli"), ("ArrowLeft", "python")):
        await page.keyboard.press(key)
        assert await page.is_visible(f"#panel-{panel}")
        assert await page.locator("[role=tabpanel]:visible").count() == 1
        assert await page.evaluate("() => document.activeElement.id") == f"tab-{panel}"


async def test_subscribing_works_with_the_keyboard(open_page: OpenPage) -> None:
    page = await opened(open_page)
    await page.focus("#subscribe")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#after:not([hidden])")


async def test_every_control_has_a_name_and_the_page_its_landmarks(open_page: OpenPage) -> None:
    page = await subscribed(open_page)
    unnamed = await page.evaluate(
        "() => [...document.querySelectorAll('button')].filter((b) => !b.innerText.trim()).map((b) => b.outerHTML)"
    )
    assert unnamed == []
    for landmark in ("main", "header", "footer"):
        assert await page.locator(landmark).count() == 1
    assert await page.get_attribute("#messages", "aria-live") == "polite"
    assert await page.get_attribute("#error", "role") == "alert"


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.matches(':disabled, .hidden-text, .skip')) continue;
    const [one, two] = [parse(getComputedStyle(element).color), ground(element)].map(light).sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName} ${element.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_is_readable(scheme: str, open_page: OpenPage) -> None:
    page = await opened(open_page)
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert await page.evaluate(CONTRAST) == []
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    assert await page.evaluate(CONTRAST) == []
    await page.evaluate("() => { fakePush.error = 'AbortError'; }")
    await page.click("#unsubscribe")
    await page.wait_for_selector("#note:not([hidden])")
    await page.click("#subscribe")
    await page.wait_for_selector("#error:not([hidden])")
    assert await page.evaluate(CONTRAST) == []


async def test_nothing_is_wider_than_a_phone(site: Site, open_page: OpenPage) -> None:
    site.variables |= {"api_key_file": "/a/very/long/path" * 8, "public_url": f"https://{'long-name.' * 9}example"}
    page = await opened(open_page)
    await page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    wider = "() => document.documentElement.scrollWidth - innerWidth"
    assert await page.evaluate(wider) <= 0
    await page.click("#subscribe")
    await page.wait_for_selector("#after:not([hidden])")
    for tab in ("cli", "curl", "python"):
        await page.click(f"#tab-{tab}")
        assert await page.evaluate(wider) <= 0
