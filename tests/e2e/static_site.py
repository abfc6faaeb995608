"""A small page with nothing of Pushkeep in it: for the drivers, the push service, the library."""

from __future__ import annotations

from pushkeep.testing.static_site import Files

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Static</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css">
<h1 id="heading">  Static site </h1>
<button id="off" disabled>Off</button> <button id="show">Show</button>
<button id="subscribe">Subscribe</button>
<script type="module" src="/page.js"></script>"""

STYLE = "body { background: white } @media (prefers-color-scheme: dark) { body { background: black } }"

PAGE_SCRIPT = """
window.clicks = [];
window.told = [];
const registration = await navigator.serviceWorker.register("/worker.js");
await navigator.serviceWorker.ready;
document.querySelector("#show").addEventListener("click", async (event) => {
  window.clicks.push({trusted: event.isTrusted, active: navigator.userActivation.isActive});
  await registration.showNotification("Static title", {
    body: "Static body", tag: "t", data: {url: "/opened"}, actions: [{action: "later", title: "Later"}]});
  window.shown = true;
});
document.querySelector("#subscribe").addEventListener("click", async () => {
  const key = new URL(location.href).searchParams.get("key");
  const made = await registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: key});
  window.subscription = made.toJSON();
});
navigator.serviceWorker.addEventListener("message", (event) => window.told.push(event.data));
window.ready = true;
"""

WORKER_SCRIPT = """
const tell = async (what) => {
  for (const client of await clients.matchAll({includeUncontrolled: true})) client.postMessage(what);
};
addEventListener("push", (event) => event.waitUntil((async () => {
  const data = event.data === null ? null : event.data.text();
  await registration.showNotification("pushed", {body: data ?? "nothing", data});
  await tell({pushed: data});
})()));
addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(event.action === ""
    ? clients.openWindow(event.notification.data.url)
    : tell({action: event.action, data: event.notification.data}));
});
addEventListener("notificationclose", (event) => event.waitUntil(tell({closed: event.notification.title})));
"""

FILES: Files = {
    "/": ("text/html", PAGE),
    "/opened": ("text/html", "<!doctype html><link rel=icon href=data:,><title>Opened</title>"),
    "/page.js": ("text/javascript", PAGE_SCRIPT),
    "/worker.js": ("text/javascript", WORKER_SCRIPT),
    "/style.css": ("text/css", STYLE),
}
