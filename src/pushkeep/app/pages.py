"""Pages of lists: how many items one has, and where it begins."""

from __future__ import annotations

from pushkeep.app.context import Services
from pushkeep.domain.ids import AnyId
from pushkeep.domain.project import Project
from pushkeep.errors import InvalidInput, NotFound


def check_limit(limit: int, most: int) -> None:
    """Check how many items are asked for: 1 to ``most``.

    Raises:
        InvalidInput: they are not.
    """
    if isinstance(limit, bool) or not 1 <= limit <= most:
        raise InvalidInput(f"limit must be 1 to {most}.", field="limit")


async def row_behind(services: Services, project: Project, after: str | None) -> int:
    """The internal id of the subscription that a page begins behind; 0 for a first page.

    Raises:
        InvalidInput: no id.
        NotFound: the project has no such subscription.
    """
    if after is None:
        return 0
    wanted = AnyId.parse(after, field="after")
    record = await services.store.find_subscription(project, wanted)
    if record is None:
        raise NotFound(f"The project has no subscription {wanted}.", field="after")
    return record.id
