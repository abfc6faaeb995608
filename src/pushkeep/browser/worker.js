// The service worker: shows every push, opens what was clicked, renews a subscription the browser lost.
//
// Served at /pushkeep/worker.js and registered with the scopes /pushkeep/a/ and /pushkeep/b/, which hold no page: it
// never controls one and has no fetch handler. A site that serves it from elsewhere loads core.js and keeper.js before.
'use strict';

self.PushkeepCore || importScripts('core.js', 'keeper.js');

const { PushError, within, seen, receipts, abilities, bytes, report, whole, started, keep, agree } = self.PushkeepCore;
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
// The browser calls when the network is back, and about once a day where the site is used a lot.
for (const name of ['sync', 'periodicsync']) {
  self.addEventListener(name, (/** @type {any} */ event) => {
    if (event.tag === 'pushkeep') event.waitUntil(agreed());
  });
}
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

/** The project and server of this worker. @param {import('./keeper.js').Keep} [before] @returns {import('./core.js').Site} */
function site(before) {
  const query = new URL(self.location.href).searchParams;
  return {
    project: before?.site?.project ?? query.get('project') ?? '',
    server: before?.site?.server ?? query.get('server') ?? self.location.origin,
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
  const work = async () => (await receipts()) && report(site(await keep()), `${what} ${id} ${token}`);
  await briefly(work()).catch(() => {});
}

// ---- push

/**
 * Shows the message, whatever it is. Browsers punish a push that shows nothing, so nothing stands between the event
 * and showNotification() that can fail, and nothing that waits without a limit: no check that ends in silence.
 * @param {PushEvent} event
 */
async function received(event) {
  const { id, title, options, appBadge, leaked } = await read(event);
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
  if (leaked) await urgent();
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
  const { id: name, token: inside, fetch: more, receipts: wanted, renew } = record(json?.pushkeep) ?? {};
  const [id, token] = [words(name), words(inside ?? before)];
  if (more === true && id && token) {
    const there = site(await briefly(keep()).catch(() => undefined));
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
    leaked: renew === true,
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

// ---- keeping the subscription

/** The slot this worker serves. @type {'a'|'b'} */
const SLOT = self.registration.scope.endsWith('/b/') ? 'b' : 'a';

/** @param {'a'|'b'} slot */
const scopeOf = (slot) => self.registration.scope.replace(/[ab]\/$/, `${slot}/`);

/** The other slot is out of reach in Chromium, where a worker knows no registration but its own. @param {'a'|'b'} slot */
async function registered(slot) {
  const scope = scopeOf(slot);
  if (scope === self.registration.scope) return self.registration;
  const found = await navigator.serviceWorker?.getRegistration?.(scope);
  return found?.scope === scope && found.active ? found : undefined;
}

/** In Firefox a worker may begin the other slot, too. @param {'a'|'b'} slot */
async function prepared(slot) {
  if (slot === SLOT || !navigator.serviceWorker) return registered(slot);
  return (await registered(slot)) ?? started(self.location.href, scopeOf(slot), SUBSCRIBE_MS_MAX);
}

/**
 * What a page start does, without a page.
 * @param {PushSubscription|null} [given]  a replacement the browser handed over
 */
async function agreed(given) {
  const record = await keep();
  if (record.wanted === undefined) return;
  /** @type {import('./keeper.js').Home} */
  const home = {
    site: site(record),
    given: { [SLOT]: given },
    registration: registered,
    prepare: prepared,
    delegate: async () => {
      const open = (await pages()).length > 0;
      if (open) await tell({ type: 'sync' });
      return open;
    },
  };
  try {
    await agree(home, { ms: SUBSCRIBE_MS_MAX, force: true });
  } finally {
    await tell({ type: 'changed' });
  }
}

/**
 * Firefox: old and null after its push service forgot it. Chromium: null and null after the permission came back.
 * Others may hand over a new one. What is left out here (no permission, no network) is made up for later.
 * @param {Event & {oldSubscription?: PushSubscription|null, newSubscription?: PushSubscription|null}} event
 */
async function changed(event) {
  // A service that forgets a browser has it tell both workers.
  if ((await keep()).current === SLOT) await agreed(event.newSubscription).catch(again);
}

/** No page may be there to come back to it. @param {unknown} error */
async function again(error) {
  await /** @type {any} */ (self.registration).sync?.register('pushkeep');
  throw error;
}

/** The key of this subscription is in the wrong hands: it is left at once, without a moment of two. */
async function urgent() {
  await keep((now) => {
    if (now.current === SLOT) return { ...now, renew: 'leaked' };
    return now.drop ? { ...now, drop: { ...now.drop, at: 0 } } : now;
  });
  await agreed().catch(again);
}
