// A visitor of a test: pushPage.subscribe(key), pushPage.received, pushPage.shown(), pushPage.unsubscribe().

// A worker in which no event comes would leave the page waiting: the driver has the time limits.
const registration = await navigator.serviceWorker.register("/worker.js");
await navigator.serviceWorker.ready;

const received = [];
navigator.serviceWorker.addEventListener("message", (event) => received.push(event.data));
navigator.serviceWorker.startMessages();

window.pushPage = {
  received,

  async subscribe(key) {
    const made = await registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    return { ...made.toJSON(), encodings: [...PushManager.supportedContentEncodings] };
  },

  async unsubscribe() {
    const subscription = await registration.pushManager.getSubscription();
    return subscription === null ? false : subscription.unsubscribe();
  },

  async shown() {
    const shown = await registration.getNotifications();
    return shown.map(({ title, body, tag, data }) => ({ title, body, tag, data: data ?? null }));
  },
};
