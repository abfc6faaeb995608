"""Strangers' octets never crash, hang or fill the memory: hypothesis looks for some that do, in bounded time.

``make fuzz SECONDS=600`` looks longer, guided by coverage. In CI the examples are always the same ones.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .mutation import FLOODS, NESTING, near
from .target import Target
from .targets import TARGETS

settings.register_profile(
    "fuzz", max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("fuzz-ci", settings.get_profile("fuzz"), derandomize=True, database=None)
PROFILE = settings.get_profile("fuzz-ci" if os.environ.get("CI") else "fuzz")
FLOOD_BYTES = 65_536
"""As much as is read of any answer or page; of everything else it is at least twice what is taken."""
MEMORY_BYTES_MAX = 32_000_000
"""Of the greediest, HTML's parser in the standard library, which keeps 290 octets for each one of an unended tag."""

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@every_target
def test_the_seeds_are_well_formed_enough_to_start_from(target: Target) -> None:
    for seed in target.seeds:
        target.run(seed)


@every_target
@PROFILE
@given(data=st.data())
def test_nothing_but_our_own_errors(target: Target, data: st.DataObject) -> None:
    target.run(data.draw(near(target.seeds)))


def floods(target: Target, token: bytes) -> Iterator[bytes]:
    first, flood = target.seeds[0], (token * (FLOOD_BYTES // len(token) + 1))[:FLOOD_BYTES]
    yield flood
    yield first[:-1] + flood + first[-1:]


@every_target
def test_floods_are_refused_in_little_time(target: Target) -> None:
    """Within the suite's time limit: what is quadratic in the input takes hours for all of these."""
    for token in FLOODS:
        for data in floods(target, token):
            target.run(data)


@every_target
def test_floods_are_refused_in_little_memory(target: Target) -> None:
    tracemalloc.start()
    try:
        for token in NESTING:
            for data in floods(target, token):
                tracemalloc.reset_peak()
                before, _ = tracemalloc.get_traced_memory()
                target.run(data)
                assert tracemalloc.get_traced_memory()[1] - before < MEMORY_BYTES_MAX, token
    finally:
        tracemalloc.stop()
