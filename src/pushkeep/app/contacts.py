"""Contacts: the people a site knows, by its own ids, and the tags it gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pushkeep.app.context import Services
from pushkeep.domain.project import Project
from pushkeep.domain.subscription import check_external_id
from pushkeep.domain.tag import TAGS_PER_CONTACT_MAX, check_tag
from pushkeep.errors import InvalidInput, NotFound
from pushkeep.ports.audiences import ContactRecord


async def put_contact(
    services: Services, project: Project, external_id: object, tags: object | None = None
) -> ContactRecord:
    """Store a contact, new or not, and give it exactly these tags.

    Args:
        services: the ports.
        project: whose contact.
        external_id: the site's own id: 1 to 200 characters.
        tags: up to 100; None leaves them as they are.

    Raises:
        InvalidInput: no id, no tags, or more tags than a contact or a project may have.
    """
    checked = check_external_id(external_id)
    return await services.store.put_contact(project, checked, None if tags is None else check_tags(tags))


async def find_contact(services: Services, project: Project, external_id: object) -> ContactRecord:
    """A contact by the site's own id.

    Raises:
        InvalidInput: no id.
        NotFound: the project has no such contact.
    """
    checked = check_external_id(external_id)
    found = await services.store.find_contact(project, checked)
    if found is None:
        raise NotFound("The project has no contact of this external_id.", field="external_id")
    return found


async def count_tags(services: Services, project: Project) -> Mapping[str, int]:
    """Every tag of the project with its number of contacts."""
    return await services.store.tags(project)


def check_tags(tags: object) -> Sequence[str]:
    """Check a contact's tags; each is kept once.

    Raises:
        InvalidInput: not a list, too many, or one that is no tag.
    """
    if not isinstance(tags, list | tuple) or len(tags) > TAGS_PER_CONTACT_MAX:
        raise InvalidInput(f"tags must be a list of at most {TAGS_PER_CONTACT_MAX}.", field="tags")
    return list(dict.fromkeys(check_tag(tag, field=f"tags[{index}]") for index, tag in enumerate(tags)))
