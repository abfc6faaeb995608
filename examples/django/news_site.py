"""A Django site in one file that tells its readers the news. Nothing in here knows of Pushkeep."""

import json

import django
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, JsonResponse
from django.urls import path
from pywebpush import WebPushException, webpush

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="for this example only",
    ALLOWED_HOSTS=["testserver"],
    VAPID_PRIVATE_KEY="",  # yours
    VAPID_CONTACT="mailto:you@your-domain.org",
)
django.setup()


def subscribe(request: HttpRequest, reader: str) -> JsonResponse:
    """``POST /subscribe/READER`` with what the page's ``PushSubscription.toJSON()`` gave."""
    cache.set(reader, json.loads(request.body), timeout=None)
    return JsonResponse({}, status=201)


def publish(request: HttpRequest, reader: str) -> JsonResponse:
    """``POST /publish/READER`` with a headline; a reader who has left is forgotten."""
    try:
        webpush(
            cache.get(reader),
            request.POST["headline"],
            vapid_private_key=settings.VAPID_PRIVATE_KEY,
            vapid_claims={"sub": settings.VAPID_CONTACT},
            ttl=3600,
        )
    except WebPushException as error:
        if error.response is not None and error.response.status_code in (404, 410):
            cache.delete(reader)
        return JsonResponse({"told": False})
    return JsonResponse({"told": True})


urlpatterns = [path("subscribe/<reader>", subscribe), path("publish/<reader>", publish)]
