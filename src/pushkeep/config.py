"""The settings of a Pushkeep server: one typed table, three sources, no guessing.

A value comes from, later ones winning: ``pushkeep.toml`` in the data directory, the environment (``PUSHKEEP_`` and
the name in capitals; for a secret also ``…_FILE`` with the path of a file that holds it), the command line. A name
that is not in the table, or a value that cannot be read, stops the start with a sentence that says what to do: a
setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args, get_type_hints

from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.contact import check_contact
from pushkeep.protocol.encoding import b64_decode
from pushkeep.protocol.endpoint import parse_origin

ENVIRONMENT_PREFIX = "PUSHKEEP_"
CONFIG_FILE_NAME = "pushkeep.toml"
CONFIG_FILE_BYTES_MAX = 262_144
"""A full file with thousands of mapped origins stays below; anything larger is not a settings file."""

MASTER_KEY_BYTES = 32
"""AES-256."""

_UNTYPED_ENVIRONMENT = "PUSHKEEP_TEST_"
"""Names that begin so belong to test runs and are not settings."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LogFormat: TypeAlias = Literal["console", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    Attributes:
        read: turns text (environment, command line) or a TOML value into the typed value; raises InvalidInput.
        type: what may stand there, with its unit and limits, for people.
        help: what it does.
        default: how the default reads where it is computed.
        secret: never shown, never in the file; has a ``_FILE`` variant.
    """

    read: Callable[[object, str], object]
    type: str
    help: str
    default: str | None = None
    secret: bool = False


def _text(length_max: int) -> Callable[[object, str], str]:
    def read(value: object, name: str) -> str:
        if not isinstance(value, str) or not 0 < len(value) <= length_max or not value.isprintable():
            raise InvalidInput(f"{name} must be a line of text of 1 to {length_max} characters.", field=name)
        return value

    return read


def _whole(low: int, high: int) -> Callable[[object, str], int]:
    def read(value: object, name: str) -> int:
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12
        number = int(value) if digits and isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not low <= number <= high:
            raise InvalidInput(f"{name} must be a whole number from {low} to {high}.", field=name)
        return number

    return read


def _choice(values: tuple[str, ...]) -> Callable[[object, str], str]:
    def read(value: object, name: str) -> str:
        if not isinstance(value, str) or value not in values:
            raise InvalidInput(f"{name} must be one of {', '.join(values)}.", field=name)
        return value

    return read


def _path(value: object, name: str) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise InvalidInput(f"{name} must be a path.", field=name)
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise InvalidInput(f"{name} begins with ~, but there is no home directory.", field=name) from None


def _site(value: object, name: str) -> SiteUrl:
    return value if isinstance(value, SiteUrl) else SiteUrl.parse(value, field=name)


def _contact(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be a mailto: or https: address.", field=name)
    return check_contact(value)


def _host(value: object, name: str) -> str:
    text = _text(255)(value, name)
    if "/" in text or " " in text or text.count(":") == 1:
        raise InvalidInput(f"{name} must be an address or host name without scheme or port.", field=name)
    return text.removeprefix("[").removesuffix("]")


def _list(value: object, name: str, *, separators: str, entries_max: int) -> list[str]:
    if isinstance(value, str):
        for separator in separators:
            value = value.replace(separator, " ")
        value = value.split()
    if not isinstance(value, list | tuple) or not all(isinstance(entry, str) for entry in value):
        raise InvalidInput(f"{name} must be a list of texts.", field=name)
    if len(value) > entries_max:
        raise InvalidInput(f"{name} has {len(value)} entries; the limit is {entries_max}.", field=name)
    return [str(entry) for entry in value]


def _origin_map(value: object, name: str) -> OriginMap:
    if isinstance(value, OriginMap):
        return value
    # A comma is part of an entry (",ca=", ",vendor="), so only white space separates entries.
    return OriginMap.parse(_list(value, name, separators="", entries_max=1000))


def _origins(value: object, name: str) -> frozenset[str]:
    if isinstance(value, frozenset):
        value = sorted(value)
    entries = _list(value, name, separators=",", entries_max=1000)
    return frozenset(parse_origin(entry, field=name) for entry in entries)


def _networks(value: object, name: str) -> tuple[Network, ...]:
    networks: list[Network] = []
    for entry in _list(value, name, separators=",", entries_max=1000):
        try:
            networks.append(ipaddress.ip_network(entry))
        except ValueError:
            raise InvalidInput(
                f"{name} has {entry!r}, which is neither an IP address nor a network such as 10.0.0.0/8.", field=name
            ) from None
    return tuple(networks)


def _proxy(value: object, name: str) -> str:
    return parse_origin(value, field=name, allow_http=True)


def _master_key(value: object, name: str) -> bytes:
    if isinstance(value, bytes) and len(value) == MASTER_KEY_BYTES:
        return value
    return b64_decode(value, field=name, length=MASTER_KEY_BYTES)


_URL_TYPE = "URL, https:// or http:// on localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that can be set; each attribute's row says what it means."""

    data_dir: Annotated[
        Path,
        Setting(
            _path,
            "path",
            "Where the database, the master key and `pushkeep.toml` live. Not settable in the file itself.",
            default="`$XDG_DATA_HOME/pushkeep`, else `~/.local/share/pushkeep`",
        ),
    ]
    database: Annotated[Path, Setting(_path, "path", "The SQLite file.", default="`pushkeep.db` in the data directory")]
    master_key: Annotated[
        bytes | None,
        Setting(
            _master_key,
            "32 octets in base64",
            "Opens the signing keys and subscriptions in the database. Without it the file `master.key` in the data "
            "directory is used, and made at the first start.",
            default="`master.key` in the data directory",
            secret=True,
        ),
    ] = field(default=None, repr=False)
    master_key_file: Annotated[
        Path | None,
        Setting(
            _path,
            "path",
            "A file with the master key in base64, readable by this user only.",
            default="`master.key` in the data directory",
        ),
    ] = None
    host: Annotated[str, Setting(_host, "address or host name", "Where the server listens.")] = "127.0.0.1"
    port: Annotated[
        int, Setting(_whole(0, 65535), "port, 0 to 65535", "Where the server listens; 0 takes any free port.")
    ] = 8200
    public_url: Annotated[
        SiteUrl,
        Setting(
            _site,
            _URL_TYPE,
            "How browsers reach this server. Push needs a secure context, so plain http is refused except on "
            "localhost.",
            default="`http://localhost:PORT`",
        ),
    ]
    site_url: Annotated[
        SiteUrl,
        Setting(
            _site,
            _URL_TYPE,
            "The site whose visitors subscribe: only its pages may call the browser routes from another origin, and a "
            "click opens it where a notification names no URL.",
            default="`public_url`",
        ),
    ]
    project_name: Annotated[str, Setting(_text(100), "text, 1 to 100 characters", "Name of the default project.")] = (
        "Default project"
    )
    contact: Annotated[
        str | None,
        Setting(
            _contact,
            "`mailto:` or `https:` address",
            "Whom a push service may write to about this server's messages (RFC 8292 section 2.1). Apple refuses "
            "messages without a real one.",
            default="none",
        ),
    ] = None
    origin_map: Annotated[
        OriginMap,
        Setting(
            _origin_map,
            "list of `ORIGIN=BASE[,ca=FILE][,vendor=NAME]`, separated by white space",
            "Push service origins that are reached at another address: the local push service, a private one. The only "
            "exemption from the address check.",
            default="empty",
        ),
    ] = field(default_factory=OriginMap)
    allowed_origins: Annotated[
        frozenset[str],
        Setting(
            _origins,
            "list of origins, separated by commas or white space",
            "Push services beyond the known ones whose endpoints are accepted, such as a self-hosted UnifiedPush "
            "server.",
            default="empty",
        ),
    ] = frozenset()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Setting(
            _networks,
            "list of IP addresses or networks, separated by commas or white space",
            "Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Without it the peer is the client.",
            default="empty",
        ),
    ] = ()
    client_requests_per_minute: Annotated[
        int,
        Setting(
            _whole(1, 100_000),
            "requests a minute, 1 to 100000",
            "How often one address (an IPv6 /64) may call the browser routes in the long run.",
        ),
    ] = 120
    client_requests_burst: Annotated[
        int,
        Setting(
            _whole(1, 100_000),
            "requests, 1 to 100000",
            "How many calls of the browser routes one address may make at once; a page load needs two.",
        ),
    ] = 60
    failed_keys_per_minute: Annotated[
        int,
        Setting(
            _whole(1, 100_000),
            "attempts a minute, 1 to 100000",
            "How many wrong API keys one address may present in the long run; ten at once.",
        ),
    ] = 10
    recipients_max: Annotated[
        int,
        Setting(
            _whole(1, 10_000),
            "subscriptions, 1 to 10000",
            "How many subscriptions one notification may reach; the request waits until all are answered.",
        ),
    ] = 1000
    push_connect_seconds_max: Annotated[
        int, Setting(_whole(1, 120), "seconds, 1 to 120", "How long a connection to a push service may take to open.")
    ] = 10
    push_answer_seconds_max: Annotated[
        int, Setting(_whole(1, 300), "seconds, 1 to 300", "How long one message may take in all, connection included.")
    ] = 30
    push_proxy: Annotated[
        str | None,
        Setting(_proxy, "origin of an HTTP proxy", "Reach push services through this proxy.", default="none"),
    ] = None
    log_format: Annotated[
        LogFormat, Setting(_choice(get_args(LogFormat)), "`console` or `json`", "How log lines are written, to stderr.")
    ] = "console"
    log_level: Annotated[
        LogLevel,
        Setting(
            _choice(get_args(LogLevel)), "`debug`, `info`, `warning` or `error`", "The least important line shown."
        ),
    ] = "info"


def _table() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    rows: dict[str, Setting] = {}
    for entry in fields(Settings):
        (row,) = (extra for extra in hints[entry.name].__metadata__ if isinstance(extra, Setting))
        rows[entry.name] = row
    return rows


SETTINGS: Mapping[str, Setting] = _table()
"""The table, by name, in the order in which it is documented."""


def load_settings(
    *, overrides: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Gather the settings.

    Args:
        overrides: values from the command line by name; None means not given.
        environ: the environment; the process's own by default.

    Raises:
        ConfigurationError: an unknown name, a value that cannot be read, or an unreadable file; the message names the
            source and the remedy.
    """
    environment = os.environ if environ is None else environ
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for name in given:
        if name not in SETTINGS:
            raise ConfigurationError(f"There is no setting {name}.{_nearest(name, SETTINGS)}", field=name)
    from_environment = _environment_values(environment)
    data_dir = _read_data_dir(given, from_environment, environment)
    sources = (
        (CONFIG_FILE_NAME, _file_values(data_dir / CONFIG_FILE_NAME)),
        ("the environment", from_environment),
        ("the command line", given),
    )
    values: dict[str, object] = {}
    for source, raw in sources:
        for name, value in raw.items():
            shown = ENVIRONMENT_PREFIX + name.upper() if raw is from_environment else name
            try:
                values[name] = SETTINGS[name].read(value, shown)
            except InvalidInput as error:
                raise ConfigurationError(f"{error.message} (from {source})", field=name) from None
    values["data_dir"] = data_dir
    return _complete(values)


def _read_data_dir(
    given: Mapping[str, object], from_environment: Mapping[str, str], environment: Mapping[str, str]
) -> Path:
    """The data directory has to be known before the file in it can be read."""
    chosen = given.get("data_dir", from_environment.get("data_dir"))
    try:
        if chosen is not None:
            return _path(chosen, "data_dir")
        base = environment.get("XDG_DATA_HOME", "")
        # The XDG specification tells to ignore a relative path.
        return _path(Path(base) / "pushkeep" if base.startswith("/") else "~/.local/share/pushkeep", "data_dir")
    except InvalidInput as error:
        raise ConfigurationError(f"{error.message} Set PUSHKEEP_DATA_DIR.", field="data_dir") from None


def _complete(values: dict[str, object]) -> Settings:
    """Fill in the computed defaults and check what concerns several settings."""
    data_dir = values["data_dir"]
    assert isinstance(data_dir, Path)
    port = values.get("port", _default("port"))
    values.setdefault("database", data_dir / "pushkeep.db")
    values.setdefault("public_url", SiteUrl.parse(f"http://localhost:{port or 8200}", field="public_url"))
    values.setdefault("site_url", values["public_url"])
    if values.get("master_key") is not None and values.get("master_key_file") is not None:
        raise ConfigurationError(
            "The master key is given twice, as PUSHKEEP_MASTER_KEY and as a file; remove one.", field="master_key"
        )
    typed: dict[str, object] = {name: values.get(name, _default(name)) for name in SETTINGS}
    return Settings(**typed)  # type: ignore[arg-type]  # each reader returns its field's type; a test compares them


def _default(name: str) -> object:
    entry = next(entry for entry in fields(Settings) if entry.name == name)
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def _environment_values(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable.startswith(_UNTYPED_ENVIRONMENT):
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in SETTINGS:
            known = [ENVIRONMENT_PREFIX + other.upper() for other in SETTINGS]
            raise ConfigurationError(
                f"{variable} is set in the environment but is no setting.{_nearest(variable, known)} "
                "Unset it if it is meant for something else.",
                field=name,
            )
        if text:  # an empty variable is how compose files and shells write "not set"
            values[name] = text
    return values


def _file_values(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            content = file.read(CONFIG_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}. Check its owner and mode.") from None
    if len(content) > CONFIG_FILE_BYTES_MAX:
        raise ConfigurationError(f"{path} is over {CONFIG_FILE_BYTES_MAX} octets; it is not a settings file.")
    try:
        values: dict[str, object] = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}.") from None
    for name in values:
        if name not in SETTINGS:
            raise ConfigurationError(f"{path} sets {name}, which is no setting.{_nearest(name, SETTINGS)}", field=name)
        if name == "data_dir":
            raise ConfigurationError(
                f"{path} sets data_dir, but it lies in that directory itself; set PUSHKEEP_DATA_DIR or --data-dir.",
                field=name,
            )
        if SETTINGS[name].secret:
            raise ConfigurationError(
                f"{path} holds the secret {name}, which this file is not protected for; set "
                f"{ENVIRONMENT_PREFIX}{name.upper()}_FILE to a file that only this user can read.",
                field=name,
            )
    return values


def _nearest(name: str, known: Mapping[str, object] | list[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {found[0]}?" if found else ""


def settings_reference() -> str:
    """The table as Markdown, for the configuration page of the documentation."""
    lines = ["| setting | environment | type | default | meaning |", "|---|---|---|---|---|"]
    for name, row in SETTINGS.items():
        default = row.default
        if default is None:
            default = f"`{_default(name)}`"
        variable = f"`{ENVIRONMENT_PREFIX}{name.upper()}`"
        place = f"{variable} (secret: not in the file)" if row.secret else variable
        type_text = row.type.replace("|", "\\|")
        lines.append(f"| `{name}` | {place} | {type_text} | {default} | {row.help} |")
    return "\n".join(lines) + "\n"
