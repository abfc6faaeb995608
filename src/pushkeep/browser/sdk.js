// The page module: asks, subscribes, keeps browser and server in agreement, tells the page what happens.
//
//   import { Pushkeep } from '/pushkeep/sdk.js';
//   const push = await Pushkeep.init({ projectKey: 'pk_…' });
//   button.onclick = () => push.subscribe().catch((error) => show(error.message));
//   push.on('change', () => render(push.status()));
import './core.js';
import './keeper.js';

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
 * @property {'a'|'b'|null} slot       which of its two places the subscription is in
 * @property {string|null} key         the application server key it was made with
 * @property {boolean} pending         something is yet to be done or told; it is tried again by itself
 * @property {string|null} reason  why it is unsupported or insecure, in words
 * @property {PushError|null} error  what went wrong in the last agreement with the server
 */

/**
 * @typedef {object} Said  what a visitor says about a purpose
 * @property {string} purpose
 * @property {boolean} [given]  agreed (as is assumed), or withdrew
 * @property {string|{digest: string}|null} [wording]  the text they were shown, as purposes() gives it; needed to agree
 * @property {'prompt'|'settings'} [method]  in the page's own question, or among preferences
 */

const { PushError, receipts, call, refusal, started, keep, want, own, say, theirs, due, look, same, agree } = self.PushkeepCore;
// The longest setTimeout() can count.
const TIMER_MS_MAX = 2 ** 31 - 1;
const PERIOD_MS = 86_400_000;
const SLOTS = /** @type {const} */ (['a', 'b']);
// What the server takes; the address says where it was said, and no more than that.
const PAGE_CHARACTERS_MAX = 500;
const GESTURES = new Set(['click', 'auxclick', 'pointerup', 'mouseup', 'touchend', 'keydown', 'keyup', 'submit', 'change']);

export { PushError };

/** What a page says, checked, with where it was said. @param {Said[]} said @param {'prompt'|'settings'} usual */
function spoken(said, usual) {
  const page = `${location.origin}${location.pathname}`.slice(0, PAGE_CHARACTERS_MAX);
  return said.map(({ purpose, given = true, wording, method = usual }) => {
    const digest = typeof wording === 'string' ? wording : wording?.digest;
    if (typeof purpose !== 'string' || typeof given !== 'boolean') throw new TypeError('a consent has a purpose, and given: true or false');
    if (given && !digest) throw new TypeError(`to agree to "${purpose}" takes the wording that was shown, as purposes() gives it`);
    return { purpose, given, wording: digest, method, page };
  });
}

export class Pushkeep extends EventTarget {
  #site;
  #workerUrl;
  #scope;
  #ms;
  /** @type {string|null|undefined} */ #identity;
  /** @type {import('./keeper.js').Home} */ #home;
  /** @type {State} */ #state = 'unsubscribed';
  /** @type {import('./keeper.js').Keep|undefined} */ #record;
  /** @type {number|undefined} */ #timer;
  /** @type {Promise<void>} the latest look */ #looking = Promise.resolve();
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
   * @param {string} [options.scope]      where the worker's two scopes a/ and b/ lie; must hold no page
   * @param {string|null} [options.identity]  who is logged in, as a signed identity token; null: nobody. Left out, the
   *   owner stays as it is
   * @param {number} [options.timeoutMs]  for subscribing, 20 s by default
   * @returns {Promise<Pushkeep>}
   */
  static async init(options) {
    const push = new Pushkeep(options);
    if (Pushkeep.isSupported()) {
      push.#listen();
      await push.#start();
    } else {
      push.#state = push.status().secure ? 'unsupported' : 'insecure';
    }
    return push;
  }

  /** Use Pushkeep.init(). @param {Parameters<typeof Pushkeep.init>[0]} options */
  constructor({ projectKey, server = new URL(import.meta.url).origin, workerUrl = '/pushkeep/worker.js', scope = '/pushkeep/', identity, timeoutMs = 20_000 }) {
    super();
    if (!/^pk_/.test(projectKey ?? '')) throw new TypeError('projectKey must be a publishable key, which begins with "pk_"');
    this.#site = { project: projectKey, server: server.replace(/\/+$/, '') };
    this.#scope = new URL(scope.replace(/\/*$/, '/'), location.href).href;
    this.#ms = timeoutMs;
    this.#identity = identity;
    this.#home = {
      site: this.#site,
      registration: (slot) => this.#ours(slot),
      prepare: (slot) => this.#worker(slot),
      // An attempt that was given up can succeed later and replace what the server knows.
      late: () => void this.sync(),
    };
    const url = new URL(workerUrl, location.href);
    url.searchParams.set('project', projectKey);
    url.searchParams.set('server', this.#site.server);
    this.#workerUrl = url.href;
  }

  /** @returns {Status} */
  status() {
    const obstacle = Pushkeep.obstacle();
    const permission = obstacle ? 'denied' : Notification.permission;
    const record = this.#record;
    const known = this.#state === 'subscribed' || this.#state === 'lost' ? record?.known : undefined;
    const box = this.#state === 'subscribed' ? record?.[record.current] : undefined;
    return {
      state: obstacle || permission !== 'denied' ? this.#state : 'denied',
      supported: !obstacle,
      secure: self.isSecureContext,
      permission,
      subscribed: this.#state === 'subscribed' && permission === 'granted',
      id: known?.id ?? null,
      shortId: known?.short_id ?? null,
      slot: box && record ? record.current : null,
      key: box?.key ?? null,
      pending: Boolean(record?.retry || record?.renew || (record?.wanted && (record.owner?.told === false || due(record).length))),
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
   * @param {{consents?: Said[]}} [options]  what the visitor agreed to with it: stored together with the subscription
   *   or not at all. Where the server knows no such purpose or wording nothing is begun
   * @returns {Promise<Status>}
   */
  async subscribe({ consents = [] } = {}) {
    const words = spoken(consents, 'prompt');
    await this.#permit();
    return this.#act(() => want(true, { identity: this.#identity, words })).catch((error) => {
      // Subscribed, if not as the one who is logged in.
      if (error.code !== 'identity' || !this.status().subscribed) throw error;
      return this.status();
    });
  }

  /**
   * Ends the subscription here and at the server. If the server cannot be reached the visitor is unsubscribed all the
   * same, and the rest is done later. Rejects only if the browser would not end it.
   * @param {{erase?: boolean}} [options]  erase: the server is to forget what it knows of the subscription, too
   * @returns {Promise<Status>}
   */
  async unsubscribe(options) {
    return this.#act(() => want(false, { erase: options?.erase === true })).catch((error) => {
      // The browser's part is done unless it complained itself.
      if (!['network', 'server'].includes(error.code)) throw error;
      this.#error = null;
      return this.status();
    });
  }

  /**
   * What the site sends for, each purpose with the text to ask with; only that may be shown where somebody is to agree.
   * @param {string} [locale]  a language tag; that of the browser by default
   * @returns {Promise<{name: string, description: string, basis: string,
   *   wording: {digest: string, locale: string, version: string, policy_version: string, text: string}|null}[]>}
   */
  async purposes(locale = navigator.language) {
    const reply = await call(this.#site, `purposes?locale=${encodeURIComponent(locale)}`);
    if (reply.status >= 300 || !reply.answer.purposes) throw refusal(reply);
    return reply.answer.purposes;
  }

  /**
   * Notes what a subscribed visitor says now: that they agree, or do not any more. What cannot be told is told later.
   * Rejects with "consent" if nobody is subscribed, or the server does not know the purpose or wording.
   * @param {Said|Said[]} said
   * @returns {Promise<Status>}
   */
  async consent(said) {
    const words = spoken([said].flat(), 'settings');
    const obstacle = Pushkeep.obstacle();
    if (obstacle) throw obstacle;
    let noted = false;
    return this.#act(async () => {
      if (!(await this.#wanted())) throw new PushError('consent', 'Nobody is subscribed here. Agree with subscribe({ consents }).');
      noted = Boolean(await say(words));
    }).catch((error) => {
      if (error.code === 'consent' || !noted) throw error;
      return this.status();
    });
  }

  /**
   * What holds of what this visitor has said, by purpose: as the server knows it, and with "told": false what it is yet
   * to be told. Where it cannot be reached, as this browser knows it.
   * @returns {Promise<Record<string, {given: boolean, at: string, told: boolean, wording: string|null}>>}
   */
  async consents() {
    const described = await this.describe().catch((error) => {
      if (error.code === 'network') return undefined;
      throw error;
    });
    const record = await keep();
    // Not what somebody else has said in this browser; of two words about a purpose the later one.
    const words = theirs(record).filter((word) => !word.told || (described === undefined && record.wanted));
    const known = (described?.consents ?? []).map(({ purpose, given, at, wording }) => [purpose, { given, at, told: true, wording: wording?.digest ?? null }]);
    return Object.fromEntries([
      ...known,
      ...words.map(({ purpose, given, at, told, wording = null }) => [purpose, { given, at: new Date(at).toISOString(), told, wording }]),
    ]);
  }

  /**
   * Compares what the browser holds with what the server last confirmed, and mends the difference. Runs by itself at
   * page start, when the page is looked at again, and when the network is back.
   * @returns {Promise<Status>}
   */
  async sync() {
    return this.#act(async () => {}).catch(() => this.status());
  }

  /**
   * Somebody has logged in: binds the subscription to the contact of the identity token. Rejects if the server does
   * not accept it; what could not be told is told later.
   * @param {string} identity
   * @returns {Promise<Status>}
   */
  async login(identity) {
    return this.#belongs(identity);
  }

  /**
   * Nobody is logged in any more: the subscription stays, and is nobody's.
   * @returns {Promise<Status>}
   */
  async logout() {
    return this.#belongs(null);
  }

  /**
   * What the server knows of this subscription: its state, its health and its story; null if there is none.
   * @returns {Promise<Record<string, any>|null>}
   */
  async describe() {
    const record = await keep();
    const token = record[record.current]?.token ?? record.former[0];
    if (!token) return null;
    const reply = await call(this.#site, 'subscriptions', { token });
    if (reply.status === 404) return null;
    if (reply.status >= 300) throw refusal(reply);
    const { state, renew } = reply.answer;
    // What is heard here, the next sync() acts upon.
    await keep((now) => {
      const box = now[now.current];
      if (box?.token !== token) return now;
      return { ...now, [now.current]: { ...box, state }, ...(renew && { renew: now.renew ?? 'asked' }) };
    });
    return reply.answer;
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

  /** Page start: asks the server only if something is due. */
  async #start() {
    const intent = async () => {
      if (this.#identity !== undefined && (await this.#wanted())) await own(this.#identity);
    };
    await this.#act(intent, false).catch(() => {});
    // Pages lie outside the scopes, so no navigation makes the browser look for a new worker.
    for (const slot of SLOTS) void this.#ours(slot).then((ours) => ours?.update()).catch(() => {});
  }

  /** Whether the visitor wants a subscription; where that is not stored any more, what the browser holds tells. */
  async #wanted() {
    const { record, seen } = await look(this.#home);
    return record.wanted ?? Boolean(seen.a || seen.b);
  }

  /** Has somebody come back to what was not done. Not who is logged in: that another tab may know better by now. */
  #again() {
    void this.#act(async () => {}, false).catch(() => {});
  }

  /** @param {string|null} identity */
  async #belongs(identity) {
    const obstacle = Pushkeep.obstacle();
    if (obstacle) throw obstacle;
    this.#identity = identity;
    return this.#act(async () => {
      if (await this.#wanted()) await own(identity);
    });
  }

  /**
   * Notes an intent, brings about what it asks for, and tells everybody.
   * @param {() => Promise<unknown>} intent
   * @param {boolean} [force]  although a failure was only just now
   */
  async #act(intent, force = true) {
    /** @type {string|undefined} */
    let before;
    try {
      before = JSON.stringify(await keep());
      await intent();
      await agree(this.#home, { ms: this.#ms, force });
      this.#error = null;
    } catch (error) {
      this.#error = error instanceof PushError ? error : new PushError('unsupported', `The browser refused (${error?.name}).`, error);
      throw this.#error;
    } finally {
      await this.#look().catch(() => {});
      this.#changed();
      void this.#later().catch(() => {});
      // The worker passes it on to the other tabs.
      const after = JSON.stringify(await keep().catch(() => null));
      if (after !== before) (await this.#ours(this.#record?.current ?? 'a').catch(() => null))?.active?.postMessage({ pushkeep: { type: 'changed' } });
    }
    return this.status();
  }

  /** Has somebody come back to what is not done yet: this page, or the worker where the browser wakes it. */
  async #later() {
    const { retry, drop, current } = this.#record ?? {};
    clearTimeout(this.#timer);
    // Where something failed, nothing is done before it is tried again.
    const due = ((retry ?? drop)?.at ?? Infinity) - Date.now();
    if (due < TIMER_MS_MAX) this.#timer = setTimeout(() => this.#again(), Math.max(due, 1_000));
    const registration = /** @type {any} */ (current && (await this.#ours(current)));
    if (retry) await registration?.sync?.register('pushkeep');
    if (this.#state === 'subscribed') await registration?.periodicSync?.register('pushkeep', { minInterval: PERIOD_MS });
  }

  /** Reads the state from the browser and the stored record, asking nobody. */
  #look() {
    const looking = look(this.#home).then(({ record, seen, granted }) => {
      // A look begun before our own change can end after it, and show what was; the latest shows that change, too.
      if (looking !== this.#looking) return this.#looking;
      const box = record[record.current];
      this.#record = record;
      if (!record.wanted || !(record.known || box?.token)) this.#state = 'unsubscribed';
      else if (granted && box?.token && same(box, seen[record.current]) && box.state !== 'gone') this.#state = 'subscribed';
      else this.#state = 'lost';
      return undefined;
    });
    return (this.#looking = looking);
  }

  /** Our registration: for a scope without one the browser answers with the site's own worker. */
  async #ours(/** @type {'a'|'b'} */ slot) {
    const scope = `${this.#scope}${slot}/`;
    const found = await navigator.serviceWorker.getRegistration(scope);
    return found?.scope === scope ? found : null;
  }

  /** Our registration with an active worker. */
  async #worker(/** @type {'a'|'b'} */ slot) {
    return started(this.#workerUrl, `${this.#scope}${slot}/`, this.#ms);
  }

  #listen() {
    navigator.serviceWorker.addEventListener('message', (event) => this.#heard(event));
    navigator.serviceWorker.startMessages();
    void navigator.permissions?.query({ name: 'notifications' }).then((permission) => {
      permission.onchange = () => void this.sync();
    }, () => {});
    self.addEventListener('online', () => void this.sync());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#again();
    });
  }

  /** @param {MessageEvent} event */
  #heard(event) {
    const message = event.data?.pushkeep;
    if (message?.type === 'changed') {
      void this.#look().then(() => this.#changed(), () => {});
    } else if (message?.type === 'sync') {
      void this.sync();
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
