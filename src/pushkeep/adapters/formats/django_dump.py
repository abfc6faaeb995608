"""What ``manage.py dumpdata`` writes: ``{"model": "app.model", "pk": 1, "fields": {…}}``, in a list or one a line.

Source: Django, "Serialization formats" (JSON, JSONL) and the management command ``dumpdata``.
"""

from __future__ import annotations

from collections.abc import Mapping

from pushkeep.adapters.formats.rows import Fields

_REFERENCES = ("user", "subscription", "group")


def as_in_table(fields: Fields) -> Fields:
    """A row of a dump as its table has it: with its ``id``, references as ``…_id``, too, and its ``model`` in lower
    case; any other row as it is."""
    model, inner = fields.get("model"), fields.get("fields")
    if not isinstance(model, str) or not isinstance(inner, Mapping):
        return fields
    references = {f"{name}_id": inner[name] for name in _REFERENCES if name in inner}
    return {**references, **inner, "id": fields.get("pk"), "model": model.lower()}
