"""The one thread of a process that writes to SQLite.

SQLite lets one connection write at a time. A unit of work reaches this thread in one hop and runs there from begin to
commit; units that arrive while a commit waits for the disk share the next one, so a hundred registrations cost a few
fsyncs and not a hundred. Every unit has a savepoint of its own: one that fails takes nobody with it. Results are
given out after the commit only, so what a caller was told is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, InterfaceError, ProgrammingError, SQLAlchemyError

from pushkeep.errors import PushkeepError, Unavailable

T = TypeVar("T")

GROUP_UNITS_MAX = 64
"""Gain flattens at about 16 to a commit; more would only make the first one wait."""

WAITING_UNITS_MAX = 10_000
"""Several seconds of work. A caller beyond that is told at once, not after its time limit."""

ERASE_AFTER_IDLE_SECONDS = 1.0
"""Truncating the WAL costs an fsync and can wait for readers: done when nobody is waiting."""

LAST_TRUNCATIONS_MAX = 20
LAST_TRUNCATION_SECONDS = 0.05
"""A command that erases beside a busy server waits for a second at its end until no reader holds the WAL."""

ERASED = "erased"
"""A unit sets ``connection.info[ERASED]`` when it removed something that must not linger in the WAL."""

SHARDS_READY = "shards_ready"
"""A unit sets ``connection.info[SHARDS_READY]`` when it left shards that a worker of this process may lease."""


class CommitListeners:
    """Who wants to hear, at once and from the writer's thread, that a commit left shards to lease."""

    def __init__(self) -> None:
        self._listeners: tuple[Callable[[], None], ...] = ()

    def add(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after such commits; it must return at once and not raise."""
        self._listeners = (*self._listeners, listener)

    def remove(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners = tuple(known for known in self._listeners if known != listener)

    def tell(self) -> None:
        """Call everybody."""
        for listener in self._listeners:
            listener()


@dataclass(slots=True)
class _Job(Generic[T]):
    unit: Callable[[Connection], T]
    future: Future[T]
    result: T | None = None
    error: Exception | None = None


class Writer:
    """Runs units of work, one after the other, grouped into commits.

    Args:
        engine: its connections begin with ``BEGIN IMMEDIATE``.
        erase_after_idle_seconds: how long to be idle before the WAL is truncated after an erasure.
    """

    def __init__(self, engine: Engine, *, erase_after_idle_seconds: float = ERASE_AFTER_IDLE_SECONDS) -> None:
        self._engine = engine
        self._idle_seconds = erase_after_idle_seconds
        self._waiting: queue.Queue[_Job[object] | None] = queue.Queue(WAITING_UNITS_MAX)
        self._lock = threading.Lock()
        self._closed = False
        self.commits = 0
        """How many commits there have been; fewer than units when they were grouped."""
        self.listeners = CommitListeners()
        self._thread = threading.Thread(target=self._run, name="pushkeep-writer", daemon=True)
        self._thread.start()

    async def run(self, unit: Callable[[Connection], T]) -> T:
        """Run a unit in a transaction and return its result once it is on disk.

        A caller that is cancelled while its unit runs does not undo it.

        Raises:
            Unavailable: the database is locked, full, read-only or damaged, or too much is waiting.
        """
        job: _Job[T] = _Job(unit, Future())
        with self._lock:
            if self._closed:
                raise Unavailable("The database is closed: the server is stopping.")
            try:
                self._waiting.put_nowait(job)  # type: ignore[arg-type]  # Future is invariant; only unit feeds it
            except queue.Full:
                raise Unavailable(
                    f"The database is more than {WAITING_UNITS_MAX} writes behind; try again later."
                ) from None
        return await asyncio.wrap_future(job.future)

    def close(self) -> None:
        """Finish what is waiting and end the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while True:
                erased = bool(connection.info.get(ERASED))
                try:
                    first = self._waiting.get(timeout=self._idle_seconds if erased else None)
                except queue.Empty:
                    truncate_wal(connection)
                    continue
                if first is None:
                    break
                if self._commit_group(connection, first):
                    break
            for _ in range(LAST_TRUNCATIONS_MAX):  # nobody else knows that there is something to erase
                if not connection.info.get(ERASED):
                    break
                truncate_wal(connection)
                if connection.info.get(ERASED):
                    threading.Event().wait(LAST_TRUNCATION_SECONDS)

    def _commit_group(self, connection: Connection, first: _Job[object]) -> bool:
        """Run the first job and those waiting behind it in one transaction; True if the end was among them."""
        group: list[_Job[object]] = []
        ending: list[bool] = []
        failure: PushkeepError | None = None
        connection.info.pop(SHARDS_READY, None)
        try:
            with connection.begin():
                for job in self._take(first, ending):
                    if job.future.set_running_or_notify_cancel():
                        group.append(job)
                        _run_in_savepoint(connection, job)
            self.commits += 1
        except SQLAlchemyError as error:
            failure = unavailable(error)
        except PushkeepError as error:  # of the fence before the first unit: those of units are theirs
            failure = error
        for job in group:
            if failure is not None:
                job.future.set_exception(failure)
            elif job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)
        if failure is None and connection.info.pop(SHARDS_READY, None):
            self.listeners.tell()
        if failure is not None and not group and first.future.set_running_or_notify_cancel():
            first.future.set_exception(failure)  # the transaction could not even begin
        return bool(ending)

    def _take(self, first: _Job[object], ending: list[bool]) -> Iterator[_Job[object]]:
        yield first
        for _ in range(GROUP_UNITS_MAX - 1):
            try:
                job = self._waiting.get_nowait()
            except queue.Empty:
                return
            if job is None:
                ending.append(True)
                return
            yield job


_FAULTS_OF_A_UNIT = (IntegrityError, DataError, ProgrammingError, InterfaceError)
"""Of what drivers raise: a row that cannot be, a value that does not fit."""


def _run_in_savepoint(connection: Connection, job: _Job[object]) -> None:
    """Run one unit; what it raises itself undoes it alone.

    A trouble of the database goes on to the whole group, since nothing after it can be trusted. Its savepoint is left
    to the group's rollback: SQLite may have ended the transaction already, and returning to a savepoint that is gone
    would hide what really happened. What only this unit wrote wrongly is no such trouble: were it one, a unit that is
    tried again and again would undo those beside it each time.
    """
    savepoint = connection.begin_nested()
    try:
        job.result = job.unit(connection)
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and not isinstance(error, _FAULTS_OF_A_UNIT):
            raise
        savepoint.rollback()
        job.error = _wrong(error)
    except Exception as error:
        savepoint.rollback()
        job.error = error
    else:
        savepoint.commit()


def _wrong(error: SQLAlchemyError) -> RuntimeError:
    """A fault of ours, without statement and parameters, which may be secret."""
    name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    return RuntimeError(f"A unit of work asked the database for what cannot be ({name or type(error).__name__}).")


def truncate_wal(connection: Connection) -> None:
    """Move the WAL into the database and empty it, so that erased bytes are nowhere; tried again if readers hold it.

    It does not wait for them: while it did, a backup or a forgotten shell would hold up every write.
    """
    raw = connection.connection.dbapi_connection
    if raw is None:
        return
    cursor = raw.cursor()
    try:
        with contextlib.suppress(Exception):
            patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
            cursor.execute("PRAGMA busy_timeout = 0")
            try:
                answer = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {patience}")
            kept_from_finishing = answer is None or answer[0]
            if not kept_from_finishing:
                connection.info.pop(ERASED, None)
    finally:
        cursor.close()


_TROUBLES = {
    "SQLITE_BUSY": "is locked by another process; try again",
    "SQLITE_LOCKED": "is locked; try again",
    "SQLITE_FULL": "cannot grow because the disk is full; free some space",
    "SQLITE_READONLY": "is read-only; make the file and its directory writable for this user",
    "SQLITE_IOERR": "cannot be read or written; look at the disk",
    "SQLITE_CORRUPT": "is damaged; restore it from a backup",
    "SQLITE_NOTADB": "is not a SQLite file; check the path",
    "SQLITE_CANTOPEN": "cannot be opened; check the path and who may write there",
}


def unavailable(error: SQLAlchemyError) -> Unavailable:
    """Say in a sentence what is wrong with the database; statements and parameters are left out."""
    name = str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
    words = next((words for known, words in _TROUBLES.items() if name.startswith(known)), None)
    return Unavailable(f"The database {words or 'does not do what it was asked'} ({name or type(error).__name__}).")
