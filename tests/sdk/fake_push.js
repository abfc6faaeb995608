// A PushManager for the page that behaves as told. Its one subscription lives in localStorage, so that every tab of the
// origin and every reload sees the same, as with a real one.
(() => {
  if (!self.isSecureContext) return;
  const KEY = 'fake-push';
  const read = () => JSON.parse(localStorage.getItem(KEY) ?? '{"calls":0,"running":0,"together":0,"current":null}');
  const write = (state) => localStorage.setItem(KEY, JSON.stringify(state));
  const b64 = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0)).buffer;

  const handle = ({ number, key }) => {
    const endpoint = `https://push.example/${number}`;
    return {
      endpoint,
      options: { applicationServerKey: bytes(key), userVisibleOnly: true },
      toJSON: () => ({ endpoint, expirationTime: null, keys: { p256dh: 'p256dh', auth: 'auth' } }),
      unsubscribe: async () => {
        self.fakePush.unsubscribed += 1;
        const state = read();
        state.current = null;
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
    lose: () => write({ ...read(), current: null }),
    put: (number, key) => write({ ...read(), current: { number, key } }),
  };

  PushManager.prototype.getSubscription = async function getSubscription() {
    const { current } = read();
    return current && handle(current);
  };
  PushManager.prototype.subscribe = async function subscribe({ applicationServerKey, userVisibleOnly }) {
    if (!userVisibleOnly) throw new DOMException('userVisibleOnly', 'NotAllowedError');
    const key = b64(applicationServerKey);
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
    if (state.current && state.current.key !== key) throw new DOMException('another key', 'InvalidStateError');
    state.current = { number: state.calls, key };
    write(state);
    return handle(state.current);
  };
})();
