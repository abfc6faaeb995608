// Browsers played in one process, driven through a pipe: a command a line, an answer a line. See ../browsers.py.

import { createInterface } from 'node:readline';

import { Host } from './host.mjs';
import { Profile } from './profile.mjs';

let host = new Host(1, 0);
/** @type {Map<string, Profile>} */
let profiles = new Map();
const said = (error) => ({ name: error?.name ?? '', code: error?.code ?? null, message: error?.message ?? String(error), stack: error?.stack ?? '' });

process.on('unhandledRejection', (error) => host.tell({ type: 'unhandled', error: said(error) }));

/** Tells what becomes of a promise of a page. */
function follow(call, promise) {
  Promise.resolve(promise).then(
    (value) => host.tell({ type: 'done', call, value: value === undefined ? null : JSON.parse(JSON.stringify(value)) }),
    (error) => host.tell({ type: 'failed', call, error: said(error) }));
}

const commands = {
  begin({ seed, now, browsers }) {
    host = new Host(seed, now);
    profiles = new Map(browsers.map(({ name, kind, site, server }) => [name, Object.assign(new Profile(host, name, kind, site), { server })]));
  },
  open: ({ profile, tab, options, call }) => follow(call, profiles.get(profile).open(tab, options)),
  call: ({ profile, tab, method, given, call }) => follow(call, profiles.get(profile).page(tab).call(method, given)),
  close({ profile, tab }) {
    const page = profiles.get(profile).page(tab);
    if (page) page.profile.end(page);
  },
  crash: ({ profile }) => profiles.get(profile).crash(),
  doom: ({ profile, left, when }) => (profiles.get(profile).doom = left === null ? null : { left, when }),
  answer: ({ op, answer }) => host.answer(op, answer),
  barren: ({ profile, barren }) => (profiles.get(profile).barren = barren),
  permit: ({ profile, permission }) => profiles.get(profile).permit(permission),
  clear: ({ profile }) => profiles.get(profile).clear(),
  /** The browser loses subscriptions, or has others instead, and may tell its workers of it. */
  change({ profile, changes, tells }) {
    const there = profiles.get(profile);
    for (const { endpoint, fresh, old, next } of changes) {
      const registration = there.registrations.find((one) => one.subscription?.endpoint === endpoint);
      if (!registration) continue;
      const before = registration.subscription;
      registration.subscription = fresh ? { key: before.key, ...fresh } : null;
      if (tells) there.changed(registration, old ? before : null, next ? registration.subscription : null);
    }
  },
  push: ({ profile, endpoint, text }) => host.tell({ type: 'arrived', endpoint, taken: profiles.get(profile).received(endpoint, text) }),
  synchronise: ({ profile }) => profiles.get(profile).synchronise(),
  idle: ({ profile }) => profiles.get(profile).idle(),
  pass: ({ now }) => host.pass(now),
  look: ({ profile }) => host.tell({ type: 'look', ...profiles.get(profile).look() }),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let error = null;
  try {
    await commands[command.do](command);
    await host.rest();
  } catch (thrown) {
    error = said(thrown);
  }
  const told = host.told.splice(0);
  process.stdout.write(`${JSON.stringify({ told, next: host.next(), now: host.now, error })}\n`);
}
