"""For all tests: Hypothesis asserts no speed, of what is tested or of what it makes up; a machine may be busy.

And whatever is written meanwhile is searched for secrets: see ``tests/redaction``.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests import migrated

settings.register_profile("any-speed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")

pytest_plugins = ["tests.redaction.plugin"]

migrated.install()
