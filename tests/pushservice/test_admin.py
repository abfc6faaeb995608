"""The admin interface over HTTP."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pushkeep.pushservice import PushService
from pushkeep.pushservice.events import Acked

from .helpers import KEY, Sender, firefox


class AdminClient:
    def __init__(self, service: PushService, sender: Sender) -> None:
        self.service = service
        self.sender = sender

    async def call(
        self, method: str, path: str, *, body: bytes = b"", authorization: str | None = None
    ) -> httpx.Response:
        given = f"Bearer {self.service.admin_token}" if authorization is None else authorization
        url = self.service.admin_url + path
        return await self.sender.request(method, url, headers={"authorization": given}, body=body)

    async def listing(self, name: str) -> list[dict[str, object]]:
        answer = await self.call("GET", name)
        assert answer.status_code == 200
        items: list[dict[str, object]] = answer.json()[name.partition("?")[0]]
        return items


@pytest.fixture
def admin(service: PushService, sender: Sender) -> AdminClient:
    return AdminClient(service, sender)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic eDp5"])
async def test_without_the_token_nothing_is_told(admin: AdminClient, authorization: str) -> None:
    answer = await admin.call("GET", "clients", authorization=authorization)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_overview_has_every_address(admin: AdminClient) -> None:
    content = (await admin.call("GET", "")).json()
    assert content["url"] == admin.service.url
    assert content["origin_map"] == admin.service.origin_map_entries()
    assert set(content) >= {
        "autopush_url",
        "checkin_url",
        "registration_url",
        "mcs_url",
        "ca_file",
        "spki_sha256",
    }


async def test_lists_show_the_life_of_a_message(service: PushService, admin: AdminClient, sender: Sender) -> None:
    receiver = await service.subscribe(KEY.public_bytes)
    receiver.disconnect()
    await sender.send(receiver.subscription, b"x", topic="t", urgency="low", ttl="9")
    (subscription,) = await admin.listing("subscriptions")
    assert subscription["id"] == receiver.subscription_id
    assert subscription["endpoint"] == receiver.subscription.endpoint.url
    assert subscription["application_server_key"] == KEY.public_b64
    assert subscription["messages"] == 1
    (client,) = await admin.listing("clients")
    assert (client["id"], client["kind"], client["connected"]) == (receiver.client_id, "local", False)
    (message,) = await admin.listing("messages")
    assert (message["state"], message["topic"], message["urgency"], message["ttl"]) == (
        "waiting",
        "t",
        "low",
        9,
    )
    receiver.connect()
    await receiver.receive(5)
    assert await admin.listing("messages") == []
    (ack,) = await admin.listing("acks")
    assert (ack["message_id"], ack["code"]) == (message["id"], 100)
    names = [event["event"] for event in await admin.listing("events")]
    assert names == [
        "registered",
        "connected",
        "disconnected",
        "accepted",
        "connected",
        "delivered",
        "acked",
    ]


async def test_events_can_be_awaited(service: PushService, admin: AdminClient) -> None:
    after = service.last_event_serial
    waiting = asyncio.create_task(admin.listing(f"events?after={after}&wait=30"))
    receiver = await service.subscribe()
    events = await waiting
    assert [event["event"] for event in events][:1] == ["registered"]
    assert events[0]["subscription_id"] == receiver.subscription_id
    assert await admin.listing(f"events?after={service.last_event_serial}&wait=0.05") == []


@pytest.mark.parametrize("query", ["after=x", "after=-1", "wait=61", "wait=nan", "&".join(["a=1"] * 60)])
async def test_a_bad_query_is_a_400(admin: AdminClient, query: str) -> None:
    answer = await admin.call("GET", f"events?{query}")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_input")


async def test_drop_admit_and_forget(service: PushService, admin: AdminClient) -> None:
    async with firefox(service) as client:
        await client.register()
        path = f"clients/{client.uaid}/"
        answer = await admin.call("POST", path + "drop", body=b'{"code": 4774, "refuse": true}')
        assert answer.status_code == 204
        await asyncio.wait_for(client.socket.wait_closed(), 5)
        assert client.socket.close_code == 4774
        assert service.clients()[0].refused
        assert (await admin.call("POST", path + "admit")).status_code == 204
        assert not service.clients()[0].refused
        assert (await admin.call("POST", path + "forget")).status_code == 204
    assert (service.clients(), service.subscriptions()) == ([], [])
    assert (await admin.call("POST", path + "forget")).status_code == 404


async def test_expire(service: PushService, admin: AdminClient, sender: Sender) -> None:
    receiver = await service.subscribe(KEY.public_bytes)
    path = f"subscriptions/{receiver.subscription_id}/expire"
    assert (await admin.call("POST", path)).status_code == 204
    assert (await sender.send(receiver.subscription, b"x")).status_code == 410
    assert (await admin.call("POST", path)).status_code == 404


async def test_registration_is_closed_and_opened(service: PushService, admin: AdminClient) -> None:
    async with firefox(service) as client:
        assert (await admin.call("POST", "registration/close")).status_code == 204
        with pytest.raises(AssertionError, match="503"):
            await client.register()
        assert (await admin.call("POST", "registration/close", body=b'{"hold": 1}')).status_code == 400
        assert (await admin.call("POST", "registration/close", body=b'{"hold": true}')).status_code == 204
        waiting = asyncio.create_task(client.register())
        assert await admin.listing("subscriptions") == []
        assert (await admin.call("POST", "registration/open")).status_code == 204
        _, endpoint = await waiting
        assert service.subscription_for(endpoint) is not None


@pytest.mark.parametrize(
    "body",
    [b"x", b"[]", b'{"code": 1005}', b'{"code": "4774"}', b'{"code": true}', b'{"refuse": 1}', b"[" * 10_000],
)
async def test_bad_options_are_a_400(service: PushService, admin: AdminClient, body: bytes) -> None:
    receiver = await service.subscribe()
    answer = await admin.call("POST", f"clients/{receiver.client_id}/drop", body=body)
    assert answer.status_code == 400
    assert service.clients()[0].connected


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("GET", "clients/x", 404),
        ("POST", "clients", 404),
        ("POST", "clients/x/explode", 404),
        ("POST", "clients/../drop", 404),
        ("POST", "clients/x/drop", 404),
        ("DELETE", "clients/x", 405),
    ],
)
async def test_what_does_not_exist(admin: AdminClient, method: str, path: str, status: int) -> None:
    assert (await admin.call(method, path)).status_code == status


async def test_waits_name_what_did_not_come(service: PushService) -> None:
    for wait, what in [
        (service.wait_for_ack("m", 0.01), "ack"),
        (service.wait_for_client(0.01), "connection"),
        (service.wait_for_disconnect("c", 0.01), "disconnection"),
        (service.wait_for_subscription(0.01), "subscription"),
        (service.wait_for_unsubscription("s", 0.01), "end of the subscription"),
        (service.wait_for(Acked, 0.01), "acked"),
    ]:
        with pytest.raises(TimeoutError, match=what):
            await wait


async def test_waits_find_what_came_before_and_what_comes_next(service: PushService, sender: Sender) -> None:
    receiver = await service.subscribe(KEY.public_bytes)
    found = await service.wait_for_subscription(5)
    assert found == service.subscription_for(receiver.subscription.endpoint.url)
    assert service.subscription_for("https://localhost/x") is None
    client = await service.wait_for_client(5, via="local", client_id=receiver.client_id)
    with pytest.raises(TimeoutError):
        await service.wait_for_client(0.01, after=client.serial)
    ending = asyncio.create_task(service.wait_for_unsubscription(receiver.subscription_id, 5))
    await asyncio.sleep(0)  # lets the wait begin
    await receiver.unsubscribe()
    assert (await ending).reason == "client"


async def test_faults_are_added_listed_and_removed(admin: AdminClient) -> None:
    subscriber = await admin.service.subscribe(KEY.public_bytes)
    added = await admin.call("POST", "faults", body=b'{"fault": "mozilla   status=429 retry-after=10 after=1"}')
    assert (added.status_code, added.json()) == (201, {"id": "f1"})
    assert (await admin.call("POST", "faults", body=b'{"fault": "all slow=0"}')).json() == {"id": "f2"}
    statuses = [(await admin.sender.send(subscriber.subscription, b"x")).status_code for _ in range(3)]
    assert statuses == [201, 429, 429]
    first, second = await admin.listing("faults")
    assert (first["id"], first["fault"], first["hits"]) == ("f1", "mozilla status=429 retry-after=10 after=1", 2)
    assert (second["id"], second["fault"], second["hits"]) == ("f2", "slow=0", 3)
    assert (await admin.call("POST", "faults/f1/remove")).status_code == 204
    assert [fault["id"] for fault in await admin.listing("faults")] == ["f2"]
    assert (await admin.call("POST", "faults/clear")).status_code == 204
    assert await admin.listing("faults") == []
    assert admin.service.faults.list() == []
    assert (await admin.sender.send(subscriber.subscription, b"x")).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("faults", b'{"fault": "aple hang"}', 400, "'aple'"),
        ("faults", b'{"fault": 3}', 400, "fault must be the fault's line, as text."),
        ("faults", b"hang", 400, "The body must be a JSON object."),
        ("faults", b"", 400, "fault must be the fault's line, as text."),
        ("faults/f9/remove", b"", 404, "There is no fault f9"),
        ("faults/x/remove", b"", 404, "no such admin verb"),
    ],
)
async def test_a_bad_fault_is_told_apart(admin: AdminClient, path: str, body: bytes, status: int, said: str) -> None:
    answer = await admin.call("POST", path, body=body)
    assert answer.status_code == status
    assert said in answer.json()["message"]


async def test_there_are_not_more_faults_than_a_hundred(admin: AdminClient) -> None:
    for _ in range(100):
        admin.service.faults.add("slow=0 chance=0")
    answer = await admin.call("POST", "faults", body=b'{"fault": "hang"}')
    assert (answer.status_code, answer.json()["message"]) == (400, "There are 100 faults already; remove some.")
