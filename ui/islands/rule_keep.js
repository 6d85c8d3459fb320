// Tests that are kept with a rule, made of what really happened or of what was tried. No React in here.
import { toTheMinute } from "./clock.js";
import { ask } from "./live.js";
import { metricsRead, spanMs, spanText } from "./rule_model.js";
import { testDevice, toldOf } from "./rule_given.js";

/** So many messages a test holds. */
export const MOST_MESSAGES = 200;
const MOST_READ = 10_000;
const MINUTE = 6e4;
const DAY = 864e5;
const BACK = ["agg", "rate", "delta", "changed", "stuck", "ago"];

function visit(node, see) {
  if (Array.isArray(node)) node.forEach((part) => visit(part, see));
  else if (node && typeof node === "object") {
    see(node);
    Object.values(node).forEach((part) => visit(part, see));
  }
}

/** Whether the rule counts messages or looks back at them: then a test of it needs each of them. */
export function needsEach(document) {
  let found = false;
  visit([document.when, document.clear], (node) => {
    found ||= BACK.some((key) => key in node) || ["entered", "left"].includes(node.place?.is);
  });
  return found;
}

/** How far back a rule may look: the longest time that it names and a little more, and how many values it counts. */
function lookBack(document) {
  let ms = 0;
  let last = 0;
  visit([document], (node) => {
    for (const [key, value] of Object.entries(node)) {
      if (key === "tests") continue;
      if (typeof value === "string" && ["over", "for", "ago", "silence", "after", "cooldown"].includes(key)) ms = Math.max(ms, spanMs(value));
      if (key === "last" && typeof value === "number") last = Math.max(last, value);
    }
  });
  return { ms: ms + 5 * MINUTE, last };
}

/** A stored value as a test may give it; undefined for none. */
function plainValue(value) {
  if (value === null || typeof value !== "object") return value ?? undefined;
  return Number.isFinite(value.lat) && Number.isFinite(value.lon) ? { lat: value.lat, lon: value.lon } : undefined;
}

/** The fewest messages that still have the lowest and the highest of each stretch, and each change of what is no number. */
export function thinned(messages, most) {
  const isNumber = (value) => typeof value === "number";
  const keys = [...new Set(messages.flatMap(([, values]) => Object.keys(values).filter((key) => isNumber(values[key]))))];
  const stretches = Math.max(1, Math.floor((most - 2) / Math.max(2 * keys.length, 1)));
  const size = Math.ceil(messages.length / stretches);
  const kept = new Set([0, messages.length - 1]);
  for (let from = 0; from < messages.length; from += size) {
    for (const key of keys) {
      const ends = { low: -1, high: -1 };
      for (let i = from; i < Math.min(from + size, messages.length); i += 1) {
        const value = messages[i][1][key];
        if (!isNumber(value)) continue;
        if (ends.low < 0 || value < messages[ends.low][1][key]) ends.low = i;
        if (ends.high < 0 || value > messages[ends.high][1][key]) ends.high = i;
      }
      [ends.low, ends.high].forEach((i) => i >= 0 && kept.add(i));
    }
  }
  const before = {};
  messages.forEach(([, values], i) => {
    for (const [key, value] of Object.entries(values)) {
      if (!isNumber(value) && JSON.stringify(value) !== before[key]) kept.add(i);
      before[key] = JSON.stringify(value);
    }
  });
  return messages.filter((_, i) => kept.has(i));
}

/** The messages of a test, and whether some were left out. Throws with plain words where they are too many. */
export function fitted(messages, document) {
  if (messages.length <= MOST_MESSAGES) return { kept: messages, isThinned: false };
  const many = `There are ${messages.length.toLocaleString()} readings in this time and before it, as far as the rule looks back; a test holds ${MOST_MESSAGES}.`;
  if (needsEach(document)) throw new Error(`${many} This rule counts readings or looks back at them, so none can be left out. Choose a shorter time.`);
  const kept = thinned(messages, MOST_MESSAGES);
  if (kept.length > MOST_MESSAGES) throw new Error(`${many} Choose a shorter time.`);
  return { kept, isThinned: true };
}

/** The test that these messages make; `span` is what it is about, {from, to} in ms. */
export function testOf(name, messages, span, isRaise) {
  const start = Math.floor(Math.min(messages[0][0], span.from) / 1000) * 1000;
  const after = (at) => spanText(Math.floor((at - start) / 1000) * 1000);
  const given = messages.map(([at, values]) => ({ at: after(at), ...values }));
  // Messages are put on whole seconds, so what comes of them may be up to a second early.
  const within = { from: after(Math.max(start, span.from - 1000)), to: after(span.to + 999) };
  return { name: name.slice(0, 120), given, expect: isRaise ? [{ do: "raise" }] : [], within };
}

/** A test of a time of the past, "this must alert" or "must stay quiet", with a word on how it was made. */
export async function keptSpan(device, span, isRaise, document, query) {
  const { ms, last } = lookBack(document);
  const from = span.from - Math.max(ms, last ? DAY : 0);
  const messages = new Map();
  for (const metric of metricsRead(document)) {
    const asked = { id: device.id, metric, from: new Date(from).toISOString(), to: new Date(span.to + 1).toISOString(), limit: MOST_READ };
    const { device: found } = await ask(query, asked);
    const { times, values } = found.telemetry;
    if (times.length >= MOST_READ) throw new Error("There are more than 10,000 readings in this time and before it, as far as the rule looks back. Choose a shorter time.");
    times.forEach((at, i) => plainValue(values[i]) !== undefined && messages.set(at, { ...messages.get(at), [metric]: plainValue(values[i]) }));
  }
  const sorted = [...messages].sort(([one], [other]) => one - other);
  // Of a rule that counts its last values, so many from before are enough.
  const early = sorted.filter(([at]) => at < span.from - ms);
  const used = [...early.slice(early.length - Math.min(last, early.length)), ...sorted.slice(early.length)];
  if (!used.length) throw new Error("No readings are stored for that time.");
  const { kept, isThinned } = fitted(used, document);
  const when = toTheMinute(span.from);
  const test = testOf(`${device.name} ${isRaise ? "must alert" : "must stay quiet"}, ${when}`, kept, span, isRaise);
  const said = isThinned ? `Of ${used.length.toLocaleString()} readings it holds ${kept.length}: the lowest and highest of each stretch.` : `It holds each of the ${kept.length} readings.`;
  return { test, said };
}

/** A test of a firing in the past: "then it must fire". */
export function keptTest(episode, document, query) {
  const raised = Date.parse(episode.raisedAt);
  return keptSpan(episode.device, { from: raised, to: raised }, true, document, query);
}

/** A test of what was tried: what the rule did then is what it must always do. */
export function triedTest(given, steps, name, facts) {
  const expect = steps.flatMap(({ did }) => did.map((words) => (words.startsWith("clear: ") ? "clear" : "raise"))).filter((word, i, all) => word !== all[i - 1]);
  const device = testDevice(facts);
  return { name, given: given.map(toldOf), expect: expect.map((word) => ({ do: word })), ...(device ? { device } : {}) };
}
