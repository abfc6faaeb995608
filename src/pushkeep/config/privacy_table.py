"""The settings of privacy: how long what is known of people is kept, and whether their addresses are written down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

from pushkeep.config.browser_table import BrowserSettings
from pushkeep.config.readers import choice_reader, off_or, read_path
from pushkeep.config.setting import Setting

LogAddresses: TypeAlias = Literal["off", "truncated", "full"]

_DAYS = "days, 1 to 3650; 0 keeps it"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacySettings(BrowserSettings):
    """Part of :class:`pushkeep.config.table.Settings`."""

    erasure_list: Annotated[
        Path,
        Setting(
            read_path,
            "path",
            "The list of who was erased, as keyed hashes: what it names is erased again whenever a backup brings it "
            "back. It belongs to no backup of the database, and is worth one of its own.",
            default="`erasures.jsonl` beside the database",
        ),
    ]
    notification_days: Annotated[
        int,
        Setting(
            off_or(1, 3650),
            _DAYS,
            "How long what a notification says is kept once it has finished; its figures stay.",
        ),
    ] = 90
    outcome_days: Annotated[
        int,
        Setting(
            off_or(1, 3650),
            _DAYS,
            "How long it is kept what became of a notification for each recipient, and what their browsers reported, "
            "once it has finished; the totals stay.",
        ),
    ] = 90
    consent_days: Annotated[
        int,
        Setting(
            off_or(1, 3650),
            _DAYS,
            "How long a consent is kept as proof once it is withdrawn, or its subscription is over and forgotten; then "
            "its content goes, and the chain still holds.",
        ),
    ] = 1095
    log_addresses: Annotated[
        LogAddresses,
        Setting(
            choice_reader(get_args(LogAddresses)),
            "`off`, `truncated` or `full`",
            "Whether log lines of requests have the client's address: not at all, without what stands for one "
            "household (an IPv4 /24, an IPv6 /48), or all of it. It is never in the database.",
        ),
    ] = "off"
