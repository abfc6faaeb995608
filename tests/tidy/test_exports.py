"""Public means tested: what the package exports is complete, sorted and real."""

import subprocess
import sys

import pytest

import pushkeep


def test_exports_are_sorted_and_resolve() -> None:
    assert pushkeep.__all__ == sorted(pushkeep.__all__)
    for name in pushkeep.__all__:
        assert getattr(pushkeep, name) is not None
        assert name in dir(pushkeep)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pushkeep.nothing


@pytest.mark.parametrize("module", ["litestar", "sqlalchemy", "msgspec", "uvicorn", "playwright", "h2", "structlog"])
def test_the_library_loads_without_the_server(module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; from pushkeep import PushClient, Subscription"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
