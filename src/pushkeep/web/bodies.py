"""Reading a JSON body: bounded, strict, and with the offending field named."""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar

import msgspec
from litestar.exceptions import InternalServerException

from pushkeep.errors import InvalidInput
from pushkeep.web.exchange import HttpRequest, application_of
from pushkeep.web.problems import MalformedRequest, RequestTimeout, UnsupportedMediaType

BROWSER_BODY_BYTES_MAX = 32_768
"""A registration is about 1 KB: an endpoint of at most 2,048 characters, keys and tokens. What a visitor agrees to with
it may be twenty times 700 octets more."""

API_BODY_BYTES_MAX = 524_288
"""The ten thousand ids that a target may list, of up to 40 characters each, beside a message of 64 KB."""

Body = TypeVar("Body", bound=msgspec.Struct)

_PATH = re.compile(r"^(?P<what>.*?)(?: - at `(?P<key>key in )?\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MEMBER = re.compile(r"(?P<kind>missing required|unknown) field `(?P<name>[^`]{1,100})`")


async def read_body(request: HttpRequest, kind: type[Body], *, json_only: bool) -> Body:
    """Read and check a body.

    Args:
        request: whose body is read, up to its route's limit.
        kind: the shape wanted.
        json_only: insist on ``Content-Type: application/json``. Browser routes do, because then a foreign page needs
            a preflight to send it (Fetch standard, CORS-safelisted request-header). API routes are protected by their
            key and take what ``curl -d`` sends.

    Raises:
        UnsupportedMediaType: another content type.
        RequestTimeout: the body is not there in time.
        MalformedRequest: empty, not UTF-8, not JSON, or nested too deeply.
        InvalidInput: a field is missing, unknown or of another type; ``field`` names it.
    """
    if json_only:
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("Send the body with Content-Type: application/json.")
    try:
        async with asyncio.timeout(application_of(request).options.body_seconds_max):
            content = await request.body()
    except TimeoutError:
        raise RequestTimeout("The body did not arrive in time; send it again on a better connection.") from None
    except InternalServerException:
        raise MalformedRequest("The connection ended before the body was complete.") from None
    if not content:
        raise MalformedRequest("The request needs a JSON body.")
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise MalformedRequest("The body is not valid JSON in UTF-8.") from None
    except RecursionError:
        raise MalformedRequest("The body's JSON is nested too deeply.") from None


def _invalid(message: str) -> InvalidInput:
    match = _PATH.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    member = _MEMBER.search(what)
    if member:
        name = ".".join(filter(None, (path, member["name"])))
        if member["kind"] == "unknown":
            return InvalidInput(f"{name} is not a known field; remove it.", field=name)
        return InvalidInput(f"{name} is missing.", field=name)
    place = path or "body"
    return InvalidInput(f"{place}: {what[:1].lower()}{what[1:]}.".replace("`", ""), field=place)
