"""``pushkeep consents``: who agreed to what; the chain over the records, verified and exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pushkeep.cli.bar import bar
from pushkeep.cli.common import (
    AsJson,
    DataDir,
    Exit,
    complain,
    example,
    load,
    more,
    print_json,
    print_report,
    run,
    say,
    stop,
)
from pushkeep.domain.consent_audit import Anchor, Findings
from pushkeep.errors import InvalidInput

if TYPE_CHECKING:
    from pushkeep.app.consents import ConsentPage
    from pushkeep.ports.consents import ChainStanding, ConsentRecord

app = typer.Typer(
    help="Look at who agreed to what, and prove that nothing was changed.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Contact = Annotated[str | None, typer.Option("--contact", metavar="ID", help="A contact, by your own id.")]
Subscriber = Annotated[str | None, typer.Option("--subscriber", metavar="ID", help="A subscription.")]
Heads = Annotated[
    list[str] | None,
    typer.Option(
        "--head",
        metavar="N:HEX",
        help="A head that was kept outside, as `consents head` printed it; may be repeated.",
        show_default=False,
    ),
]


@app.command("list", epilog=example("pushkeep consents list --contact user-17", "pushkeep consents list --json"))
def list_records(
    contact: Contact = None,
    subscriber: Subscriber = None,
    purpose: Annotated[str | None, typer.Option("--purpose", metavar="NAME", help="Only those about it.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many.")] = 100,
    after: Annotated[int, typer.Option("--after", min=0, help="Go on behind this number.")] = 0,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """List consent records, in the order in which they were written."""
    page = run(_list(data_dir, contact, subscriber, purpose, limit, after))
    if json:
        from pushkeep.web.consent_schemas import consent_list

        print_report(consent_list(page))
        return
    for record in page.items:
        say(_record_line(record))
    if not page.items:
        say("There is no such record.")
    if page.next_after is not None:
        given = {"--contact": contact, "--subscriber": subscriber, "--purpose": purpose, "--after": page.next_after}
        more("pushkeep consents list", given)


@app.command(
    "say",
    epilog=example(
        "pushkeep consents say offers --contact user-17 --withdraw", "pushkeep consents say offers --contact user-17"
    ),
)
def say_word(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="About which purpose.", show_default=False)],
    contact: Contact = None,
    subscriber: Subscriber = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="They withdraw it, or object.")] = False,
    wording: Annotated[str | None, typer.Option("--wording", metavar="DIGEST", help="What they were shown.")] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="TIME", help="When they said it; RFC 3339. Default: now.")
    ] = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Record what somebody said elsewhere: on paper, on the telephone, in an e-mail."""
    after = run(_say(data_dir, purpose, contact, subscriber, not withdraw, wording, at))
    if json:
        print_json({"consents": after})
        return
    for name, given in after.items():
        say(f"{name}: {'agreed' if given else 'not agreed'}")


@app.command(epilog=example("pushkeep consents head"))
def head(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Print the last head of the chain. Whoever keeps it outside can prove later that nothing before it was changed."""
    _tell_standing(run(_standing(data_dir)), json)


@app.command(epilog=example("pushkeep consents seal"))
def seal(data_dir: DataDir = None, json: AsJson = False) -> None:
    """Seal the records that wait, and print the head after it; the server does it every hour."""
    _tell_standing(run(_seal(data_dir)), json)


@app.command(
    epilog=example(
        "pushkeep consents verify",
        "pushkeep consents verify --head 12:3b1f6a0c9d5e47b2a8c4e0f17d6b923c5a4e8f0b1d7c6a29384756e0f1a2b3c4",
        "pushkeep consents verify consents.jsonl",
    )
)
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="An exported file; needs no database and no keys.", show_default=False),
    ] = None,
    head: Heads = None,
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Look for whatever was changed, taken out, put in or moved; say exactly which record is wrong.

    The exit status is 0 if nothing is wrong, else 1.
    """
    anchors = [Anchor.parse(text) for text in head or ()]
    if file is None:
        with bar() as show:
            findings = run(_verify(data_dir, anchors, lambda done, total: show("verifying", done, total)))
    else:
        findings = _verify_file(file, anchors)
    _tell_findings(findings, json)
    stop(Exit.DONE if findings.good else Exit.FAILED)


@app.command(epilog=example("pushkeep consents export consents.jsonl"))
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; it must not exist.", show_default=False)],
    data_dir: DataDir = None,
    json: AsJson = False,
) -> None:
    """Write every record with its salt, every wording and the chain to a file that others can verify.

    It has personal data in the clear, and belongs to this user alone.
    """
    records = run(_export(data_dir, file))
    if json:
        print_json({"file": str(file), "records": records})
    else:
        say(f"Exported: {file} ({_counted(records, 'record')}).", "green")


async def _list(
    data_dir: Path | None, contact: str | None, subscriber: str | None, purpose: str | None, limit: int, after: int
) -> ConsentPage:
    from pushkeep.app.consents import list_consents, speaker_of
    from pushkeep.cli.opened import opened_project

    speaker = speaker_of(contact=contact, subscription=subscriber)
    async with opened_project(load(data_dir)) as (services, project):
        return await list_consents(services, project, speaker=speaker, purpose=purpose, limit=limit, after=after)


async def _say(
    data_dir: Path | None,
    purpose: str,
    contact: str | None,
    subscriber: str | None,
    given: bool,
    wording: str | None,
    at: str | None,
) -> dict[str, bool]:
    from pushkeep.app.consents import say as say_it
    from pushkeep.app.consents import speaker_of
    from pushkeep.cli.opened import opened_project
    from pushkeep.domain.consent import Method
    from pushkeep.domain.consent_words import make_word
    from pushkeep.domain.moment import parse_moment

    speaker = speaker_of(contact=contact, subscription=subscriber)
    if speaker is None:
        raise InvalidInput("Say whose word it is with --contact or --subscriber.", field="contact")
    async with opened_project(load(data_dir)) as (services, project):
        word = make_word(
            purpose=purpose,
            given=given,
            method=Method.API.value,
            wording=wording,
            at=None if at is None else parse_moment(at, field="at"),
            now=services.clock.now(),
            allowed=frozenset({Method.API}),
        )
        return dict(await say_it(services, project, speaker, [word]))


async def _standing(data_dir: Path | None) -> ChainStanding:
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(load(data_dir)) as (store, project):
        return await store.chain_standing(project)


async def _seal(data_dir: Path | None) -> ChainStanding:
    from pushkeep.app.consents import seal_waiting
    from pushkeep.cli.opened import opened_project

    async with opened_project(load(data_dir)) as (services, project):
        return (await seal_waiting(services, project)).standing


async def _verify(data_dir: Path | None, anchors: list[Anchor], show: Callable[[int, int], None]) -> Findings:
    from pushkeep.app.consent_audit import verify as verify_stored
    from pushkeep.cli.opened import opened_to_read

    async with opened_to_read(load(data_dir)) as (store, project):
        return await verify_stored(store, project, anchors, show=show)


async def _export(data_dir: Path | None, file: Path) -> int:
    from pushkeep.cli.opened import opened_to_read
    from pushkeep.compose.consents import export_consents

    async with opened_to_read(load(data_dir)) as (store, project):
        return await export_consents(store, project, file)


def _verify_file(path: Path, anchors: list[Anchor]) -> Findings:
    from pushkeep.domain.consent_file import LINE_BYTES_MAX, verify_file

    def lines() -> Iterator[bytes]:
        with path.open("rb") as file:
            while line := file.readline(LINE_BYTES_MAX + 1):
                yield line

    try:
        return verify_file(lines(), anchors)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).", field="file") from None


def _tell_standing(standing: ChainStanding, json: bool) -> None:
    if json:
        from pushkeep.web.consent_schemas import chain_report

        print_report(chain_report(standing))
        return
    from pushkeep.app.consents import anchor

    say("none" if standing.latest is None else anchor(standing.latest))
    if standing.waiting:
        complain(f"{standing.waiting:,} of {_counted(standing.records, 'record')} waiting for a seal.", "yellow")


def _tell_findings(findings: Findings, json: bool) -> None:
    if json:
        print_json(
            {
                "good": findings.good,
                "records": findings.records,
                "erased": findings.erased,
                "sealed": findings.sealed,
                "seals": findings.seals,
                "head": None if findings.head is None else f"{findings.seals}:{findings.head.hex()}",
                "faults": list(findings.faults),
                "fault_count": findings.fault_count,
            }
        )
        return
    for fault in findings.faults:
        complain(fault)
    if findings.fault_count > len(findings.faults):
        complain(f"And {findings.fault_count - len(findings.faults):,} more.")
    counts = (
        f"{_counted(findings.records, 'record')}, {findings.erased:,} of them erased; {findings.sealed:,} sealed, with "
        f"{_counted(findings.seals, 'seal')}."
    )
    if findings.good:
        say(f"Nothing is wrong: {counts}", "green")
    else:
        complain(f"Something is wrong: {counts}")


def _counted(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def _record_line(record: ConsentRecord) -> str:
    from pushkeep.domain.moment import write_moment

    content = record.content
    if content is None:
        when = "" if record.erased_at is None else f" {write_moment(record.erased_at)}"
        return f"{record.number}: erased{when}"
    who = content.contact or "nobody in particular"
    if content.subscription is not None:
        who = f"{who}, in {content.subscription}"
    shown = f", wording {content.locale} {content.wording_version}" if content.wording is not None else ""
    word = "agreed to" if content.given else "withdrew"
    return f"{record.number}: {write_moment(content.at)} {who} {word} {content.purpose} ({content.method}{shown})"
