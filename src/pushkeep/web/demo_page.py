"""The demo page: one subscription, seen from the page to the notification. Served by ``pushkeep demo`` only."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import msgspec
from jinja2 import Environment, StrictUndefined, select_autoescape
from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.app.consents import declare_purpose, declare_wording
from pushkeep.app.context import Services
from pushkeep.app.projects import identity_secret
from pushkeep.domain.identity import sign_identity
from pushkeep.domain.project import Project
from pushkeep.errors import NotFound
from pushkeep.web.client_api import insecure_explanation
from pushkeep.web.exchange import HttpRequest, application_of, exchange_of, services_of
from pushkeep.web.files import answer_file, load_files
from pushkeep.web.security_headers import PAGE_POLICY

PEOPLE = ("ada", "bert")
"""Who can sign in on the page, to see that a browser they share has one owner at a time. Nobody else is named: whoever
reaches the page could otherwise sign in as a contact of the site."""

IDENTITY_SECONDS = 3600
"""How long such a sign-in is valid: a page open for a while."""

PURPOSE = "trying-it-out"
"""What the demo may send for; its visitors are asked."""

PURPOSE_DESCRIPTION = "Messages for trying Pushkeep out"
WORDING_VERSION = "1"
WORDING_TEXT = (
    "I agree to notifications that somebody with the key of this server sends to try it out. "
    "I can take this back on this page at any time."
)
"""Shown word for word. Another text is another version."""

_PACKAGE = "pushkeep.demo_site"


@dataclass(frozen=True, slots=True)
class DemoPage:
    """What the page tells its reader to type; the command line knows it.

    Attributes:
        pushkeep_command: how this program is called, ready for a shell.
        api_key_file: path of the file that holds an API key; the key itself never stands in the page.
        data_dir_flag: ``--data-dir …`` ready for a shell, or empty where the default is meant.
        offline: whether the local push service runs beside it.
    """

    pushkeep_command: str
    api_key_file: str
    data_dir_flag: str = ""
    offline: bool = False


class DemoInfo(msgspec.Struct, frozen=True):
    """The same for scripts and tests."""

    project_key: str
    public_url: str
    server_url: str
    pushkeep_command: str
    api_key_file: str
    data_dir_flag: str
    offline: bool
    insecure: bool
    explanation: str | None


async def declare_demo_purpose(services: Services, project: Project) -> None:
    """Declare what the page asks its visitors. Doing it again changes nothing."""
    await declare_purpose(services, project, PURPOSE, description=PURPOSE_DESCRIPTION)
    await declare_wording(services, project, PURPOSE, locale="en", version=WORDING_VERSION, text=WORDING_TEXT)


def demo_handlers(demo: DemoPage) -> list[ControllerRouterHandler]:
    """The routes of the demo page."""
    assets = load_files(_PACKAGE)
    environment = Environment(
        autoescape=select_autoescape(default=True, default_for_string=True), undefined=StrictUndefined
    )
    template = environment.from_string(files(_PACKAGE).joinpath("index.html").read_text(encoding="utf-8"))

    @get("/")
    async def demo_page(request: HttpRequest) -> Response[bytes]:
        """The demo page."""
        page = template.render(msgspec.structs.asdict(_info(request, demo)))
        return Response(
            page.encode(),
            media_type="text/html",
            headers={"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-store"},
        )

    @get("/demo/info")
    async def demo_info(request: HttpRequest) -> Response[bytes]:
        """What the page knows, as JSON."""
        return Response(msgspec.json.encode(_info(request, demo)), media_type="application/json")

    @get("/demo/identity/{person:str}")
    async def demo_identity(request: HttpRequest, person: FromPath[str]) -> Response[bytes]:
        """What a site's own server gives to the page of somebody who is logged in; here for two people made up."""
        if person not in PEOPLE:
            raise NotFound(f"The demo knows {' and '.join(PEOPLE)}, nobody else.")
        services = services_of(request)
        secret = await identity_secret(services, application_of(request).default_project())
        now = services.clock.now()
        token = sign_identity(secret, external_id=person, expires_at=now + IDENTITY_SECONDS, issued_at=now)
        return Response(msgspec.json.encode({"identity": token}), media_type="application/json")

    @get("/demo/{name:str}")
    async def demo_asset(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
        """A file of the page."""
        answer = answer_file(assets, name, if_none_match=request.headers.get("if-none-match"), cache_control="no-cache")
        return Response(answer.body, status_code=answer.status, headers=answer.headers)

    return [demo_page, demo_info, demo_identity, demo_asset]


def _info(request: HttpRequest, demo: DemoPage) -> DemoInfo:
    application = application_of(request)
    application.running()
    project: Project = application.default_project()
    public_url = application.options.public_url
    insecure = not exchange_of(request).caller.is_secure(public_url)
    return DemoInfo(
        project_key=project.publishable_key,
        public_url=public_url.url,
        server_url=public_url.url,
        pushkeep_command=demo.pushkeep_command,
        api_key_file=demo.api_key_file,
        data_dir_flag=demo.data_dir_flag,
        offline=demo.offline,
        insecure=insecure,
        explanation=insecure_explanation(public_url.url) if insecure else None,
    )
