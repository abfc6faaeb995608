"""The types of the ASGI interface as the outermost layer sees it.

Litestar's own types tell scopes and messages apart more finely than code that handles all of them can use; the
specification itself has plain dictionaries (asgi.readthedocs.io, "Applications").
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
