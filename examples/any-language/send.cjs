// A sender in Node: reads the subscription from its input. Nothing in here knows of Pushkeep.
const { readFileSync } = require("node:fs");
const webpush = require("web-push");

webpush.setVapidDetails("mailto:you@your-domain.org", process.env.VAPID_PUBLIC_KEY, process.env.VAPID_PRIVATE_KEY);
webpush
  .sendNotification(JSON.parse(readFileSync(0, "utf8")), "Hello from Node", { TTL: 60 })
  .catch((error) => {
    console.error(error.statusCode ?? error.message);
    process.exitCode = 1;
  });
