// A browser profile: what outlives its pages and workers, and the pages and workers themselves.

import { openPage, openWorker } from './realm.mjs';
import { PushSide, registrationFor } from './push.mjs';
import { Locks } from './storage.mjs';

/** What holds a worker alive; a browser ends an idle one after about so long. */
const IDLE_MS = 30_000;

class Profile extends PushSide {
  /** @param {import('./host.mjs').Host} host @param {string} name @param {'firefox'|'chromium'} kind */
  constructor(host, name, kind, site) {
    super();
    Object.assign(this, { host, name, kind, site });
    this.permission = 'default';
    this.bases = {};
    /** @type {object[]} {scope, script, state, active, subscription, revoked, syncs, shown} */
    this.registrations = [];
    this.locks = new Locks(host);
    /** @type {object[]} pages and workers that run */
    this.realms = [];
    /** @type {{left: number, when: string}|null} the operation at which a realm of this profile ends */
    this.doom = null;
    /** Whether the site does not give out its worker. */
    this.barren = false;
  }

  // ---- pages and workers

  open(tab, options) {
    const page = openPage(this, tab);
    this.realms.push(page);
    return page.start(options);
  }

  page(tab) {
    return this.realms.find((realm) => realm.name === tab && realm.isPage);
  }

  /** A page is closed, a worker ended, or either has crashed. */
  end(realm) {
    if (realm.dead) return;
    this.host.bury(realm);
    this.realms = this.realms.filter((one) => one !== realm);
    this.locks.release(realm);
    const { registration } = realm;
    // A worker that did not get through its installation is not kept.
    if (registration && !registration.active) this.unregister(registration);
    this.host.tell({ type: 'end', profile: this.name, tab: realm.name });
  }

  crash() {
    for (const realm of [...this.realms]) this.end(realm);
  }

  /** Site data cleared by the visitor. Pages see to it themselves that they go on. */
  clear() {
    for (const registration of [...this.registrations]) this.unregister(registration);
    for (const base of Object.values(this.bases)) for (const store of Object.values(base.stores)) store.clear();
  }

  // ---- registrations

  register(realm, script, scope) {
    const known = this.registrations.find((one) => one.scope === scope);
    if (known) {
      known.script = script;
      return registrationFor(realm, known);
    }
    if (this.barren) throw new TypeError('the script could not be loaded');
    const made = { scope, script, state: 'installing', active: false, subscription: null, revoked: null, syncs: new Set(), shown: [] };
    this.registrations.push(made);
    void this.#install(made);
    return registrationFor(realm, made);
  }

  async #install(registration) {
    try {
      await this.wake(registration, 'install', () => ({}));
      registration.active = true;
      registration.state = 'activated';
      this.notify(registration, 'activate', () => ({}));
    } catch {
      this.unregister(registration);
    }
    for (const realm of this.realms) realm.workers.get(registration)?.dispatchEvent(new realm.Event('statechange'));
  }

  unregister(registration) {
    if (!this.registrations.includes(registration)) return false;
    this.registrations = this.registrations.filter((one) => one !== registration);
    registration.state = 'redundant';
    if (registration.subscription) this.host.tell({ type: 'ended', endpoint: registration.subscription.endpoint });
    registration.subscription = null;
    const worker = this.realms.find((realm) => realm.registration === registration);
    if (worker) this.end(worker);
    return true;
  }

  // ---- events

  /** Wakes a worker with an event. That it fails is the worker's own matter, as in a browser. */
  notify(registration, type, details) {
    this.wake(registration, type, details).catch(() => {});
  }

  /** Wakes a worker with an event and holds it until that is done; rejects if it fails. */
  async wake(registration, type, details) {
    let worker = this.realms.find((realm) => realm.registration === registration);
    if (!worker) {
      worker = openWorker(this, registration);
      this.realms.push(worker);
      worker.start();
    }
    await worker.fire(type, details(worker));
  }

  /** Background synchronisation: what was asked for happens once there is a network. */
  synchronise() {
    for (const registration of this.registrations) {
      for (const tag of [...registration.syncs]) {
        registration.syncs.delete(tag);
        // One that fails is tried again; three times in a browser, here as long as it fails.
        this.wake(registration, 'sync', () => ({ tag, lastChance: false })).catch(() => registration.syncs.add(tag));
      }
    }
  }

  /** A browser ends workers with nothing to do. */
  idle() {
    for (const worker of this.realms.filter((realm) => !realm.isPage)) {
      if (!worker.busy && this.host.now - worker.busyAt >= IDLE_MS) this.end(worker);
    }
  }

  toWorker(registration, from, data) {
    // Sent is sent: it arrives although its sender has gone.
    const run = () => this.notify(registration, 'message', () => ({ data, source: from.isPage ? { id: from.name } : null }));
    this.host.local.push({ realm: from, always: true, run });
  }

  toPage(page, data, from) {
    this.host.local.push({ realm: from, always: true, run: () => page.dead || page.heard(data) });
  }

  // ---- what there is, to be looked at

  look() {
    return {
      permission: this.permission,
      subscriptions: this.registrations.filter(({ subscription }) => subscription).map(({ scope, subscription }) => ({ scope, ...subscription })),
      registrations: this.registrations.map(({ scope, syncs, revoked }) => ({ scope, syncs: [...syncs], revoked: revoked !== null })),
      tabs: this.realms.map(({ name }) => name),
      state: Object.fromEntries(Object.entries(this.bases).flatMap(([, { stores }]) => Object.values(stores).flatMap((store) => [...store]))),
    };
  }
}

export { Profile };
