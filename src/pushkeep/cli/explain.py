"""``pushkeep doctor explain``: what an answer of a push service means, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, get_args

import typer
from rich.markup import escape

from pushkeep.cli.common import AsJson, MapOrigin, out, print_json, read_payload
from pushkeep.domain.explanations import Diagnosis, diagnose, usual_silence
from pushkeep.domain.origin_map import OriginMap
from pushkeep.errors import InvalidInput
from pushkeep.protocol.answer import RESPONSE_BODY_BYTES_MAX, Answer, FailureKind, PushResponse, TransportFailure
from pushkeep.protocol.endpoint import Endpoint
from pushkeep.protocol.vendors import VENDORS, Vendor, vendor_for

HEADERS_MAX = 100
"""More than any push service sends."""


def explain(
    status: Annotated[
        int | None, typer.Option("--status", min=100, max=999, help="The answer's HTTP status.", show_default=False)
    ] = None,
    body: Annotated[str | None, typer.Option("--body", help="Its body: text, @FILE, or - for stdin.")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header", metavar="'NAME: VALUE'", help="One of its headers; may be repeated.", show_default=False
        ),
    ] = None,
    failure: Annotated[
        str | None,
        typer.Option(
            "--failure", metavar="KIND", help=f"Instead of a status, if none came: {', '.join(get_args(FailureKind))}."
        ),
    ] = None,
    service: Annotated[
        str | None,
        typer.Option(
            "--service",
            metavar="NAME",
            help=f"Who answered: {', '.join(VENDORS)}, a host, or an endpoint. Left out, all are shown.",
            show_default=False,
        ),
    ] = None,
    map_origin: MapOrigin = None,
    json: AsJson = False,
) -> None:
    """Explain a push service's answer: what it means, what is behind it, what to do, what Pushkeep does.

    No answer at hand? With --service alone, it names the usual reasons why nothing is shown.
    """
    vendors = [_vendor(service, OriginMap.parse(map_origin or ()))] if service else list(VENDORS.values())
    if service and status is None and failure is None and body is None and not header:
        found = list(usual_silence(vendors[0]))
    else:
        answer = _answer(status, body, header or [], failure)
        found = [diagnose(vendor, answer) for vendor in vendors]
    if json:
        print_json([diagnosis.to_dict() for diagnosis in found])
        return
    for names, diagnosis in _grouped(found):
        _print(names, diagnosis)
    for verdict, does in {diagnosis.verdict: diagnosis.does for diagnosis in found}.items():
        out.print(f"What Pushkeep does about [cyan]{verdict.value}[/cyan]:")
        for when, so in does:
            out.print(f"  - {escape(f'if {when}: {so}' if when else so)}")


def _answer(status: int | None, body: str | None, headers: Sequence[str], failure: str | None) -> Answer:
    if (status is None) == (failure is None):
        raise InvalidInput(
            "Give the answer's --status, or the kind of --failure if none came; --service alone if you have no answer.",
            field="status",
        )
    if failure is not None:
        kind = next((kind for kind in get_args(FailureKind) if kind == failure), None)
        if kind is None:
            raise InvalidInput(f"failure must be one of {', '.join(get_args(FailureKind))}.", field="failure")
        return TransportFailure(kind, "")
    assert status is not None
    return PushResponse(status, _headers(headers), (read_payload(body) or b"")[:RESPONSE_BODY_BYTES_MAX])


def _headers(lines: Sequence[str]) -> Mapping[str, str]:
    if len(lines) > HEADERS_MAX:
        raise InvalidInput(f"header is given {len(lines)} times; the limit is {HEADERS_MAX}.", field="header")
    found: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise InvalidInput("header must be of the form 'Name: value'.", field="header")
        found[name.strip().lower()] = value.strip()
    return found


def _vendor(service: str, origin_map: OriginMap) -> Vendor:
    """The vendor of a name, an endpoint or origin, or a host."""
    named = VENDORS.get(service.lower())
    if named is not None:
        return named
    if "://" in service or "/" in service:
        url = service if "://" in service else f"https://{service}"
        return origin_map.vendor_for(Endpoint.parse(url, field="service"))
    if "." not in service:
        raise InvalidInput(
            f"service must be one of {', '.join(VENDORS)}, a host such as web.push.apple.com, or an endpoint.",
            field="service",
        )
    return vendor_for(service.lower())


def _grouped(found: Sequence[Diagnosis]) -> list[tuple[str, Diagnosis]]:
    """Those that mean the same, together."""
    groups: dict[int, list[Diagnosis]] = {}
    for diagnosis in found:
        groups.setdefault(id(diagnosis.row), []).append(diagnosis)
    return [(", ".join(one.vendor.title for one in group), group[0]) for group in groups.values()]


def _print(names: str, diagnosis: Diagnosis) -> None:
    row = diagnosis.row
    out.print(f"[bold]{escape(names)}[/bold]: [cyan]{diagnosis.verdict.value}[/cyan]")
    out.print(f"  {escape(row.meaning)}")
    out.print("  Likely causes, the most likely first:")
    for number, cause in enumerate(row.causes, 1):
        out.print(f"    {number}. {escape(cause)}")
    out.print(f"  Remedy: {escape(row.remedy)}")
    out.print(f"  Source: {escape(row.source)}", style="dim")
    out.print()
