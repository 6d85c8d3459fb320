// Tests that are kept with a rule, made of what really happened or of what was tried. No React in here.
import { ask } from "./live.js";
import { metricsRead, spanMs, spanText } from "./rule_model.js";

const MAX_MESSAGES = 120;
const MAX_BEFORE_MS = 6 * 36e5;
const MINUTE = 6e4;

/** How far before the firing a rule may have looked: the longest length of time that it names, and a little more. */
function lookBack(document) {
  let longest = 0;
  const walk = (node) => {
    if (typeof node === "string") longest = Math.max(longest, spanMs(node));
    else if (node && typeof node === "object") Object.values(node).forEach(walk);
  };
  walk([document.when, document.for]);
  return Math.min(longest + 5 * MINUTE, MAX_BEFORE_MS);
}

/** A test of a firing in the past: "with these readings it must fire". Throws with plain words where there are none. */
export async function keptTest(episode, document, query) {
  const raised = Date.parse(episode.raisedAt);
  const from = raised - lookBack(document);
  const span = { from: new Date(from).toISOString(), to: new Date(raised + 1000).toISOString() };
  const messages = new Map();
  for (const metric of metricsRead(document)) {
    const { device } = await ask(query, { id: episode.device.id, metric, ...span, limit: 5000 });
    const { times, values } = device.telemetry;
    times.forEach((at, i) => messages.set(at, { ...messages.get(at), [metric]: values[i] }));
  }
  if (!messages.size) throw new Error("No readings are stored for that time.");
  const sorted = [...messages].sort(([one], [other]) => one - other);
  const step = Math.ceil(sorted.length / MAX_MESSAGES);
  // Thinned out evenly, but the last ones stay: they made it fire.
  const kept = sorted.filter((_, i) => i % step === 0 || i >= sorted.length - 3);
  const start = Math.floor(kept[0][0] / 1000) * 1000;
  const given = kept.map(([at, values]) => ({ at: spanText(Math.floor((at - start) / 1000) * 1000), ...values }));
  const end = Math.ceil((raised - start) / 1000) * 1000;
  if (spanMs(given.at(-1).at) < end) given.push({ ...given.at(-1), at: spanText(end) });
  const when = new Date(raised).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return { name: `It fires as it did for ${episode.device.name} on ${when}`.slice(0, 120), given, expect: [{ do: "raise" }] };
}

/** A test of messages that were tried: what the rule did then is what it must always do. */
export function triedTest(given, steps, name) {
  const expect = [];
  let isOn = false;
  for (const { phase } of steps) {
    const on = phase === "FIRING" || phase === "CLEARING";
    if (on !== isOn) expect.push({ do: on ? "raise" : "clear" });
    isOn = on;
  }
  return { name, given: given.map(({ afterSeconds, values }) => ({ at: spanText(afterSeconds * 1000), ...values })), expect };
}
