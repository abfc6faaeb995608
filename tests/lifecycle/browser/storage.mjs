// IndexedDB and locks of one browser profile, as far as the SDK uses them. A transaction is done at once or not at all.

/** What an IndexedDB request is to a script. */
class Asked {
  onsuccess = null;
  onerror = null;
  result = undefined;
  error = null;

  succeed(value) {
    this.result = value;
    this.onsuccess?.({ target: this });
  }
}

class Store {
  #records;
  #requests;

  constructor(records, requests) {
    this.#records = records;
    this.#requests = requests;
  }

  #ask(work) {
    const asked = new Asked();
    this.#requests.push(() => asked.succeed(work()));
    return asked;
  }

  get(key) {
    return this.#ask(() => structuredClone(this.#records.get(key)));
  }

  getAllKeys() {
    return this.#ask(() => [...this.#records.keys()]);
  }

  put(value, key) {
    const kept = structuredClone(value);
    return this.#ask(() => void this.#records.set(key, kept));
  }

  delete(key) {
    return this.#ask(() => void this.#records.delete(key));
  }

  clear() {
    return this.#ask(() => this.#records.clear());
  }
}

/**
 * `indexedDB` of a realm. `bases` is the profile's: name to {version, stores: name to Map}.
 */
export function indexedDbOf(realm, host, profile) {
  const open = (name, version) => {
    const opening = new Asked();
    void host.operation(realm, () => {
      const base = profile.bases[name] ?? { version: 0, stores: {} };
      const handle = new Base(realm, host, profile, name);
      opening.result = handle;
      if (base.version < version) {
        const before = base.version;
        base.version = version;
        profile.bases[name] = base;
        opening.onupgradeneeded?.({ target: opening, oldVersion: before });
      }
      return handle;
    }).then((handle) => opening.succeed(handle));
    return opening;
  };
  return { open };
}

class Base {
  #realm;
  #host;
  #profile;
  #name;

  constructor(realm, host, profile, name) {
    this.#realm = realm;
    this.#host = host;
    this.#profile = profile;
    this.#name = name;
  }

  get #stores() {
    // Site data that was cleared under an open connection is empty, and not an error of the script.
    return (this.#profile.bases[this.#name] ??= { version: 1, stores: {} }).stores;
  }

  get objectStoreNames() {
    const names = Object.keys(this.#stores);
    return Object.assign(names, { contains: (name) => names.includes(name) });
  }

  createObjectStore(name) {
    this.#stores[name] = new Map();
  }

  close() {}

  transaction(names, mode) {
    const requests = [];
    const transaction = {
      error: null,
      oncomplete: null,
      onabort: null,
      onerror: null,
      objectStore: (name) => new Store((work[name] ??= new Map()), requests),
      abort: () => {
        aborted = true;
      },
    };
    const work = {};
    let aborted = false;
    void this.#host.operation(this.#realm, () => {
      // On a copy: what is broken off leaves no trace.
      for (const name of [names].flat()) {
        const there = this.#stores[name] ?? new Map();
        work[name] ??= new Map();
        work[name].clear();
        for (const [key, value] of there) work[name].set(key, value);
      }
      while (requests.length && !aborted) requests.shift()();
      if (!aborted && mode === 'readwrite') for (const name of Object.keys(work)) this.#stores[name] = work[name];
      return aborted;
    }).then((broken) => (broken ? transaction.onabort : transaction.oncomplete)?.({ target: transaction }));
    return transaction;
  }
}

/** `navigator.locks` of a whole profile; each realm has its own door to it. */
export class Locks {
  /** @type {Map<string, {realm: object, run: () => void}[]>} first in line holds it */
  #lines = new Map();
  #host;

  constructor(host) {
    this.#host = host;
  }

  of(realm) {
    return {
      request: (name, given, work) => {
        const options = typeof given === 'function' ? {} : given;
        return this.#request(realm, name, options, typeof given === 'function' ? given : work);
      },
    };
  }

  async #request(realm, name, { signal, ifAvailable = false }, work) {
    if (signal?.aborted) throw signal.reason;
    const line = this.#lines.get(name) ?? [];
    this.#lines.set(name, line);
    if (ifAvailable && line.length) return work(null);
    const place = await this.#turn(realm, line, signal);
    try {
      return await work({ name, mode: 'exclusive' });
    } finally {
      this.#leave(line, place);
    }
  }

  #turn(realm, line, signal) {
    return new Promise((resolve, reject) => {
      const place = { realm, held: false, run: () => void this.#host.operation(realm, () => resolve(place)) };
      line.push(place);
      signal?.addEventListener('abort', () => {
        if (place.held) return;
        line.splice(line.indexOf(place), 1);
        reject(signal.reason);
      });
      if (line.length === 1) this.#next(line);
    });
  }

  #next(line) {
    if (line.length && !line[0].held) {
      line[0].held = true;
      line[0].run();
    }
  }

  #leave(line, place) {
    const at = line.indexOf(place);
    if (at >= 0) line.splice(at, 1);
    this.#next(line);
  }

  /** What a realm that is gone held or waited for, is free. */
  release(realm) {
    for (const line of this.#lines.values()) {
      for (const place of line.filter((one) => one.realm === realm)) line.splice(line.indexOf(place), 1);
      this.#next(line);
    }
  }
}
