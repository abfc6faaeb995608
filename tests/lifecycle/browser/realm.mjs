// A page or a worker: a global scope of its own with the shipped files in it.

import { readFileSync } from 'node:fs';
import vm from 'node:vm';

import { registrationFor } from './push.mjs';
import { indexedDbOf } from './storage.mjs';

const FILES = process.argv[2];
/** @type {Map<string, string>} by their path on the site, as they are served */
const sources = new Map();

function source(name) {
  if (!sources.has(name)) sources.set(name, readFileSync(`${FILES}/${name}`, 'utf8'));
  return sources.get(name);
}

/** Time and chance are the host's, in everything that runs in the scope. */
const ORDER = `(() => {
  const Real = Date;
  globalThis.Date = class Date extends Real {
    constructor(...given) { given.length ? super(...given) : super(host.now); }
    static now() { return host.now; }
  };
  Math.random = () => host.random();
})()`;

class Realm {
  constructor(profile, name) {
    this.profile = profile;
    this.host = profile.host;
    this.name = name;
    this.dead = false;
    this.registrations = new Map();
    this.workers = new Map();
    this.EventTarget = EventTarget;
    this.Event = Event;
  }

  /** Whether this operation is the one at which the realm ends, `before` or `after` it is done. */
  falters(when) {
    const { doom } = this.profile;
    if (this.dead) return true;
    if (!doom || doom.when !== when) return false;
    if (doom.left-- > 0) return false;
    this.profile.doom = null;
    this.profile.end(this);
    return true;
  }

  scope(more) {
    const { host } = this;
    const signals = {
      timeout: (ms) => {
        const controller = new AbortController();
        host.timer(this, ms, () => controller.abort(new DOMException('timed out', 'TimeoutError')));
        return controller.signal;
      },
      any: (list) => AbortSignal.any(list),
      abort: (reason) => AbortSignal.abort(reason),
    };
    const events = new EventTarget();
    this.events = events;
    const listening = Object.fromEntries(
      ['addEventListener', 'removeEventListener', 'dispatchEvent'].map((name) => [name, events[name].bind(events)]));
    const scope = {
      ...listening,
      console, URL, URLSearchParams, TextEncoder, TextDecoder, Event, EventTarget, CustomEvent, DOMException, AbortController,
      Response, DecompressionStream, structuredClone, atob, btoa, queueMicrotask,
      AbortSignal: signals,
      isSecureContext: true,
      crypto: {
        getRandomValues: (array) => array.map(() => Math.floor(host.random() * 256)),
        randomUUID: () => `${Math.floor(host.random() * 1e9)}-${++host.numbers}`,
      },
      performance: { now: () => host.now },
      setTimeout: (run, ms, ...given) => host.timer(this, ms, () => run(...given)),
      clearTimeout: (number) => (host.timers = host.timers.filter((timer) => timer.number !== number)),
      indexedDB: indexedDbOf(this, host, this.profile),
      fetch: (url, options = {}) => this.fetch(new URL(url, this.location), options),
      location: this.location,
      BroadcastChannel: undefined,
      ...more,
    };
    scope.self = scope;
    vm.createContext(scope);
    Object.defineProperty(scope, 'host', { value: host });
    vm.runInContext(ORDER, scope);
    const Permission = class Notification {};
    Object.defineProperty(Permission, 'permission', { get: () => this.profile.permission });
    Permission.requestPermission = () =>
      host.operation(this, () => {
        if (this.profile.permission === 'default') this.profile.permission = 'granted';
        return this.profile.permission;
      });
    scope.Notification = Permission;
    scope.PushManager = class PushManager {};
    return scope;
  }

  navigator(more) {
    const { profile } = this;
    return {
      userAgent: profile.kind,
      maxTouchPoints: 0,
      onLine: true,
      userActivation: { isActive: true },
      locks: profile.locks.of(this),
      permissions: {
        query: () => this.host.operation(this, () => {
          const status = { get state() { return profile.permission; }, onchange: null, addEventListener(_, listener) { status.onchange = listener; } };
          (this.statuses ??= []).push(status);
          return status;
        }),
      },
      ...more,
    };
  }

  permissionChanged() {
    for (const status of this.statuses ?? []) status.onchange?.({ target: status });
  }

  fetch(url, { method = 'GET', headers = {}, body, signal }) {
    return this.host.operation(this, () => null).then(() => new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', () => this.dead || reject(signal.reason));
      const sent = { ...Object.fromEntries(Object.entries(headers)), ...(method !== 'GET' && { origin: this.location.origin }) };
      return this.host.ask(this, { kind: 'fetch', profile: this.profile.name, url: url.href, method, headers: sent, body: body ?? null }, (answer) => {
        if (this.dead) return;
        if (answer.error) return reject(new TypeError('Failed to fetch'));
        const { status, text } = answer;
        return resolve({ status, ok: status >= 200 && status < 300, headers: new Headers(answer.headers), text: async () => text, json: async () => JSON.parse(text) });
      });
    }));
  }

  container() {
    const { profile, host } = this;
    const container = new EventTarget();
    container.register = (url, { scope }) =>
      host.operation(this, () => profile.register(this, new URL(url, this.location).href, new URL(scope, this.location).href));
    container.getRegistration = (scope) =>
      host.operation(this, () => {
        const wanted = new URL(scope ?? this.location.href, this.location).href;
        const fits = profile.registrations.filter((one) => wanted.startsWith(one.scope)).sort((a, b) => b.scope.length - a.scope.length)[0];
        return fits && registrationFor(this, fits);
      });
    container.getRegistrations = () => host.operation(this, () => profile.registrations.map((one) => registrationFor(this, one)));
    container.startMessages = () => {};
    this.heard = (data) => container.dispatchEvent(Object.assign(new Event('message'), { data, ports: [] }));
    return container;
  }
}

class Page extends Realm {
  isPage = true;

  constructor(profile, name) {
    super(profile, name);
    this.location = new URL(`${profile.site}/`);
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible', hidden: false });
    const serviceWorker = this.container();
    this.global = this.scope({ document, navigator: this.navigator({ serviceWorker }) });
    this.global.window = this.global;
  }

  async #module(name) {
    const options = {
      context: this.global,
      identifier: name,
      initializeImportMeta: (meta) => {
        meta.url = `${this.profile.server}/pushkeep/${name}`;
      },
    };
    return (this.modules[name] ??= new vm.SourceTextModule(source(name), options));
  }

  async start(options) {
    this.modules = {};
    const module = await this.#module('sdk.js');
    await module.link((name) => this.#module(name.replace('./', '')));
    await module.evaluate();
    this.push = await module.namespace.Pushkeep.init(options);
    this.push.on('change', ({ detail }) => (this.status = detail));
    return this.push.status();
  }

  async call(method, given) {
    return this.push[method](...given);
  }
}

class Worker extends Realm {
  isPage = false;
  busy = 0;
  busyAt = 0;

  constructor(profile, registration) {
    super(profile, `worker ${new URL(registration.scope).pathname}`);
    this.registration = registration;
    this.location = new URL(registration.script);
  }

  start() {
    const { profile, host } = this;
    const client = (page) => ({ id: page.name, url: page.location.href, postMessage: (data) => profile.toPage(page, structuredClone(data), this), focus: async () => {} });
    const pages = () => profile.realms.filter((realm) => realm.isPage).map(client);
    const serviceWorker = profile.kind === 'firefox' ? { serviceWorker: this.container() } : {};
    this.global = this.scope({
      registration: registrationFor(this, this.registration),
      skipWaiting: async () => {},
      clients: { claim: async () => {}, matchAll: () => host.operation(this, pages), openWindow: async () => null },
      navigator: this.navigator(serviceWorker),
    });
    const run = (name) => vm.runInContext(source(name), this.global, { filename: name });
    this.global.importScripts = (...names) => names.forEach((name) => run(name.split('/').pop().split('?')[0]));
    run('worker.js');
  }

  /** Dispatches an event; settles when everything it waits for has. */
  async fire(type, details) {
    const waits = [];
    this.busy += 1;
    try {
      this.events.dispatchEvent(Object.assign(new Event(type), details, { waitUntil: (promise) => waits.push(promise) }));
      for (let seen = 0; seen < waits.length; seen += 1) await waits[seen];
    } finally {
      this.busy -= 1;
      this.busyAt = this.host.now;
    }
  }
}

export const openPage = (profile, tab) => new Page(profile, tab);
export const openWorker = (profile, registration) => new Worker(profile, registration);
