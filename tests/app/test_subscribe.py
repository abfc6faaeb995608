import asyncio

import pytest

from pushkeep.app.projects import identity_secret
from pushkeep.app.subscribe import (
    find_subscription,
    list_subscriptions,
    remove_subscription,
)
from pushkeep.app.visitor import unregister
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.subscription import Event, State
from pushkeep.domain.sync_token import make_sync_token
from pushkeep.errors import Conflict, Forbidden, InvalidInput, InvalidToken, NotFound
from pushkeep.protocol.encoding import b64url_encode
from pushkeep.protocol.signing_key import SigningKey
from tests.app.conftest import World
from tests.store.samples import OTHER_BROWSER_KEY, sendable, subscription


async def identity_of(world: World, name: str, lifetime: float = 60) -> str:
    secret = await identity_secret(world.services, world.project)
    return sign_identity(secret, external_id=name, expires_at=world.clock.time + lifetime)


async def test_two_tabs_get_the_same_answer(world: World) -> None:
    answers = await asyncio.gather(*(world.register() for _ in range(20)))
    assert len({(item.public_id, item.short_id, item.sync_token) for item in answers}) == 1
    assert sum(item.created for item in answers) == 1


@pytest.mark.parametrize("spelling", ["unpadded", "padded", "standard"])
async def test_the_key_may_be_spelt_in_any_way(world: World, spelling: str) -> None:
    key = {"unpadded": world.key, "padded": world.key + "=", "standard": world.key.replace("-", "+").replace("_", "/")}
    world.key = key[spelling]
    assert (await world.register()).created


async def test_a_foreign_key_is_answered_with_the_current_one(world: World) -> None:
    current, world.key = world.key, SigningKey.generate().public_b64
    with pytest.raises(Conflict, match="subscribe again") as caught:
        await world.register()
    assert caught.value.details == {"application_server_key": current}
    assert await world.records() == []


@pytest.mark.parametrize("key", ["", "!", "AAAA", b64url_encode(bytes(64)), "A" * 100_000])
async def test_a_key_that_is_none_names_its_field(world: World, key: str) -> None:
    world.key = key
    with pytest.raises(InvalidInput) as caught:
        await world.register()
    assert caught.value.field == "application_server_key"


async def test_an_unknown_push_service_is_refused_until_it_is_allowed(world: World) -> None:
    stranger = subscription("capability", host="push.example.net")
    with pytest.raises(Forbidden, match=r"https://push\.example\.net,") as caught:
        await world.register(stranger)
    assert "capability" not in caught.value.message
    assert await world.records() == []
    allowed = world.with_policy(EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"})))
    await allowed.register(stranger)
    (record,) = await world.records()
    assert record.vendor == "unknown"


async def test_a_replacement_needs_the_sync_token(world: World) -> None:
    old = await world.register("old")
    new = await world.register("new", replaces=old.sync_token)
    first, second = await world.records()
    assert (first.state, first.superseded_by) == (State.SUPERSEDED, second.id)
    assert second.public_id == new.public_id


async def test_a_token_that_does_not_hold_changes_nothing(world: World) -> None:
    old = await world.register("old")
    before = await world.records()
    forged = old.sync_token[:-5] + "AAAAA"
    for token in ("", "st_x", forged, old.public_id, old.sync_token + "x", "x" * 100_000):
        with pytest.raises(InvalidToken) as caught:
            await world.register("new", replaces=token)
        assert caught.value.field == "replaces"
        with pytest.raises(InvalidToken):
            await unregister(world.services, world.project, token)
    assert await world.records() == before


async def test_another_project_does_not_take_the_token(world: World) -> None:
    old = await world.register("old")
    secrets = await world.services.store.project_secrets(world.project)
    elsewhere = make_sync_token(
        secrets.sync, project_public_id="00000000-0000-7000-8000-000000000000", public_id=old.public_id
    )
    with pytest.raises(InvalidToken) as caught:
        await unregister(world.services, world.project, elsewhere)
    assert caught.value.reason == "bad_signature"
    (record,) = await world.records()
    assert record.state is State.ACTIVE


async def test_who_only_knows_the_endpoint_cannot_take_it_over(world: World) -> None:
    await world.register("victim", owner="ann")
    before = await world.records()
    with pytest.raises(Conflict, match="other keys"):
        await world.register(subscription("victim", p256dh=OTHER_BROWSER_KEY))
    assert await world.records() == before


async def test_an_identity_gives_an_owner_and_moves_it(world: World) -> None:
    await world.register(identity=await identity_of(world, "ann"))
    await world.register()
    (record,) = await world.records()
    assert record.contact_external_id == "ann"
    await world.register(identity=await identity_of(world, "bob"))
    (record,) = await world.records()
    assert record.contact_external_id == "bob"


async def test_an_api_key_caller_may_name_the_owner(world: World) -> None:
    await world.register(owner="ann")
    await world.register(owner="ann", identity=await identity_of(world, "ann"))
    with pytest.raises(InvalidInput, match="two different contacts"):
        await world.register(owner="ann", identity=await identity_of(world, "bob"))
    with pytest.raises(InvalidInput) as caught:
        await world.register(owner="x" * 201)
    assert caught.value.field == "owner"
    (record,) = await world.records()
    assert record.contact_external_id == "ann"


async def test_an_identity_that_does_not_hold_stores_nothing(world: World) -> None:
    forged = sign_identity(b"x" * 32, external_id="ann", expires_at=world.clock.time + 60)
    stale = await identity_of(world, "ann", lifetime=-1)
    for token, reason in ((forged, "bad_signature"), (stale, "expired"), ("v1", "bad_signature")):
        with pytest.raises(InvalidToken) as caught:
            await world.register(identity=token)
        assert caught.value.reason == reason
    assert await world.records() == []


async def test_leaving_twice_is_leaving_once(world: World) -> None:
    registered = await world.register()
    await unregister(world.services, world.project, registered.sync_token)
    (left,) = await world.records()
    world.clock.time += 60
    await unregister(world.services, world.project, registered.sync_token)
    assert await world.records() == [left]
    assert (left.state, left.state_reason and left.state_reason.cause) == (State.UNSUBSCRIBED, Event.LEFT)


async def test_leaving_and_coming_back_keeps_the_short_id(world: World) -> None:
    first = await world.register(owner="ann")
    await unregister(world.services, world.project, first.sync_token)
    again = await world.register()
    assert (again.public_id, again.short_id, again.sync_token) == (first.public_id, first.short_id, first.sync_token)
    assert not again.created
    (record,) = await world.records()
    assert (record.state, record.contact_external_id) == (State.ACTIVE, "ann")


async def test_found_by_either_id(world: World) -> None:
    registered = await world.register()
    for any_id in (registered.public_id, registered.public_id.upper(), registered.short_id):
        found = await find_subscription(world.services, world.project, any_id)
        assert found.public_id == registered.public_id
    with pytest.raises(NotFound, match="ZZZZZZZZ"):
        await find_subscription(world.services, world.project, "ZZZZZZZZ")
    with pytest.raises(InvalidInput):
        await find_subscription(world.services, world.project, "1 OR 1=1")


async def test_removing(world: World) -> None:
    registered = await world.register()
    removed = await remove_subscription(world.services, world.project, registered.short_id, "asked by mail")
    assert removed.state is State.UNSUBSCRIBED
    assert removed.state_reason is not None
    assert (removed.state_reason.cause, removed.state_reason.text) == (Event.REMOVED, "asked by mail")
    assert await remove_subscription(world.services, world.project, registered.public_id) == removed
    with pytest.raises(NotFound):
        await remove_subscription(world.services, world.project, "ZZZZZZZZ")
    with pytest.raises(InvalidInput, match="300"):
        await remove_subscription(world.services, world.project, registered.short_id, "x" * 301)


async def test_pages(world: World) -> None:
    for number in range(5):
        await world.register(f"s{number}")
    first = await list_subscriptions(world.services, world.project, limit=2)
    second = await list_subscriptions(world.services, world.project, limit=2, after=first.next_after)
    third = await list_subscriptions(world.services, world.project, limit=2, after=second.next_after)
    assert [*first.items, *second.items, *third.items] == await world.records()
    assert third.next_after is None
    whole = await list_subscriptions(world.services, world.project, limit=5)
    assert (len(whole.items), whole.next_after) == (5, None)
    gone = await list_subscriptions(world.services, world.project, state=State.GONE)
    assert gone.items == ()


@pytest.mark.parametrize("limit", [0, -1, 1001, True])
async def test_a_page_has_a_size(world: World, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        await list_subscriptions(world.services, world.project, limit=limit)


async def test_a_page_behind_nothing(world: World) -> None:
    with pytest.raises(NotFound):
        await list_subscriptions(world.services, world.project, after="ZZZZZZZZ")
    with pytest.raises(InvalidInput) as caught:
        await list_subscriptions(world.services, world.project, after="?")
    assert caught.value.field == "after"


async def test_no_secret_is_shown_by_what_is_handed_out(world: World) -> None:
    registered = await world.register(subscription("capability"))
    (recipient,) = await sendable(world.services.store, world.project)
    secrets = await world.services.store.project_secrets(world.project)
    for shown in (repr(recipient), repr(await world.records()), repr(secrets)):
        assert "capability" not in shown
        assert registered.sync_token not in shown
        assert repr(secrets.sync) not in shown


async def test_hostile_subscriptions_do_not_get_so_far(world: World) -> None:
    # Subscription.from_dict refuses the malformed ones; what is well formed and hostile is refused here.
    for host in ("127.0.0.1", "169.254.169.254", "localhost", "[::1]", "fcm.googleapis.com.evil.example"):
        with pytest.raises(Forbidden):
            await world.register(subscription(host=host))
    assert await world.records() == []
