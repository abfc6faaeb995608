"""The browser SDK's routes: page module, worker and what they share, under ``/pushkeep/``.

One worker file serves the scopes ``/pushkeep/a/`` and ``/pushkeep/b/``, between which a subscription moves when its key
is rotated. The worker and everything it loads are revalidated on each use (``no-cache``): a browser that keeps an old
worker keeps its defects. The page module may be kept a little, and any site may load it: it holds nothing private.
"""

from __future__ import annotations

from litestar import Response, get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from pushkeep.web.exchange import HttpRequest, application_of
from pushkeep.web.files import answer_file, load_files
from pushkeep.web.security_headers import worker_policy

SDK_SECONDS = 300
"""How long sdk.js is used without asking: about a visit. What it imports is asked for each time."""

SDK_FILES = load_files("pushkeep.browser")


@get("/pushkeep/{name:str}")
async def sdk_file(request: HttpRequest, name: FromPath[str]) -> Response[bytes]:
    """A file of the SDK."""
    answer = answer_file(
        SDK_FILES,
        name,
        if_none_match=request.headers.get("if-none-match"),
        cache_control=f"public, max-age={SDK_SECONDS}" if name == "sdk.js" else "no-cache",
        policy=worker_policy(application_of(request).options.public_url),
    )
    # Module scripts are always fetched with CORS, so without this header only this origin's pages could load them.
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    # Both scopes lie below the worker's own directory; saying so survives a proxy that serves it from elsewhere.
    answer.headers["Service-Worker-Allowed"] = f"{request.scope.get('root_path', '')}/pushkeep/"
    return Response(answer.body, status_code=answer.status, headers=answer.headers)


SDK_HANDLERS: list[ControllerRouterHandler] = [sdk_file]
