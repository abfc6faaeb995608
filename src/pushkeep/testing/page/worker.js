// Shows every push and tells the page what came. A notification is made of what the payload offers: a JSON object's
// title, body, tag and data, also inside "notification" as declarative messages have it; else the text itself.

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

const readable = (data) => {
  if (data === null) return { title: "Push without payload" };
  try {
    const parsed = data.json();
    if (typeof parsed === "object" && parsed !== null) return parsed.notification ?? parsed;
  } catch {
    // Not JSON: shown as it is.
  }
  return { title: data.text() };
};

const base64 = (data) => {
  if (data === null) return null;
  let characters = "";
  for (const octet of new Uint8Array(data.arrayBuffer())) characters += String.fromCharCode(octet);
  return btoa(characters);
};

addEventListener("push", (event) => event.waitUntil((async () => {
  const { title, body, tag, data } = readable(event.data);
  const options = { data };
  if (typeof body === "string") options.body = body;
  if (typeof tag === "string") options.tag = tag;
  let problem = null;
  try {
    await registration.showNotification(typeof title === "string" ? title : "Push", options);
  } catch (error) {
    problem = String(error);
  }
  for (const client of await clients.matchAll({ includeUncontrolled: true })) {
    client.postMessage({ data: base64(event.data), problem });
  }
})()));
