// Keeps browser and server in agreement, with two places for a subscription.
//
// There is no list of things to do. look() reads the stored record and what the browser holds, next() names the one
// step that is due, the step is done and written down, and it begins again until the step is "rest". The tab or the
// worker may die between any two awaits: whoever looks next finds what is due then.
//
// A subscription lives in one of two slots, the scopes …/a/ and …/b/. A new key moves it to the idle slot: subscribe
// there, have the server confirm that it replaces the other, drop the other after a grace period. So no moment is
// without a subscription, and messages queued for the old one still come.
(() => {
  'use strict';

  const { PushError, locked, stored, abilities, call, refusal, currentKey, keyOf, subscribe, end } = self.PushkeepCore;

  /** @typedef {'a'|'b'} Slot */
  const SLOTS = /** @type {const} */ (['a', 'b']);
  const OTHER = /** @type {const} */ ({ a: 'b', b: 'a' });
  // Confirmed so lately that a page start asks nobody: about a visit.
  const FRESH_MS = 300_000;
  // Tokens of replaced subscriptions: a server set up again from an older backup may take one of them for living.
  const FORMER_MAX = 5;
  // The longest grace period a server gives: what is to end later was noted by a clock that was wrong.
  const GRACE_MS_MAX = 604_800_000;
  // Lost one after the other while the server was away: the rest is found out by sending.
  const DOUBTS_MAX = 5;
  // A server set up again from an older backup takes those who have left since for living: they say it again.
  const LEFT_MS = 30 * 86_400_000;
  const LEFT_AGAIN_MS = 86_400_000;
  const ENDED = ['superseded', 'unsubscribed', 'gone'];
  // What the server takes at once; more are told after them.
  const WORDS_MAX = 20;
  // Of people who have logged out with something untold: a browser that so many share tells nobody's.
  const WORDS_KEPT_MAX = 100;
  // The longest way, a move that meets a key changed twice, takes ten steps.
  const STEPS_MAX = 20;
  // After a failure, doubled each time, a quarter of it by chance: a server that comes back is not run down.
  const RETRY_MS = 5_000;
  const RETRY_MS_MAX = 3_600_000;

  /**
   * @typedef {object} Box  a subscription, as far as the server knows it
   * @property {string} endpoint
   * @property {string} key           application server key, unpadded base64url
   * @property {object} [subscription]  as it was sent, while it is unknown whether that arrived
   * @property {string} [token]       authorises replacing and ending it
   * @property {string} [state]       "active", …: what the server last said
   * @property {number} [sequence]    the highest the server has seen
   * @property {number} [confirmed]   epoch milliseconds
   * @property {string} [abilities]   as the server was told
   *
   * @typedef {object} Word  what the visitor has said about a purpose
   * @property {string} purpose
   * @property {boolean} given        agreed, or withdrew
   * @property {string} [wording]     digest of the text they were shown
   * @property {'prompt'|'settings'} method
   * @property {string} page
   * @property {string|null} [subject]  who was logged in then; null: nobody, so it is this browser's
   * @property {number} [at]          epoch milliseconds
   * @property {number} [stamp]       sequence number of the moment
   * @property {boolean} [told]
   * @property {string} [since]       when the server heard it, by its clock
   *
   * @typedef {object} Keep  the record in IndexedDB
   * @property {boolean} [wanted]     what the visitor wants; undefined: they were never asked
   * @property {import('./core.js').Site} [site]
   * @property {number} sequence      rises with every request that changes something: one that comes late is refused
   * @property {Slot} current         the slot in use
   * @property {Box} [a]
   * @property {Box} [b]
   * @property {string[]} former      tokens of what was replaced or ended, newest first
   * @property {{subscription: Record<string, any>, key: string}[]} doubts  sent, gone since, and never answered
   * @property {{id: string, short_id: string}} [known]  what the subscription is called
   * @property {boolean} [owned]      whether the server knows whose it is
   * @property {{subject: string|null, identity?: string, told: boolean, stamp: number, away?: boolean}} [owner]  who is
   *   logged in; away: somebody else logged out before, which the server does not know yet
   * @property {Word[]} words         the latest about each purpose, oldest first
   * @property {'asked'|'leaked'} [renew]  the server wants a new subscription; "leaked": at once, its key is stolen
   * @property {{slot: Slot, at: number}} [drop]  replaced; ended at this time
   * @property {{until: number, said: number, erase?: boolean}} [left]  the visitor has left; how long and when last that
   *   was said; erase: the server is to forget what it knows of the subscription
   * @property {{tries: number, at: number}} [retry]
   *
   * @typedef {object} Home  where this runs: a page reaches both slots, most workers only their own
   * @property {import('./core.js').Site} site
   * @property {(slot: Slot) => Promise<ServiceWorkerRegistration|null|undefined>} registration  null: there is none;
   *   undefined: out of reach from here
   * @property {(slot: Slot) => Promise<ServiceWorkerRegistration|undefined>} prepare  one with an active worker
   * @property {Partial<Record<Slot, PushSubscription|null>>} [given]  what the browser handed over
   * @property {() => Promise<boolean>} [delegate]  hands a move that this worker cannot make to an open page
   * @property {() => void} [late]    a subscribe() that was given up has settled
   *
   * @typedef {object} View  what look() saw
   * @property {Keep} record
   * @property {Record<Slot, PushSubscription|null|undefined>} seen  undefined: out of reach from here
   * @property {boolean} granted
   * @property {string[]|undefined} able
   */

  // ---- the record

  /** @type {Keep} */
  const NOTHING = { sequence: 0, current: 'a', former: [], doubts: [], words: [] };

  /** Reads the record, or replaces it. @param {(record: Keep) => Keep} [change] @returns {Promise<Keep>} */
  const keep = async (change) => ({ ...NOTHING, ...(await stored('keep', change && ((before) => change({ ...NOTHING, ...before })))) });

  /** The next sequence number: above all before, also when the record was lost in between. @param {Keep} record */
  const raised = ({ sequence }) => Math.max(sequence + 1, Date.now());

  /** Empties a slot; what was in it stays known until the server knows better. @param {Keep} record @param {Slot} slot @returns {Keep} */
  function retired(record, slot) {
    const { [slot]: box, former, doubts, ...rest } = record;
    if (!box) return record;
    const { subscription, key } = box;
    if (!box.token) return { ...rest, former, doubts: subscription ? [...doubts, { subscription, key }].slice(-DOUBTS_MAX) : doubts };
    return { ...rest, doubts, former: [...new Set([box.token, ...former])].slice(0, FORMER_MAX) };
  }

  /** The other slot is the one in use, so it is not to be dropped. @param {Keep} record @returns {Keep} */
  const turned = ({ drop: _, ...record }) => ({ ...record, current: OTHER[record.current] });

  /** @param {Box|undefined} box @param {PushSubscription|null|undefined} subscription */
  const same = (box, subscription) => Boolean(box && subscription && box.endpoint === subscription.endpoint && box.key === keyOf(subscription));

  /** @param {Box|undefined} box @param {number} now */
  const fresh = (box, now) => Boolean(box?.confirmed && Math.abs(now - box.confirmed) < FRESH_MS);

  /**
   * Notes what the visitor wants. It counts from now on, whatever happens to this tab.
   * @param {boolean} wanted
   * @param {{identity?: string|null, words?: Word[], erase?: boolean}} [more]  who is logged in, and what they said with
   *   it: noted in one, so that nothing is ever begun without the word that was given for it; or that what is known of
   *   them is to be erased
   */
  const want = (wanted, { identity, words = [], erase } = {}) =>
    keep(({ known, retry: _, owner, left: __, ...record }) => {
      const sequence = raised(record);
      if (wanted) {
        const begun = { ...record, wanted, sequence, known, owner };
        return spoken(identity === undefined ? begun : owned(begun, identity), words);
      }
      const left = { until: Date.now() + LEFT_MS, said: Date.now(), erase };
      // Whoever comes back is not taken for the one who left, and leaving takes back whatever was agreed to.
      return { ...record, wanted, sequence, left, owner: { subject: null, told: false, stamp: sequence }, words: [] };
    });

  /**
   * Notes who is logged in: the contact of an identity token, or with null nobody.
   * @param {string|null} identity
   */
  const own = (identity) => keep((record) => owned(record, identity));

  /** Notes what the visitor said. @param {Word[]} words */
  const say = (words) => keep((record) => spoken(record, words));

  /** @param {Keep} record @param {string|null} identity @returns {Keep} */
  function owned(record, identity) {
    const { owner, owned, current, words } = record;
    const subject = identity === null ? null : subjectOf(identity);
    const known = owner?.told && owner.subject === subject;
    if (known && (identity === null ? !owned : fresh(record[current], Date.now()))) return record;
    const sequence = raised(record);
    const away = owner?.told === false && (owner.away || owner.subject === null);
    // What somebody else has said is told when they are back.
    const kept = words.filter((word) => !word.told || concerns(word, subject));
    const next = { ...record, sequence, owner: { subject, identity: identity ?? undefined, told: false, stamp: sequence, away }, words: kept };
    // Somebody else: that is news, not another try.
    if (owner?.subject !== subject) delete next.retry;
    return next;
  }

  /** Whom an identity token names, signed either way; read, not checked. @param {string} identity @returns {string} */
  function subjectOf(identity) {
    try {
      return String(JSON.parse(atob(identity.split('.')[1].replace(/-/g, '+').replace(/_/g, '/'))).sub);
    } catch {
      return identity;
    }
  }

  // ---- what the visitor has agreed to

  /** @param {Keep} record @param {Word[]} words @returns {Keep} */
  function spoken(record, words) {
    if (!words.length) return record;
    const [subject, stamp] = [record.owner?.subject ?? null, raised(record)];
    const said = words.map((word) => ({ ...word, subject, at: Date.now(), stamp, told: false }));
    const before = record.words.filter((old) => old.subject !== subject || said.every((word) => word.purpose !== old.purpose));
    const { retry: _, ...rest } = record;
    return { ...rest, sequence: stamp, words: [...before, ...said].slice(-WORDS_KEPT_MAX) };
  }

  /** Whether it was said by whoever is there now, or before anybody was. @param {Word} word @param {string|null|undefined} subject */
  const concerns = (word, subject) => (word.subject ?? null) === null || word.subject === subject;

  /** The words of whoever is there now, oldest first. @param {Keep} record */
  const theirs = ({ words, owner }) => words.filter((word) => concerns(word, owner?.subject));

  /** What the server is to be told next: one word about each purpose. @param {Keep} record */
  function due(record) {
    const open = theirs(record).filter((word) => !word.told);
    return open.filter((word, at) => open.findIndex((one) => one.purpose === word.purpose) === at).slice(0, WORDS_MAX);
  }

  /** @param {Word[]} words */
  const onWire = (words) => words.map(({ purpose, given, wording, method, page }) => ({ purpose, given, wording, method, page }));

  /** @param {Word[]} words @param {Word} word */
  const among = (words, { purpose, stamp }) => words.some((one) => one.purpose === purpose && one.stamp === stamp);

  /**
   * The server has taken these words, and says what holds by now and since when. What it knows nothing of, or only an
   * older word, it has forgotten: it was set up again from a backup. Where it knows another word that is newer, somebody
   * else has spoken, and this browser must not say its old one again.
   * @param {Keep} record @param {Word[]} sent
   * @param {{consents?: Record<string, boolean>, since?: Record<string, string>}} answer @returns {Word[]}
   */
  function heeded({ words, owner }, sent, { consents, since = {} }) {
    return words.flatMap((word) => {
      const { purpose } = word;
      if (among(sent, word)) return { ...word, told: true, since: since[purpose] };
      if (!consents || !word.told || !concerns(word, owner?.subject) || consents[purpose] === word.given) return word;
      const forgotten = !(purpose in consents) || Date.parse(since[purpose]) < Date.parse(word.since ?? '');
      return forgotten ? { ...word, told: false } : [];
    });
  }

  // ---- what is due

  /** @param {Home} home @returns {Promise<View>} */
  async function look(home) {
    /** @type {View['seen']} */
    const seen = { a: null, b: null };
    for (const slot of SLOTS) {
      const registration = await home.registration(slot);
      seen[slot] = registration && ((await registration.pushManager.getSubscription()) ?? home.given?.[slot] ?? null);
    }
    return { record: await keep(), seen, granted: Notification.permission === 'granted', able: await abilities() };
  }

  /**
   * The one step that is due.
   * @param {View} view
   * @param {number} now
   * @returns {keyof typeof STEPS | 'rest'}
   */
  function next({ record, seen, granted, able }, now) {
    const { wanted, current, drop, owner, left } = record;
    const idle = OTHER[current];
    const [box, here] = [record[current], seen[current]];
    const held = SLOTS.some((slot) => record[slot]);
    // Not while the server would take them for somebody else's: then they go with the word who is there.
    const untold = owner?.told !== false && due(record).length > 0;
    if (wanted === false && (held || seen.a || seen.b)) return 'leave';
    if (wanted !== false && !granted && held) return 'lose';
    if (record.doubts.length) return 'settle';
    if (wanted === false && left && record.former.length && now < left.until && Math.abs(now - left.said) >= LEFT_AGAIN_MS) return 'repeat';
    if (!wanted && (wanted === false || !(seen.a || seen.b))) return 'rest';
    if (!granted) return 'rest';
    if (here === null) return seen[idle] && drop?.slot !== idle ? 'swap' : 'subscribe';
    if (here && !same(box, here)) return 'register';
    // A new subscription may not be had for long, and messages come by this one: who takes something back is heard first.
    if (untold && box?.token && !ended(box)) return 'tell';
    if (here && record.renew && !(drop && serves(record))) return 'renew';
    if (here && (!box?.token || (owner && !owner.told) || box.abilities !== String(able))) return 'register';
    if (!box?.token) return 'rest';
    if (untold) return 'tell';
    // What was replaced is ended last, by word of a server that has its successor: one from an older backup may not.
    if (!fresh(box, now)) return 'heartbeat';
    return drop && seen[drop.slot] !== undefined && (over(drop, now) || !seen[drop.slot]) ? 'drop' : 'rest';
  }

  /** @param {{at: number}} drop @param {number} now */
  const over = ({ at }, now) => now >= at || at > now + GRACE_MS_MAX;

  /** Whether messages come by the current one, so that a move must not lose any: it waits until it can be made so. @param {Keep} record */
  const serves = (record) => record.renew === 'asked' && ['active', 'failing'].includes(record[record.current]?.state ?? '');

  // ---- the steps

  const STEPS = { leave, repeat, lose, settle, drop, swap, subscribe: fill, renew, register: confirm, tell, heartbeat };

  /** The visitor has left. The server being away must not keep them subscribed. @param {View} view @param {Home} home @param {Run} run */
  async function leave({ record, seen }, home, run) {
    const failure = await dismiss(record, home, 'left').catch((error) => error);
    for (const slot of SLOTS) {
      const [subscription, registration] = [seen[slot], await home.registration(slot)];
      if (subscription && registration) await end(registration, subscription, run.left());
    }
    if (failure) throw failure;
  }

  /** Says it again, of all that may be living once more; nothing depends on whether it gets through. @param {View} view @param {Home} home */
  async function repeat({ record }, home) {
    await keep(({ left, ...now }) => ({ ...now, left: left && { ...left, said: Date.now() } }));
    for (const token of record.former) await remove(home, token, 'left').catch(() => {});
  }

  /** The permission is gone, and with it the subscription; it is made anew when the permission comes back. @param {View} view @param {Home} home */
  async function lose({ record }, home) {
    await dismiss(record, home, 'lost');
  }

  /** Has the server end what is in the slots. @param {Keep} record @param {Home} home @param {'left'|'lost'} reason */
  async function dismiss(record, home, reason) {
    for (const slot of SLOTS) {
      const box = record[slot];
      if (box?.token) await remove(home, box.token, reason);
      // Unless another tab has put another one there meanwhile.
      await keep((now) => (now[slot]?.endpoint === box?.endpoint ? retired(now, slot) : now));
    }
    await keep(({ drop: _, renew: __, ...rest }) => rest);
  }

  /** @param {Home} home @param {string} token @param {'left'|'lost'} reason @param {boolean} [again] */
  async function remove(home, token, reason, again = true) {
    const { sequence, left } = await keep((record) => ({ ...record, sequence: raised(record) }));
    const query = `reason=${reason}&sequence=${sequence}${left?.erase ? '&erase=true' : ''}`;
    const reply = await call(home.site, `subscriptions?${query}`, { method: 'DELETE', token });
    if (reply.answer.reason === 'stale' && again) {
      await outrun(reply);
      return remove(home, token, reason, false);
    }
    // An unknown token is as good as an ended one. Anything else is worth another try, also a page of somebody's.
    if (reply.status !== 204 && ![401, 403, 404, 410].includes(reply.status)) throw refusal(reply);
    return undefined;
  }

  /**
   * A registration was sent, its answer never came, and the subscription is gone: the server may take it for living.
   * Sent again it gets a token, and with that it is ended.
   * @param {View} view @param {Home} home
   */
  async function settle({ record, seen }, home) {
    const [{ subscription, key }] = record.doubts;
    const back = SLOTS.some((slot) => [seen[slot]?.endpoint, record[slot]?.endpoint].includes(subscription.endpoint));
    if (!back) {
      const { sequence } = await keep((now) => ({ ...now, sequence: raised(now) }));
      const body = { subscription, application_server_key: key, sequence };
      const reply = await call(home.site, 'subscriptions', { method: 'POST', body });
      if (reply.answer.reason === 'stale') return outrun(reply);
      const nonsense = reply.status < 300 && !reply.answer.sync_token;
      if (nonsense || reply.status >= 500 || reply.status === 429) throw refusal(reply);
      if (reply.answer.sync_token) await remove(home, reply.answer.sync_token, 'lost');
    }
    await keep((now) => ({ ...now, doubts: now.doubts.filter((one) => one.subscription.endpoint !== subscription.endpoint) }));
    return undefined;
  }

  /** The grace period of a replaced subscription is over. unregister() would take its notifications off the screen. @param {View} view @param {Home} home @param {Run} run */
  async function drop({ record, seen }, home, run) {
    const { slot } = /** @type {NonNullable<Keep['drop']>} */ (record.drop);
    const [subscription, registration] = [seen[slot], await home.registration(slot)];
    if (subscription && registration) await end(registration, subscription, run.left());
    await keep(({ drop: _, ...now }) => retired(now, slot));
  }

  /** The slot in use is empty and the other is not: a move was cut off. */
  async function swap() {
    await keep((now) => turned(now));
  }

  /** Nothing is there: first time, or the browser lost it. @param {View} view @param {Home} home @param {Run} run */
  async function fill({ record }, home, run) {
    const key = await currentKey(home.site);
    const registration = await home.prepare(record.current);
    if (!registration) return 'rest';
    await subscribe(registration, key, run.left(), home.late);
    return undefined;
  }

  /** The server wants another subscription: make it before the old one is broken. @param {View} view @param {Home} home @param {Run} run */
  async function renew({ record, seen }, home, run) {
    const { current, drop } = record;
    const idle = OTHER[current];
    const here = /** @type {PushSubscription} */ (seen[current]);
    const key = await currentKey(home.site);
    const leaked = record.renew === 'leaked';
    if (leaked && keyOf(here) === key) return void (await keep(({ renew: _, ...now }) => now));
    const registration = leaked ? undefined : await home.prepare(idle);
    if (!registration) {
      if (!leaked && ((await home.delegate?.()) || serves(record))) return 'rest';
      // In place, for nothing good comes by it. Cut off here, the next look finds an empty slot and fills it.
      return void (await end(/** @type {ServiceWorkerRegistration} */ (await home.registration(current)), here, run.left()));
    }
    let there = await registration.pushManager.getSubscription();
    // Left over from a move that was cut off, it may be the one that the server has by now: whatever its key, that is
    // asked first.
    if (there && (drop || ended(record[idle]))) {
      await end(registration, there, run.left());
      await keep(({ drop: _, ...now }) => retired(now, idle));
      there = null;
    }
    there ??= await subscribe(registration, key, run.left(), home.late);
    return register(there, idle, Boolean(here), home, run);
  }

  /** @param {View} view @param {Home} home @param {Run} run */
  function confirm({ record, seen }, home, run) {
    const { current } = record;
    return register(/** @type {PushSubscription} */ (seen[current]), current, Boolean(seen[OTHER[current]]), home, run);
  }

  /**
   * Has the server store the slot's subscription in place of all before.
   * @param {PushSubscription} subscription
   * @param {Slot} slot
   * @param {boolean} other  whether the other slot holds one, too
   * @param {Home} home
   * @param {Run} run
   */
  async function register(subscription, slot, other, home, run) {
    const key = keyOf(subscription);
    const able = await abilities();
    const record = await keep((now) => {
      const before = same(now[slot], subscription) ? now : retired(now, slot);
      const known = before[slot];
      // Also of one whose token says nothing to a server that was set up anew.
      const box = known?.token ? known : { ...known, endpoint: subscription.endpoint, key, subscription: subscription.toJSON() };
      return { ...before, site: home.site, sequence: raised(now), [slot]: box };
    });
    const { owner, sequence, former, current } = record;
    const words = due(record);
    const tokens = new Set([record[slot]?.token, record[OTHER[slot]]?.token, ...former].filter(Boolean)); // at most 7 of 8
    const body = {
      subscription: subscription.toJSON(),
      application_server_key: key,
      replaces: tokens.size ? [...tokens] : undefined,
      identity: owner?.told ? undefined : owner?.identity,
      detach: (owner?.subject === null && !owner.told) || undefined,
      abilities: able,
      // In one with the registration. Also where there is only to be learnt whether the server still knows.
      consents: words.length || (record.words.length && !record[slot]?.token) ? onWire(words) : undefined,
      sequence,
    };
    const reply = await call(home.site, 'subscriptions', { method: 'POST', body });
    const { sync_token: token, state } = reply.answer;
    if (unheeded(reply)) return unsaid(reply, words, slot, run);
    if (reply.status >= 300 || !token) return refused(reply, slot, other, home, run, subscription, owner);
    if (state !== 'gone' || slot === current) return heard(reply.answer, slot, other, { owner, able: String(able), words });
    // The idle slot holds a dead one: the other stays in use until there is a better.
    return void (await keep((now) => ({ ...now, [slot]: { ...now[slot], token, state } })));
  }

  /**
   * The server has the subscription of this slot.
   * @param {Record<string, any>} answer
   * @param {Slot} slot
   * @param {boolean} other  whether the other slot holds one, too
   * @param {{owner?: Keep['owner'], able: string, words: Word[]}} [sent]
   */
  async function heard(answer, slot, other, sent) {
    await keep(({ retry: _, renew: before, drop, ...now }) => {
      const { subscription: __, ...box } = /** @type {Box} */ (now[slot]);
      const { id, short_id, state = 'active', owned = false, sequence = box.sequence, sync_token: token = box.token } = answer;
      const moved = slot !== now.current;
      const [renew, idle, at] = [answer.renew ? (before ?? 'asked') : undefined, OTHER[slot], Date.now()];
      /** @type {Keep} */
      let record = { ...now, current: slot, owned, renew, known: id ? { id, short_id } : now.known, wanted: now.wanted ?? true };
      record[slot] = { ...box, token, state, sequence, confirmed: at, abilities: sent?.able ?? box.abilities };
      // Replaced, or left over from a move that was cut off.
      if (drop?.slot === idle) record.drop = drop;
      else if (other && (moved || !renew) && !ENDED.includes(state)) record.drop = { slot: idle, at: at + 1_000 * (answer.grace_seconds ?? 0) };
      if (record[idle]?.token) record = retired(record, idle);
      const { owner } = now;
      // For one that is gone nothing is stored.
      if (owner && owner.stamp === sent?.owner?.stamp && state !== 'gone') record.owner = { subject: owner.subject, told: true, stamp: owner.stamp };
      if (sent && state !== 'gone') record.words = heeded(record, sent.words, answer);
      // The server has forgotten what it said: it was set up again from a backup.
      const back = !sent && sequence < (box.sequence ?? 0);
      if (back && owner?.subject === null) record.owner = { ...owner, told: false };
      return back || (!sent && !renew && ENDED.includes(state)) ? retired(record, slot) : record;
    });
  }

  /**
   * @param {import('./core.js').Reply} reply
   * @param {Slot} slot
   * @param {boolean} other
   * @param {Home} home
   * @param {Run} run
   * @param {PushSubscription} subscription
   * @param {Keep['owner']} owner  as it was sent
   */
  async function refused(reply, slot, other, home, run, subscription, owner) {
    const { field, reason } = reply.answer;
    if (reply.status === 429 || reply.status >= 500) throw refusal(reply);
    if (reply.status === 409 && reason === 'stale') return outrun(reply);
    if (field === 'identity' || reason === 'owner_full') {
      // The subscription is worth keeping; the page has to bring a better proof.
      run.failure = new PushError('identity', `Who is logged in was not accepted. ${reply.answer.detail ?? ''}`.trim());
      return void (await keep(({ owner: newer, ...now }) => {
        if (newer?.stamp !== owner?.stamp) return { ...now, owner: newer };
        // Whoever logged out before is not who is there now.
        return owner?.away ? { ...now, owner: { subject: null, told: false, stamp: owner.stamp } } : now;
      }));
    }
    if (reply.status === 403 && field === 'replaces') {
      // The server was set up anew: tokens of before say nothing to it.
      return void (await keep((now) => ({ ...now, former: [], a: strip(now.a), b: strip(now.b) })));
    }
    if (reply.status === 409 && reason === 'replaced') {
      // By what the other slot holds, or by one that is lost.
      return void (await keep((now) => {
        const record = { ...now, [slot]: { ...now[slot], state: 'superseded' } };
        return other && slot === now.current && !ended(now[OTHER[slot]]) ? turned(record) : { ...record, renew: 'asked' };
      }));
    }
    // Nothing but a stated reason ends a subscription.
    if (reply.status !== 409 || !['foreign_key', 'other_secrets'].includes(reason)) throw refusal(reply);
    if (run.conflicts++) throw new PushError('key_changed', 'The push server is changing its key right now. Try again in a moment.');
    // Made with a key the server does not have, or stored with other secrets: only a new one helps.
    await keep((now) => (now[slot]?.token ? now : { ...now, [slot]: undefined }));
    await end(/** @type {ServiceWorkerRegistration} */ (await home.registration(slot)), subscription, run.left());
    return undefined;
  }

  /** Whether the server has said that nothing is sent to it any more. @param {Box|undefined} box */
  const ended = (box) => ENDED.includes(box?.state ?? '');

  /** @param {Box|undefined} box @returns {Box|undefined} */
  const strip = (box) => box && { ...box, token: undefined };

  /** A later request of ours has come before, or the record was lost: go on from its number. @param {import('./core.js').Reply} reply */
  async function outrun({ answer }) {
    await keep((now) => ({ ...now, sequence: Math.max(now.sequence, Number(answer.sequence) || 0) }));
  }

  /** @param {View} view @param {Home} home */
  async function heartbeat({ record, seen }, home) {
    const { current } = record;
    const { token } = /** @type {Box} */ (record[current]);
    const reply = await call(home.site, 'heartbeat', { method: 'POST', token, body: {} });
    if (reply.status < 300 && reply.answer.state) return heard(reply.answer, current, Boolean(seen[OTHER[current]]));
    // It knows nothing of us (any more): register anew.
    if (reply.answer.field === 'sync_token') return void (await keep((now) => retired(now, current)));
    throw refusal(reply);
  }

  /** The visitor has said something, and nothing else is to be told. @param {View} view @param {Home} home @param {Run} run */
  async function tell(view, home, run) {
    const { current } = view.record;
    const words = due(view.record);
    const { sequence, [current]: box } = await keep((now) => ({ ...now, sequence: raised(now) }));
    const reply = await call(home.site, 'consents', { method: 'POST', token: box?.token, body: { consents: onWire(words), sequence } });
    if (reply.answer.reason === 'stale') return outrun(reply);
    if (reply.answer.reason === 'ended') return heartbeat(view, home);
    if (reply.answer.field === 'sync_token') return void (await keep((now) => retired(now, current)));
    if (unheeded(reply)) return unsaid(reply, words, current, run);
    if (reply.status >= 300 || !reply.answer.consents) throw refusal(reply);
    await keep((now) => ({ ...now, [current]: { ...now[current], sequence }, words: heeded(now, words, reply.answer) }));
    return undefined;
  }

  /** @param {import('./core.js').Reply} reply */
  const unheeded = ({ status, answer }) => status >= 400 && status < 500 && /^consents\b/.test(answer.field);

  /**
   * The server knows no such purpose or wording, so it has stored nothing. What was to begin with this word does not
   * begin; what there was before stays as it was.
   * @param {import('./core.js').Reply} reply @param {Word[]} words @param {Slot} slot @param {Run} run
   */
  async function unsaid(reply, words, slot, run) {
    run.failure = new PushError('consent', `What was agreed to was not accepted. ${reply.answer.detail ?? ''}`.trim());
    await keep((now) => {
      const rest = { ...now, words: now.words.filter((word) => !among(words, word)) };
      return now.known ? rest : { ...rest, wanted: false, [slot]: undefined };
    });
  }

  // ---- the run

  /** @typedef {{left: () => number, conflicts: number, failure?: Error}} Run */

  /**
   * Makes browser and server agree. Rejects with what went wrong; then the next page start tries again, not too soon.
   * @param {Home} home
   * @param {{ms: number, force?: boolean}} options  how long subscribing may take, and the lock be waited for;
   *   force: although a failure was only just now
   * @returns {Promise<void>}
   */
  function agree(home, { ms, force = false }) {
    return locked(ms, async () => {
      const until = Date.now() + ms;
      /** @type {Run} */
      const run = { left: () => Math.max(1, until - Date.now()), conflicts: 0 };
      await belong(home);
      try {
        for (let steps = 0; steps < STEPS_MAX; steps++) {
          const view = await look(home);
          const { retry } = view.record;
          const wait = !force && retry && Date.now() < retry.at && retry.at < Date.now() + RETRY_MS_MAX;
          const step = wait ? 'rest' : next(view, Date.now());
          if (step !== 'rest' && (await STEPS[step](view, home, run)) !== 'rest') continue;
          if (run.failure) throw run.failure;
          if (retry && !wait) await keep(({ retry: _, ...now }) => now);
          return;
        }
        throw new PushError('server', 'The push server’s answers do not come to an end. Try again later.');
      } catch (error) {
        if (error !== run.failure) await keep((now) => ({ ...now, retry: later(now.retry?.tries ?? 0, error.after) }));
        throw error;
      }
    });
  }

  /** Tokens of another project or server mean nothing to this one. @param {Home} home */
  async function belong({ site }) {
    await keep((now) => {
      if (!now.site || (now.site.project === site.project && now.site.server === site.server)) return now;
      return { ...NOTHING, sequence: now.sequence, current: now.current, wanted: now.wanted };
    });
  }

  /** @param {number} tries  how often it failed before @param {number} [seconds]  as the server asked for */
  function later(tries, seconds = 0) {
    const ms = Math.min(Math.max(RETRY_MS * 2 ** tries, 1_000 * seconds), RETRY_MS_MAX) * (0.75 + Math.random() / 4);
    return { tries: tries + 1, at: Date.now() + ms };
  }

  Object.assign(self.PushkeepCore, { keep, want, own, say, theirs, due, look, next, same, agree });
})();
