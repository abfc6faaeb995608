"""Settings: three sources, one table, and loud about everything else."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from pushkeep.config import (
    SETTINGS,
    Settings,
    default_public_url,
    load_settings,
    settings_environment,
    settings_reference,
)
from pushkeep.domain.origin_map import OriginMap
from pushkeep.domain.site_url import SiteUrl
from pushkeep.errors import ConfigurationError
from pushkeep.protocol.encoding import b64url_encode


def load(tmp_path: Path, environ: dict[str, str] | None = None, /, **overrides: object) -> Settings:
    return load_settings(environ={"PUSHKEEP_DATA_DIR": str(tmp_path), **(environ or {})}, overrides=overrides)


def write(tmp_path: Path, text: str) -> None:
    (tmp_path / "pushkeep.toml").write_text(text)


def test_without_anything_there_are_defaults() -> None:
    settings = load_settings(environ={"HOME": "/home/somebody", "XDG_DATA_HOME": "/data"})
    assert settings.data_dir == Path("/data/pushkeep")
    assert settings.database == Path("/data/pushkeep/pushkeep.db")
    assert (settings.host, settings.port) == ("127.0.0.1", 8200)
    assert settings.public_url.url == settings.site_url.url == "http://localhost:8200"
    assert settings.contact is None
    assert settings.master_key is None
    assert not settings.origin_map


def test_a_relative_data_home_is_ignored_as_the_specification_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings(environ={"XDG_DATA_HOME": "data"}).data_dir == Path("/home/somebody/.local/share/pushkeep")


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    write(tmp_path, 'port = 9001\nhost = "::1"\nproject_name = "File"\n')
    assert load(tmp_path).port == 9001
    assert load(tmp_path, {"PUSHKEEP_PORT": "9002"}).port == 9002
    settings = load(tmp_path, {"PUSHKEEP_PORT": "9002"}, port=9003, host=None)
    assert (settings.port, settings.host, settings.project_name) == (9003, "::1", "File")


def test_the_port_moves_the_default_urls_only(tmp_path: Path) -> None:
    assert load(tmp_path, port=9003).public_url.url == "http://localhost:9003"
    settings = load(tmp_path, port=9003, public_url="https://push.example.com/")
    assert settings.public_url.url == settings.site_url.url == "https://push.example.com"
    assert load(tmp_path, port=0).public_url == default_public_url(0) == default_public_url(8200)


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert load(tmp_path, {"PUSHKEEP_PORT": ""}).port == 8200


def test_lists_are_read_from_each_source(tmp_path: Path) -> None:
    write(
        tmp_path,
        'trusted_proxies = ["10.0.0.0/8", "::1"]\n'
        'origin_map = ["https://jmt17.google.com=https://127.0.0.1:8443,ca=/tmp/ca.pem,vendor=fcm"]\n',
    )
    settings = load(tmp_path, {"PUSHKEEP_ALLOWED_ORIGINS": "https://up.example.org, https://ntfy.example.org:8443/"})
    assert settings.trusted_proxies == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))
    assert settings.allowed_origins == {"https://up.example.org", "https://ntfy.example.org:8443"}
    mapped = settings.origin_map.get("https://jmt17.google.com")
    assert mapped is not None
    assert (mapped.port, mapped.ca_file) == (8443, "/tmp/ca.pem")
    entries = "https://a.example=https://127.0.0.1:1,ca=/x https://b.example=http://localhost:2"
    assert len(load(tmp_path, {"PUSHKEEP_ORIGIN_MAP": entries}).origin_map) == 2


@pytest.mark.parametrize(("text", "flag"), [("true", True), ("ON", True), ("1", True), ("False", False), ("0", False)])
def test_a_flag_is_read_from_each_source(tmp_path: Path, text: str, flag: bool) -> None:
    write(tmp_path, f"receipts = {'false' if flag else 'true'}\n")
    assert load(tmp_path).receipts is not flag
    assert load(tmp_path, {"PUSHKEEP_RECEIPTS": text}).receipts is flag
    assert load(tmp_path, receipts=flag).receipts is flag


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PUSHKEEP_PROT": "1"}, "Did you mean PUSHKEEP_PORT?"),
        ({"PUSHKEEP_PORT": "80O0"}, "PUSHKEEP_PORT must be a whole number from 0 to 65535"),
        ({"PUSHKEEP_PORT": "-1"}, "PUSHKEEP_PORT must be"),
        ({"PUSHKEEP_PORT": "٣"}, "PUSHKEEP_PORT must be"),
        ({"PUSHKEEP_PORT": "70000"}, "PUSHKEEP_PORT must be"),
        ({"PUSHKEEP_HOST": "localhost:8200"}, "without scheme or port"),
        ({"PUSHKEEP_HOST": "http://localhost"}, "without scheme or port"),
        ({"PUSHKEEP_PUBLIC_URL": "http://push.example.com"}, "browsers offer push only over https"),
        ({"PUSHKEEP_PUBLIC_URL": "http://192.168.1.5:8200"}, "browsers offer push only over https"),
        ({"PUSHKEEP_PUBLIC_URL": "push.example.com"}, "PUSHKEEP_PUBLIC_URL must be a URL"),
        ({"PUSHKEEP_PUBLIC_URL": "https://push.example.com/?x"}, "without a query"),
        ({"PUSHKEEP_SITE_URL": "ftp://example.com"}, "PUSHKEEP_SITE_URL must begin with https://"),
        ({"PUSHKEEP_CONTACT": "ops@example.com"}, "mailto:"),
        ({"PUSHKEEP_CONTACT": "mailto:root@localhost"}, "reachable from outside"),
        ({"PUSHKEEP_ORIGIN_MAP": "https://a.example"}, "ORIGIN=BASE"),
        ({"PUSHKEEP_ORIGIN_MAP": "https://a.example=http://10.0.0.1"}, "loopback only"),
        ({"PUSHKEEP_ORIGIN_MAP": "[https://a.example"}, "begins like a JSON list"),
        ({"PUSHKEEP_ALLOWED_ORIGINS": "http://a.example"}, "https://"),
        ({"PUSHKEEP_TRUSTED_PROXIES": "10.0.0.1/8"}, "neither an IP address nor a network"),
        ({"PUSHKEEP_LOG_FORMAT": "xml"}, "one of console, json"),
        ({"PUSHKEEP_WORKERS": "65"}, "PUSHKEEP_WORKERS must be a whole number from 0 to 64"),
        ({"PUSHKEEP_IN_FLIGHT_MAX": "0"}, "from 1 to 2000"),
        ({"PUSHKEEP_ORIGIN_MESSAGES_PER_SECOND": "-1"}, "from 0 to 1000000"),
        ({"PUSHKEEP_PROJECT_MESSAGES_PER_SECOND": "fast"}, "from 0 to 1000000"),
        ({"PUSHKEEP_BACKLOG_RECIPIENTS_MAX": "10"}, "from 1000 to"),
        ({"PUSHKEEP_RECEIPTS": "maybe"}, "PUSHKEEP_RECEIPTS must be true or false"),
        ({"PUSHKEEP_LEASE_SECONDS": "1"}, "from 2 to 600"),
        ({"PUSHKEEP_STOP_SECONDS_MAX": "0"}, "from 1 to 600"),
        ({"PUSHKEEP_WORKER_METRICS_PORT": "65535"}, "from 1 to 65471"),
        ({"PUSHKEEP_MASTER_KEY": "shorty"}, "PUSHKEEP_MASTER_KEY must be 32 octets"),
        ({"PUSHKEEP_PROJECT_NAME": "two\nlines"}, "PUSHKEEP_PROJECT_NAME must be a line of text"),
        ({"PUSHKEEP_DATA_DIR": "\0"}, "data_dir must be a path"),
        ({"PUSHKEEP_DATA_DIR": "~nobody-of-this-name/x"}, "there is no home directory"),
        ({"PUSHKEEP_TRUSTED_PROXIES": "10.0.0.1 " * 1001}, "has 1001 entries; the limit is 1000"),
        ({"PUSHKEEP_PUSH_PROXY": "socks5://10.0.0.1"}, "PUSHKEEP_PUSH_PROXY must begin with https://"),
    ],
)
def test_what_cannot_be_read_stops_the_start(tmp_path: Path, environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, environ)
    assert message in caught.value.message
    assert caught.value.field


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "Did you mean port?"),
        ("[server]\nport = 1", "sets server, which is no setting"),
        ("port = ", "is not valid TOML"),
        ("port = true", "port must be a whole number"),
        ('port = "x"', "port must be a whole number from 0 to 65535. (from pushkeep.toml)"),
        ("port = 1.5", "port must be a whole number"),
        ('data_dir = "/x"', "PUSHKEEP_DATA_DIR"),
        ('master_key = "x"', "PUSHKEEP_MASTER_KEY_FILE"),
        ("receipts = 1", "receipts must be true or false"),
        ("trusted_proxies = [1]", "must be a list of texts"),
        ("origin_map = 5", "must be a list of texts"),
        ("contact = 5", "contact must be"),
        ("public_url = 5", "public_url must be a URL"),
        ("# " + "x" * 300_000, "is not a settings file"),
    ],
)
def test_a_bad_file_is_named_with_the_fix(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert message in caught.value.message


def test_a_file_that_is_a_directory_or_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "pushkeep.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pushkeep.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        load(tmp_path / "other")


def test_an_unknown_override_is_a_mistake_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is no setting prot. Did you mean port\?"):
        load(tmp_path, prot=1)


def test_variables_of_test_runs_are_no_settings(tmp_path: Path) -> None:
    load(tmp_path, {"PUSHKEEP_TEST_ANYTHING": "1", "OTHER": "1"})


def test_a_secret_is_neither_shown_nor_repeated_in_a_complaint(tmp_path: Path) -> None:
    text = b64url_encode(os.urandom(32))
    settings = load(tmp_path, {"PUSHKEEP_MASTER_KEY": text})
    assert settings.master_key is not None
    assert len(settings.master_key) == 32
    assert text not in repr(settings)
    assert repr(settings.master_key) not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, {"PUSHKEEP_MASTER_KEY": text[:-2]})
    assert text[:-2] not in caught.value.message


def test_the_master_key_comes_from_one_place(tmp_path: Path) -> None:
    environ = {"PUSHKEEP_MASTER_KEY": b64url_encode(bytes(32)), "PUSHKEEP_MASTER_KEY_FILE": "/run/secrets/key"}
    with pytest.raises(ConfigurationError, match="given twice"):
        load(tmp_path, environ)
    assert load(tmp_path, {"PUSHKEEP_MASTER_KEY_FILE": "/run/secrets/key"}).master_key_file == Path("/run/secrets/key")


def test_values_that_have_their_type_already_are_taken(tmp_path: Path) -> None:
    site = SiteUrl.parse("https://shop.example.com", field="site_url")
    settings = load(
        tmp_path,
        site_url=site,
        origin_map=OriginMap(),
        allowed_origins=frozenset({"https://a.example"}),
        master_key=bytes(32),
        log_level="debug",
        push_proxy="http://10.0.0.1:3128",
    )
    assert (settings.master_key, settings.log_level, settings.push_proxy) == (
        bytes(32),
        "debug",
        "http://10.0.0.1:3128",
    )
    assert settings.site_url is site
    assert settings.allowed_origins == {"https://a.example"}


def test_sites_that_may_subscribe_are_origins_that_browsers_take_for_secure(tmp_path: Path) -> None:
    settings = load(tmp_path, {"PUSHKEEP_SITE_ORIGINS": "https://Blog.example.com/, http://localhost:3000"})
    assert settings.site_origins == {"https://blog.example.com", "http://localhost:3000"}
    for refused in ("http://shop.example.com", "https://shop.example.com/start", "shop.example.com", "*", "null"):
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path, {"PUSHKEEP_SITE_ORIGINS": refused})
        assert caught.value.field == "site_origins"


def test_a_child_process_gets_the_settings_in_effect(tmp_path: Path) -> None:
    write(tmp_path, 'contact = "mailto:file@example.com"\nreceipts = false\nworkers = 7\n')
    (entry,) = OriginMap.parse([f"https://a.example=https://[::1]:8443,ca={tmp_path}/a b/ca.pem,vendor=fcm"])
    settings = load(
        tmp_path,
        {"PUSHKEEP_MASTER_KEY": b64url_encode(bytes(range(32))), "PUSHKEEP_TRUSTED_PROXIES": "::1 10.0.0.0/8"},
        workers=2,
        site_url="https://shop.example.com",
        origin_map=OriginMap([entry]),
        allowed_origins=frozenset({"https://a.example", "https://b.example:8443"}),
        push_proxy="http://10.0.0.1:3128",
        site_origins="https://blog.example.com http://localhost:3000",
        identity_keys_file=tmp_path / "a key.pem",
        identity_audience="push",
    )
    environment = settings_environment(settings, {"PATH": "/bin", "PUSHKEEP_PORT": "1", "PUSHKEEP_TEST_X": "y"})
    assert (environment["PATH"], environment["PUSHKEEP_TEST_X"]) == ("/bin", "y")
    again = load_settings(environ=environment)
    assert list(again.origin_map) == [entry]
    assert sorted(map(str, again.trusted_proxies)) == ["10.0.0.0/8", "::1/128"]
    alike = {"origin_map": OriginMap(), "trusted_proxies": ()}
    assert dataclasses.replace(again, **alike) == dataclasses.replace(settings, **alike)


def test_every_default_has_the_type_of_its_field(tmp_path: Path) -> None:
    settings = load(tmp_path)
    for name, hint in get_type_hints(Settings).items():
        value = getattr(settings, name)
        kinds = [kind for kind in (get_args(hint) or (hint,)) if isinstance(kind, type)]
        assert not kinds or isinstance(value, (*kinds, tuple, frozenset)), name


def test_the_reference_has_every_setting_and_no_value_of_this_machine() -> None:
    reference = settings_reference()
    for field in dataclasses.fields(Settings):
        assert f"| `{field.name}` | `PUSHKEEP_{field.name.upper()}`" in reference
    assert str(Path.home()) not in reference
    assert all(row.help.endswith((".", ".)")) for row in SETTINGS.values())
    assert [name for name, row in SETTINGS.items() if row.secret] == ["master_key"]
    assert all(line.count(" | ") == 4 for line in reference.splitlines()[2:])
