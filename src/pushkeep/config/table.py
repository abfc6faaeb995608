"""The table of settings: name, type with unit, default, secret or not, meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args, get_type_hints

from pushkeep.config.privacy_table import PrivacySettings
from pushkeep.config.readers import (
    Network,
    choice_reader,
    off_or,
    read_command,
    read_contact,
    read_flag,
    read_host,
    read_master_key,
    read_networks,
    read_origin_map,
    read_origins,
    read_path,
    read_proxy,
    read_schedule,
    read_site,
    text_reader,
    whole_reader,
)
from pushkeep.config.setting import ENVIRONMENT_PREFIX, Setting
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.site_url import SiteUrl

LogFormat: TypeAlias = Literal["console", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]


_URL_TYPE = "URL, https:// or http:// on localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(PrivacySettings):
    """Everything that can be set; each attribute's row says what it means."""

    data_dir: Annotated[
        Path,
        Setting(
            read_path,
            "path",
            "Where the database, the master key and `pushkeep.toml` live. Not settable in the file itself.",
            default="`$XDG_DATA_HOME/pushkeep`, else `~/.local/share/pushkeep`",
        ),
    ]
    database: Annotated[
        Path, Setting(read_path, "path", "The SQLite file.", default="`pushkeep.db` in the data directory")
    ]
    master_key: Annotated[
        bytes | None,
        Setting(
            read_master_key,
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
            read_path,
            "path",
            "A file with the master key in base64, readable by this user only.",
            default="`master.key` in the data directory",
        ),
    ] = None
    master_key_command: Annotated[
        str | None,
        Setting(
            read_command,
            "command",
            "A program that prints the master key in base64, with its arguments; run at the start, without a shell, "
            "for at most 30 s.",
            default="none",
        ),
    ] = None
    host: Annotated[str, Setting(read_host, "address or host name", "Where the server listens.")] = "127.0.0.1"
    port: Annotated[
        int, Setting(whole_reader(0, 65535), "port, 0 to 65535", "Where the server listens; 0 takes any free port.")
    ] = 8200
    public_url: Annotated[
        SiteUrl,
        Setting(
            read_site,
            _URL_TYPE,
            "How browsers reach this server. Push needs a secure context, so plain http is refused except on "
            "localhost.",
            default="`http://localhost:PORT`",
        ),
    ]
    site_url: Annotated[
        SiteUrl,
        Setting(
            read_site,
            _URL_TYPE,
            "The site whose visitors subscribe: its pages may call the browser routes, and a click opens it where a "
            "notification names no URL.",
            default="`public_url`",
        ),
    ]
    project_name: Annotated[
        str, Setting(text_reader(100), "text, 1 to 100 characters", "Name of the default project.")
    ] = "Default project"
    contact: Annotated[
        str | None,
        Setting(
            read_contact,
            "`mailto:` or `https:` address",
            "Whom a push service may write to about this server's messages (RFC 8292 section 2.1). Apple refuses "
            "messages without a real one.",
            default="none",
        ),
    ] = None
    origin_map: Annotated[
        OriginMap,
        Setting(
            read_origin_map,
            "list of `ORIGIN=BASE[,ca=FILE][,vendor=NAME]`, separated by white space",
            "Push service origins that are reached at another address: the local push service, a private one. The only "
            "exemption from the address check; a base on another machine must be given by its IP address.",
            default="empty",
        ),
    ] = field(default_factory=OriginMap)
    allowed_origins: Annotated[
        frozenset[str],
        Setting(
            read_origins,
            "list of origins, separated by commas or white space",
            "Push services beyond the known ones whose endpoints are accepted, such as a self-hosted UnifiedPush "
            "server.",
            default="empty",
        ),
    ] = frozenset()
    trusted_proxies: Annotated[
        tuple[Network, ...],
        Setting(
            read_networks,
            "list of IP addresses or networks, separated by commas or white space",
            "Peers whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. Without it the peer is the client.",
            default="empty",
        ),
    ] = ()
    failed_keys_per_minute: Annotated[
        int,
        Setting(
            whole_reader(1, 100_000),
            "attempts a minute, 1 to 100000",
            "How many wrong API keys one address may present in the long run; ten at once.",
        ),
    ] = 10
    workers: Annotated[
        int,
        Setting(
            whole_reader(0, 64),
            "processes, 0 to 64",
            "Processes that deliver, beside the one that answers requests; each can fill one core. With 0 the "
            "answering process delivers, too.",
        ),
    ] = 1
    in_flight_max: Annotated[
        int,
        Setting(
            whole_reader(1, 2000),
            "messages, 1 to 2000",
            "Messages that one process may have under way at once, to all push services together. Each holds some "
            "20 KB; 256 to one service keep a core busy while answers take 100 ms.",
        ),
    ] = 512
    origin_messages_per_second: Annotated[
        int,
        Setting(
            whole_reader(0, 1_000_000),
            "messages a second, 0 to 1000000; 0 sets no limit",
            "The most that all processes together send to one push service, for one that complains before it "
            "throttles.",
        ),
    ] = 0
    project_messages_per_second: Annotated[
        int,
        Setting(
            whole_reader(0, 1_000_000),
            "messages a second, 0 to 1000000; 0 sets no limit",
            "The most that all processes together send, so that a broadcast does not bring everybody to the site at "
            "once.",
        ),
    ] = 0
    backlog_recipients_max: Annotated[
        int,
        Setting(
            whole_reader(1000, 1_000_000_000),
            "recipients, 1000 to 1000000000",
            "While more than so many wait for their message, new notifications are refused with 503 and Retry-After. "
            "The default is some half an hour of one core's work.",
        ),
    ] = 5_000_000
    sweep_schedule: Annotated[
        str,
        Setting(
            read_schedule,
            "five fields as in crontab, in UTC, or `off`",
            "When everything that is stored is looked over: health is counted, what was refused for days goes into "
            "quarantine, old tombstones are forgotten. The default is Mondays at 04:23.",
        ),
    ] = "23 4 * * 1"
    tombstone_days: Annotated[
        int,
        Setting(
            whole_reader(1, 3650),
            "days, 1 to 3650",
            "How long an ended subscription is remembered, without what could be used to send to it. A browser that "
            "comes back later counts as a new one.",
        ),
    ] = 90
    expire_unseen_days: Annotated[
        int,
        Setting(
            off_or(30, 3650),
            "days, 30 to 3650; 0 ends none",
            "End subscriptions that their browser has neither confirmed nor shown a message of for so long. Who only "
            "reads notifications and never visits would be lost where receipts are off.",
        ),
    ] = 0
    require_purpose: Annotated[
        bool,
        Setting(
            read_flag,
            "`true` or `false`",
            "Refuse notifications that name no purpose, so that nothing is sent without asking for consent by "
            "oversight.",
        ),
    ] = False
    receipts: Annotated[
        bool,
        Setting(
            read_flag,
            "`true` or `false`",
            "Whether browsers report what was displayed, clicked and closed. Off: no notification carries a token "
            "for it.",
        ),
    ] = True
    lease_seconds: Annotated[
        int,
        Setting(
            whole_reader(2, 600),
            "seconds, 2 to 600",
            "How long the work of a process that died waits for the next one. Longer than this machine and its disk "
            "ever stand still, else messages are repeated.",
        ),
    ] = 30
    stop_seconds_max: Annotated[
        int,
        Setting(
            whole_reader(1, 600),
            "seconds, 1 to 600",
            "How long a stop waits for what is under way. One message takes up to `push_answer_seconds_max`, and what "
            "came of it is written down after that; give systemd or Docker more than this.",
        ),
    ] = 40
    worker_metrics_port: Annotated[
        int | None,
        Setting(
            whole_reader(1, 65_471),  # 64 workers above it still are ports
            "port, 1 to 65471",
            "Where workers serve their Prometheus metrics, on 127.0.0.1 and without a key: the first here, each "
            "further one a port above.",
            default="none",
        ),
    ] = None
    push_connect_seconds_max: Annotated[
        int,
        Setting(whole_reader(1, 120), "seconds, 1 to 120", "How long a connection to a push service may take to open."),
    ] = 10
    push_answer_seconds_max: Annotated[
        int,
        Setting(
            whole_reader(1, 300), "seconds, 1 to 300", "How long one message may take in all, connection included."
        ),
    ] = 30
    push_proxy: Annotated[
        str | None,
        Setting(read_proxy, "origin of an HTTP proxy", "Reach push services through this proxy.", default="none"),
    ] = None
    log_format: Annotated[
        LogFormat,
        Setting(choice_reader(get_args(LogFormat)), "`console` or `json`", "How log lines are written, to stderr."),
    ] = "console"
    log_level: Annotated[
        LogLevel,
        Setting(
            choice_reader(get_args(LogLevel)),
            "`debug`, `info`, `warning` or `error`",
            "The least important line shown.",
        ),
    ] = "info"


def _table() -> dict[str, Setting]:
    hints = get_type_hints(Settings, include_extras=True)
    rows: dict[str, Setting] = {}
    inherited = {entry.name for entry in fields(PrivacySettings)}
    for entry in sorted(fields(Settings), key=lambda entry: entry.name in inherited):
        (row,) = (extra for extra in hints[entry.name].__metadata__ if isinstance(extra, Setting))
        rows[entry.name] = row
    return rows


SETTINGS: Mapping[str, Setting] = _table()
"""The table, by name, in the order in which it is documented."""


def default_of(name: str) -> object:
    """The default of a setting; for a computed one None or nothing, see :mod:`pushkeep.config.sources`."""
    entry = next(entry for entry in fields(Settings) if entry.name == name)
    return entry.default_factory() if entry.default_factory is not MISSING else entry.default


def settings_reference() -> str:
    """The table as Markdown, for the configuration page of the documentation."""
    lines = ["| setting | environment | type | default | meaning |", "|---|---|---|---|---|"]
    for name, row in SETTINGS.items():
        default = row.default
        if default is None:
            default = f"`{default_of(name)}`"
        variable = f"`{ENVIRONMENT_PREFIX}{name.upper()}`"
        place = f"{variable} (secret: not in the file)" if row.secret else variable
        type_text = row.type.replace("|", "\\|")
        lines.append(f"| `{name}` | {place} | {type_text} | {default} | {row.help} |")
    return "\n".join(lines) + "\n"
