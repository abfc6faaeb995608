// The service worker: shows every push, opens what was clicked, renews a subscription the browser lost.
//
// Served at /pushkeep/worker.js and registered with the scope /pushkeep/a/, which holds no page: it never controls
// one and has no fetch handler. A site that serves it from elsewhere loads core.js before it.
'use strict';

self.PushkeepCore || importScripts('core.js');

const { PushError, within, locked, slot, seen, receipts, abilities, bytes, ensure, report, whole } = self.PushkeepCore;
const SUBSCRIBE_MS_MAX = 20_000;
// How long a slow disk or icon is waited for: past this a repeat may sound twice.
const EXTRA_MS_MAX = 1_000;
// A page that can navigate itself answers at once; one that does not listen gets no second chance.
const ANSWER_MS_MAX = 400;
// How long the rest of a message is waited for before its beginning is shown alone.
const FETCH_MS_MAX = 3_000;
// How a compressed payload begins: no text does. The token, a dot and the rest follow.
const COMPRESSED = '\u0001';

self.addEventListener('install', (event) => event.waitUntil(self.skipWaiting()));
self.addEventListener('activate', (event) => event.waitUntil(Promise.all([self.clients.claim(), able().catch(() => {})])));
self.addEventListener('push', (event) => event.waitUntil(received(event)));
self.addEventListener('notificationclick', (event) => event.waitUntil(clicked(event)));
self.addEventListener('notificationclose', (event) => event.waitUntil(closed(event.notification)));
self.addEventListener('pushsubscriptionchange', (event) => event.waitUntil(changed(event)));
// A page tells the other pages, which it cannot reach itself, that the subscription changed.
self.addEventListener('message', (event) => {
  if (event.data?.pushkeep?.type === 'changed') event.waitUntil(tell({ type: 'changed' }, event.source?.id));
});

/** Notes for the page what this worker can do: a page may be newer than the worker, or older. */
async function able() {
  const names = [];
  try {
    new DecompressionStream('deflate-raw');
    names.push('deflate');
  } catch {
    // A browser of before 2023.
  }
  await abilities(names);
}

/** The project and server of this worker. @param {import('./core.js').Slot} [before] */
function site(before) {
  const query = new URL(self.location.href).searchParams;
  return {
    project: before?.project ?? query.get('project') ?? '',
    server: before?.server ?? query.get('server') ?? self.location.origin,
  };
}

/** What nobody may wait for long. @param {Promise<unknown>} extra */
const briefly = (extra) => within(EXTRA_MS_MAX, extra, new PushError('timeout', 'The system is slow.'));

/**
 * Tells the server what became of a notification, if site and visitor let it. The event ends without it: a browser
 * that looks for the notification when the event is over must not find that the visitor has dismissed it by then.
 * @param {'displayed'|'clicked'|'closed'} what
 * @param {{id?: unknown, token?: unknown}} [known]
 */
async function told(what, known) {
  const [id, token] = [words(known?.id), words(known?.token)];
  if (!id || !token) return;
  const work = async () => (await receipts()) && report(site(await slot()), `${what} ${id} ${token}`);
  await briefly(work()).catch(() => {});
}

// ---- push

/**
 * Shows the message, whatever it is. Browsers punish a push that shows nothing, so nothing stands between the event
 * and showNotification() that can fail, and nothing that waits without a limit: no check that ends in silence.
 * @param {PushEvent} event
 */
async function received(event) {
  const { id, title, options, appBadge } = await read(event);
  const repeat = id ? await briefly(seen(id)).catch(() => false) : false;
  if (repeat) Object.assign(options, { silent: true, renotify: false });
  const shown = self.registration
    .showNotification(title, options)
    .catch(() => self.registration.showNotification(title, { body: options.body, data: options.data }))
    .catch(() => self.registration.showNotification(self.location.host));
  // The site may have changed the number since.
  const counted = repeat || briefly(count(appBadge)).catch(() => {});
  const { body, tag, data } = options;
  const reported = shown.then(() => told('displayed', data.pushkeep));
  await Promise.all([reported, counted, tell({ type: 'received', id, title, body, tag, url: data.pushkeep.url, repeat }).catch(() => {})]);
}

/** Puts a number at the icon where the browser can; 0 takes it away. @param {any} value */
async function count(value) {
  // Safari also takes digits.
  const number = typeof value === 'string' ? parseInt(value, 10) : value;
  if (!Number.isSafeInteger(number) || number < 0) return;
  await (number ? navigator.setAppBadge?.(number) : navigator.clearAppBadge?.());
}

/** @param {unknown} value @returns {Record<string, any>|null} */
const record = (value) => (value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null);
/** @param {unknown} value @returns {string|undefined} */
const words = (value) => (typeof value === 'string' && value.trim() ? value : undefined);

/**
 * What was compressed. Chromium hands payloads over as text, so it comes in base64url.
 * @param {string} text
 * @returns {Promise<string>}
 */
function inflated(text) {
  const { readable, writable } = new DecompressionStream('deflate-raw');
  const writer = writable.getWriter();
  // What is wrong with the octets, the reader is told, too.
  for (const written of [writer.write(bytes(text)), writer.close()]) written.catch(() => {});
  return briefly(new Response(readable).text());
}

/**
 * Understands {web_push: 8030, notification: {…}}, a plain {title, body, url, …}, text, and nothing at all.
 * @param {PushEvent} event
 */
async function read(event) {
  let text = '';
  let json = null;
  let before;
  try {
    text = event.data?.text() ?? '';
    if (text[0] === COMPRESSED) {
      const [first, packed] = text.slice(1).split('.');
      text = '';
      text = await inflated(packed);
      before = first;
    }
    json = record(JSON.parse(text));
  } catch {
    // Not JSON: the text is the message.
  }
  const { id: name, token: inside, fetch: more, receipts: wanted } = record(json?.pushkeep) ?? {};
  const [id, token] = [words(name), words(inside ?? before)];
  if (more === true && id && token) {
    const there = site(await briefly(slot()).catch(() => undefined));
    json = (await whole(there, id, token, FETCH_MS_MAX)) ?? json;
  }
  // Safari hands a declarative message over ready-made.
  const { notification: declared = null, appBadge = null } = event.data ? {} : /** @type {any} */ (event);
  const from = record(json?.notification) ?? json ?? declared ?? { body: text };
  const given = record(from.data);
  const url = address(from.navigate ?? from.url ?? given?.url);
  const actions = Array.isArray(from.actions) ? from.actions.filter((action) => words(action?.action) && words(action?.title)) : [];
  return {
    id,
    title: words(from.title) ?? self.location.host,
    // Browsers disagree on where it belongs.
    appBadge: json?.app_badge ?? from.app_badge ?? appBadge,
    /** @type {NotificationOptions & Record<string, any>} */
    options: {
      body: words(from.body) ?? (words(from.title) ? '' : 'You have a new message.'),
      tag: words(from.tag) ?? '',
      // Replacing a visible copy is the point of a tag; only an explicit wish makes it sound again.
      renotify: from.renotify === true && Boolean(words(from.tag)),
      icon: address(from.icon),
      badge: address(from.badge),
      image: address(from.image),
      lang: words(from.lang) ?? '',
      dir: ['ltr', 'rtl'].includes(from.dir) ? from.dir : 'auto',
      silent: from.silent === true,
      requireInteraction: from.requireInteraction === true,
      actions: actions.map(({ action, title, icon }) => ({ action, title, icon: address(icon) })),
      data: {
        ...(given ?? (from.data == null ? {} : { value: from.data })),
        pushkeep: {
          id,
          url,
          actions: Object.fromEntries(actions.map((one) => [one.action, address(one.navigate ?? one.url)])),
          ...(token && wanted !== false && { token }),
        },
      },
    },
  };
}

/**
 * An address that may be opened or loaded: of this origin, https, or (where the site itself is being tried out on
 * http://localhost) another port of this machine. Anything else is ignored.
 * @param {unknown} value
 * @returns {string|undefined}
 */
function address(value) {
  const text = words(value);
  if (!text) return undefined;
  try {
    const url = new URL(text, self.location.origin);
    const local = /^(127\.0\.0\.1|\[::1\]|(.+\.)?localhost)$/.test(url.hostname);
    // The scheme too: the origin of a blob: address is that of the page that made it.
    const near = url.protocol === self.location.protocol && (url.origin === self.location.origin || local);
    const allowed = url.protocol === 'https:' || near;
    return allowed && !url.username && !url.password ? url.href : undefined;
  } catch {
    return undefined;
  }
}

// ---- click

/** Every page of the origin: none is inside the scope, so none is controlled. */
const pages = () => self.clients.matchAll({ type: 'window', includeUncontrolled: true });

/** @param {object} message @param {string} [except] */
async function tell(message, except) {
  for (const page of await pages()) if (page.id !== except) page.postMessage({ pushkeep: message });
}

/** @param {NotificationEvent} event */
async function clicked(event) {
  const { notification, action } = event;
  notification.close();
  lastClicked = notification.data?.pushkeep?.id;
  // data may come from another script of the site: checked again before it is opened.
  const known = notification.data?.pushkeep ?? {};
  const reported = told('clicked', known);
  const url = address(known.actions?.[action]) ?? address(known.url) ?? `${self.location.origin}/`;
  await open(url);
  await tell({ type: 'clicked', id: known.id, title: notification.title, action, url });
  await reported;
}

/** The id of what was clicked last. @type {unknown} */
let lastClicked;

/** Firefox also tells of a notification that a click closed; that is no dismissal. @param {Notification} notification */
async function closed({ data }) {
  if (data?.pushkeep?.id !== lastClicked) await told('closed', data?.pushkeep);
}

/**
 * Focuses the page that shows the address already; a page of the same path may move there itself; else a new window.
 * Other pages are left alone: they may hold a half-filled form.
 * @param {string} url
 */
async function open(url) {
  const wanted = new URL(url);
  const windows = /** @type {WindowClient[]} */ (await pages());
  let page = windows.find((one) => one.url === url);
  if (!page) {
    const near = windows.find((one) => {
      const at = new URL(one.url);
      return at.origin === wanted.origin && at.pathname === wanted.pathname;
    });
    // client.navigate() rejects for a page outside the scope, so the page is asked.
    if (near && (await asked(near, url))) page = near;
  }
  try {
    if (page) return await page.focus();
  } catch {
    // Not allowed to focus: a window is still better than nothing.
  }
  return self.clients.openWindow(url);
}

/** @param {WindowClient} page @param {string} url @returns {Promise<boolean>} whether the page took it */
function asked(page, url) {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => resolve(true);
    setTimeout(() => resolve(false), ANSWER_MS_MAX);
    page.postMessage({ pushkeep: { type: 'navigate', url } }, [port2]);
  });
}

// ---- pushsubscriptionchange

/**
 * Firefox: old and null after its push service forgot it. Chromium: null and null after the permission came back.
 * What is left out here (no permission, no network) the next page start makes up for.
 * @param {Event & {newSubscription?: PushSubscription|null}} event
 */
async function changed(event) {
  await locked(SUBSCRIBE_MS_MAX, async () => {
    const before = await slot();
    if (!before?.wanted || Notification.permission !== 'granted') return;
    await ensure(site(before), self.registration, Date.now() + SUBSCRIBE_MS_MAX, event.newSubscription);
    await tell({ type: 'changed' });
  });
}
