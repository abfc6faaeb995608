// A PushManager for the page that behaves as told. Its subscriptions, one for each scope, live in localStorage, so that
// every tab of the origin and every reload sees the same, as with a real one. There is no Background Sync unless a test
// asks for it: it would wake the worker, whose PushManager is the real one.
(() => {
  if (!self.isSecureContext) return;
  const KEY = 'fake-push';
  const read = () => JSON.parse(localStorage.getItem(KEY) ?? '{"calls":0,"running":0,"together":0,"a":null,"b":null}');
  const write = (state) => localStorage.setItem(KEY, JSON.stringify(state));
  const b64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)).buffer;

  const slots = new WeakMap();
  const { get } = Object.getOwnPropertyDescriptor(ServiceWorkerRegistration.prototype, 'pushManager');
  Object.defineProperty(ServiceWorkerRegistration.prototype, 'pushManager', {
    get() {
      const manager = get.call(this);
      slots.set(manager, this.scope.endsWith('/b/') ? 'b' : 'a');
      return manager;
    },
  });
  delete ServiceWorkerRegistration.prototype.sync;
  delete ServiceWorkerRegistration.prototype.periodicSync;

  const handle = (slot, { number, key }) => {
    const endpoint = `https://push.example/${number}`;
    return {
      endpoint,
      options: { applicationServerKey: bytes(key), userVisibleOnly: true },
      toJSON: () => ({ endpoint, expirationTime: null, keys: { p256dh: 'p256dh', auth: 'auth' } }),
      unsubscribe: async () => {
        self.fakePush.unsubscribed += 1;
        const state = read();
        state[slot] = null;
        write(state);
        if (self.fakePush.unsubscribeError) throw new DOMException('as told', self.fakePush.unsubscribeError);
        return true;
      },
    };
  };

  self.fakePush = {
    unsubscribed: 0,
    delay: 0,
    error: null, // name of the DOMException that subscribe() rejects with
    message: 'as told',
    hang: false, // subscribe() settles only when release() is called
    release: () => {},
    state: read,
    lose: (slot = 'a') => write({ ...read(), [slot]: null }),
    put: (number, key, slot = 'a') => write({ ...read(), [slot]: { number, key } }),
  };

  PushManager.prototype.getSubscription = async function getSubscription() {
    const slot = slots.get(this);
    const current = read()[slot];
    return current && handle(slot, current);
  };
  PushManager.prototype.subscribe = async function subscribe({ applicationServerKey, userVisibleOnly }) {
    if (!userVisibleOnly) throw new DOMException('userVisibleOnly', 'NotAllowedError');
    const key = b64(applicationServerKey);
    const slot = slots.get(this);
    let state = read();
    state.calls += 1;
    state.running += 1;
    state.together = Math.max(state.together, state.running);
    write(state);
    if (self.fakePush.hang) await new Promise((go) => (self.fakePush.release = go));
    await new Promise((done) => setTimeout(done, self.fakePush.delay));
    state = read();
    state.running -= 1;
    write(state);
    if (self.fakePush.error) throw new DOMException(self.fakePush.message, self.fakePush.error);
    if (state[slot] && state[slot].key !== key) throw new DOMException('another key', 'InvalidStateError');
    state[slot] ??= { number: state.calls, key };
    write(state);
    return handle(slot, state[slot]);
  };
})();
