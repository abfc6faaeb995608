"""The first reading of an import: everything is looked at, and nothing is written."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pushkeep.app.context import Services
from pushkeep.domain.moving import (
    FAULTS_SHOWN_MAX,
    IMPORT_PAGE_RECORDS,
    Fault,
    ForeignSubscription,
    ImportAsked,
    Numbered,
)
from pushkeep.domain.project import Project
from pushkeep.domain.registration import check_owner_has_room
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX, TAGS_PER_PROJECT_MAX
from pushkeep.errors import Conflict, Forbidden
from pushkeep.ports.moving import Seen, Source

WRONG = "wrong"
REPEATED = "repeated"
"""Why a record is left out, besides what its format says."""


class LeftOut:
    """Numbers of records that are left out, and why: in their order, eight octets and one for each."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._why = array("B")
        self._words: list[str] = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int, why: str) -> None:
        """Leave one out."""
        if why not in self._words:
            self._words.append(why)
        self._numbers.append(number)
        self._why.append(self._words.index(why))

    def settle(self) -> None:
        """Bring them in order: what the store refuses is known a page later."""
        order = sorted(range(len(self._numbers)), key=self._numbers.__getitem__)
        self._numbers = array("Q", (self._numbers[at] for at in order))
        self._why = array("B", (self._why[at] for at in order))

    def walk(self) -> Callable[[int], str | None]:
        """Asked for numbers in their order, says why one is left out; None where it is not."""
        at = 0

        def why(number: int) -> str | None:
            nonlocal at
            while at < len(self._numbers) and self._numbers[at] < number:
                at += 1
            if at < len(self._numbers) and self._numbers[at] == number:
                return self._words[self._why[at]]
            return None

        return why

    def counts(self) -> Counter[str]:
        """How many for each reason."""
        return Counter({self._words[index]: count for index, count in Counter(self._why).items()})


@dataclass(slots=True)
class Checked:
    """What the first reading found.

    Attributes:
        records: how many there are, whatever becomes of them.
        counts: what would become of those that can be taken, by word.
        left: those that are left out.
        faults: the first of those that cannot be taken.
        faults_count: how many there are.
    """

    records: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    left: LeftOut = field(default_factory=LeftOut)
    faults: list[Fault] = field(default_factory=list)
    faults_count: int = 0

    def refuse(self, fault: Fault) -> None:
        """Note a record that cannot be taken."""
        self.faults_count += 1
        self.left.add(fault.number, WRONG)
        # The store's come a page later than others: the first ones in the end are among twice as many.
        if len(self.faults) < FAULTS_SHOWN_MAX + IMPORT_PAGE_RECORDS:
            self.faults.append(fault)

    def settle(self) -> None:
        """Nothing comes any more."""
        self.left.settle()
        self.faults = sorted(self.faults, key=lambda fault: fault.number)[:FAULTS_SHOWN_MAX]


async def check(
    services: Services,
    project: Project,
    source: Source,
    asked: ImportAsked,
    seen: Seen,
    *,
    position: int = 0,
    told: Callable[[int], None],
) -> Checked:
    """Read a file and look at everything in it.

    Args:
        services: the ports.
        project: whose it is to become.
        source: the file.
        asked: how it is to be imported.
        seen: empty.
        position: number of the last record that an earlier run has brought in already; those are not compared with
            what is stored, which has gone on since.
        told: is called with the octets that are read, now and then.

    Raises:
        BrokenFile: it cannot be read.
    """
    checked = Checked()
    eye = _Eye(services, seen, set(await services.store.tags(project)))
    page: list[Numbered] = []

    async def compare() -> None:
        await _compare(services, project, asked, page, eye, checked)
        page.clear()
        told(source.position_bytes)

    for found in source.read():
        checked.records += 1
        looked_at = eye.look(found)
        if isinstance(looked_at, Fault):
            checked.refuse(looked_at)
        elif looked_at.record is None:
            checked.left.add(looked_at.number, looked_at.why)
        elif looked_at.number > position:
            page.append(looked_at)
        if len(page) >= IMPORT_PAGE_RECORDS:
            await compare()
    await compare()
    checked.settle()
    return checked


def prepared(services: Services, numbered: Numbered) -> Numbered:
    """A record as the store takes it."""
    record = numbered.record
    if not isinstance(record, ForeignSubscription):
        return numbered
    vendor = services.policy.vendor_for(record.subscription.endpoint).name
    return replace(numbered, record=replace(record, vendor=vendor))


async def _compare(
    services: Services,
    project: Project,
    asked: ImportAsked,
    page: list[Numbered],
    eye: _Eye,
    checked: Checked,
) -> None:
    """Compare a page with what is stored."""
    if not page:
        return
    standing = await services.store.check_records(project, asked, page)
    checked.counts.update(standing.counts)
    for fault in standing.faults:
        checked.refuse(fault)
    for numbered in page:
        if numbered.number not in standing.joining:
            continue
        has, word = standing.joining[numbered.number]
        full = eye.room(numbered, has)
        if full is not None:
            checked.refuse(full)
            checked.counts[word] -= 1


class _Eye:
    """What is wrong with a record in itself, or beside those before it."""

    def __init__(self, services: Services, seen: Seen, tags: set[str]) -> None:
        self._services = services
        self._seen = seen
        self._tags = tags
        self._tagged_too_much: dict[str, int] = {}  # owners; each has its fault

    def look(self, found: Numbered | Fault) -> Numbered | Fault:
        """A record as the store takes it, or what is wrong with it."""
        if isinstance(found, Fault) or not isinstance(found.record, ForeignSubscription):
            return found
        record = found.record
        endpoint = record.subscription.endpoint
        try:
            self._services.policy.check(endpoint)
        except Forbidden as refused:
            return Fault.of(found.number, found.line, refused)
        before = self._seen.first(endpoint.url.encode(), _rest(record), found.line)
        if before is not None:
            line, same = before
            if same:
                return Numbered(found.number, found.line, None, REPEATED)
            words = f"the same endpoint stands in line {line} with other keys, another owner or other tags."
            return Fault(found.number, found.line, words, "endpoint")
        return self._check_tags(found, record) or prepared(self._services, found)

    def room(self, numbered: Numbered, has: int) -> Fault | None:
        """What is wrong if its contact gets one more."""
        record = numbered.record
        assert isinstance(record, ForeignSubscription)
        assert record.owner is not None
        coming = self._seen.count(record.owner.encode())
        try:
            check_owner_has_room(record.owner, has + coming - 1, self._services.contact_subscriptions_max)
        except Conflict as conflict:
            return Fault.of(numbered.number, numbered.line, conflict)
        return None

    def _check_tags(self, found: Numbered, record: ForeignSubscription) -> Fault | None:
        if not record.tags or record.owner is None:
            return None
        # Before these names there is a NUL, which neither an endpoint nor an owner has.
        owner, own = b"\0" + record.owner.encode(), self._tagged_too_much.get(record.owner, 0)
        for tag in record.tags:
            if self._seen.first(owner + b"\0" + tag.encode(), b"", found.line) is None:
                own = max(own, self._seen.count(owner))
        if own > TAGS_PER_CONTACT_MAX:
            self._tagged_too_much[record.owner] = own
        self._tags.update(record.tags)
        for many, limit, whose in (
            (own, TAGS_PER_CONTACT_MAX, "its contact"),
            (len(self._tags), TAGS_PER_PROJECT_MAX, "the project"),
        ):
            if many > limit:
                words = f"with it {whose} would have {many} tags; the limit is {limit}."
                return Fault(found.number, found.line, words, "tags")
        return None


def _rest(record: ForeignSubscription) -> bytes:
    said = json.dumps([record.owner, sorted(record.tags)]).encode()
    return record.subscription.p256dh + record.subscription.auth + said


def pages(found: Iterator[Numbered | Fault], records: int) -> Iterator[list[Numbered | Fault]]:
    """What is read, by pages of so many."""
    page: list[Numbered | Fault] = []
    for one in found:
        page.append(one)
        if len(page) >= records:
            yield page
            page = []
    if page:
        yield page
