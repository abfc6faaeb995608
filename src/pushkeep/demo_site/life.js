// The subscription's life, live: what the server knows of it, what this browser holds, whom it belongs to.

const REFRESH_MS = 4_000;
const STORY_MAX = 30;
const STATE_WORDS = {
  active: 'Active',
  failing: 'Failing',
  quarantined: 'In quarantine',
  needs_renewal: 'Needs renewal',
  gone: 'Gone',
  unsubscribed: 'Unsubscribed',
  superseded: 'Replaced',
};
// From this score on up it is well; below the second one it is in trouble.
const WELL_MIN = 80;
const POOR_MAX = 40;
const SLOTS = ['a', 'b'];
const PERSON = 'pushkeep-demo-person';

/** @param {string} id @returns {HTMLElement} */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

/** Who is signed in on this demo site: it remembers, as a site's session does. */
export const person = () => localStorage.getItem(PERSON);

/**
 * What the site's own server signs for whoever is signed in; undefined where nobody ever was, null where nobody is.
 * @param {string|null} [name]
 * @returns {Promise<string|null|undefined>}
 */
export async function identity(name = person()) {
  if (!name) return name === '' ? null : undefined;
  const answer = await fetch(`/demo/identity/${encodeURIComponent(name)}`, { cache: 'no-store' });
  return answer.ok ? (await answer.json()).identity : undefined;
}

/** @param {string|number|null|undefined} value RFC 3339, or epoch seconds */
const date = (value) => (value == null ? null : new Date(typeof value === 'number' ? value * 1000 : value));

/** @param {Date} then */
function ago(then) {
  const seconds = Math.round((Date.now() - then.getTime()) / 1000);
  for (const [unit, size] of /** @type {const} */ ([['day', 86_400], ['hour', 3_600], ['minute', 60]])) {
    if (seconds >= size) return relative.format(-Math.floor(seconds / size), unit);
  }
  return seconds < 5 ? 'just now' : relative.format(-seconds, 'second');
}

/** @param {string} name @param {string} [className] @param {string} [text] */
function made(name, className = '', text = '') {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}

/** @param {string} id @param {string|number|null|undefined} value @param {string} [none] */
function showMoment(id, value, none = 'not yet') {
  const then = date(value);
  at(id).textContent = then ? ago(then) : none;
  at(id).title = then ? then.toLocaleString() : '';
}

/** The name a key has in the server's lists: 12 characters of its hash. @param {ArrayBuffer} key */
async function keyName(key) {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', key)).slice(0, 9);
  return btoa(String.fromCharCode(...digest)).replace(/\+/g, '-').replace(/\//g, '_');
}

/** What this browser really holds, asked of the browser itself. */
async function held() {
  return Promise.all(SLOTS.map(async (slot) => {
    const scope = new URL(`/pushkeep/${slot}/`, location.href).href;
    const registration = await navigator.serviceWorker.getRegistration(scope);
    const subscription = registration?.scope === scope ? await registration.pushManager.getSubscription() : null;
    const key = subscription?.options.applicationServerKey;
    return { slot, endpoint: subscription?.endpoint, key: key ? await keyName(key) : '' };
  }));
}

/** @param {{slot: string, endpoint?: string, key: string}[]} found @param {string|undefined} used */
function showSlots(found, used) {
  for (const { slot, endpoint, key } of found) {
    const item = at(`slot-${slot}`);
    const state = !endpoint ? 'empty' : slot === used ? 'used' : 'kept';
    item.dataset.state = state;
    at(`slot-${slot}-words`).textContent = { empty: 'empty', used: 'in use', kept: 'kept for messages on their way' }[state];
    at(`slot-${slot}-key`).textContent = key;
  }
}

/** @param {{at: string|number, words: string}[]} story */
function showStory(story) {
  const items = [...story].reverse().slice(0, STORY_MAX).map((entry) => {
    const item = made('li');
    const then = date(entry.at);
    const when = /** @type {HTMLTimeElement} */ (made('time', 'when', then ? ago(then) : ''));
    if (then) when.dateTime = then.toISOString();
    when.title = then ? then.toLocaleString() : '';
    item.append(made('span', 'words', entry.words), when);
    return item;
  });
  at('story').replaceChildren(...items);
}

/** @param {{score: number, likely_dead: boolean, reasons: string[]}} [health] */
function showHealth(health) {
  const score = Math.round(health?.score ?? 0);
  at('score').textContent = String(score);
  at('gauge').setAttribute('width', String(score));
  at('health').dataset.level = score >= WELL_MIN ? 'well' : score < POOR_MAX ? 'poor' : 'fair';
  const reasons = health?.reasons ?? [];
  at('health-reasons').replaceChildren(...reasons.map((words) => made('li', '', words)));
  at('health-words').textContent = health?.likely_dead ? 'Likely dead' : score >= WELL_MIN ? 'Well' : 'In some trouble';
  at('health-words').hidden = !health;
}

/**
 * Keeps the section about the subscription's life up to date while anybody looks at it.
 * @param {import('/pushkeep/sdk.js').Pushkeep} push
 * @param {(held: Record<string, any>[]) => Promise<void>} [agreed]  shows what the visitor has agreed to
 */
export function life(push, agreed) {
  let asking = false;
  let again = false;
  let asked = '';
  // What was told of those that this one came after, while the page is open.
  /** @type {Map<string, {at: string|number, words: string}[]>} */
  const chapters = new Map();

  async function ask() {
    const status = push.status();
    at('life').hidden = !status.subscribed;
    if (!status.subscribed) return;
    const found = await held();
    const described = await push.describe();
    if (!described) return;
    const [only, other] = found.filter((one) => one.endpoint);
    showSlots(found, status.slot ?? (other ? undefined : only?.slot));
    at('life-state').textContent = STATE_WORDS[described.state] ?? described.state;
    at('life-state').dataset.state = described.state;
    showMoment('life-created', described.created_at);
    showMoment('life-seen', described.last_seen_at);
    showMoment('life-accepted', described.last_accepted_at);
    showMoment('life-displayed', described.last_displayed_at);
    at('life-owner').textContent = person() || 'nobody';
    showHealth(described.health);
    await agreed?.(described.consents ?? []);
    chapters.set(described.id, described.story ?? []);
    showStory([...chapters.values()].flat());
    asked = new Date().toLocaleTimeString();
    // The server has another key, or the push service gave this one up: no need to wait for the next page load. Where
    // the browser holds nothing, it was ended on purpose here; that is for the next load to mend.
    if (described.renew && only) await push.sync();
  }

  async function refresh() {
    if (asking) {
      again = true;
      return;
    }
    asking = true;
    do {
      again = false;
      try {
        await ask();
        at('life').dataset.stale = 'false';
        at('life-asked').textContent = asked ? `as of ${asked}` : '';
      } catch {
        at('life').dataset.stale = 'true';
        at('life-asked').textContent = asked ? `server not reached · as of ${asked}` : 'server not reached';
      }
    } while (again);
    asking = false;
  }

  setInterval(() => document.visibilityState === 'visible' && void refresh(), REFRESH_MS);
  document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && void refresh());
  void refresh();
  return { refresh };
}

/**
 * Signs somebody in or, with an empty name, out: what a site does around its own log-in.
 * @param {import('/pushkeep/sdk.js').Pushkeep} push
 * @param {string} name
 */
export async function signIn(push, name) {
  const token = await identity(name);
  try {
    await (token ? push.login(token) : push.logout());
  } catch (error) {
    // What could not be told is told later; what was refused is not so.
    if (error.code === 'identity') throw error;
    localStorage.setItem(PERSON, name);
    throw error;
  }
  localStorage.setItem(PERSON, name);
}
