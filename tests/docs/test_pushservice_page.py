"""The local push service's page: its examples run, and its tables name what there is."""

import dataclasses
import re
from pathlib import Path

import pytest

from pushkeep import SigningKey
from pushkeep.pushservice import events
from pushkeep.pushservice.faults.grammar import KINDS, OPTIONS, VENDOR_NAMES
from tests.docs.conftest import BIN
from tests.docs.running import examples_of, python, shell

FILE = Path(__file__).parents[2] / "docs" / "pushservice.md"
PAGE = FILE.read_text()
EXAMPLES = examples_of(FILE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("subscriber", ["b'second'", "gone"]),
        ("faults", ["throttled 10.0", "throttled 10.0", "accepted None", "[2, 1]"]),
        ("synthetic", ["3 1", "0 b'Hello 0'", "4711 b'Hello 4711'", "99999 b'Hello 99999'"]),
    ],
)
async def test_python_examples(name: str, said: list[str], tmp_path: Path, environment: dict[str, str]) -> None:
    assert (await python(EXAMPLES[name], tmp_path, environment)).splitlines() == said


async def test_the_example_in_node(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "vapid.pem").write_text(SigningKey.generate().to_pem())
    (tmp_path / "example.mjs").write_text(EXAMPLES["node"])
    status, out = await shell("node example.mjs", tmp_path, environment)
    assert status == 0, out
    assert out.splitlines() == re.findall(r"console\.log.*// (.*)", EXAMPLES["node"])


def test_every_example_is_marked_and_run() -> None:
    python_examples = PAGE.count("```python")
    assert python_examples == sum("import asyncio" in example for example in EXAMPLES.values())
    assert PAGE.count("```js") == 1


def test_the_tables_name_every_word_of_a_fault() -> None:
    for kind, row in KINDS.items():
        assert re.search(rf"^\| `{kind}` \| .* \| {re.escape(row.does)} \|$", PAGE, re.MULTILINE), kind
    for name, (form, does) in OPTIONS.items():
        assert f"| `{name}{'=' if form else ''}{form}` | {does} |" in PAGE, name
    assert all(vendor in PAGE for vendor in VENDOR_NAMES)


def test_the_table_of_events_names_each_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| (`[a-z`, ]+) \| (`.*?) \| .* \|$", PAGE, re.MULTILINE))
    kinds = [
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and issubclass(kind, events.Event) and kind is not events.Event
    ]
    assert kinds
    for kind in kinds:
        (shown,) = [fields for names, fields in rows.items() if f"`{kind.__name__.lower()}`" in names]
        own = {field.name for field in dataclasses.fields(kind)} - {"serial", "at"}
        assert own <= set(re.findall(r"`([a-z_]+)`", shown)), kind
