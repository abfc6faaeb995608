"""Gathering the settings from file, environment and command line, later ones winning.

A name that is not in the table, or a value that cannot be read, stops the start with a sentence that says what to do:
a setting that is silently ignored is worse than none.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pushkeep.config.readers import read_path
from pushkeep.config.setting import ENVIRONMENT_PREFIX
from pushkeep.config.table import SETTINGS, Settings, default_of
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import ConfigurationError, InvalidInput
from pushkeep.protocol.encoding import b64url_encode

CONFIG_FILE_NAME = "pushkeep.toml"
ERASURE_LIST_NAME = "erasures.jsonl"
CONFIG_FILE_BYTES_MAX = 262_144
"""A full file with hundreds of mapped origins stays below; anything larger is not a settings file."""

_TEST_PREFIX = "PUSHKEEP_TEST_"
"""Variables that begin so belong to test runs and are no settings."""


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


def settings_environment(settings: Settings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which :func:`load_settings` gives these settings again: for a child process.

    Secrets are in it, which only this user and the child can read; so it must never be printed.

    Args:
        settings: as they are in effect.
        environ: what else the child gets; the process's own environment by default.
    """
    environment = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(ENVIRONMENT_PREFIX) or name.startswith(_TEST_PREFIX)
    }
    for name in SETTINGS:
        text = _to_text(getattr(settings, name))
        if text:
            kept[ENVIRONMENT_PREFIX + name.upper()] = text
    return kept


def _to_text(value: object) -> str:
    """A value as its reader takes it from text; empty for one that is not set."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return b64url_encode(value)
    if isinstance(value, SiteUrl):
        return value.url
    if isinstance(value, OriginMap):
        return json.dumps([entry.to_text() for entry in value])
    if isinstance(value, frozenset | tuple):
        return " ".join(sorted(map(str, value)))
    return str(value)


def _read_data_dir(
    given: Mapping[str, object], from_environment: Mapping[str, str], environment: Mapping[str, str]
) -> Path:
    """The data directory has to be known before the file in it can be read."""
    chosen = given.get("data_dir", from_environment.get("data_dir"))
    try:
        if chosen is not None:
            return read_path(chosen, "data_dir")
        base = environment.get("XDG_DATA_HOME", "")
        # The XDG specification tells to ignore a relative path.
        return read_path(Path(base) / "pushkeep" if base.startswith("/") else "~/.local/share/pushkeep", "data_dir")
    except InvalidInput as error:
        raise ConfigurationError(f"{error.message} Set PUSHKEEP_DATA_DIR.", field="data_dir") from None


def default_public_url(port: int) -> SiteUrl:
    """The public URL where none is set; for port 0 that of the default port, until the real one is known."""
    return SiteUrl.parse(f"http://localhost:{port or default_of('port')}", field="public_url")


def _complete(values: dict[str, object]) -> Settings:
    """Fill in the computed defaults and check what concerns several settings."""
    data_dir = values["data_dir"]
    assert isinstance(data_dir, Path)
    port = values.get("port", default_of("port"))
    values.setdefault("database", data_dir / "pushkeep.db")
    assert isinstance(port, int)
    database = values["database"]
    assert isinstance(database, Path)
    values.setdefault("erasure_list", database.with_name(ERASURE_LIST_NAME))
    values.setdefault("public_url", default_public_url(port))
    values.setdefault("site_url", values["public_url"])
    masters = [name for name in ("master_key", "master_key_file", "master_key_command") if values.get(name) is not None]
    if len(masters) > 1:
        raise ConfigurationError(
            f"The master key is given {'twice' if len(masters) == 2 else 'three times'}, as "
            f"{' and '.join(ENVIRONMENT_PREFIX + name.upper() for name in masters)}; remove all but one.",
            field="master_key",
        )
    typed: dict[str, object] = {name: values.get(name, default_of(name)) for name in SETTINGS}
    return Settings(**typed)  # type: ignore[arg-type]  # each reader returns its field's type; a test compares them


def _environment_values(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable.startswith(_TEST_PREFIX):
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
