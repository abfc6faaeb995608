"""Every way in, by name. Secrets and clocks are fixed, so that an input does the same each time."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fuzz.http_targets import HTTP_TARGETS
from tests.fuzz.moving_targets import MOVING_TARGETS
from tests.fuzz.sender_targets import SENDER_TARGETS
from tests.fuzz.service_targets import SERVICE_TARGETS
from tests.fuzz.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target for target in (*SENDER_TARGETS, *SERVICE_TARGETS, *HTTP_TARGETS, *MOVING_TARGETS)
}
