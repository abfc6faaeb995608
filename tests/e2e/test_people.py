"""A browser that people share belongs to one of them at a time, and to nobody in between."""

from __future__ import annotations

import pytest

from pushkeep.protocol.encoding import b64_decode

from .site import Site, Visitor

pytestmark = pytest.mark.browser

SIGNED_IN = """(() => {
  const error = document.querySelector("#error");
  if (!error.hidden) throw new Error(error.innerText);
  return document.querySelector("[data-testid=owner]").textContent === "%s";
})()"""


async def sign(visitor: Visitor, name: str) -> None:
    """Choose who is signed in on the demo page; an empty name signs out."""
    await visitor.page.click(f"input[name=person][value='{name}']")
    await visitor.page.wait_for(SIGNED_IN % (name or "nobody"))


async def reaches(site: Site, name: str) -> int:
    """How many subscriptions a message to a person is for."""
    accepted = await site.accepted(to={"contacts": [name]}, content={"title": f"To {name}"})
    return int(accepted["targeted"])


async def test_log_in_log_out_and_the_next_person(visitor: Visitor) -> None:
    site = visitor.site
    await sign(visitor, "ada")
    assert (await site.subscription(visitor.short_id))["contact"] == "ada"
    assert (await reaches(site, "ada"), await reaches(site, "bert")) == (1, 0)
    await visitor.sees("To ada")

    await sign(visitor, "")
    assert (await site.subscription(visitor.short_id))["contact"] is None
    assert (await reaches(site, "ada"), await reaches(site, "bert")) == (0, 0)
    await visitor.is_reached("To whoever it is")

    await sign(visitor, "bert")
    assert (await site.subscription(visitor.short_id))["contact"] == "bert"
    assert (await reaches(site, "ada"), await reaches(site, "bert")) == (0, 1)
    await visitor.sees("To bert")
    assert [shown.title for shown in visitor.desk.notifications.shown].count("To ada") == 1
    await visitor.is_the_only_one()


async def test_a_tab_that_was_left_open_does_not_take_it_back(visitor: Visitor) -> None:
    """Its token is older than the next person's log-in."""
    site = visitor.site
    stale = await site.identity("ada", age_seconds=60)
    await sign(visitor, "bert")
    answer = await visitor.page.evaluate(
        f"""import("/pushkeep/sdk.js")
          .then(({{Pushkeep}}) => Pushkeep.init({{projectKey: document.body.dataset.projectKey, identity: "{stale}"}}))
          .then((push) => push.status().error?.code ?? null)"""
    )
    assert answer == "identity"
    assert (await site.subscription(visitor.short_id))["contact"] == "bert"


async def test_the_owner_survives_a_new_subscription(visitor: Visitor) -> None:
    site = visitor.site
    await sign(visitor, "ada")
    await site.rotate()
    back = await visitor.again()
    await back.is_the_only_one()
    assert (await site.subscription(back.short_id))["contact"] == "ada"
    assert await reaches(site, "ada") == 1
    await back.sees("To ada")


async def test_several_devices_of_one_person(visitor: Visitor) -> None:
    """The browser here, and a phone whose app was handed over by the site's own server."""
    site = visitor.site
    await sign(visitor, "ada")
    key = await site.public_key()
    phone = await visitor.desk.service.subscribe(b64_decode(key, field="key"))
    body = {"subscription": phone.subscription.to_dict(), "application_server_key": key, "contact": "ada"}
    assert (await site.http.post("/v1/subscriptions", json=body)).status_code == 201
    assert await reaches(site, "ada") == 2
    assert b"To ada" in ((await phone.receive(timeout=30)).data or b"")
    await sign(visitor, "")
    assert await reaches(site, "ada") == 1
