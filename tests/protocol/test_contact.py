import pytest
from hypothesis import given
from hypothesis import strategies as st

from pushkeep.errors import InvalidInput
from pushkeep.protocol.contact import check_contact


@pytest.mark.parametrize(
    "contact",
    [
        "mailto:push@example.com",
        "mailto:first.last+tag@sub.example.co.uk",
        "https://example.com",
        "https://example.com/",
        "https://example.com/contact?to=push",
        "https://xn--bcher-kva.example.org/c",
    ],
)
def test_a_reachable_contact_is_taken_as_it_is(contact: str) -> None:
    assert check_contact(contact) == contact


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        ("", "1 to 320"),
        ("mailto:" + "a" * 400 + "@example.com", "1 to 320"),
        ("push@example.com", "begin with mailto:"),
        ("example.com", "begin with mailto: or https"),
        ("http://example.com", "begin with mailto: or https"),
        ("https:example.com", "begin with mailto: or https"),
        ("mailto:mailto:a@example.com", "one plain mail address"),
        ("mailto: a@example.com", "one plain mail address"),
        ("mailto:<a@example.com>", "one plain mail address"),
        ("mailto:A Name <a@example.com>", "one plain mail address"),
        ("mailto:a@b@example.com", "one plain mail address"),
        ("mailto:", "one plain mail address"),
        ("mailto:@example.com", "one plain mail address"),
        ("mailto:admin@localhost", "reachable"),
        ("mailto:a@printer.local", "reachable"),
        ("mailto:a@x.invalid", "reachable"),
        ("mailto:a@192.0.2.1", "IP address"),
        ("mailto:a@[192.0.2.1]", "IP address"),
        ("mailto:a@intranet", "full host name"),
        ("mailto:a@ex ample.com", "full host name"),
        ("https://localhost/x", "reachable"),
        ("https://192.0.2.1/x", "IP address"),
        ("https://[::1]/x", "plain https URL"),
        ("https://example.com:8443/x", "plain https URL"),
        ("https://user@example.com/", "plain https URL"),
        ("https://example.com/a b", "plain https URL"),
    ],
)
def test_a_contact_some_service_refuses_is_refused_here(contact: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        check_contact(contact)
    assert caught.value.field == "contact"
    assert "your-domain.org" in caught.value.message, "the remedy"


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for candidate in (text, "mailto:" + text, "https://" + text):
        try:
            assert check_contact(candidate) == candidate
        except InvalidInput:
            continue
