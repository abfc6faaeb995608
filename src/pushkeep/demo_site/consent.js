// What the visitor may agree to: asked before they subscribe, shown and taken back afterwards.

/** @typedef {{digest: string, locale: string, version: string, text: string}} Wording */
/** @typedef {{name: string, description: string, basis: string, wording: Wording|null}} Purpose */
/** @typedef {{purpose: string, given: boolean, at: string|null, method: string|null, wording: Wording|null}} Held */

const METHOD_WORDS = {
  prompt: 'before subscribing',
  settings: 'with this switch',
  unsubscribed: 'by unsubscribing',
  api: 'by word of the site',
  import: 'before the site moved here',
};

const NOTED = 'Noted. The server is told as soon as it can be reached.';

/** @param {string} id @returns {HTMLElement} */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/** @type {Purpose[]} */
let purposes = [];

/**
 * A box to tick, with what it is for and the text that is agreed to: exactly the one that was declared.
 * @param {Purpose} purpose @param {string} [role]
 */
function choice({ name, description, wording }, role) {
  const label = document.createElement('label');
  label.className = 'choice';
  const input = document.createElement('input');
  input.type = 'checkbox';
  input.value = name;
  if (role) input.setAttribute('role', role);
  const words = document.createElement('span');
  const title = document.createElement('b');
  title.textContent = description;
  const text = document.createElement('span');
  text.className = 'wording';
  text.lang = wording?.locale ?? '';
  text.textContent = wording?.text ?? '';
  words.append(title, text);
  label.append(input, words);
  return { label, input, words };
}

/** What to give to subscribe(): the boxes that are ticked. None is beforehand: silence is no consent. */
export const ticked = () =>
  [...at('consents').querySelectorAll('input')].filter((input) => input.checked).map((input) => {
    const { name, wording } = /** @type {Purpose} */ (purposes.find((one) => one.name === input.value));
    return { purpose: name, wording };
  });

/** Whoever comes back is asked anew. */
export function untick() {
  for (const input of at('consents').querySelectorAll('input')) input.checked = false;
}

/**
 * Draws what there is to agree to, and keeps what holds up to date.
 * @param {import('/pushkeep/sdk.js').Pushkeep} push
 * @param {(text: string, work: () => Promise<unknown>) => Promise<boolean>} doing  shows that something is under way
 * @param {() => void} changed  called when something was said
 */
export async function consent(push, doing, changed) {
  /** @type {Map<string, {input: HTMLInputElement, state: HTMLElement}>} */
  const switches = new Map();
  let saying = 0;
  // The page works without: then there is nothing to agree to.
  purposes = (await push.purposes().catch(() => [])).filter((one) => one.basis === 'consent' && one.wording);
  at('consents').hidden = !purposes.length;
  at('agreed').hidden = !purposes.length;
  for (const purpose of purposes) {
    at('consents-list').append(choice(purpose).label);
    const { label, input, words } = choice(purpose, 'switch');
    const state = document.createElement('span');
    state.className = 'when';
    words.append(state);
    at('agreed-list').append(label);
    switches.set(purpose.name, { input, state });
    input.addEventListener('change', async () => {
      const given = input.checked;
      const said = { purpose: purpose.name, given, wording: given ? purpose.wording : null };
      saying += 1;
      const done = await doing(given ? 'Agreeing…' : 'Taking it back…', () => push.consent(said));
      saying -= 1;
      if (!done) input.checked = !given;
      else if (push.status().pending) state.textContent = NOTED;
      changed();
    });
  }
  for (const mark of document.querySelectorAll('mark[data-purpose]')) mark.textContent = purposes[0]?.name ?? 'PURPOSE';

  /** @param {Held[]} held  what the server knows */
  return async (held) => {
    // Only where something waits: what the server is yet to be told it does not know.
    const said = push.status().pending ? await push.consents().catch(() => ({})) : {};
    // What the visitor has just said is not undone by an answer from before it.
    if (saying) return;
    for (const [name, { input, state }] of switches) {
      const word = held.find((one) => one.purpose === name);
      const waits = said[name]?.told === false;
      input.checked = (waits ? said[name] : word)?.given ?? false;
      if (waits) state.textContent = NOTED;
      else state.textContent = word ? sentence(word) : 'You have not agreed to this.';
    }
  };
}

/** @param {Held} word */
function sentence({ given, at: when, method, wording }) {
  const time = when ? ` on ${new Date(when).toLocaleString()}` : '';
  const how = METHOD_WORDS[method ?? ''] ?? '';
  const text = wording ? `, in the words of version ${wording.version} (${wording.locale})` : '';
  return `${given ? 'Agreed' : 'Taken back'}${time}${how && ` ${how}`}${text}.`;
}
