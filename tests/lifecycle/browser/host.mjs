// What everything played here hangs from: virtual time, chance by a seed, and the list of what is under way.
//
// Nothing waits by itself. Whatever a page or a worker asks of its browser is an operation: `local` ones run here, one
// at a time, in an order that the seed draws among the realms; `outside` ones (the network) are handed to whoever
// drives this process, who answers them in any order, late, or never.

/** Runs what is left of the promises at hand. One turn of the event loop is enough: nothing here waits for the system. */
const settled = () => new Promise((go) => setImmediate(go));

export class Host {
  /** @param {number} seed @param {number} now epoch milliseconds */
  constructor(seed, now) {
    this.now = now;
    this.seed = seed >>> 0 || 1;
    this.numbers = 0;
    /** @type {{at: number, number: number, realm: object, run: () => void}[]} */
    this.timers = [];
    /** @type {{realm: object, profile: object|null, run: () => void}[]} */
    this.local = [];
    /** @type {Map<number, {realm: object, done: (answer: any) => void}>} */
    this.outside = new Map();
    /** @type {object[]} told to whoever drives, with the next answer */
    this.told = [];
  }

  /** A number from 0 to 1 (xorshift32). */
  random() {
    this.seed ^= this.seed << 13;
    this.seed ^= this.seed >>> 17;
    this.seed ^= this.seed << 5;
    this.seed >>>= 0;
    return this.seed / 0x1_0000_0000;
  }

  tell(what) {
    this.told.push(what);
  }

  timer(realm, ms, run) {
    const number = ++this.numbers;
    // A timer of 0 ms comes after what is under way, too.
    this.timers.push({ at: this.now + Math.max(1, Math.ceil(Number(ms) || 0)), number, realm, run });
    return number;
  }

  /**
   * An operation inside the browser. Its promise settles in the realm that asked, if that is still there.
   * @template T
   * @param {object} realm
   * @param {() => T} effect  what it does to the browser; what it throws is what the realm gets
   * @returns {Promise<T>}
   */
  operation(realm, effect) {
    return new Promise((resolve, reject) => {
      if (realm.dead) return;
      this.local.push({
        realm,
        run: () => {
          if (realm.falters('before')) return;
          try {
            const value = effect();
            if (!realm.falters('after')) Promise.resolve(value).then((it) => realm.dead || resolve(it), (it) => realm.dead || reject(it));
          } catch (error) {
            if (!realm.falters('after')) reject(error);
          }
        },
      });
    });
  }

  /**
   * Something asked of the network. `done` is called with the answer whether or not the realm is still there: what a
   * browser began it finishes.
   */
  ask(realm, what, done) {
    const number = ++this.numbers;
    this.outside.set(number, { realm, done });
    this.tell({ type: 'op', op: number, tab: realm.name, ...what });
    return number;
  }

  answer(number, answer) {
    const asked = this.outside.get(number);
    this.outside.delete(number);
    asked?.done(answer);
  }

  /** Lets everything inside go on until nothing can without the outside or time. */
  async rest() {
    await settled();
    while (this.local.length) {
      // What one realm asks is done in its order; which realm comes next is chance.
      const realms = [...new Set(this.local.map((one) => one.realm))];
      const next = realms[Math.floor(this.random() * realms.length)];
      const [job] = this.local.splice(this.local.findIndex((one) => one.realm === next), 1);
      if (!job.realm.dead || job.always) job.run();
      await settled();
    }
  }

  /** When the next timer is due; null if there is none. */
  next() {
    this.timers = this.timers.filter((timer) => !timer.realm.dead);
    return this.timers.reduce((first, { at }) => (first === null || at < first ? at : first), null);
  }

  /** Lets time pass; each timer runs at its own time. */
  async pass(now) {
    for (let next = this.next(); next !== null && next <= now; next = this.next()) {
      this.now = Math.max(this.now, next);
      const due = this.timers.filter(({ at }) => at <= this.now).sort((a, b) => a.at - b.at || a.number - b.number)[0];
      this.timers.splice(this.timers.indexOf(due), 1);
      due.run();
      await this.rest();
      // Whoever drives answers at the time at which it was asked.
      if (this.told.some(({ type }) => type === 'op')) return;
    }
    this.now = now;
  }

  /** A realm is gone; nothing of it runs any more. */
  bury(realm) {
    realm.dead = true;
    this.timers = this.timers.filter((timer) => timer.realm !== realm);
    this.local = this.local.filter((job) => job.realm !== realm || job.always);
  }
}
