"""Whatever happens to browsers, push services, network, server and keys, in whatever order: once the browser has
visited, what is known is what lives, with the right key and owner, and on the way nobody living is lost.

Hypothesis chooses what happens and makes what fails as short as it can; what is left to chance beyond that comes of
one seed of its own. A failure prints its steps. To repeat a whole run, or to look for longer::

    pytest tests/lifecycle/test_any_life.py --hypothesis-seed=N        # N is printed when something fails
    PUSHKEEP_LIVES=2000 pytest tests/lifecycle/test_any_life.py --timeout 0
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.lifecycle.browsers import Browsers
from tests.lifecycle.history import History

LIVES = int(os.environ.get("PUSHKEEP_LIVES", "30"))
STEPS = 20


@pytest.mark.timeout(600)
def test_any_life(browsers: Browsers, template: Path) -> None:
    History.browsers, History.template = browsers, template
    given = settings(
        max_examples=LIVES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    run_state_machine_as_test(History, settings=given)
