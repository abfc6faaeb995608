// Registrations with their push subscriptions: what they are to a script, and what the browser does with them.
// Which browser does what was tried in both; where they differ stands behind `profile.kind`.

const b64url = (bytes) => Buffer.from(bytes).toString('base64url');

/** A DOMException as the browser throws it. */
const refused = (name, message) => new DOMException(message, name);

/** What a registration is to one realm; the same object every time, as pages compare them. */
export function registrationFor(realm, registration) {
  const known = realm.registrations.get(registration);
  if (known) return known;
  const { host, profile } = realm;
  const worker = (state) => (registration.state === state ? workerFor(realm, registration) : null);
  const wrapper = new realm.EventTarget();
  Object.defineProperties(wrapper, {
    installing: { get: () => worker('installing') },
    waiting: { get: () => null },
    active: { get: () => worker('activated') },
  });
  Object.assign(wrapper, {
    scope: registration.scope,
    pushManager: pushManager(realm, registration),
    update: () => host.operation(realm, () => wrapper),
    unregister: () => host.operation(realm, () => profile.unregister(registration)),
    showNotification: (title, options = {}) => host.operation(realm, () => profile.show(registration, title, options)),
    getNotifications: () => host.operation(realm, () => registration.shown.map((one) => ({ ...one, close() {} }))),
  });
  if (profile.kind === 'chromium') wrapper.sync = syncManager(realm, registration);
  realm.registrations.set(registration, wrapper);
  return wrapper;
}

function syncManager(realm, registration) {
  return {
    register: (tag) =>
      realm.host.operation(realm, () => {
        if (!registration.active) throw refused('InvalidStateError', 'no active worker');
        registration.syncs.add(tag);
      }),
    getTags: () => realm.host.operation(realm, () => [...registration.syncs]),
  };
}

function workerFor(realm, registration) {
  const known = realm.workers.get(registration);
  if (known) return known;
  const worker = new realm.EventTarget();
  Object.defineProperty(worker, 'state', { get: () => registration.state });
  worker.scriptURL = registration.script;
  worker.postMessage = (data) => realm.profile.toWorker(registration, realm, structuredClone(data));
  realm.workers.set(registration, worker);
  return worker;
}

function pushManager(realm, registration) {
  const { host, profile } = realm;
  const wrapped = (one) => one && subscriptionFor(realm, registration, one);
  return {
    getSubscription: () => host.operation(realm, () => wrapped(registration.subscription)),
    permissionState: () => host.operation(realm, () => (profile.permission === 'default' ? 'prompt' : profile.permission)),
    subscribe: ({ applicationServerKey }) =>
      host.operation(realm, () => profile.subscribe(realm, registration, b64url(applicationServerKey))).then(wrapped),
  };
}

/** A PushSubscription. It stays what it was when the browser has another one, or none. */
export function subscriptionFor(realm, registration, { endpoint, p256dh, auth, key }) {
  return {
    endpoint,
    expirationTime: null,
    options: { userVisibleOnly: true, applicationServerKey: new Uint8Array(Buffer.from(key, 'base64url')).buffer },
    getKey: (name) => new Uint8Array(Buffer.from(name === 'auth' ? auth : p256dh, 'base64url')).buffer,
    toJSON: () => ({ endpoint, expirationTime: null, keys: { p256dh, auth } }),
    unsubscribe: () => realm.host.operation(realm, () => realm.profile.unsubscribe(realm, registration, endpoint)),
  };
}

/** The part of a profile that deals with push. */
export class PushSide {
  /** A subscribe() that has begun goes on without whoever asked, and replaces what there is when it ends. */
  subscribe(realm, registration, key) {
    if (this.permission !== 'granted') throw refused('NotAllowedError', 'permission');
    const there = registration.subscription;
    if (there?.key === key) return there;
    if (there) throw refused('InvalidStateError', 'another key');
    return new Promise((resolve, reject) => {
      this.host.ask(realm, { kind: 'subscribe', profile: this.name, scope: registration.scope, key }, (answer) => {
        if (answer.error) return reject(refused(answer.error, 'push service error'));
        if (this.permission !== 'granted' || this.dead || !this.registrations.includes(registration)) {
          this.host.tell({ type: 'ended', endpoint: answer.endpoint });
          return reject(refused('AbortError', 'registration failed'));
        }
        const before = registration.subscription;
        if (before) this.host.tell({ type: 'ended', endpoint: before.endpoint });
        registration.subscription = { key, ...answer };
        return resolve(registration.subscription);
      });
    });
  }

  unsubscribe(realm, registration, endpoint) {
    if (registration.subscription?.endpoint !== endpoint) return false;
    registration.subscription = null;
    return new Promise((resolve, reject) => {
      this.host.ask(realm, { kind: 'unsubscribe', profile: this.name, endpoint }, ({ error }) =>
        // Firefox says that it could not tell; Chromium does not.
        error && this.kind === 'firefox' ? reject(refused('NetworkError', 'push service')) : resolve(true));
    });
  }

  /** The visitor changes the permission in the browser's settings. */
  permit(permission) {
    const before = this.permission;
    this.permission = permission;
    if (before === 'granted' && permission !== 'granted') {
      for (const registration of this.registrations) {
        registration.revoked = registration.subscription;
        if (registration.subscription) this.host.tell({ type: 'ended', endpoint: registration.subscription.endpoint });
        registration.subscription = null;
      }
    }
    if (permission === 'granted') {
      for (const registration of this.registrations) {
        const old = registration.revoked;
        registration.revoked = null;
        if (old) this.changed(registration, this.kind === 'firefox' ? old : null, null);
      }
    }
    for (const realm of this.realms) realm.permissionChanged?.();
  }

  /** pushsubscriptionchange, in any shape. */
  changed(registration, old, fresh) {
    this.notify(registration, 'pushsubscriptionchange', (realm) => ({
      oldSubscription: old && subscriptionFor(realm, registration, old),
      newSubscription: fresh && subscriptionFor(realm, registration, fresh),
    }));
  }

  show(registration, title, options) {
    if (this.permission !== 'granted') throw new TypeError('no permission');
    const same = registration.shown.findIndex(({ tag }) => tag && tag === options.tag);
    if (same >= 0) registration.shown.splice(same, 1);
    registration.shown.push({ title, tag: options.tag ?? '', body: options.body ?? '', data: structuredClone(options.data) });
    this.host.tell({ type: 'shown', profile: this.name, scope: registration.scope, title, id: options.data?.pushkeep?.id ?? null });
  }

  /** A message for an endpoint arrives, decrypted; false where no registration has it. */
  received(endpoint, text) {
    const registration = this.registrations.find((one) => one.subscription?.endpoint === endpoint);
    if (!registration || this.permission !== 'granted') return false;
    this.notify(registration, 'push', () => ({ data: { text: () => text, json: () => JSON.parse(text) } }));
    return true;
  }
}
