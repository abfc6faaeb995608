"""Whatever happens in whatever order: faults, kills, stalls, takeovers, commands, outages. The laws hold throughout,
and in the end everybody has exactly one final state.

Hypothesis chooses what happens and makes what fails as short as it can; what is left to chance beyond that comes of
one seed of its own, so a history is repeated exactly. A failure prints its steps. To repeat a whole run::

    pytest tests/engine/test_any_history.py --hypothesis-seed=N        # N is printed when something fails
    PUSHKEEP_HISTORIES=2000 pytest tests/engine/test_any_history.py --timeout 0     # a longer run

Its histories are short. Long and busy ones are in test_busy_histories.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine.history import History
from tests.engine.world import small_numbers

HISTORIES = int(os.environ.get("PUSHKEEP_HISTORIES", "30"))
STEPS = 25


@pytest.mark.timeout(600)
def test_any_history(template: Path) -> None:
    History.template = template
    given = settings(
        max_examples=HISTORIES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    with small_numbers():
        run_state_machine_as_test(History, settings=given)
