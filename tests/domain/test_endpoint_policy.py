import pytest

from pushkeep.domain.endpoint_policy import EndpointPolicy
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import Forbidden
from pushkeep.protocol.endpoint import Endpoint

LOCAL = OriginMap.parse(["https://localhost:8443=https://127.0.0.1:8443,vendor=mozilla"])


@pytest.mark.parametrize(
    ("url", "vendor"),
    [
        ("https://fcm.googleapis.com/fcm/send/x", "fcm"),
        ("https://jmt17.google.com/fcm/send/x", "fcm"),
        ("https://updates.push.services.mozilla.com/wpush/v2/x", "mozilla"),
        ("https://web.push.apple.com/x", "apple"),
        ("https://wns2-par02p.notify.windows.com/w/?token=x", "wns"),
    ],
)
def test_known_services_are_let_through(url: str, vendor: str) -> None:
    policy = EndpointPolicy()
    policy.check(Endpoint.parse(url))
    assert policy.vendor_for(Endpoint.parse(url)).name == vendor


@pytest.mark.parametrize(
    "url",
    [
        "https://push.example.net/capability",
        "https://localhost:8443/wpush/v2/x",
        "https://10.0.0.1/x",
        "https://fcm.googleapis.com.evil.example/x",
        "https://evil.example/fcm.googleapis.com",
        "https://xfcm.googleapis.com/x",
    ],
)
def test_strangers_are_not(url: str) -> None:
    with pytest.raises(Forbidden, match="allowed_origins") as caught:
        EndpointPolicy().check(Endpoint.parse(url))
    assert caught.value.field == "endpoint"
    assert "capability" not in caught.value.message


def test_the_operator_may_allow_an_origin() -> None:
    policy = EndpointPolicy(allowed_origins=frozenset({"https://push.example.net"}))
    policy.check(Endpoint.parse("https://push.example.net/x"))
    for other in ("https://push.example.net:8443/x", "https://a.push.example.net/x"):
        with pytest.raises(Forbidden):
            policy.check(Endpoint.parse(other))


def test_a_mapped_origin_is_allowed_and_has_its_vendor() -> None:
    policy = EndpointPolicy(origin_map=LOCAL)
    policy.check(Endpoint.parse("https://localhost:8443/wpush/v2/x"))
    assert policy.vendor_for(Endpoint.parse("https://localhost:8443/wpush/v2/x")).name == "mozilla"
    with pytest.raises(Forbidden):
        policy.check(Endpoint.parse("https://localhost:9443/wpush/v2/x"))
