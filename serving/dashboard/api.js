// The server: questions, and the stream of plans and events, which is taken up again wherever it broke.

import { byId } from "./dom.js";

const TOKEN = "shaper-token";
const QUIET_MS = 120_000; // a stream this quiet is taken for broken
const LONGEST_PAUSE_MS = 15_000;

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function ask(path, options = {}) {
  const answer = await known(path, options);
  const text = await answer.text();
  const body = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, body?.detail ?? body?.reasons?.join("; ") ?? answer.statusText);
  return body;
}

export const send = (method, path, body) =>
  ask(path, { method, headers: { "Content-Type": "application/json" }, body: body === undefined ? undefined : JSON.stringify(body) });

async function known(path, options) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401) return answer;
    await login();
  }
}

let asking = null;
function login() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("login");
    dialog.addEventListener(
      "close",
      () => {
        sessionStorage.setItem(TOKEN, byId("token").value);
        asking = null;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
  });
  return asking;
}

export async function follow(path, heard, connected) {
  let last = "0";
  for (let failures = 0; ; failures += 1) {
    const stop = new AbortController();
    let watch = 0;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => stop.abort(), QUIET_MS);
    };
    try {
      alive();
      const headers = { Accept: "text/event-stream", "Last-Event-ID": last };
      const answer = await known(path, { headers, signal: stop.signal, cache: "no-store" });
      if (!answer.ok) throw new Refused(answer.status, answer.statusText);
      connected(true);
      failures = 0;
      for await (const message of messages(answer.body, alive)) {
        last = message.id ?? last;
        heard(message);
      }
    } catch {
      // told below
    }
    clearTimeout(watch);
    connected(false);
    await new Promise((resolve) => setTimeout(resolve, Math.min(1000 * 2 ** failures, LONGEST_PAUSE_MS)));
  }
}

async function* messages(stream, alive) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    alive();
    const blocks = (rest + value.replaceAll("\r", "")).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const message = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, name, text] = /^(\w*): ?(.*)$/.exec(line) ?? [];
        if (name === "data") message.data += text;
        else if (name) message[name] = text;
      }
      if (message.data) yield message;
    }
  }
}
