"""What a copy of the database is worth: whether all of it can be read, opened and signed for."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Select, bindparam, create_engine, func, select, text, type_coerce
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from pushkeep.adapters.store.backup_copy import Show, check_is_database
from pushkeep.adapters.store.keyring_units import load_ring
from pushkeep.adapters.store.migrate import check_migrated, current_revision
from pushkeep.adapters.store.project_units import key_seal_name
from pushkeep.adapters.store.rows import AnyRow, PublicId
from pushkeep.adapters.store.sealing import SealBroken, Sealer, Vault
from pushkeep.adapters.store.tables import consents, installation, notifications, projects, signing_keys, subscriptions
from pushkeep.domain.project import KeyState
from pushkeep.errors import InvalidInput, PushkeepError
from pushkeep.ports import Entropy
from pushkeep.protocol.signing_key import SigningKey

PAGE = 1000
"""Rows looked at together."""

_FAULTS_MAX = 2_000_000_000

# SQLite up to 3.40 says it of each sound row of a table WITHOUT ROWID that has a column before those of its key.
_NO_FAULT = "NULL value in "

_of = subscriptions.c
_LIVING = (
    select(
        _of.id,
        _of.short_id,  # second: what it is called
        _of.project_id,
        _of.signing_key_id,
        _of.endpoint_hash,
        _of.sealed,
        _of.origin,
    )
    .where(_of.id > bindparam("after"), _of.ended_at.is_(None))
    .order_by(_of.id)
    .limit(PAGE)
)
_KEYS = select(signing_keys.c.id, signing_keys.c.key_id, signing_keys.c.public_key, signing_keys.c.private_key).where(
    signing_keys.c.project_id == bindparam("project_id"), signing_keys.c.state != KeyState.RETIRED.value
)
_NOTIFICATIONS = (
    select(
        notifications.c.id,
        type_coerce(notifications.c.public_id, PublicId()).label("public_id"),
        notifications.c.project_id,
        notifications.c.content,
        notifications.c.payload,
    )
    .where(notifications.c.id > bindparam("after"), notifications.c.erased_at.is_(None))
    .order_by(notifications.c.id)
    .limit(PAGE)
)
_CONSENTS = (
    select(consents.c.id, consents.c.number, consents.c.project_id, consents.c.content)
    .where(consents.c.id > bindparam("after"), consents.c.content.is_not(None))
    .order_by(consents.c.id)
    .limit(PAGE)
)


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What was found sound in a database.

    Attributes:
        size_bytes: of its file.
        signing_keys: whose private half was opened, and fits the public one.
        living: subscriptions that were opened, and can be signed for or wait for their browsers.
        awaiting_renewal: of those, bound to a signing key that is out of use.
        ended: tombstones.
        notifications: whose content was opened.
        consents: consent records whose content was opened.
        erasures: of the list of who was erased, entries that are carried out in it.
    """

    size_bytes: int
    signing_keys: int
    living: int
    awaiting_renewal: int
    ended: int
    notifications: int
    consents: int
    erasures: int


def check_is_ours(path: Path, *, called: Path) -> None:
    """Look whether a database is Pushkeep's, of whatever version; ``called`` is what messages call it.

    Raises:
        InvalidInput: it is another program's, or cannot be read.
    """
    try:
        with _opened(path) as connection:
            if current_revision(connection) is None:
                raise _not_ours(called)
    except DBAPIError as error:
        raise _damaged(called, error) from None


def _damaged(called: Path, error: DBAPIError) -> InvalidInput:
    name = getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__
    return InvalidInput(f"{called} is damaged ({name}); use another backup.", field="file")


def _not_ours(called: Path) -> InvalidInput:
    return InvalidInput(f"{called} is a SQLite database, but not Pushkeep's; check the path.", field="file")


def check_database(
    path: Path, master: Sealer, entropy: Entropy, show: Show, *, called: Path | None = None
) -> DatabaseFacts:
    """Read all of a database that nobody uses; nothing in it is changed.

    Args:
        path: one file, without a journal beside it.
        called: what messages call it, where that is another file, which it was copied from.
        master: the master key.
        entropy: for the keys that are unwrapped, which seal nothing here.
        show: is told how far it is.

    Raises:
        InvalidInput: it is no database of Pushkeep's, or damaged; the message says what does not hold.
        ConfigurationError: the master key is not this database's, or a newer Pushkeep wrote it.
        MigrationPending: an older Pushkeep wrote it.
        Unavailable: it cannot be read at the moment.
    """
    check_is_database(path, field="file")
    _check_is_whole(path)
    called = path if called is None else called
    try:
        with _opened(path) as connection:
            show("reading every page", 0, None)
            _check_sound(connection, called)
            if current_revision(connection) is None:
                raise _not_ours(called)
            check_migrated(connection)
            vault = Vault(load_ring(connection, master, entropy.token_bytes))
            return _Check(connection, vault, path, called, show).facts()
    except PushkeepError:
        raise
    except DBAPIError as error:
        raise _damaged(called, error) from None
    except (LookupError, TypeError, ValueError, SQLAlchemyError) as error:  # what was never written so
        raise InvalidInput(f"{called} is damaged ({type(error).__name__}); use another backup.", field="file") from None


def _check_is_whole(path: Path) -> None:
    """What stands in a journal beside it would be passed over."""
    for ending in ("-wal", "-journal"):
        beside = path.with_name(path.name + ending)
        if beside.exists() and beside.stat().st_size:
            raise InvalidInput(
                f"{path} has a journal beside it, {beside.name}: it is in use, or was copied as it was; make a copy of "
                "it with: pushkeep backup FILE",
                field="file",
            )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Connection]:
    # A file without a journal beside it that nobody changes: so it is read where nothing may be written, too.
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True),
        poolclass=StaticPool,
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _check_sound(connection: Connection, path: Path) -> None:
    for pragma in (f"integrity_check({_FAULTS_MAX})", "foreign_key_check"):
        for row in connection.execute(text(f"PRAGMA {pragma}")):
            if row[0] != "ok" and not str(row[0]).startswith(_NO_FAULT):
                raise InvalidInput(f"{path} is damaged; use another backup.", field="file")


class _Check:
    """One look over everything that is sealed."""

    def __init__(self, connection: Connection, vault: Vault, path: Path, called: Path, show: Show) -> None:
        self._connection = connection
        self._vault = vault
        self._path = path
        self._called = called
        self._show = show
        self._projects = {
            row.id: str(row.public_id) for row in connection.execute(select(projects.c.id, projects.c.public_id))
        }
        self._signs: dict[int, bool] = {}

    def facts(self) -> DatabaseFacts:
        """Look at all of it.

        Raises:
            InvalidInput: something does not open, or does not fit.
        """
        for project_id, public_id in self._projects.items():
            self._look_at_project(project_id, public_id)
        living, awaiting = self._look_at_subscriptions()
        notifications_opened = self._look_at("notifications", _NOTIFICATIONS, self._open_notification)
        consents_opened = self._look_at("consent records", _CONSENTS, self._open_consent)
        count = self._connection.execute
        return DatabaseFacts(
            size_bytes=self._path.stat().st_size,
            signing_keys=sum(self._signs.values()),
            living=living,
            awaiting_renewal=awaiting,
            ended=count(select(func.count()).where(_of.ended_at.is_not(None))).scalar_one(),
            notifications=notifications_opened,
            consents=consents_opened,
            erasures=count(select(installation.c.erasures_applied)).scalar_one(),
        )

    def _look_at_project(self, project_id: int, public_id: str) -> None:
        secrets = self._connection.execute(
            select(projects.c.identity_secret, projects.c.sync_secret).where(projects.c.id == project_id)
        ).one()
        with self._saying("a secret of the project"):
            self._vault.open_secret(public_id, "identity", secrets.identity_secret)
            self._vault.open_secret(public_id, "sync", secrets.sync_secret)
        for row in self._connection.execute(_KEYS, {"project_id": project_id}):
            with self._saying(f"signing key {row.key_id}"):
                pem = self._vault.open_secret(public_id, key_seal_name(row.key_id), row.private_key)
            if SigningKey.from_pem(pem).public_bytes != row.public_key:
                raise self._broken(f"signing key {row.key_id}", "its private half does not fit its public half")
            self._signs[row.id] = True

    def _look_at_subscriptions(self) -> tuple[int, int]:
        awaiting = 0
        retired = set(
            self._connection.execute(
                select(signing_keys.c.id).where(signing_keys.c.state == KeyState.RETIRED.value)
            ).scalars()
        )

        def open_one(row: AnyRow) -> None:
            nonlocal awaiting
            opened = self._vault.open_subscription(self._projects[row.project_id], row.endpoint_hash, row.sealed or b"")
            if opened.endpoint.origin != row.origin:
                raise self._broken(f"subscription {row.short_id}", "its push service is another one than its row says")
            if row.endpoint_hash not in self._vault.endpoint_hashes(opened.endpoint):
                raise self._broken(f"subscription {row.short_id}", "its endpoint would not be found again")
            if row.signing_key_id in retired:
                awaiting += 1
            elif row.signing_key_id not in self._signs:
                raise self._broken(f"subscription {row.short_id}", "its signing key is not there")

        return self._look_at("subscriptions", _LIVING, open_one), awaiting

    def _look_at(self, what: str, pages: Select[tuple[Any, ...]], look: Callable[[AnyRow], None]) -> int:
        """Look at every row, page by page; how many there were."""
        done, after = 0, 0
        while rows := self._connection.execute(pages, {"after": after}).all():
            for row in rows:
                with self._saying(f"{_ONE[what]} {row[1]}"):
                    look(row)
            done += len(rows)
            after = rows[-1].id
            self._show(f"opening {what}", done, None)
        return done

    def _open_notification(self, row: AnyRow) -> None:
        public_id = self._projects[row.project_id]
        self._vault.open_notification(public_id, row.public_id, "content", row.content)
        if row.payload is not None:
            self._vault.open_notification(public_id, row.public_id, "payload", row.payload)

    def _open_consent(self, row: AnyRow) -> None:
        self._vault.open_consent(self._projects[row.project_id], row.number, row.content)

    @contextlib.contextmanager
    def _saying(self, what: str) -> Iterator[None]:
        try:
            yield
        except SealBroken:
            raise self._broken(what, "it does not open with this master key") from None

    def _broken(self, what: str, why: str) -> InvalidInput:
        return InvalidInput(f"{self._called} is damaged: {what}: {why}; use another backup.", field="file")


_ONE = {"subscriptions": "subscription", "notifications": "notification", "consent records": "consent record"}
