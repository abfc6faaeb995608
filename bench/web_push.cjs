// npm web-push at its best: a keep-alive agent, any number of messages under way at once, keys given as text.
// Started with where its packages are; reads one JSON line of settings, then a number of messages per line; answers
// each with the processor time that this process, its own threads included, spent on them.
"use strict";
const { createRequire } = require("node:module");
const https = require("node:https");
const readline = require("node:readline");

const webPush = createRequire(process.argv[2])("web-push");

async function send(settings, agent, count) {
  const { subscriptions, payload, ttl, urgency, vapidDetails, inFlight } = settings;
  let next = 0;
  const worker = async () => {
    while (next < count) {
      const whom = subscriptions[next++ % subscriptions.length];
      const answer = await webPush.sendNotification(whom, payload, { TTL: ttl, urgency, vapidDetails, agent });
      if (answer.statusCode !== 201) throw new Error(`status ${answer.statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(inFlight, count) }, worker));
}

(async () => {
  let settings;
  let agent;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const given = JSON.parse(line);
    if (!settings) {
      settings = given;
      agent = new https.Agent({ keepAlive: true, maxSockets: settings.inFlight, maxFreeSockets: settings.inFlight });
      continue;
    }
    const before = process.cpuUsage();
    await send(settings, agent, given);
    const spent = process.cpuUsage(before);
    process.stdout.write(`${JSON.stringify(spent.user + spent.system)}\n`);
  }
  agent?.destroy();
})();
