import pytest

from pushkeep.domain.doctor.findings import Level
from pushkeep.domain.doctor.identity import KeyFile, contact_finding, file_findings, key_findings
from pushkeep.protocol.signing_key import SigningKey

KEY = SigningKey.generate()
PEM = KEY.to_pem().encode()


@pytest.mark.parametrize(
    "contact",
    [
        "mailto: push@shop.example.org",
        "mailto:<push@shop.example.org>",
        "mailto:admin@localhost",
        "mailto:me@mac.local",
        "mailto:a@b.invalid",
        "push@shop.dev",
        "mailto:mailto:push@shop.dev",
        "https://localhost",
        "https://127.0.0.1/contact",
        "",
    ],
)
def test_a_contact_that_makes_iphones_silent_is_a_problem(contact: str) -> None:
    finding = contact_finding(contact)
    assert (finding.check, finding.level) == ("contact", Level.PROBLEM)
    assert "silent on iPhone" in finding.title
    assert "mailto:you@" in finding.remedy


def test_no_contact_and_a_placeholder_are_warnings() -> None:
    assert contact_finding(None).level is Level.WARNING
    for contact in ("mailto:me@example.com", "https://www.example.org/contact", "mailto:you@your-domain.org"):
        assert contact_finding(contact).level is Level.WARNING


@pytest.mark.parametrize("contact", ["mailto:push@shop.dev", "https://shop.dev/contact", "https://notexample.com"])
def test_a_real_contact_is_fine(contact: str) -> None:
    assert contact_finding(contact).level is Level.OK


@pytest.mark.parametrize(
    ("mode", "level"),
    [
        (0o600, Level.OK),
        (0o400, Level.OK),
        (0o640, Level.WARNING),
        (0o660, Level.WARNING),
        (0o644, Level.PROBLEM),
        (0o602, Level.PROBLEM),
    ],
)
def test_permissions_of_a_key_file(mode: int, level: Level) -> None:
    (finding,) = file_findings(KeyFile("vapid.pem", PEM, mode=mode), "signing key")
    assert (finding.check, finding.level) == ("key_file", level)
    assert finding.remedy in ("", "Run: chmod 600 vapid.pem")
    assert f"{mode:04o}" in finding.seen


def test_a_system_without_permissions_says_nothing_of_them() -> None:
    assert list(file_findings(KeyFile("vapid.pem", PEM), "signing key")) == []


@pytest.mark.parametrize(
    ("tracked", "ignored", "level"),
    [(True, False, Level.PROBLEM), (True, True, Level.PROBLEM), (False, False, Level.WARNING), (False, True, None)],
)
def test_a_key_in_a_git_work_tree(tracked: bool, ignored: bool, level: Level | None) -> None:
    file = KeyFile("/src/vapid.pem", PEM, work_tree="/src", tracked=tracked, ignored=ignored)
    found = [(item.check, item.level) for item in file_findings(file, "signing key")]
    assert found == ([] if level is None else [("key_in_git", level)])


def test_a_key_file_that_is_not_there() -> None:
    key, (finding,) = key_findings(KeyFile("vapid.pem", None, "No such file or directory"))
    assert (key, finding.check, finding.level) == (None, "key_pair", Level.PROBLEM)
    assert "No such file" in finding.seen


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_file_without_a_usable_key(content: bytes) -> None:
    key, (finding,) = key_findings(KeyFile("vapid.pem", content))
    assert (key, finding.level) == (None, Level.PROBLEM)


def test_a_key_pair_is_shown_by_its_public_half_only() -> None:
    key, findings = key_findings(KeyFile("vapid.pem", PEM, mode=0o600), KEY.public_b64)
    assert key is not None
    assert [(item.check, item.level) for item in findings] == [
        ("key_pair", Level.OK),
        ("public_key", Level.OK),
        ("key_file", Level.OK),
    ]
    said = " ".join(item.seen for item in findings)
    assert KEY.public_b64 in said
    assert KEY.to_raw() not in said


def test_another_public_key_in_the_page_is_a_problem() -> None:
    _, findings = key_findings(KeyFile("vapid.pem", PEM), SigningKey.generate().public_b64)
    (finding,) = [item for item in findings if item.check == "public_key"]
    assert finding.level is Level.PROBLEM
    assert KEY.public_b64 in finding.remedy
