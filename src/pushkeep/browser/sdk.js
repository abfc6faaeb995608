// The page module: asks, subscribes, keeps browser and server in agreement, tells the page what happens.
//
//   import { Pushkeep } from '/pushkeep/sdk.js';
//   const push = await Pushkeep.init({ projectKey: 'pk_…' });
//   button.onclick = () => push.subscribe().catch((error) => show(error.message));
//   push.on('change', () => render(push.status()));
import './core.js';

/** @typedef {'unsupported'|'insecure'|'denied'|'unsubscribed'|'lost'|'subscribed'} State */
/**
 * @typedef {object} Status
 * @property {State} state      "lost": the browser dropped a subscription the visitor still wants
 * @property {boolean} supported
 * @property {boolean} secure
 * @property {NotificationPermission} permission
 * @property {boolean} subscribed  the server confirmed exactly the subscription this browser holds
 * @property {string|null} id
 * @property {string|null} shortId
 * @property {string|null} reason  why it is unsupported or insecure, in words
 * @property {PushError|null} error  what went wrong in the last agreement with the server
 */

const { PushError, within, locked, slot, receipts, keyOf, ensure, forget } = self.PushkeepCore;
const GESTURES = new Set(['click', 'auxclick', 'pointerup', 'mouseup', 'touchend', 'keydown', 'keyup', 'submit', 'change']);

export { PushError };

export class Pushkeep extends EventTarget {
  #site;
  #workerUrl;
  #scope;
  #ms;
  /** @type {State} */ #state = 'unsubscribed';
  /** @type {import('./core.js').Slot|undefined} */ #record;
  /** @type {PushError|null} */ #error = null;

  /**
   * Why push cannot work here, or null if it can.
   * @returns {PushError|null}
   */
  static obstacle() {
    if (!self.isSecureContext) {
      return new PushError('insecure', `Push needs a secure page. ${location.origin} is not one: use https, or http://localhost on your own machine.`);
    }
    if ('serviceWorker' in navigator && 'PushManager' in self && 'Notification' in self) return null;
    // iPadOS calls itself a Macintosh; only the touch points tell.
    const apple = /iP(hone|ad|od)/.test(navigator.userAgent) || (/Mac/.test(navigator.userAgent) && navigator.maxTouchPoints > 1);
    return new PushError(
      'unsupported',
      apple
        ? 'On iPhone and iPad, add this site to the Home Screen first (Share, then “Add to Home Screen”) and open it from there.'
        : 'This browser does not offer Web Push. Use a current Firefox, Chrome, Edge or Safari in an ordinary window.',
    );
  }

  /** Whether this browser can receive push messages on this page. */
  static isSupported() {
    return !Pushkeep.obstacle();
  }

  /**
   * Looks at what there is and brings browser and server into agreement. Never asks the visitor anything, and never
   * rejects because of the network: see status().error.
   * @param {object} options
   * @param {string} options.projectKey   the project's publishable key, "pk_…"
   * @param {string} [options.server]     base URL of the server; where this module came from by default
   * @param {string} [options.workerUrl]
   * @param {string} [options.scope]      must hold no page
   * @param {string} [options.identity]   signed identity token, binds the subscription to a contact
   * @param {number} [options.timeoutMs]  for subscribing, 20 s by default
   * @returns {Promise<Pushkeep>}
   */
  static async init(options) {
    const push = new Pushkeep(options);
    if (Pushkeep.isSupported()) {
      push.#listen();
      await push.sync();
    } else {
      push.#state = push.status().secure ? 'unsupported' : 'insecure';
    }
    return push;
  }

  /** Use Pushkeep.init(). @param {Parameters<typeof Pushkeep.init>[0]} options */
  constructor({ projectKey, server = new URL(import.meta.url).origin, workerUrl = '/pushkeep/worker.js', scope = '/pushkeep/a/', identity, timeoutMs = 20_000 }) {
    super();
    if (!/^pk_/.test(projectKey ?? '')) throw new TypeError('projectKey must be a publishable key, which begins with "pk_"');
    // An attempt that was given up can succeed later and replace what the server knows.
    this.#site = { project: projectKey, server: server.replace(/\/+$/, ''), identity, onLate: () => void this.sync() };
    this.#scope = new URL(scope, location.href).href;
    this.#ms = timeoutMs;
    const url = new URL(workerUrl, location.href);
    url.searchParams.set('project', projectKey);
    url.searchParams.set('server', this.#site.server);
    this.#workerUrl = url.href;
  }

  /** @returns {Status} */
  status() {
    const obstacle = Pushkeep.obstacle();
    const permission = obstacle ? 'denied' : Notification.permission;
    const known = this.#state === 'subscribed' || this.#state === 'lost' ? this.#record : undefined;
    return {
      state: obstacle || permission !== 'denied' ? this.#state : 'denied',
      supported: !obstacle,
      secure: self.isSecureContext,
      permission,
      subscribed: this.#state === 'subscribed' && permission === 'granted',
      id: known?.id ?? null,
      shortId: known?.short_id ?? null,
      reason: obstacle?.message ?? null,
      error: this.#error,
    };
  }

  /**
   * Listens to "change" (detail: Status), "received" and "clicked" (detail: the notification), or "navigate"
   * (detail: {url}; preventDefault() to stay on the page).
   * @param {string} type
   * @param {(event: CustomEvent) => void} listener
   * @returns {() => void} stops listening
   */
  on(type, listener) {
    this.addEventListener(type, /** @type {EventListener} */ (listener));
    return () => this.removeEventListener(type, /** @type {EventListener} */ (listener));
  }

  /**
   * Asks for permission if need be, subscribes, and has the server confirm. Call it from a click handler, before any
   * await. Rejects with a PushError.
   * @returns {Promise<Status>}
   */
  async subscribe() {
    await this.#permit();
    return this.#act(async () => {
      const until = Date.now() + this.#ms;
      await slot((before) => ({ ...before, wanted: true }));
      this.#record = await ensure(this.#site, await this.#worker(), until);
      this.#state = 'subscribed';
    });
  }

  /**
   * Ends the subscription here and at the server. If the server cannot be reached the visitor is unsubscribed all the
   * same, and the rest is done at the next page start. Rejects only if the browser would not end it.
   * @returns {Promise<Status>}
   */
  async unsubscribe() {
    return this.#act(async () => {
      await slot((before) => ({ ...before, wanted: false }));
      await this.#leave();
    });
  }

  /**
   * Compares what the browser holds with what the server last confirmed, and mends the difference. Runs by itself at
   * page start; call it after somebody signed in, with the new identity. Without an identity the owner stays: when
   * somebody signs out of a shared browser, call unsubscribe().
   * @param {{identity?: string}} [change]
   * @returns {Promise<Status>}
   */
  async sync(change) {
    if (change && 'identity' in change) this.#site.identity = change.identity;
    return this.#act(() => this.#reconcile()).catch(() => this.status());
  }

  /**
   * Whether the server may be told that this visitor saw, clicked or closed a notification; yes unless they said no.
   * Kept in this browser, and heeded by the worker from the next notification on.
   * @param {boolean} on
   */
  async setReceipts(on) {
    await receipts(Boolean(on));
  }

  /** What setReceipts() was last told. @returns {Promise<boolean>} */
  async receipts() {
    return receipts();
  }

  // ---- inside

  /** Permission, asked only from a click: browsers punish and visitors refuse anything else. */
  async #permit() {
    const obstacle = Pushkeep.obstacle();
    if (obstacle) throw obstacle;
    let permission = Notification.permission;
    if (permission === 'default') {
      const active = navigator.userActivation?.isActive ?? (self.event?.isTrusted && GESTURES.has(self.event.type));
      if (!active) throw new PushError('gesture', 'Permission may only be asked for when the visitor clicks a button.');
      permission = await Notification.requestPermission();
      this.#changed();
    }
    if (permission === 'denied') throw new PushError('denied', 'Notifications are blocked for this site. Allow them in the browser’s site settings and try again.');
    if (permission !== 'granted') throw new PushError('dismissed', 'The question was closed without an answer. Subscribe again to see it once more.');
  }

  /** @param {() => Promise<void>} work */
  async #act(work) {
    /** @type {string|undefined} */
    let before;
    try {
      before = JSON.stringify(await slot());
      await locked(this.#ms, work);
      this.#error = null;
    } catch (error) {
      this.#error = error instanceof PushError ? error : new PushError('unsupported', `The browser refused (${error?.name}).`, error);
      await this.#look().catch(() => {});
      throw this.#error;
    } finally {
      this.#changed();
      // The worker passes it on to the other tabs.
      const after = JSON.stringify(await slot().catch(() => null));
      if (after !== before) (await this.#ours())?.active?.postMessage({ pushkeep: { type: 'changed' } });
    }
    return this.status();
  }

  /** Reads the state from the browser and the stored record, asking nobody. */
  async #look() {
    const record = await slot();
    const subscription = await (await this.#ours())?.pushManager.getSubscription();
    const agreed = subscription && record?.endpoint === subscription.endpoint && record?.key === keyOf(subscription);
    this.#record = record;
    if (record?.wanted === false) this.#state = 'unsubscribed';
    else if (agreed && Notification.permission === 'granted') this.#state = 'subscribed';
    else this.#state = record?.id ? 'lost' : 'unsubscribed';
    return subscription;
  }

  /** Our registration: for a scope without one the browser answers with the site's own worker. */
  async #ours() {
    const found = await navigator.serviceWorker.getRegistration(this.#scope);
    return found?.scope === this.#scope ? found : undefined;
  }

  /** Our registration with an active worker. Never serviceWorker.ready: no page is in the scope, it would not settle. */
  async #worker() {
    const slow = new PushError('timeout', 'The notification worker did not start in time. Try again.');
    const wait = async () => {
      const options = { scope: this.#scope, updateViaCache: /** @type {const} */ ('none') };
      const registration = await navigator.serviceWorker.register(this.#workerUrl, options);
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
    return within(this.#ms, wait(), slow).catch((error) => {
      if (error instanceof PushError) throw error;
      if (error.name === 'TypeError') throw new PushError('server', `The notification worker could not be loaded from ${new URL(this.#workerUrl).pathname}.`, error);
      throw new PushError('unsupported', 'This browser does not allow service workers here. Private windows and blocked site data do that.', error);
    });
  }

  async #leave() {
    this.#state = 'unsubscribed';
    try {
      await forget(this.#site, await this.#ours(), this.#ms);
    } catch (error) {
      // The browser's part is done unless it complained itself.
      if (!['network', 'server'].includes(error.code)) throw error;
    }
    this.#record = undefined;
  }

  async #reconcile() {
    const until = Date.now() + this.#ms;
    const subscription = await this.#look();
    if (this.#record?.wanted === false) return this.#leave();
    if (Notification.permission !== 'granted' || !(subscription || this.#record?.id)) return undefined;
    if (this.#state === 'lost') this.#changed();
    const registration = await this.#worker();
    // Pages lie outside the scope, so no navigation makes the browser look for a new worker.
    void registration.update().catch(() => {});
    this.#record = await ensure(this.#site, registration, until);
    this.#state = 'subscribed';
    return undefined;
  }

  #listen() {
    navigator.serviceWorker.addEventListener('message', (event) => this.#heard(event));
    navigator.serviceWorker.startMessages();
    void navigator.permissions?.query({ name: 'notifications' }).then((permission) => {
      permission.onchange = () => void this.sync();
    }, () => {});
  }

  /** @param {MessageEvent} event */
  #heard(event) {
    const message = event.data?.pushkeep;
    if (message?.type === 'changed') {
      // Under the lock: a look begun before our own change would end after it, and show what was.
      void locked(this.#ms, () => this.#look()).then(() => this.#changed(), () => {});
    } else if (message?.type === 'navigate') {
      event.ports[0]?.postMessage(true);
      const url = new URL(message.url, location.href);
      const go = this.#emit('navigate', { url: url.href }, true);
      if (go && url.origin === location.origin) location.assign(url);
    } else if (message?.type === 'received' || message?.type === 'clicked') {
      this.#emit(message.type, message);
    }
  }

  #changed() {
    this.#emit('change', this.status());
  }

  /** @param {string} type @param {object} detail @param {boolean} [cancelable] */
  #emit(type, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(type, { detail, cancelable }));
  }
}
