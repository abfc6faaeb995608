"""The real application with a worker, in one process and in virtual time; it can be stopped and set back to a copy."""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pushkeep.adapters.new_file import name_it
from pushkeep.adapters.store import SqliteStore, open_store_inline
from pushkeep.adapters.store.backup_check import check_database
from pushkeep.adapters.store.backup_copy import copied
from pushkeep.adapters.store.exchange import exchange, nobody_has_it_open
from pushkeep.adapters.store.sealing import Sealer
from pushkeep.app.consents import declare_purpose, declare_wording
from pushkeep.app.context import Services
from pushkeep.app.projects import ensure_default_project
from pushkeep.app.worker import Worker
from pushkeep.domain.circuit import Circuits
from pushkeep.domain.consent import Wording
from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.ids import AnyId
from pushkeep.domain.origin_statistics import OriginStatistics
from pushkeep.domain.project import Project, ProjectSigningKey
from pushkeep.domain.site_url import SiteUrl
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.ports.consents import Speaker
from pushkeep.protocol.token_cache import TokenCache
from pushkeep.web.app import PushkeepApp, Running
from pushkeep.web.options import WebOptions
from tests.engine.ports import Database, PooledEntropy, VirtualWakeups
from tests.engine.virtual_time import Process, VirtualClock, VirtualLoop, VirtualSleeper
from tests.lifecycle.service import Service, ServiceTransport
from tests.store.doubles import MASTER_KEY, SeededEntropy

SITE = "https://shop.example.com"
PURPOSE = "offers"
WORDING = Wording(PURPOSE, "en", "1", "7", "Once a week, on Friday, we tell you what is cheaper.", 0.0)
"""What visitors are asked; a database has it from :meth:`Server.declare` on."""

SERVER = "https://push.shop.example.com"
REQUESTS_PER_MINUTE = 100_000
"""Limits on requests have their own tests; here they would only stand in the way of visits in quick succession."""

T = TypeVar("T")


def _nobody_looks(phase: str, done: int, total: int | None) -> None:
    pass


@dataclass
class Reply:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Server:
    """See the module. :meth:`start` it first."""

    loop: VirtualLoop
    path: Path
    push: Service
    chance: random.Random
    starts: int = 0
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    store: SqliteStore = field(init=False)
    services: Services = field(init=False)
    project: Project = field(init=False)
    app: PushkeepApp = field(init=False)
    identity_secret: bytes = field(init=False)

    def start(self) -> None:
        self.starts += 1
        self.loop.run(self._start())

    async def _start(self) -> None:
        clock, entropy = VirtualClock(self.loop), PooledEntropy(random.Random(self.chance.random()))
        self.store = open_store_inline(self.path, MASTER_KEY, clock=clock, entropy=entropy)
        with self.store._writing.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute("PRAGMA synchronous = OFF")  # the disk is not waited for
        transport = ServiceTransport(self.push)
        policy = EndpointPolicy()
        self.services = Services(self.store, transport, clock, entropy, VirtualSleeper(), TokenCache(), policy)
        self.project = await ensure_default_project(
            self.services, name="Shop", site_url=SITE, contact="mailto:push@example.com"
        )
        self.identity_secret = (await self.store.project_secrets(self.project)).identity

        @contextlib.asynccontextmanager
        async def opener() -> AsyncIterator[Running]:
            yield Running(self.services, self.project)

        options = WebOptions(
            SiteUrl.parse(SERVER, field="public_url"),
            client_requests_per_minute=REQUESTS_PER_MINUTE,
            client_requests_burst=REQUESTS_PER_MINUTE,
        )
        self.app = PushkeepApp(opener, options, clock=clock, entropy=entropy)
        self._stack = contextlib.AsyncExitStack()
        self._stack.push_async_callback(self.store.aclose)
        self._stack.push_async_callback(transport.aclose)
        await self._stack.enter_async_context(self.app.lifespan())

    def stop(self) -> None:
        self.loop.run(self._stack.aclose())

    @contextlib.contextmanager
    def working(self) -> Iterator[None]:
        """With a worker that delivers. It has none otherwise: days without a message then pass at once."""
        self.starts += 1
        process = Process(f"worker{self.starts}", self.loop)
        wakeups = VirtualWakeups(Database(self.loop, self.chance), process)
        self.store.writer.listeners.add(wakeups.own)
        # What a process has learnt of push services ends with it; what is to last is in the database.
        services = replace(self.services, statistics=OriginStatistics(), circuits=Circuits())
        worker = Worker(services, owner=process.name, wakeups=wakeups)
        running = self.loop.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            self.run(running)
            self.store.writer.listeners.remove(wakeups.own)

    def declare(self) -> None:
        """Declare what visitors are asked."""
        self.run(declare_purpose(self.services, self.project, PURPOSE, description="Offers of the week"))
        asked = {"locale": WORDING.locale, "version": WORDING.version, "policy_version": WORDING.policy_version}
        self.run(declare_wording(self.services, self.project, PURPOSE, text=WORDING.text, **asked))

    # --- copies ---------------------------------------------------------------------------------------------------

    def copy_to(self, path: Path) -> None:
        """A backup, made while it runs and looked at, as an operator makes one."""
        path.unlink(missing_ok=True)
        entropy = SeededEntropy()
        with copied(self.path, path, "copy", _nobody_looks) as copy:
            check_database(copy, Sealer(MASTER_KEY, entropy.token_bytes), entropy, _nobody_looks)
            name_it(copy, path)

    def set_back_to(self, path: Path) -> None:
        """Stop, put a backup in place of the database, and start."""
        self.stop()
        with nobody_has_it_open(self.path), copied(path, self.path, "copy", _nobody_looks) as copy:
            exchange(copy, self.path, None)
        self.start()

    # --- what it answers ------------------------------------------------------------------------------------------

    def run(self, work: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await work

        return self.loop.run(awaited())

    def request(self, details: Mapping[str, Any], *, address: str) -> Reply:
        """What a browser asks, through the whole application."""
        path, _, query = str(details["url"]).removeprefix(SERVER).partition("?")
        body = (details["body"] or "").encode()
        headers = {"host": SERVER.removeprefix("https://"), "content-length": str(len(body)), **details["headers"]}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": details["method"],
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": (address, 40_000),
            "server": (headers["host"], 443),
            "state": {},
        }
        return self.run(self._ask(scope, body))

    async def _ask(self, scope: dict[str, Any], body: bytes) -> Reply:
        status, headers, chunks, parts = 0, {}, [], [body]

        async def receive() -> dict[str, Any]:
            if parts:
                return {"type": "http.request", "body": parts.pop(), "more_body": False}
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {name.decode(): value.decode("latin-1") for name, value in message.get("headers", ())}
            else:
                chunks.append(bytes(message.get("body", b"")))

        await self.app(scope, receive, send)
        return Reply(status, headers, b"".join(chunks).decode())

    # --- what it knows --------------------------------------------------------------------------------------------

    def rows(self) -> list[SubscriptionRecord]:
        """Every subscription, ended ones too."""
        found = self.run(self.store.list_subscriptions(self.project, state=None, limit=1000, after=0))
        return list(found)

    def agreed(self, row: SubscriptionRecord) -> bool | None:
        """Whether the visitor of a subscription agrees; None where nothing is known."""
        speaker = Speaker(subscription=AnyId(row.public_id, None))
        held = self.run(self.store.held(self.project, speaker))
        return next((word.given for word in held), None)

    def signing_keys(self) -> tuple[ProjectSigningKey, ...]:
        return self.run(self.store.signing_keys(self.project))
