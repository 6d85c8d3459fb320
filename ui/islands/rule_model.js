// A rule between two shapes: the document (what is stored) and the form (what is edited). No React in here.
//
// The document is the source. What the form does not know stays in the document as it came: opening and saving a
// rule never loses a part of it.

export const OPS = {
  NUMBER: [
    [">", "is above"],
    [">=", "is at least"],
    ["<", "is below"],
    ["<=", "is at most"],
    ["between", "is between"],
    ["outside", "is outside"],
    ["==", "is exactly"],
    ["!=", "is not"],
    ["in", "is one of"],
    ["not in", "is none of"],
  ],
  BOOLEAN: [
    ["==", "is"],
    ["!=", "is not"],
  ],
  STRING: [
    ["==", "is"],
    ["!=", "is not"],
    ["in", "is one of"],
    ["not in", "is none of"],
  ],
};

// The engine's own table: the opposite of a comparison, exact also where the value is unknown.
const OPPOSITE = { "==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", between: "outside", outside: "between", in: "not in", "not in": "in" };

/** What a group asks of its parts, as people choose it. */
export const JOINS = [
  ["all", "all of these are true"],
  ["any", "at least one of these is true"],
  ["not any", "none of these is true"],
  ["not all", "these are not all true"],
];

export const UNITS = [
  ["s", "seconds"],
  ["m", "minutes"],
  ["h", "hours"],
  ["d", "days"],
];

let last = 0;
export const nextId = () => (last += 1);

export const leaf = (metric) => {
  const type = metric?.type ?? "NUMBER";
  return { id: nextId(), kind: "leaf", metric: metric?.key ?? "", op: type === "NUMBER" ? ">" : "==", texts: type === "BOOLEAN" ? ["true"] : [""], extra: {} };
};

export const group = (parts, join = "all") => ({ id: nextId(), kind: "group", join, parts });

/** A condition of a document as a node of the form. */
function nodeOf(condition) {
  if (condition && typeof condition === "object") {
    if (Array.isArray(condition.all)) return group(condition.all.map(nodeOf), "all");
    if (Array.isArray(condition.any)) return group(condition.any.map(nodeOf), "any");
    if (condition.not) return negated(nodeOf(condition.not));
    const { metric, op, value, ...extra } = condition;
    return { id: nextId(), kind: "leaf", metric, op, texts: (Array.isArray(value) ? value : [value]).map(String), extra };
  }
  return leaf();
}

function negated(node) {
  if (node.kind === "leaf") return { ...node, op: OPPOSITE[node.op] ?? node.op };
  return { ...node, join: node.join.startsWith("not ") ? node.join.slice(4) : `not ${node.join}` };
}

const rootOf = (condition) => {
  const node = nodeOf(condition);
  return node.kind === "group" ? node : group([node]);
};

/** A length of time as the form edits it: {count: "10", unit: "m"}; an empty count means none. */
export function spanOf(text) {
  const match = /^(\d+)([smhd])$/.exec(text ?? "");
  return match ? { count: match[1], unit: match[2] } : { count: "", unit: "m", other: text ?? undefined };
}

const textOf = (span) => (span.count.trim() === "" ? span.other : `${span.count.trim()}${span.unit}`);

export function formOf(document) {
  return {
    source: document,
    name: document.name ?? "",
    description: document.description ?? "",
    severity: document.severity ?? "major",
    profile: document.scope?.profile ?? null,
    when: rootOf(document.when),
    held: spanOf(document.for),
    hasClear: Boolean(document.clear),
    clear: document.clear ? rootOf(document.clear.when) : null,
    clearHeld: spanOf(document.clear?.for),
    cooldown: spanOf(document.limits?.cooldown),
  };
}

export function newForm(profile) {
  const metric = profile?.metrics.find((each) => each.type === "NUMBER") ?? profile?.metrics[0];
  return {
    ...formOf({ v: 1, severity: "major", scope: { profile: profile?.key ?? null }, then: [{ do: "alert" }] }),
    when: group([leaf(metric)]),
    held: { count: "5", unit: "m" },
  };
}

const asNumber = (text) => {
  const plain = text.trim().replace(",", ".");
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : null;
};

function valueOf(node, type) {
  const read = (text) => {
    if (type === "BOOLEAN") return text === "true";
    return type === "NUMBER" ? (asNumber(text) ?? text.trim()) : text.trim();
  };
  if (node.op === "between" || node.op === "outside") return [read(node.texts[0] ?? ""), read(node.texts[1] ?? "")];
  if (node.op === "in" || node.op === "not in") {
    const texts = node.texts.length > 1 ? node.texts : (node.texts[0] ?? "").split(",");
    return texts.map((text) => text.trim()).filter(Boolean).map(read);
  }
  return read(node.texts[0] ?? "");
}

/** The form as a document; `places` receives where each node of the form stands in it, for the checker's answers. */
export function documentOf(form, metrics, places = new Map()) {
  const conditionOf = (node, path) => {
    places.set(node.id, path);
    if (node.kind === "leaf") {
      const metric = metrics.get(node.metric);
      const { unit: _old, ...extra } = node.extra;
      const unit = node.extra.unit ?? metric?.unit;
      return { metric: node.metric, op: node.op, value: valueOf(node, metric?.type ?? guess(node)), ...(unit ? { unit } : {}), ...extra };
    }
    const isNot = node.join.startsWith("not ");
    const word = isNot ? node.join.slice(4) : node.join;
    if (node.parts.length === 1 && !isNot) return conditionOf(node.parts[0], path);
    const inner = isNot ? `${path}.not` : path;
    const parts = { [word]: node.parts.map((part, i) => conditionOf(part, `${inner}.${word}[${i}]`)) };
    return isNot ? { not: parts } : parts;
  };
  const { source } = form;
  const document = {
    ...source,
    name: form.name.trim(),
    severity: form.severity,
    scope: { ...source.scope, profile: form.profile },
    when: conditionOf(form.when, "$.when"),
    then: source.then,
  };
  put(document, "description", form.description.trim() || undefined);
  put(document, "for", textOf(form.held));
  put(
    document,
    "clear",
    form.hasClear ? put({ ...source.clear, when: conditionOf(form.clear, "$.clear.when") }, "for", textOf(form.clearHeld)) : undefined,
  );
  const limits = put({ ...source.limits }, "cooldown", textOf(form.cooldown));
  put(document, "limits", Object.keys(limits).length ? limits : undefined);
  return document;
}

function put(object, key, value) {
  if (value === undefined) delete object[key];
  else object[key] = value;
  return object;
}

const guess = (node) => (node.texts.every((text) => asNumber(text) !== null) ? "NUMBER" : node.texts[0] === "true" || node.texts[0] === "false" ? "BOOLEAN" : "STRING");

/** All comparisons below a node. */
export const leavesOf = (node) => (node.kind === "leaf" ? [node] : node.parts.flatMap(leavesOf));

/** Whether every comparison has something to compare with; before that there is nothing to check. */
export function isComplete(form) {
  const leaves = [...leavesOf(form.when), ...(form.hasClear ? leavesOf(form.clear) : [])];
  const needed = (node) => (node.op === "between" || node.op === "outside" ? 2 : 1);
  return leaves.every((node) => node.metric && Array.from({ length: needed(node) }, (_, i) => node.texts[i] ?? "").every((text) => text.trim() !== ""));
}

/** A name for a rule nobody named: "Temperature is above 8 °C". */
export function proposedName(form, metrics, unitOf) {
  const [node] = leavesOf(form.when);
  const metric = metrics.get(node.metric);
  const op = OPS[metric?.type ?? "NUMBER"].find(([key]) => key === node.op)?.[1] ?? node.op;
  const value = metric?.type === "BOOLEAN" ? (node.texts[0] === "true" ? "yes" : "no") : node.texts.join(" and ");
  const unit = metric?.unit ? ` ${unitOf(metric.unit)}` : "";
  return `${metric?.label || node.metric} ${op} ${value}${metric?.type === "NUMBER" ? unit : ""}`.slice(0, 120);
}

/** Change one node of a tree. `change(node)` gives its successor, or null to remove it. */
export function changed(root, id, change) {
  if (root.id === id) return change(root) ?? root;
  if (root.kind === "leaf") return root;
  const parts = root.parts.map((part) => (part.id === id ? change(part) : changed(part, id, change))).filter(Boolean);
  // An emptied inner group goes with its last condition.
  return { ...root, parts: parts.filter((part) => part.kind === "leaf" || part.parts.length > 0) };
}
