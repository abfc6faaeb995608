"""What the browser itself holds and remembers of a subscription, read past the SDK; and time that passes for it."""

from __future__ import annotations

from dataclasses import dataclass

from pushkeep.testing.browser import Json, Page

# What the workers of both slots show; the pages lie outside their scopes.
SHOWN = """Promise.all(["a", "b"].map(async (slot) => {
  const scope = new URL(`/pushkeep/${slot}/`, location.href).href;
  const registration = await navigator.serviceWorker.getRegistration(scope);
  return registration?.scope === scope ? registration.getNotifications() : [];
})).then((lists) => lists.flat().map(({title, body, tag, data}) => ({title, body, tag, data})))"""

HELD = """Promise.all(["a", "b"].map(async (slot) => {
  const scope = new URL(`/pushkeep/${slot}/`, location.href).href;
  const registration = await navigator.serviceWorker.getRegistration(scope);
  const found = registration?.scope === scope ? await registration.pushManager.getSubscription() : null;
  if (!found) return null;
  const key = String.fromCharCode(...new Uint8Array(found.options.applicationServerKey));
  const unpadded = btoa(key).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return {slot, endpoint: found.endpoint, key: unpadded};
})).then((found) => found.filter(Boolean))"""

# Ends what the browser holds, as it does itself when its data are cleared: nobody is told.
LOSE = """Promise.all(["a", "b"].map(async (slot) => {
  const registration = await navigator.serviceWorker.getRegistration(`/pushkeep/${slot}/`);
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}))"""

# Everything the SDK has noted as a time is so much longer ago.
AGE = """new Promise((resolve, reject) => {
  const opening = indexedDB.open("pushkeep", 1);
  opening.onerror = () => reject(opening.error);
  opening.onsuccess = () => {
    const transaction = opening.result.transaction("state", "readwrite");
    const store = transaction.objectStore("state");
    const reading = store.get("keep");
    reading.onsuccess = () => {
      const keep = reading.result;
      for (const slot of ["a", "b"]) if (keep[slot]?.confirmed) keep[slot].confirmed -= %(ms)d;
      for (const due of [keep.drop, keep.retry]) if (due) due.at -= %(ms)d;
      store.put(keep, "keep");
    };
    transaction.oncomplete = () => { opening.result.close(); resolve(true); };
    transaction.onabort = () => reject(transaction.error);
  };
})"""


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription in the browser; ``slot`` is ``a`` or ``b``, ``key`` unpadded base64url."""

    slot: str
    endpoint: str
    key: str


async def held(page: Page) -> list[Held]:
    """What the browser holds, by slot."""
    found = await page.evaluate(HELD)
    assert isinstance(found, list)
    return [Held(str(one["slot"]), str(one["endpoint"]), str(one["key"])) for one in found if isinstance(one, dict)]


async def let_time_pass(page: Page, seconds: float) -> None:
    """For the SDK's record in this browser."""
    assert await page.evaluate(AGE % {"ms": seconds * 1000}) is True


def titles(shown: Json) -> list[str]:
    assert isinstance(shown, list)
    return [str(one["title"]) for one in shown if isinstance(one, dict)]
