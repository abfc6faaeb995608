// npm web-push, driven by JSON: an array of jobs on standard input, an array of results on standard output.
// A job is {verb: "send" | "details" | "keys", subscription, payload?, payloadBase64?, options?}.
'use strict';

const webPush = require('web-push');

async function run(job) {
  const payload = job.payloadBase64 === undefined ? job.payload : Buffer.from(job.payloadBase64, 'base64');
  try {
    if (job.verb === 'keys') return webPush.generateVAPIDKeys();
    if (job.verb === 'details') {
      const {endpoint, method, headers, body} = webPush.generateRequestDetails(job.subscription, payload, job.options);
      return {endpoint, method, headers, body: body === null ? null : Buffer.from(body).toString('base64')};
    }
    const {statusCode, headers, body} = await webPush.sendNotification(job.subscription, payload, job.options);
    return {statusCode, headers, body};
  } catch (error) {
    return {statusCode: error.statusCode, headers: error.headers, body: error.body, error: error.message};
  }
}

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const results = [];
  for (const job of JSON.parse(Buffer.concat(chunks).toString())) results.push(await run(job));
  process.stdout.write(JSON.stringify(results));
}

main();
