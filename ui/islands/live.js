// The browser's own line to /graphql: one WebSocket a tab, shared by every live piece on the page.
//
// A piece says which device it shows; interest is gathered for a moment and one subscription carries it.
// Each event has a cursor: after a lost connection the subscription resumes behind the last one seen, and when
// the journal no longer reaches that far back the page is told to load afresh.
import { createClient } from "graphql-ws";
import { plainNumber } from "./numbers.js";

export { plainNumber };

const GATHER_MS = 60;
let client;
let connected = true;
let stands = false; // before the first connection nothing is told yet, though nothing is interrupted either
const lineListeners = new Set();

// Signing out, or going to another organisation, ends the session while this page still stands: from then on it asks nothing more.
let leaving = false;
if (typeof window !== "undefined") {
  window.addEventListener("submit", (event) => {
    leaving ||= Boolean(/\/auth\/(logout|switch)$/.test(event.target.action));
  });
}

function line() {
  client ??= createClient({
    url: () => `${window.location.origin.replace(/^http/, "ws")}/graphql`,
    lazy: true,
    lazyCloseTimeout: 3000,
    retryAttempts: Infinity,
    shouldRetry: () => !leaving,
    retryWait: async (tries) => {
      setConnected(false);
      await new Promise((done) => setTimeout(done, Math.min(500 * 2 ** Math.min(tries, 5), 15000) * (0.6 + Math.random() * 0.4)));
    },
    on: {
      connected: () => {
        stands = true;
        setConnected(true);
      },
      closed: () => (stands = false),
    },
  });
  return client;
}

function setConnected(now) {
  if (now === connected) return;
  connected = now;
  lineListeners.forEach((tell) => tell(now));
}

/** Calls tell(true|false) now and whenever the live line comes or goes. Returns the way to stop. */
export function onLine(tell) {
  lineListeners.add(tell);
  tell(connected);
  return () => lineListeners.delete(tell);
}

// What a page loads is as old as the last drain, half a second or a little more: what happens between it and the beginning
// of a subscription would be seen by neither. So once that time is over one looks again, and later once more, for a
// machine on which all this takes longer; and so after each interruption in which there was no cursor to resume by.
const CATCH_UP_MS = [1200, 6000];

/** Calls look() a moment after the line stands, and once more. Returns the way to stop. */
export function catchUp(look) {
  let timers = [];
  const stop = () => timers.forEach(clearTimeout);
  const begin = () => {
    stop();
    timers = CATCH_UP_MS.map((after) => setTimeout(look, after));
  };
  if (stands) begin();
  const forget = line().on("connected", begin);
  return () => {
    forget();
    stop();
  };
}

/** One subscription that resumes by its cursor. `event` gets the root field's value, `lost` is told of a gap. */
export function follow(query, field, variables, event, lost = () => {}) {
  let stopped = false;
  let stop = () => {};
  const open = () => {
    // graphql-ws sends this very object again on each reconnect, so moving `after` in it is what resumes the stream.
    const payload = { query, variables: { ...variables } };
    stop = line().subscribe(payload, {
      next: (message) => {
        const value = message.data?.[field];
        if (!value) return;
        payload.variables.after = value.cursor;
        if (value.skipped > 0) lost();
        event(value);
      },
      error: (errors) => {
        if (stopped) return;
        const code = Array.isArray(errors) ? errors[0]?.extensions?.code : undefined;
        lost();
        if (code === undefined || code === "CURSOR_TOO_OLD") setTimeout(() => !stopped && open(), 1500);
      },
      complete: () => {
        if (!stopped && !leaving) setTimeout(() => !stopped && !leaving && open(), 1500);
      },
    });
  };
  open();
  return () => {
    stopped = true;
    stop();
  };
}

/** One question over HTTP, as the signed-in user. Throws an Error whose message may be shown to people. */
export async function ask(query, variables, signal) {
  if (leaving) return new Promise(() => {});
  let answer;
  try {
    const response = await fetch("/graphql", {
      method: "POST",
      credentials: "same-origin",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json, application/json" },
      body: JSON.stringify({ query, variables }),
      signal,
    });
    if (response.status === 401) {
      window.location.assign(`/sign-in?next=${encodeURIComponent(window.location.pathname)}`);
    }
    answer = await response.json();
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Error("The platform does not answer right now. Please try again in a moment.");
  }
  if (answer.errors?.length) {
    const first = answer.errors[0];
    throw Object.assign(new Error(first.message), { code: first.extensions?.code, details: first.extensions?.details });
  }
  return answer.data;
}

// ── devices: gathered interest, one subscription for all pieces on the page ────────────────────────────────
function gatherer(start) {
  const wanted = new Map(); // device id -> Set of listeners
  let stop = () => {};
  let timer;
  let running = "";
  const renew = () => {
    const ids = [...wanted.keys()].sort();
    const key = ids.join();
    if (key === running) return;
    running = key;
    stop();
    stop = ids.length ? start(ids, (id, event) => wanted.get(id)?.forEach((tell) => tell(event))) : () => {};
  };
  return (id, tell) => {
    if (!wanted.has(id)) wanted.set(id, new Set());
    wanted.get(id).add(tell);
    clearTimeout(timer);
    timer = setTimeout(renew, GATHER_MS);
    return () => {
      wanted.get(id)?.delete(tell);
      if (!wanted.get(id)?.size) wanted.delete(id);
      clearTimeout(timer);
      timer = setTimeout(renew, GATHER_MS);
    };
  };
}

const TELEMETRY = `subscription LiveTelemetry($deviceIds: [ID!]!, $after: String) {
  telemetry(deviceIds: $deviceIds, after: $after) { cursor deviceId time values quality skipped }
}`;
const STATUS = `subscription LiveStatus($deviceIds: [ID!], $after: String) {
  deviceStatus(deviceIds: $deviceIds, after: $after) { cursor deviceId change isOnline at reason silentSince version }
}`;

const AT_ONCE = 25;
function askAgain(deviceIds, tell) {
  for (let from = 0; from < deviceIds.length; from += AT_ONCE) {
    const some = deviceIds.slice(from, from + AT_ONCE);
    const names = some.map((_, n) => `$d${n}: ID!`).join(", ");
    const fields = some.map((_, n) => `d${n}: device(id: $d${n}) { id latest { metric value time quality reason } }`).join(" ");
    ask(`query CatchUp(${names}) { ${fields} }`, Object.fromEntries(some.map((id, n) => [`d${n}`, id])))
      .then((data) =>
        Object.values(data).forEach((device) =>
          device?.latest.forEach(({ metric, value, time, quality, reason }) => {
            const of = (said) => (said === null ? {} : { [metric]: said });
            tell(device.id, { time, values: of(value), quality: of(quality), reason: of(reason), isCatchUp: true });
          }),
        ),
      )
      .catch(() => {}); // what was missed then comes with the device's next message
  }
}

/** Each message of one device, as it is stored: {time, values, quality}; soon after the beginning its latest values again. */
export const watchTelemetry = gatherer((deviceIds, tell) => {
  const stops = [
    follow(TELEMETRY, "telemetry", { deviceIds }, (event) => tell(event.deviceId, event)),
    catchUp(() => askAgain(deviceIds, tell)),
  ];
  return () => stops.forEach((stop) => stop());
});

/** Each coming, going, falling silent and being heard again of one device: {change, isOnline, at, silentSince}. */
export const watchStatus = gatherer((deviceIds, tell) =>
  follow(STATUS, "deviceStatus", { deviceIds }, (event) => {
    if (!isLate(event)) tell(event.deviceId, event);
  }),
);

// The farewell of a connection that was replaced can come after the greeting of the one that replaced it.
const newest = new Map(); // device id -> the number of its newest connection
function isLate({ deviceId, change, version }) {
  if (change !== "CONNECTED" && change !== "DISCONNECTED") return false;
  if (version < (newest.get(deviceId) ?? 0)) return true;
  newest.set(deviceId, version);
  return false;
}

/** Any telemetry value in words: number, yes/no, text, or a compact object. */
export function plainValue(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") return plainNumber(value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}
