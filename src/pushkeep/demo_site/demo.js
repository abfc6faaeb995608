// The demo page: renders what the SDK says, and explains every way it can go wrong.
import { Pushkeep, PushError } from '/pushkeep/sdk.js';
import { consent, ticked, untick } from './consent.js';
import { identity, life, person, signIn } from './life.js';

const MESSAGES_MAX = 20;
const COPIED_MS = 1_600;
const WRITTEN_MS = 1_500;

/** @param {string} id @returns {HTMLElement} */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const { projectKey, command, publicUrl, offline } = document.body.dataset;
const subscribeButton = /** @type {HTMLButtonElement} */ (at('subscribe'));
const unsubscribeButton = /** @type {HTMLButtonElement} */ (at('unsubscribe'));

/** @type {Pushkeep|undefined} */
let push;
let working = '';
let received = 0;

// ---- words

const STATE_TEXT = {
  loading: 'Looking at this browser…',
  insecure: 'Not a secure page',
  unsupported: 'No push in this browser',
  denied: 'Notifications are blocked',
  unsubscribed: 'Not subscribed',
  lost: 'Subscription lost',
  subscribed: 'Subscribed',
};
const PERMISSION_TEXT = { granted: 'allowed', denied: 'blocked', default: 'not asked yet' };
const ERROR_TITLE = {
  unsupported: 'This browser cannot receive push messages here',
  insecure: 'This page is not secure, so push is switched off',
  gesture: 'Please use the button',
  denied: 'Notifications are blocked for this page',
  dismissed: 'You did not answer, and that is fine',
  timeout: 'That took too long',
  push_service_unavailable: 'The push service cannot be reached',
  key_changed: 'The server changed its key',
  network: 'The Pushkeep server does not answer',
  server: 'The Pushkeep server refused',
  consent: 'What you agreed to was not accepted',
};

/** How to undo a "block" in this browser. */
function unblockSteps() {
  const agent = navigator.userAgent;
  if (/Firefox/.test(agent)) {
    return [
      'Click the permissions symbol (a crossed-out speech bubble) or the padlock at the left of the address.',
      'Next to “Send notifications”, remove “Blocked” with the ✕.',
      'Reload this page and press Subscribe again.',
    ];
  }
  if (/Chrom/.test(agent)) {
    return [
      'Click the symbol with two sliders at the left of the address.',
      'Switch “Notifications” on, or choose “Reset permission”.',
      'Reload this page and press Subscribe again.',
      'In a private (Incognito) window the answer is always no: use an ordinary one.',
    ];
  }
  return ['Open the browser’s settings for this site.', 'Allow notifications for it.', 'Reload this page and press Subscribe again.'];
}

/**
 * What to do about an error; text between backticks is shown as code.
 * @param {string} code
 * @returns {string[]}
 */
function helpFor(code) {
  const wired = `Start a browser that is wired to the local push service: \`${command} demo --offline --browser firefox\` (or \`chromium\`).`;
  switch (code) {
    case 'denied':
      return unblockSteps();
    case 'insecure':
      return [
        `On the machine that runs Pushkeep, open \`${publicUrl}\` instead.`,
        'From another machine, put the server behind https. Browsers offer push nowhere else.',
      ];
    case 'timeout':
    case 'push_service_unavailable':
      return offline === undefined
        ? [
            'Check that this machine is online and no firewall or ad blocker stops the browser’s push connection.',
            `No internet here? Run \`${command} demo --offline --browser firefox\` (or \`chromium\`): it brings its own push service.`,
            'Some browsers, such as ungoogled Chromium, come without a push service.',
          ]
        : [wired, 'An ordinary browser window looks for its vendor’s push service on the internet.'];
    case 'network':
      return [`Is \`${command} demo\` still running in its terminal?`, 'Start it again and reload this page. The subscription is kept.'];
    case 'dismissed':
      return ['Nothing was stored. Press Subscribe whenever you like; the browser asks again.'];
    case 'consent':
    case 'key_changed':
      return ['Reload this page and press Subscribe again.'];
    default:
      return [];
  }
}

// ---- rendering

function render() {
  const status = push?.status();
  const state = working ? 'working' : (status?.state ?? 'loading');
  at('status').dataset.state = state;
  at('status-text').textContent = working || STATE_TEXT[state];

  const subscribed = status?.subscribed ?? false;
  at('before').hidden = subscribed;
  at('after').hidden = !subscribed;
  unsubscribeButton.hidden = !subscribed;
  unsubscribeButton.disabled = Boolean(working);
  at('leave').hidden = !subscribed;
  /** @type {HTMLButtonElement} */ (at('vanish')).disabled = Boolean(working);
  subscribeButton.disabled = Boolean(working) || !['unsubscribed', 'lost', 'denied'].includes(status?.state ?? '');
  subscribeButton.setAttribute('aria-busy', String(Boolean(working)));
  subscribeButton.textContent = working || (status?.state === 'lost' ? 'Subscribe again' : 'Subscribe');

  at('short-id').textContent = subscribed ? status.shortId : '';
  for (const mark of document.querySelectorAll('mark[data-id]')) mark.textContent = status?.shortId ?? 'ID';
  at('state-permission').textContent = status?.supported ? PERMISSION_TEXT[status.permission] : 'not available';
  at('state-subscription').textContent = subscribed ? 'active' : status?.state === 'lost' ? 'lost by the browser' : 'none';
  at('state-id').textContent = (subscribed && status.shortId) || 'none';
  at('ask-hint').textContent = hint(status);
  document.body.classList.toggle('subscribed', subscribed);
  step('step-subscribe', subscribed, !subscribed);
  step('step-send', subscribed && received > 0, subscribed && received === 0);
  step('step-see', subscribed && received > 0, false);
}

/** What pressing the button will do. @param {import('/pushkeep/sdk.js').Status|undefined} status */
function hint(status) {
  if (status?.state === 'lost') return 'The browser dropped its subscription: its permission was reset, or its push service forgot it.';
  if (status?.permission === 'granted') return 'This browser already allows notifications here, so it will not ask again.';
  if (status?.permission === 'denied') return '';
  return 'Your browser will ask once more before anything happens.';
}

/** @param {string} id @param {boolean} done @param {boolean} current */
function step(id, done, current) {
  at(id).classList.toggle('done', done);
  if (current) at(id).setAttribute('aria-current', 'step');
  else at(id).removeAttribute('aria-current');
}

/** @param {{code: string, message: string}|null} error */
function showError(error) {
  const box = at('error');
  box.hidden = !error;
  box.dataset.code = error?.code ?? '';
  if (!error) return;
  at('note').hidden = true;
  at('error-title').textContent = ERROR_TITLE[error.code] ?? 'Something went wrong';
  at('error-text').textContent = error.message;
  at('error-help').replaceChildren(...helpFor(error.code).map(helpItem));
}

/** @param {string} text */
function helpItem(text) {
  const item = document.createElement('li');
  text.split('`').forEach((part, index) => {
    const code = document.createElement('code');
    code.textContent = part;
    item.append(index % 2 ? code : part);
  });
  return item;
}

/** @param {string} text */
function showNote(text) {
  at('note').hidden = !text;
  at('note-text').textContent = text;
}

/** @param {{title: string, body?: string, repeat?: boolean, action?: string}} message @param {string} verb */
function showMessage(message, verb) {
  const item = document.createElement('li');
  const title = document.createElement('strong');
  title.textContent = message.title;
  const body = document.createElement('span');
  body.className = 'body';
  body.textContent = message.body ?? '';
  const when = document.createElement('time');
  when.className = 'when';
  const now = new Date();
  when.dateTime = now.toISOString();
  when.textContent = `${verb} ${now.toLocaleTimeString()}${message.repeat ? ' · shown before, so silently' : ''}`;
  item.append(title, body, when);
  const list = at('messages');
  list.prepend(item);
  while (list.children.length > MESSAGES_MAX) list.lastElementChild?.remove();
  at('messages-empty').hidden = true;
  at('state-last').textContent = now.toLocaleTimeString();
}

// ---- doing

/** @param {string} text @param {() => Promise<unknown>} work */
async function doing(text, work) {
  working = text;
  showError(null);
  showNote('');
  render();
  try {
    await work();
    return true;
  } catch (error) {
    working = '';
    showError(standing() ?? (error instanceof PushError ? error : { code: 'unexpected', message: String(error) }));
    return false;
  } finally {
    working = '';
    render();
  }
}

subscribeButton.addEventListener('click', async () => {
  const asking = Notification.permission === 'default';
  // Straight from the click: the question is only allowed while the click counts as one.
  const done = await doing(asking ? 'Answer your browser’s question…' : 'Subscribing…', () => push.subscribe({ consents: ticked() }));
  if (!done) return;
  untick();
  at('after-title').focus();
});

unsubscribeButton.addEventListener('click', async () => {
  const id = push.status().shortId;
  if (await doing('Unsubscribing…', () => push.unsubscribe())) {
    showNote(`Unsubscribed. Nothing will be shown any more; send to ${id} once again to see what Pushkeep says.`);
    subscribeButton.focus();
  }
});

// What a server never hears of: the browser ends the subscription by itself. Only the push service knows.
at('vanish').addEventListener('click', async () => {
  const id = push.status().shortId;
  const left = await doing('Leaving…', async () => {
    for (const slot of ['a', 'b']) {
      const registration = await navigator.serviceWorker.getRegistration(`/pushkeep/${slot}/`);
      await (await registration?.pushManager.getSubscription())?.unsubscribe();
    }
  });
  if (left) {
    showNote(`This browser has left, and the server does not know. Send to ${id} once more: the push service says so, and the subscription is dropped. Reload this page to subscribe again.`);
  }
});

const people = [...document.querySelectorAll('input[name="person"]')].map((input) => /** @type {HTMLInputElement} */ (input));

/** Shows who is signed in. */
function chosen() {
  for (const input of people) input.checked = input.value === (person() ?? '');
}

for (const input of people) {
  input.addEventListener('change', async () => {
    await doing(input.value ? 'Signing in…' : 'Signing out…', () => signIn(push, input.value));
    chosen();
    void refresh();
  });
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.addEventListener('click', () => copy(/** @type {HTMLButtonElement} */ (button)));
}

/** @param {HTMLButtonElement} button */
async function copy(button) {
  const source = at(button.dataset.copy);
  const label = button.firstChild;
  try {
    await navigator.clipboard.writeText(source.textContent.trim());
    label.textContent = 'Copied';
    at('copied').textContent = 'Copied to the clipboard.';
  } catch {
    getSelection().selectAllChildren(source);
    label.textContent = 'Press Ctrl+C';
  }
  setTimeout(() => {
    label.textContent = 'Copy';
    at('copied').textContent = '';
  }, COPIED_MS);
}

const tabs = [...document.querySelectorAll('[role="tab"]')].map((tab) => /** @type {HTMLButtonElement} */ (tab));

/** @param {HTMLButtonElement} chosen */
function choose(chosen) {
  for (const tab of tabs) {
    tab.setAttribute('aria-selected', String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    at(tab.getAttribute('aria-controls')).hidden = tab !== chosen;
  }
}

tabs.forEach((tab, index) => {
  tab.addEventListener('click', () => choose(tab));
  tab.addEventListener('keydown', (event) => {
    const moves = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: tabs.length - 1 };
    if (!(event.key in moves)) return;
    event.preventDefault();
    const next = tabs.at(moves[event.key] % tabs.length);
    choose(next);
    next.focus();
  });
});

// ---- start

push = await Pushkeep.init({ projectKey, identity: await identity().catch(() => undefined) });
const agreed = Pushkeep.isSupported() ? await consent(push, doing, () => void refresh()) : undefined;
const { refresh } = life(push, agreed);
chosen();

/** What stands in the way now, apart from what went wrong in the last click. */
function standing() {
  if (push.status().state !== 'denied') return Pushkeep.obstacle() ?? push.status().error;
  return new PushError('denied', 'The browser will not ask again by itself. If you changed your mind:');
}

push.on('change', () => {
  const error = standing();
  const over = push.status().subscribed || at('error').dataset.code === 'denied';
  if (!working && (error || over)) showError(error);
  render();
  void refresh();
});
push.on('received', ({ detail }) => {
  received += 1;
  showMessage(detail, 'shown');
  render();
  // By then the server has written down what became of it.
  setTimeout(() => void refresh(), WRITTEN_MS);
});
push.on('clicked', ({ detail }) => showMessage(detail, 'clicked'));
showError(standing());
render();
