"""Everything that is kept of a contact, for them to be given."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.app.contacts import find_contact
from pushkeep.app.context import Services
from pushkeep.domain.consent import Wording
from pushkeep.domain.project import Project
from pushkeep.domain.story import Told, tell
from pushkeep.domain.subscription import SubscriptionRecord
from pushkeep.errors import NotFound
from pushkeep.ports.audiences import ContactRecord
from pushkeep.ports.consents import ConsentRecord
from pushkeep.ports.privacy import ToldMessage

STORY_ENTRIES_MAX = 10_000
"""Of one subscription: it would take years of being refused and working again every day."""

MESSAGES_PAGE = 500
"""Notifications looked at in one read: two look-ups each for every subscription of one person."""


@dataclass(frozen=True, slots=True)
class ContactExport:
    """Everything that is kept of a contact.

    Attributes:
        at: epoch seconds of this export.
        contact: with tags.
        subscriptions: each with its story, in words that name nobody else.
        consents: every record of what was agreed to or withdrawn.
        wordings: those that the records refer to.
        messages: what they were told, as far as it is kept for each recipient.
    """

    at: float
    contact: ContactRecord
    subscriptions: tuple[tuple[SubscriptionRecord, tuple[Told, ...]], ...]
    consents: tuple[ConsentRecord, ...]
    wordings: tuple[Wording, ...]
    messages: tuple[ToldMessage, ...]


async def export_contact(services: Services, project: Project, external_id: object) -> ContactExport:
    """Gather everything that is kept of a contact. Endpoints and keys are left out: whoever has them can send.

    Raises:
        InvalidInput: no id.
        NotFound: the project has no such contact.
        Unavailable: the store does not answer.
    """
    contact = await find_contact(services, project, external_id)
    store = services.store
    subject = await store.find_subject(project, contact=contact.external_id)
    if subject is None:
        raise NotFound("The project has no contact of this external_id.", field="external_id")
    stories = []
    for record in await store.subject_records(project, subject):
        entries = await store.lifecycle(project, record, limit=STORY_ENTRIES_MAX)
        stories.append((record, tell(record, [found.entry for found in entries])))
    messages: list[ToldMessage] = []
    after: int | None = 0
    while after is not None:
        page = await store.subject_messages(project, subject, after=after, limit=MESSAGES_PAGE)
        messages += page.messages
        after = page.after
    consents = await store.subject_consents(project, subject)
    shown = {record.content.wording for record in consents if record.content is not None}
    wordings = tuple(wording for wording in await store.wordings(project) if wording.digest.hex() in shown)
    return ContactExport(services.clock.now(), contact, tuple(stories), consents, wordings, tuple(messages))
