"""Which values of the product are secret, and where they come into being; for the tests' process and its children.

A secret is noticed where its type is made, so nobody has to remember to plant one: every key, token and endpoint that
any test uses is looked for afterwards. It imports nothing but the standard library, since it runs inside commands
whose own imports are tested.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Note = Callable[[str, "str | bytes"], None]
"""Told a secret's kind and value: octets, or text that is secret as it stands. A kind that begins with ``~`` is none,
but something that was written."""

NOTED_MAX = 1_000
"""Of each kind, in a test or in a child process. A history draws endpoints by the ten thousand, all in one way."""

PAYLOAD_MARK = "Canary-Of-A-Payload"
"""Tests put it into messages; it may be shown to nobody but the browser."""

Secrets = Iterable["tuple[str, str | bytes]"]


def _signing_key(made: Any, *_args: Any) -> Secrets:
    yield "private key", made.private.private_numbers().private_value.to_bytes(32, "big")


def _subscription(made: Any, *_args: Any) -> Secrets:
    yield "auth secret", made.auth


def _endpoint(made: Any, *_args: Any) -> Secrets:
    yield "endpoint", made.target


def _api_key(made: Any, *_args: Any) -> Secrets:
    yield "API key", made.text


def _new_project(made: Any, *_args: Any) -> Secrets:
    yield "identity secret", made.identity_secret
    yield "sync secret", made.sync_secret


def _sealer(_made: Any, *args: Any) -> Secrets:
    yield "master or data key", args[0]


def _lookup_key(made: Any, *_args: Any) -> Secrets:
    yield "lookup key", made.key


def _key_ring(made: Any, *_args: Any) -> Secrets:
    yield "erasure key", made.erasure


def _error(made: Any, *_args: Any) -> Secrets:
    yield "~error", made.message


def _problem(made: Any, *_args: Any) -> Secrets:
    yield "~problem", made.body.decode()


def _token(kind: str) -> Callable[..., Secrets]:
    def found(made: Any, *_args: Any) -> Secrets:
        yield kind, made

    return found


WATCHED_TYPES: dict[tuple[str, str], Callable[..., Secrets]] = {
    ("pushkeep.protocol.signing_key", "SigningKey"): _signing_key,
    ("pushkeep.protocol.subscription", "Subscription"): _subscription,
    ("pushkeep.protocol.endpoint", "Endpoint"): _endpoint,
    ("pushkeep.domain.project", "ApiKey"): _api_key,
    ("pushkeep.domain.project", "NewProject"): _new_project,
    ("pushkeep.adapters.store.sealing", "Sealer"): _sealer,
    ("pushkeep.adapters.store.sealing", "LookupKey"): _lookup_key,
    ("pushkeep.adapters.store.sealing", "KeyRing"): _key_ring,
    ("pushkeep.errors", "PushkeepError"): _error,
    ("pushkeep.web.problems", "Problem"): _problem,
}
"""By module and class: what is secret about a new one; it is given the object and the arguments it was made of."""

WATCHED_FUNCTIONS: dict[tuple[str, str], Callable[..., Secrets]] = {
    ("pushkeep.domain.sync_token", "make_sync_token"): _token("sync token"),
    ("pushkeep.domain.identity", "sign_identity"): _token("identity token"),
    ("pushkeep.protocol.vapid", "sign"): _token("VAPID token"),
}
"""By module and function: what is secret about what it returns."""

_MODULES = {module for module, _ in (*WATCHED_TYPES, *WATCHED_FUNCTIONS)}


class Watch:
    """Notices secrets as they are made.

    Args:
        note: told each new one.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._seen: set[tuple[str, str | bytes]] = set()
        self._counts: dict[str, int] = {}
        self._full: set[object] = set()

    def begin_test(self) -> None:
        """Room again for as many of each kind."""
        self._counts.clear()
        self._full.clear()

    def begin_module(self) -> None:
        """Tell again what was told before."""
        self._seen.clear()

    def install(self) -> None:
        """Watch what is loaded already, and the rest as it is loaded."""
        for name in _MODULES & sys.modules.keys():
            self.wrap(sys.modules[name])
        sys.meta_path.insert(0, _Finder(self))

    def wrap(self, module: ModuleType) -> None:
        """Watch the types and functions of a module that has just been loaded."""
        for (name, what), secrets_of in WATCHED_TYPES.items():
            if name == module.__name__ and hasattr(module, what):
                self._wrap_type(getattr(module, what), secrets_of)
        for (name, what), secrets_of in WATCHED_FUNCTIONS.items():
            if name == module.__name__ and hasattr(module, what):
                self._wrap_function(module, what, secrets_of)

    def _wrap_type(self, cls: Any, secrets_of: Callable[..., Secrets]) -> None:
        original, full = cls.__init__, self._full

        @functools.wraps(original)
        def init(made: Any, *args: Any, **named: Any) -> None:
            original(made, *args, **named)
            if cls not in full:
                self._take(cls, secrets_of(made, *args, *named.values()))

        cls.__init__ = init

    def _wrap_function(self, module: ModuleType, name: str, secrets_of: Callable[..., Secrets]) -> None:
        original, full = getattr(module, name), self._full

        @functools.wraps(original)
        def call(*args: Any, **named: Any) -> Any:
            made = original(*args, **named)
            if original not in full:
                self._take(original, secrets_of(made))
            return made

        # Whoever has imported it by name has it under that name.
        for other in [*sys.modules.values(), module]:
            for alias, value in list(vars(other).items()) if isinstance(other, ModuleType) else ():
                if value is original:
                    setattr(other, alias, call)

    def _take(self, source: object, secrets: Secrets) -> None:
        for kind, value in secrets:
            self._counts[kind] = count = self._counts.get(kind, 0) + 1
            if count > NOTED_MAX:
                self._full.add(source)
            elif (kind, value) not in self._seen:
                self._seen.add((kind, value))
                self._note(kind, value)


class _Finder(MetaPathFinder):
    """Loads modules as ever, and lets the watch see those it wants as soon as they are loaded."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _MODULES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Watched(spec.loader, self._watch)
        return spec


class _Watched(Loader):
    """A module's own loader, and a look at what it has loaded."""

    def __init__(self, loader: Loader, watch: Watch) -> None:
        self._loader, self._watch = loader, watch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._watch.wrap(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
