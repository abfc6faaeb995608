import pytest

from pushkeep.protocol.vendors import OTHER, VENDORS, is_known, label_of, vendor_for


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("fcm.googleapis.com", "fcm"),
        ("jmt17.google.com", "fcm"),
        ("fcm.google.com", "fcm"),
        ("updates.push.services.mozilla.com", "mozilla"),
        ("updates-autopush.stage.mozaws.net", "mozilla"),
        ("web.push.apple.com", "apple"),
        ("wns2-db5p.notify.windows.com", "wns"),
        ("wns2-db5p.notify.windows.com.", "unknown"),
        ("push.apple.com", "unknown"),
        ("evil.com", "unknown"),
        ("xfcm.googleapis.com", "unknown"),
        ("fcm.googleapis.com.evil.com", "unknown"),
        ("jmtx.google.com", "unknown"),
        ("fcmXgoogleapis.com", "unknown"),
        ("web.push.apple.com/evil", "unknown"),
        ("192.0.2.1", "unknown"),
    ],
)
def test_a_host_is_matched_as_a_whole(host: str, name: str) -> None:
    assert vendor_for(host).name == name


def test_only_services_with_hosts_are_known() -> None:
    assert {name for name, row in VENDORS.items() if row.known} == {"fcm", "mozilla", "apple", "wns"}
    assert all(row.body_bytes_max >= 4096 for row in VENDORS.values()), "RFC 8030 section 7.2"


@pytest.mark.parametrize("name", [*VENDORS, "", "no such row"])
def test_in_metrics_only_known_push_services_have_a_name_of_their_own(name: str) -> None:
    known = name in {"fcm", "mozilla", "apple", "wns"}
    assert is_known(name) == known
    assert label_of(name) == (name if known else OTHER)
