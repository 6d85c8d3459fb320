// A rule's document and everything that can be done to it. No React in here.
//
// What is edited is the document itself: plain JSON, never changed in place, each change a new document that shares
// what stayed. So what a view does not know is kept as it came. A path is a list of keys: ["when", "all", 0, "value"].
// An empty place that has yet to be filled in holds `null`, which no valid condition or action has.

const isObject = (node) => typeof node === "object" && node !== null && !Array.isArray(node);
const isText = (node) => typeof node === "string";
const same = (one, other) => one.length === other.length && one.every((key, i) => key === other[i]);
const begins = (path, start) => start.length <= path.length && start.every((key, i) => key === path[i]);

// ── who is who: a part keeps its identity while it is edited, so that a view can follow it ─────────────────
const ids = new WeakMap();
let last = 0;

/** A number for a condition or an action, the same for its edited successors. */
export function idOf(node) {
  if (!ids.has(node)) ids.set(node, (last += 1));
  return ids.get(node);
}

function heir(old, next) {
  if (typeof old === "object" && old && typeof next === "object" && next && old !== next && !ids.has(next)) ids.set(next, idOf(old));
  return next;
}

// ── paths ──────────────────────────────────────────────────────────────────────────────────────────────────
/** As the checker writes it: "$.when.all[0]". */
export const jsonPath = (path) => path.reduce((text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}.${key}`), "$");

/** A path as the checker writes it, "$.when.all[0]", as a list of keys. */
export const pathOf = (text) => [...text.matchAll(/\[(\d+)\]|\.([^.[]+)/g)].map(([, at, key]) => (at === undefined ? key : Number(at)));

export const getAt = (document, path) => path.reduce((node, key) => node?.[key], document);

/** The document with another value at a path; `undefined` takes the place away. */
export function setAt(node, path, value) {
  if (!path.length) return heir(node, value);
  const [key, ...rest] = path;
  const copy = heir(node, Array.isArray(node) ? [...node] : { ...node });
  const old = node?.[key];
  const next = setAt(old ?? (typeof rest[0] === "number" ? [] : rest.length ? {} : old), rest, value);
  if (next !== undefined) copy[key] = next;
  else if (Array.isArray(copy)) copy.splice(key, 1);
  else delete copy[key];
  return copy;
}

const PRUNED = new Set(["limits", "on_clear", "trigger", "devices", "groups", "tags", "where", "arguments", "tests", "quiet"]);

/** Take an optional part away, and what is left empty around it. */
export function dropAt(document, path) {
  let now = setAt(document, path, undefined);
  for (let above = path.slice(0, -1); above.length; above = above.slice(0, -1)) {
    const holder = getAt(now, above);
    if (!PRUNED.has(above.at(-1)) || Object.keys(holder ?? {}).length) break;
    now = setAt(now, above, undefined);
  }
  return now;
}

/** The document with a part put into a list, which begins to be if it has to. */
export function insertAt(document, listPath, index, part) {
  const list = getAt(document, listPath) ?? [];
  return setAt(document, listPath, [...list.slice(0, index), part, ...list.slice(index)]);
}

// ── conditions ─────────────────────────────────────────────────────────────────────────────────────────────
const has = (node, needed, optional = []) =>
  isObject(node) && needed.every((key) => key in node) && Object.keys(node).every((key) => needed.includes(key) || optional.includes(key));
const isOperand = (value) => !isObject(value) || has(value, ["attribute"]) || has(value, ["metric", "ago"]) || has(value, ["metric"], ["plus", "times"]);
const isTime = (node) => has(node, [], ["days", "from", "to", "tz"]);
const compared = (node, ...how) => has(node, ["metric", "op", "value", ...how], ["unit"]) && isOperand(node.value);
const isArea = (of) => (has(of, ["circle"]) && has(of.circle, ["lat", "lon", "radius_m"])) || (has(of, ["polygon"]) && Array.isArray(of.polygon));

const KINDS = {
  all: (node) => has(node, ["all"]) && Array.isArray(node.all),
  any: (node) => has(node, ["any"]) && Array.isArray(node.any),
  not: (node) => has(node, ["not"]),
  value: (node) => compared(node),
  agg: (node) => compared(node, "agg") && (has(node.agg, ["fn", "over"]) || has(node.agg, ["fn", "last"])),
  rate: (node) => compared(node, "rate") && has(node.rate, ["per", "over"]),
  delta: (node) => compared(node, "delta") && has(node.delta, ["over"]),
  changed: (node) => has(node, ["metric", "changed"]) && has(node.changed, ["over"]),
  stuck: (node) => has(node, ["metric", "stuck"]) && has(node.stuck, ["for"], ["within"]),
  attribute: (node) => has(node, ["attribute", "op", "value"]) && !isObject(node.value),
  tag: (node) => has(node, ["tag"]),
  group: (node) => has(node, ["group"]),
  profile: (node) => has(node, ["profile"]),
  time: (node) => has(node, ["time"]) && isTime(node.time),
  place: (node) => has(node, ["place"]) && has(node.place, ["metric", "is", "of"]) && isArea(node.place.of),
  silence: (node) => has(node, ["silence"]),
  presence: (node) => has(node, ["presence"]),
  event: (node) => has(node, ["event"]),
};

/** What a condition is: all, any, not, one of the leaves' kinds, or "other": something no view knows. */
export const kindOf = (node) => Object.keys(KINDS).find((kind) => KINDS[kind](node)) ?? "other";
/** The kinds that ask about a metric. */
export const METRIC_KINDS = ["value", "agg", "rate", "delta", "changed", "stuck"];
export const isGroup = (kind) => kind === "all" || kind === "any" || kind === "not";

/** A condition as a tree: {id, path, kind, node, parts}; `parts` are empty for leaves. */
export function treeOf(node, path) {
  const kind = kindOf(node);
  let parts = [];
  if (kind === "not") parts = [treeOf(node.not, [...path, "not"])];
  else if (isGroup(kind)) parts = node[kind].map((part, i) => treeOf(part, [...path, kind, i]));
  return { id: isObject(node) ? idOf(node) : 0, path, kind, node, parts };
}

/** The condition that a tree stands for. */
export function conditionOf(tree) {
  if (tree.kind === "not") return { not: conditionOf(tree.parts[0]) };
  return isGroup(tree.kind) ? { [tree.kind]: tree.parts.map(conditionOf) } : tree.node;
}

/** All leaves below a condition, as trees. */
export const leavesOf = (node, path) => (function walk(tree) {
  return isGroup(tree.kind) ? tree.parts.flatMap(walk) : [tree];
})(treeOf(node, path));

/** A first comparison of a metric ({key, type, unit}), its value still to be filled in. */
export function comparison(metric) {
  if (metric?.type === "OBJECT") return { place: { metric: metric.key, is: "outside", of: { circle: { lat: null, lon: null, radius_m: 500 } } } };
  const leaf = { metric: metric?.key ?? null, op: metric && metric.type !== "NUMBER" ? "==" : ">", value: metric?.type === "BOOLEAN" ? true : metric?.type === "STRING" ? "" : null };
  return metric?.type === "NUMBER" && metric.unit ? { ...leaf, unit: metric.unit } : leaf;
}

const OPPOSITE = { ">": "<", ">=": "<", "<": ">", "<=": ">", between: "outside", outside: "between", "==": "!=", "!=": "==", in: "not in", "not in": "in" };

/** A first end of a rule's own: the opposite of its first comparison, a starting point to edit. */
export function ownEnd(document) {
  const { node, kind } = leavesOf(document.when, ["when"])[0];
  if (kind === "presence") return { presence: node.presence === "offline" ? "online" : "offline" };
  if (kind === "value" || kind === "agg") return { ...node, op: OPPOSITE[node.op] ?? node.op };
  return node.metric ? comparison({ key: node.metric, type: "NUMBER" }) : blank("presence");
}

/** A leaf of a kind to begin with. `metric` is what it is about, where it is about one. */
export function blank(kind, metric = null) {
  const leaf = comparison(metric);
  switch (kind) {
    case "agg":
      return { ...leaf, agg: { fn: "avg", over: "5m" } };
    case "rate":
      return { ...leaf, op: ">", rate: { per: "1m", over: "10m" } };
    case "delta":
      return { ...leaf, op: ">", delta: { over: "10m" } };
    case "changed":
      return { metric: leaf.metric, changed: { over: "1m" } };
    case "stuck":
      return { metric: leaf.metric, stuck: { for: "30m" } };
    case "attribute":
      return { attribute: null, op: "==", value: "" };
    case "time":
      return { time: { from: "22:00", to: "06:00", tz: "site" } };
    case "place":
      return comparison({ key: metric?.key ?? null, type: "OBJECT" });
    case "silence":
      return { silence: "30m" };
    case "presence":
      return { presence: "offline" };
    case "tag":
    case "group":
    case "profile":
    case "event":
      return { [kind]: null };
    default:
      return leaf;
  }
}

const isRoot = (path) => same(path, ["when"]) || same(path, ["clear", "when"]);

/** A condition beside the one at a path: into its list, or both become parts of a new "all". */
export function addBeside(document, path, leaf) {
  const above = path.at(-1);
  if (typeof above === "number") return insertAt(document, path.slice(0, -1), above + 1, leaf);
  return wrapAt(document, path, "all", leaf);
}

/** Put the condition at a path into a group of its own, with another one beside it; or under "not". */
export function wrapAt(document, path, kind, leaf) {
  const old = getAt(document, path);
  const group = kind === "not" ? { not: old } : { [kind]: leaf ? [old, leaf] : [old] };
  idOf(group);
  return setAt(document, path, group);
}

/** The opposite: put "not" around the condition, or take it away. */
export function negateAt(document, path) {
  const old = getAt(document, path);
  return kindOf(old) === "not" ? setAt(document, path, fresh(old.not)) : wrapAt(document, path, "not");
}

// `idOf` first, so that what moves up keeps its own identity in place of that of what stood around it.
const fresh = (node) => (isObject(node) && idOf(node), node);

/** Let a group of one be what it holds. */
export function unwrapAt(document, path) {
  const old = getAt(document, path);
  const kind = kindOf(old);
  if (kind === "not") return setAt(document, path, fresh(old.not));
  return isGroup(kind) && old[kind].length === 1 ? setAt(document, path, fresh(old[kind][0])) : document;
}

/** Take a condition away. A group left with one part becomes that part; a whole condition becomes `instead`. */
export function removeAt(document, path, instead = comparison()) {
  if (isRoot(path)) return setAt(document, path, fresh(instead));
  const above = path.at(-1);
  if (above === "not") return removeAt(document, path.slice(0, -1), instead);
  const group = path.slice(0, -2);
  const now = setAt(document, path, undefined);
  const left = getAt(now, path.slice(0, -1));
  if (left.length === 0) return removeAt(now, group, instead);
  return left.length === 1 ? unwrapAt(now, group) : now;
}

/** Move a condition into the list at `listPath` (["when", "all"]) at `index`, counted before anything moves. */
export function moveAt(document, from, listPath, index) {
  if (isRoot(from) || from.at(-1) === "not" || begins(listPath, from)) return document;
  const part = getAt(document, from);
  const own = from.slice(0, -1);
  const at = from.at(-1);
  if (same(own, listPath)) {
    const list = [...getAt(document, own)];
    list.splice(at, 1);
    list.splice(index > at ? index - 1 : index, 0, part);
    return setAt(document, own, list);
  }
  const now = insertAt(document, listPath, index, part);
  const depth = listPath.length;
  const shifted = begins(from, listPath) && typeof from[depth] === "number" && from[depth] >= index;
  return removeAt(now, shifted ? from.map((key, i) => (i === depth ? key + 1 : key)) : from);
}

/** Let a group ask something else of its parts: "all", "any", "not all" or "not any". */
export function joinAt(document, path, join) {
  const old = getAt(document, path);
  const inner = kindOf(old) === "not" ? old.not : old;
  const group = { [join.split(" ").at(-1)]: inner.all ?? inner.any };
  heir(inner, group);
  if (!join.startsWith("not ")) return setAt(document, path, group);
  const around = { not: group };
  idOf(around);
  return setAt(document, path, around);
}

/** The document with the edits of a fix made, in their order: one step, however many they are. */
export const mended = (document, edits) =>
  edits.reduce((now, { kind, path: text, value }) => {
    const path = pathOf(text);
    if (kind === "SET") return setAt(now, path, value);
    return typeof path.at(-1) === "number" && ["all", "any"].includes(path.at(-2)) ? removeAt(now, path) : dropAt(now, path);
  }, document);

// ── values as people write them ────────────────────────────────────────────────────────────────────────────
/** What a written number means; a text that is none stays one, so that the checker can say so; empty is null. */
export function numberOf(text) {
  const plain = text.trim().replace(",", ".");
  if (plain === "") return null;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) && Number.isFinite(Number(plain)) ? Number(plain) : text.trim();
}

export const writtenOf = (value) => (value === null || value === undefined ? "" : String(value));

/** "10m" as {count: "10", unit: "m"}; null where it is no length of time. */
export function spanOf(text) {
  const match = /^(\d+)([smhd])$/.exec(text ?? "");
  return match ? { count: match[1], unit: match[2] } : null;
}

const SPAN_MS = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 };
export const spanMs = (text) => {
  const span = spanOf(text);
  return span ? Number(span.count) * SPAN_MS[span.unit] : 0;
};

/** A length of time in the largest unit that holds it: 90000 is "90s", 120000 is "2m". */
export function spanText(ms) {
  const unit = ["d", "h", "m"].find((each) => ms >= SPAN_MS[each] && ms % SPAN_MS[each] === 0) ?? "s";
  return `${Math.round(ms / SPAN_MS[unit])}${unit}`;
}

// ── the whole rule ─────────────────────────────────────────────────────────────────────────────────────────
/** A rule of one line. */
export function newDocument(profile) {
  const metric = profile?.metrics.find((each) => each.type === "NUMBER") ?? profile?.metrics[0];
  const when = metric ? comparison(metric) : blank("silence");
  return { v: 1, name: "", severity: "major", scope: { profile: profile?.key ?? null }, when, then: [{ do: "alert" }] };
}

/** Whether nothing has yet to be filled in; before that there is nothing to check. */
export function isComplete(document) {
  const isWhole = (node) => node !== null && (typeof node !== "object" || Object.values(node).every(isWhole));
  const { devices, groups, tags, where } = document.scope ?? {};
  return ["when", "clear", "then", "on_clear", "missing", "limits", "trigger", "tests"].every((key) => document[key] === undefined || isWhole(document[key])) && [devices, groups, tags, where].every((list) => list === undefined || isWhole(list));
}

/** The metrics a rule reads, the one it is mostly about first. */
export function metricsRead(document) {
  const found = [];
  const walk = (node) => {
    if (Array.isArray(node)) node.forEach(walk);
    else if (isObject(node)) {
      if (isText(node.metric)) found.push(node.metric);
      Object.values(node).forEach(walk);
    }
  };
  walk(document.when);
  walk(document.clear);
  return [...new Set(found)];
}

/**
 * The names in use, for forms to offer: {attributes: {name: values}, tags, events}. Devices carry both kinds as `labels`
 * (one without a value is a tag); rules say what else is asked for, events among it.
 */
export function namesInUse(devices, documents) {
  const attributes = new Map();
  const tags = new Set();
  const events = new Set();
  const attribute = (name, value) => {
    if (!attributes.has(name)) attributes.set(name, new Set());
    if (isText(value) && value) attributes.get(name).add(value);
  };
  devices.forEach(({ labels }) => Object.entries(labels ?? {}).forEach(([name, value]) => (value === "" ? tags.add(name) : attribute(name, value))));
  const walk = (node) => {
    if (Array.isArray(node)) return node.forEach(walk);
    if (!isObject(node)) return undefined;
    if (isText(node.attribute)) attribute(node.attribute, node.value);
    [node.tag, ...(node.do === "tag" ? [node.add, node.remove] : [])].filter(isText).forEach((name) => tags.add(name));
    if (isText(node.event)) events.add(node.event);
    if (Array.isArray(node.tags)) node.tags.filter(isText).forEach((name) => tags.add(name));
    return Object.values(node).forEach(walk);
  };
  documents.forEach(walk);
  const sorted = (names) => [...names].sort();
  return { attributes: Object.fromEntries(sorted(attributes.keys()).map((name) => [name, sorted(attributes.get(name))])), tags: sorted(tags), events: sorted(events) };
}

// ── history ────────────────────────────────────────────────────────────────────────────────────────────────
const KEPT = 200;
const TOGETHER_MS = 900;

export const begin = (document) => ({ past: [], now: document, future: [], tag: "", at: 0 });

/** The history with a change. Changes of one place (`tag`) in quick succession are one step. */
export function changeTo(history, document, tag = "", at = Date.now()) {
  if (document === history.now) return history;
  const isTogether = tag !== "" && tag === history.tag && at - history.at < TOGETHER_MS;
  const past = isTogether ? history.past : [...history.past, history.now].slice(-KEPT);
  return { past, now: document, future: [], tag, at };
}

export function undo(history) {
  if (!history.past.length) return history;
  return { past: history.past.slice(0, -1), now: history.past.at(-1), future: [history.now, ...history.future], tag: "", at: 0 };
}

export function redo(history) {
  if (!history.future.length) return history;
  return { past: [...history.past, history.now], now: history.future[0], future: history.future.slice(1), tag: "", at: 0 };
}
