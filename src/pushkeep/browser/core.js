// What the page and the worker share: stored state, the lock, time limits, one bounded subscribe(), the API.
// What is done with them to keep browser and server in agreement stands in keeper.js.
//
// A classic script on purpose: the worker loads it with importScripts() (module workers are missing in many
// browsers still in use) and the page module with a bare import. It leaves exactly one name: PushkeepCore.
(() => {
  'use strict';

  // One request to the Pushkeep server. Longer than any healthy answer, short enough to wait for.
  const REQUEST_MS_MAX = 10_000;
  // A receipt that gets through nowhere is tried once more after so long, and then forgotten.
  const AGAIN_MS = 2_000;
  // Opening IndexedDB sometimes never settles; whoever waits for it holds the lock.
  const STORE_MS_MAX = 5_000;
  // Ids of shown notifications: a repeat follows a crash of the sender within minutes, not after 100 others.
  const SEEN_IDS_MAX = 100;
  // One lock for every slot: moving between slots has to exclude both.
  const LOCK = 'pushkeep';

  /**
   * @typedef {object} Site
   * @property {string} project   publishable key, "pk_…"
   * @property {string} server    base URL of the Pushkeep server, without a trailing slash
   *
   * @typedef {{status: number, answer: Record<string, any>, after: number}} Reply  after: seconds, from Retry-After
   */

  /** An error with a code to branch on and a sentence to show. */
  class PushError extends Error {
    /**
     * @param {'unsupported'|'insecure'|'gesture'|'denied'|'dismissed'|'timeout'|'push_service_unavailable'
     *   |'key_changed'|'network'|'server'|'identity'|'consent'} code
     * @param {string} message
     * @param {unknown} [cause]
     */
    constructor(code, message, cause) {
      super(message, { cause });
      this.name = 'PushError';
      this.code = code;
    }
  }

  // ---- time limits and the lock

  /**
   * The promise's value, or a rejection with `late` after `ms`. The promise itself cannot be stopped.
   * @template T
   * @param {number} ms
   * @param {Promise<T>} promise
   * @param {PushError} late
   * @returns {Promise<T>}
   */
  function within(ms, promise, late) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(late), ms);
      promise.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /**
   * Runs `work` while no other tab and no worker of this origin does the same. Without it two tabs that
   * subscribe at once get two endpoints in Chromium, one of them dead.
   * @template T
   * @param {number} ms  how long to wait for the lock; the work has its own limits
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async function locked(ms, work) {
    if (!navigator.locks) return work();
    let mine = false;
    try {
      return await navigator.locks.request(LOCK, { signal: AbortSignal.timeout(ms) }, () => {
        mine = true;
        return work();
      });
    } catch (error) {
      if (mine) throw error;
      throw new PushError('timeout', 'Another tab of this site is busy with its subscription. Try again in a moment.', error);
    }
  }

  // ---- stored state

  /** @type {Map<string, unknown>} stands in where IndexedDB is refused (some private windows), or full */
  const memory = new Map();

  /**
   * Reads a value, or replaces it by `change(value)`, in one transaction.
   * @template T
   * @param {string} key
   * @param {(value: T|undefined) => T} [change]
   * @returns {Promise<T|undefined>}
   */
  async function stored(key, change) {
    // What could not be written down counts all the same, for as long as this page or worker lives.
    const known = (/** @type {any} */ value) => (memory.has(key) ? memory.get(key) : value);
    const late = new PushError('timeout', 'The browser’s storage for this site does not answer. Close its other tabs and try again.');
    try {
      const value = await within(STORE_MS_MAX, transact(key, change && ((before) => change(known(before)))), late);
      if (change) memory.delete(key);
      return known(value);
    } catch (error) {
      // Not refused, so what is stored counts: guessing could subscribe a visitor who left.
      if (error === late) throw error;
      if (!change) return known(undefined);
      // A full disk still reads.
      const before = await stored(key);
      memory.set(key, change(known(before)));
      return known(undefined);
    }
  }

  /** @type {typeof stored} */
  async function transact(key, change) {
    const base = await new Promise((resolve, reject) => {
      const opening = indexedDB.open('pushkeep', 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore('state');
      opening.onsuccess = () => resolve(opening.result);
      opening.onerror = () => reject(opening.error);
    });
    try {
      return await new Promise((resolve, reject) => {
        const transaction = base.transaction('state', change ? 'readwrite' : 'readonly');
        const store = transaction.objectStore('state');
        const reading = store.get(key);
        let value;
        reading.onsuccess = () => {
          value = reading.result;
          if (change) store.put((value = change(value)), key);
        };
        transaction.oncomplete = () => resolve(value);
        transaction.onabort = () => reject(transaction.error);
      });
    } finally {
      base.close();
    }
  }

  /**
   * Notes a notification id and tells whether it was noted before.
   * @param {string} id
   */
  async function seen(id) {
    let known = false;
    await stored('seen', (/** @type {string[]} */ ids = []) => {
      known = ids.includes(id);
      return known ? ids : [...ids, id].slice(-SEEN_IDS_MAX);
    });
    return known;
  }

  /** Whether the server is told what becomes of notifications; the visitor's word. @param {boolean} [on] */
  const receipts = async (on) => (await stored('receipts', on === undefined ? undefined : () => on)) !== false;

  /** What the active worker can do; it says so itself when it becomes active. @param {string[]} [names] @returns {Promise<string[]|undefined>} */
  const abilities = (names) => stored('abilities', names && (() => names));

  // ---- the server

  /** @param {Site} site @param {string} path */
  const address = (site, path) => `${site.server}/v1/client/${encodeURIComponent(site.project)}/${path}`;

  /**
   * @param {Site} site
   * @param {string} path
   * @param {{method?: string, body?: object, token?: string}} [request]
   * @returns {Promise<Reply>}
   */
  async function call(site, path, { method = 'GET', body, token } = {}) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (body) headers['content-type'] = 'application/json';
    if (token) headers.authorization = `Bearer ${token}`;
    try {
      const response = await fetch(address(site, path), {
        method,
        headers,
        body: body && JSON.stringify(body),
        cache: 'no-store', // a cached configuration would bring back a retired key
        credentials: 'omit',
        referrerPolicy: 'no-referrer', // which page a visitor is on is none of its business
        keepalive: method === 'DELETE', // leaving is often followed by closing the tab
        signal: AbortSignal.timeout(REQUEST_MS_MAX),
      });
      const text = await response.text();
      return { status: response.status, answer: parse(text), after: Number(response.headers.get('retry-after')) || 0 };
    } catch (error) {
      throw new PushError('network', `The push server at ${site.server} cannot be reached. Check the connection and try again.`, error);
    }
  }

  /**
   * Tells the server what became of a notification. Plain text and an answer that nobody reads need no preflight;
   * keepalive lets the browser send it when the worker has been stopped.
   * @param {Site} site
   * @param {string} line  what, the notification's id, its token
   * @param {number} [tries]
   */
  async function report(site, line, tries = 2) {
    try {
      await fetch(address(site, 'receipts'), {
        method: 'POST',
        body: line,
        mode: 'no-cors',
        cache: 'no-store',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        keepalive: true,
        signal: AbortSignal.timeout(REQUEST_MS_MAX),
      });
    } catch {
      if (tries < 2) return;
      await new Promise((resume) => setTimeout(resume, AGAIN_MS));
      await report(site, line, tries - 1);
    }
  }

  /**
   * The whole of a notification of which the message has only the beginning; null if it cannot be had in time.
   * @param {Site} site
   * @param {string} id
   * @param {string} token
   * @param {number} ms
   * @returns {Promise<Record<string, any>|null>}
   */
  async function whole(site, id, token, ms) {
    try {
      const response = await fetch(address(site, 'messages'), {
        method: 'POST',
        body: `${id} ${token}`,
        cache: 'no-store',
        credentials: 'omit',
        referrerPolicy: 'no-referrer',
        signal: AbortSignal.timeout(ms),
      });
      const answer = response.ok ? parse(await response.text()) : {};
      // A network that wants a log-in first, and a site without the route, answer 200 with a page of their own.
      return answer.notification ? answer : null;
    } catch {
      return null;
    }
  }

  /** @param {string} text @returns {Record<string, any>} */
  function parse(text) {
    try {
      const value = JSON.parse(text);
      return value !== null && typeof value === 'object' ? value : {};
    } catch {
      return {};
    }
  }

  /** @param {Reply} reply */
  function refusal({ status, answer, after }) {
    const why = typeof answer.detail === 'string' ? answer.detail : 'Try again later.';
    return Object.assign(new PushError('server', `The push server answered ${status}. ${why}`), { after });
  }

  /** The key to subscribe with now. @param {Site} site @returns {Promise<string>} */
  async function currentKey(site) {
    const reply = await call(site, 'config');
    const key = reply.answer.application_server_key;
    if (reply.status !== 200 || typeof key !== 'string') throw refusal(reply);
    return key;
  }

  // ---- the worker

  /**
   * A registration with an active worker. Never serviceWorker.ready: no page is in the scope, it would not settle.
   * @param {string} url @param {string} scope @param {number} ms
   * @returns {Promise<ServiceWorkerRegistration>}
   */
  function started(url, scope, ms) {
    const slow = new PushError('timeout', 'The notification worker did not start in time. Try again.');
    const wait = async () => {
      const registration = await navigator.serviceWorker.register(url, { scope, updateViaCache: 'none' });
      const worker = registration.installing ?? registration.waiting;
      if (!registration.active && worker) {
        await new Promise((resolve, reject) => {
          const look = () => {
            if (worker.state === 'activated') resolve(null);
            if (worker.state === 'redundant') reject(new TypeError('redundant'));
          };
          worker.addEventListener('statechange', look);
          look();
        });
      }
      return registration;
    };
    return within(ms, wait(), slow).catch((error) => {
      if (error instanceof PushError) throw error;
      if (error.name === 'TypeError') throw new PushError('server', `The notification worker could not be loaded from ${new URL(url).pathname}.`, error);
      throw new PushError('unsupported', 'This browser does not allow service workers here. Private windows and blocked site data do that.', error);
    });
  }

  // ---- subscribing

  /** @param {string} text unpadded base64url */
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (letter) => letter.charCodeAt(0));

  /** The key a subscription was made with, unpadded base64url. @param {PushSubscription} subscription */
  function keyOf(subscription) {
    const key = subscription.options.applicationServerKey;
    if (!key) return '';
    return btoa(String.fromCharCode(...new Uint8Array(key))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  }

  /** A browser's refusal to subscribe, in words. @param {unknown} error @returns {PushError} */
  function explain(error) {
    if (error instanceof PushError) return error;
    const { name = '', message = '' } = /** @type {DOMException} */ (error) ?? {};
    if (name === 'NotAllowedError') return new PushError('denied', 'Notifications are blocked for this site.', error);
    if (name === 'AbortError' && /permission denied/i.test(message)) {
      return new PushError('unsupported', 'This window cannot receive push messages. Use an ordinary, not a private, window.', error);
    }
    if (name === 'AbortError' || name === 'NetworkError') {
      return new PushError('push_service_unavailable', 'The push service of your browser cannot be reached. Try again later.', error);
    }
    if (name === 'InvalidStateError') {
      return new PushError('key_changed', 'An older subscription is in the way. Reload the page and try again.', error);
    }
    if (name === 'InvalidAccessError' || name === 'InvalidCharacterError') {
      return new PushError('server', 'The push server gave out a key that this browser does not accept.', error);
    }
    return new PushError('unsupported', `This browser cannot subscribe (${name || 'unknown reason'}).`, error);
  }

  /** The browser's own attempts, by scope: nobody can stop them. @type {Map<string, {key: string, promise: Promise<PushSubscription>, late?: () => void}>} */
  const pending = new Map();

  /**
   * subscribe() with a time limit. An attempt that was given up goes on inside the browser and may succeed much
   * later: the same key joins it, another key waits for it, and its late end calls `late`.
   * @param {ServiceWorkerRegistration} registration
   * @param {string} key
   * @param {number} ms
   * @param {() => void} [late]
   */
  async function attempt(registration, key, ms, late) {
    const { scope, pushManager } = registration;
    const slow = new PushError('timeout', 'The push service of your browser did not answer in time. Try again later.');
    const before = pending.get(scope);
    if (before && before.key !== key) await within(ms, before.promise.catch(() => null), slow);
    let mine = pending.get(scope);
    if (!mine) {
      mine = { key, promise: pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: bytes(key) }) };
      pending.set(scope, mine);
      const { promise } = mine;
      const settled = () => {
        const late = pending.get(scope)?.late;
        pending.delete(scope);
        late?.();
      };
      promise.then(settled, settled);
    }
    try {
      return await within(ms, mine.promise, slow);
    } catch (error) {
      if (error === slow) mine.late = late;
      throw error;
    }
  }

  /**
   * Ends a subscription in the browser. Rejects only if it is still there afterwards: Firefox also rejects when it
   * merely could not tell its push service.
   * @param {ServiceWorkerRegistration} registration
   * @param {PushSubscription} subscription
   * @param {number} ms
   */
  async function end(registration, subscription, ms) {
    try {
      await within(ms, subscription.unsubscribe(), new PushError('timeout', 'The browser did not end the subscription in time. Reload the page and try again.'));
    } catch (error) {
      if (await registration.pushManager.getSubscription()) throw explain(error);
    }
  }

  /**
   * A subscription with this key. One with another key that is in the way is ended; the same key gets the same again.
   * @param {ServiceWorkerRegistration} registration
   * @param {string} key
   * @param {number} ms
   * @param {() => void} [late]  called when an attempt that was given up settles after all
   */
  async function subscribe(registration, key, ms, late) {
    try {
      return await attempt(registration, key, ms, late);
    } catch (error) {
      const other = await registration.pushManager.getSubscription();
      if (/** @type {DOMException} */ (error).name !== 'InvalidStateError' || !other) throw explain(error);
      if (keyOf(other) === key) return other;
      await end(registration, other, ms);
      return attempt(registration, key, ms, late).catch((again) => {
        throw explain(again);
      });
    }
  }

  self.PushkeepCore = {
    ...{ PushError, within, locked, stored, seen, receipts, abilities },
    ...{ call, refusal, currentKey, report, whole, started, bytes, keyOf, subscribe, end },
  };
})();
