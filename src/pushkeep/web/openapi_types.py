"""What describes an operation of the API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from msgspec import Struct


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    name: str
    place: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a successful request is answered with."""

    description: str
    body: type[Struct] | None = None
    example: object = None
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    id: str
    tag: Literal["browser", "server", "operation"]
    summary: str
    description: str
    answers: Mapping[int, Answer]
    problems: tuple[str, ...] = ()
    security: Literal["api_key", "sync_token"] | None = None
    parameters: tuple[Parameter, ...] = ()
    body: type[Struct] | None = None
    examples: Mapping[str, object] = field(default_factory=dict)
    text: Mapping[str, object] | None = None
    """The schema of a body that is plain text."""


PROJECT_KEY = Parameter(
    "project_key",
    "path",
    "The project's publishable key. It stands in pages and gives no rights over others' data.",
    {"type": "string", "pattern": "^pk_[A-Za-z0-9_-]{24}$"},
)

SUBSCRIPTION_ID = Parameter(
    "subscription_id", "path", "UUID or short id.", {"type": "string", "maxLength": 36, "examples": ["HMV192av"]}
)

LIMIT = Parameter("limit", "query", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100})
AFTER = Parameter("after", "query", "Continue behind this id, as `next` gave it.", {"type": "string"})
"""What routes with pages of up to 1,000 take."""

KEY_PROBLEMS = ("unauthorized", "rate_limited", "internal", "unavailable")
"""What every route with an API key may answer."""

BODY_PROBLEMS = ("malformed_request", "request_timeout", "request_too_large", "invalid_input")
"""What every route with a body may answer."""
