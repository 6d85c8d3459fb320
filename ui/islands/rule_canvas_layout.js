// A rule's document as a picture: which parts there are, where they stand, and where the arrow keys go. No React in here.
//
// The picture is made from the document and holds its parts as they are; `documentOf` puts them together again.
import { conditionOf, idOf, isGroup, jsonPath, treeOf } from "./rule_model.js";
import { actionWords, guardWords, leafWords, seenWords, spanWords, watchWords } from "./rule_canvas_words.js";

export const CARD = 252;
export const SMALL = 172;
const GAP_X = 68;
const GAP_Y = 14;
const GAP_PARTS = 30;
const PAD = 14;
const HEAD = 40;
const FOOT = 44;
const ROWS_APART = 60;
const CAPTION = 20;
const LINE = 21;
const SIGNS_IN_A_LINE = 22;

// ── what there is ──────────────────────────────────────────────────────────────────────────────────────────
function keyed(taken, node, path) {
  const own = typeof node === "object" && node !== null ? `p${idOf(node)}` : "";
  const key = own && !taken.has(own) ? own : jsonPath(path);
  taken.add(key);
  return key;
}

/** A condition as cards and frames. "not" around a group is one frame with it; `list` is where its parts are. */
function partOf(tree, about) {
  const inner = tree.kind === "not" && (tree.parts[0].kind === "all" || tree.parts[0].kind === "any") ? tree.parts[0] : tree;
  // The group's own key, so that it stays the same part when it becomes its opposite.
  const base = { key: keyed(about.taken, inner.node, inner.path), path: tree.path, tree };
  if (!isGroup(inner.kind)) return { ...base, type: "leaf", kind: tree.kind, ...leafWords(tree.node, tree.kind, about.vocabulary) };
  const join = inner === tree ? tree.kind : `not ${inner.kind}`;
  const list = join === "not" ? null : [...inner.path, inner.kind];
  return { ...base, type: "frame", join, list, parts: inner.parts.map((each) => partOf(each, about)) };
}

function deeds(document, field, about) {
  const list = Array.isArray(document[field]) ? document[field] : [];
  return list.map((node, i) => {
    const path = [field, i];
    return { key: keyed(about.taken, node, path), path, type: "deed", node, kind: node?.do ?? "other", ...actionWords(node, document, about.vocabulary) };
  });
}

const waiting = (key, path, span) => ({ key, path, type: "wait", kind: "wait", title: span ? "stays so for" : "acts", text: span ? spanWords(span) : "at once" });

/**
 * The whole rule: `rows` of columns of parts. The first row is how it fires, the second how it is over.
 * `vocabulary`: {metrics: Map of key to {key, type, unit, label}, profiles, groups: [{id|key, name}]}, each optional.
 */
export function pictureOf(document, vocabulary = {}) {
  const about = { vocabulary, taken: new Set() };
  const when = partOf(treeOf(document.when, ["when"]), about);
  const then = deeds(document, "then", about);
  const fire = [[{ key: "watch", path: ["scope"], type: "watch", kind: document.trigger ? "schedule" : "watch", ...watchWords(document, vocabulary) }], [when], [waiting("wait", ["for"], document.for)], then];
  const clear = document.clear ? partOf(treeOf(document.clear.when, ["clear", "when"]), about) : null;
  const auto = { key: "auto", path: ["clear"], type: "auto", kind: "auto", title: "It is over", text: "when that is no longer so" };
  const over = deeds(document, "on_clear", about);
  const alerts = then.some((each) => each.kind === "alert");
  const end = { key: "end", path: ["on_clear"], type: "end", kind: "end", title: "Over", text: alerts ? "the alert ends" : "it may fire again" };
  const guards = guardWords(document);
  when.over = "When";
  if (clear) clear.over = "Over when";
  const left = guards.length ? [{ key: "guards", path: ["limits"], type: "guards", kind: "guards", title: "Limits", text: "", lines: guards }] : [];
  const ending = [left, [clear ?? auto], clear ? [waiting("clear-wait", ["clear", "for"], document.clear.for)] : [], [...over, end]];
  return { document, rows: [fire, ending], when, clear, then, over };
}

/** The document a picture was made from, put together from its parts. */
export function documentOf(picture) {
  const { document, when, clear, then, over } = picture;
  const made = { ...document };
  if ("when" in document) made.when = conditionOf(when.tree);
  if (clear) made.clear = { ...document.clear, ...("when" in document.clear ? { when: conditionOf(clear.tree) } : {}) };
  if (Array.isArray(document.then)) made.then = then.map((each) => each.node);
  if (Array.isArray(document.on_clear)) made.on_clear = over.map((each) => each.node);
  return made;
}

/** All parts, those inside frames too, each with its `parent`, `row`, `column` and place among its `siblings`. */
export function partsOf(picture) {
  const found = [];
  const walk = (siblings, parent, row, column) =>
    siblings.forEach((part, at) => {
      found.push({ part, parent, row, column, at, siblings });
      if (part.parts) walk(part.parts, part, row, column);
    });
  picture.rows.forEach((columns, row) => columns.forEach((parts, column) => walk(parts, null, row, column)));
  return found;
}

/** The key of the condition at a path of a document. */
export const keyAt = (document, path) => partsOf(pictureOf(document)).find(({ part }) => part.tree && jsonPath(part.path) === jsonPath(path))?.part.key ?? "";

// ── whose problem it is ────────────────────────────────────────────────────────────────────────────────────
const isUnder = (path, start) => path === start || (path.startsWith(start) && (path[start.length] === "." || path[start.length] === "["));
const OWNERS = { watch: ["$.scope", "$.trigger"], guards: ["$.limits", "$.missing"] };

/** Problems by part: each goes to the innermost part that holds its path. What belongs to none is under "". */
export function problemsByPart(picture, problems) {
  const places = partsOf(picture).flatMap(({ part }) => (OWNERS[part.key] ?? [jsonPath(part.path)]).map((path) => [path, part.key]));
  const found = new Map();
  for (const each of problems ?? []) {
    const holders = places.filter(([path]) => isUnder(each.path, path)).sort(([one], [other]) => other.length - one.length);
    const key = holders[0]?.[1] ?? "";
    found.set(key, [...(found.get(key) ?? []), each]);
  }
  return found;
}

const ANSWERS = { true: "yes", false: "no" };

/** An explanation's tree ({is, all|any|not} or {is, seen, …}) as verdicts by path, as far as it has the document's shape. */
export function verdictsOf(why, document, vocabulary = {}) {
  const found = {};
  const walk = (part, tree) => {
    if (typeof part !== "object" || part === null || !("is" in part)) return;
    const seen = tree.parts.length || isGroup(tree.kind) ? "" : seenWords(part, vocabulary);
    found[jsonPath(tree.path)] = { verdict: ANSWERS[part.is] ?? "unknown", ...(seen ? { seen } : {}) };
    const parts = tree.kind === "not" ? [part.not] : part[tree.kind];
    if (isGroup(tree.kind) && Array.isArray(parts) && parts.length === tree.parts.length) tree.parts.forEach((each, i) => walk(parts[i], each));
  };
  walk(why, treeOf(document.when, ["when"]));
  return found;
}

// ── where it stands ────────────────────────────────────────────────────────────────────────────────────────
/** How many lines a text takes in a card. */
export function linesOf(text, width = SIGNS_IN_A_LINE) {
  let lines = 1;
  let used = 0;
  for (const word of String(text).split(/\s+/)) {
    const length = Math.min(word.length, width);
    if (used && used + 1 + length > width) {
      lines += 1;
      used = length;
    } else used += (used ? 1 : 0) + length;
    if (word.length > width) lines += Math.ceil(word.length / width) - 1;
  }
  return lines;
}

const capped = (lines) => Math.min(lines, 4);

function sizeOf(part, marks) {
  if (part.type === "wait" || part.type === "end") return { width: SMALL, height: 66 };
  if (part.type === "guards") return { width: CARD, height: 44 + part.lines.reduce((sum, line) => sum + capped(linesOf(line, 26)) * 19 + 5, 0) };
  const extra = (marks?.problems?.get(part.key) ? 24 : 0) + (marks?.verdicts?.has(part.key) ? 24 : 0);
  const lines = part.lines ? part.lines.reduce((sum, line) => sum + capped(linesOf(line, SIGNS_IN_A_LINE + 3)), 0) : 0;
  return { width: CARD, height: 26 + capped(linesOf(part.title, 25)) * CAPTION + capped(linesOf(part.text)) * LINE + lines * 20 + extra };
}

/** A part with its size; the parts of a frame stand in it, below each other, with a word between them. */
function measured(part, options) {
  if (part.type !== "frame") return { part, ...sizeOf(part, options), inner: [] };
  const head = HEAD + (options.problems?.get(part.key) ? 24 : 0);
  let y = head;
  const inner = part.parts.map((each, i) => {
    const box = { ...measured(each, options), x: PAD, y: y + (i ? GAP_PARTS : 0) };
    y = box.y + box.height;
    return box;
  });
  const widest = Math.max(CARD, ...inner.map((each) => each.width));
  const canGrow = options.editable && part.list;
  return { part, inner: inner.map((each) => ({ ...each, x: PAD + (widest - each.width) / 2 })), width: widest + 2 * PAD, height: y + (canGrow ? FOOT : PAD) + (inner.length ? 0 : 6) };
}

function column(parts, options) {
  const boxes = parts.map((part) => measured(part, options));
  const foot = options.editable && options.growing ? FOOT : 0;
  return { boxes, width: Math.max(0, ...boxes.map((box) => box.width)), height: boxes.reduce((sum, box) => sum + box.height, 0) + GAP_Y * Math.max(0, boxes.length - 1) + foot };
}

/** The boxes with corners of their own, frames' parts relative to the frame. */
function* placed(boxes, parent) {
  for (const { part, x, y, width, height, inner } of boxes) {
    const gaps = inner.slice(1).map((box) => box.y - GAP_PARTS / 2);
    yield { key: part.key, part, parent, x, y, width, height, gaps };
    yield* placed(inner, part.key);
  }
}

/** Left to right: the columns of both rows stand above each other, each part in the middle of its row. */
function across(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((columns) => columns[i].width)));
  let y = 0;
  return rows.flatMap((columns) => {
    const height = Math.max(...columns.map((each) => each.height));
    let x = 0;
    const boxes = columns.flatMap((each, i) => {
      let top = y + (height - each.height) / 2;
      const left = x;
      if (widths[i]) x += widths[i] + GAP_X;
      return each.boxes.map((box) => {
        const at = { ...box, x: left + (i === 3 ? 0 : (widths[i] - box.width) / 2), y: top };
        top += box.height + GAP_Y;
        return at;
      });
    });
    y += height + ROWS_APART;
    return boxes;
  });
}

/** Top to bottom, for narrow screens; the limits, which nothing leads to, come last. */
function down([fire, [limits, ...ending]]) {
  const columns = [...fire, ...ending, limits];
  const widest = Math.max(...columns.map((each) => each.width));
  let y = 0;
  return columns.flatMap(({ boxes }) =>
    boxes.map((box, i) => {
      const at = { ...box, x: (widest - box.width) / 2, y };
      y += box.height + (i < boxes.length - 1 ? GAP_Y + 8 : 38);
      return at;
    }),
  );
}

/**
 * Corners and sizes in pixels: {boxes: [{key, part, parent, x, y, width, height, gaps}], width, height, arrows}.
 * `options`: {isNarrow, editable, problems: Map of key to problems, verdicts: Map of key to a verdict}.
 */
export function layoutOf(picture, options = {}) {
  const rows = picture.rows.map((columns) => columns.map((parts, i) => column(parts, { ...options, growing: i === 3 })));
  const boxes = [...placed(options.isNarrow ? down(rows) : across(rows), null)];
  const outer = boxes.filter((box) => box.parent === null);
  const edge = (side, size) => Math.max(...outer.map((box) => box[side] + box[size]));
  return { boxes, width: edge("x", "width"), height: edge("y", "height"), arrows: arrowsOf(picture, options.isNarrow) };
}

/** What leads to what: [{from, to, isQuiet}], `isQuiet` for the way to the end. */
export function arrowsOf({ rows }, isNarrow = false) {
  const [fire, ending] = rows;
  const found = [];
  const chain = (columns, isQuiet) =>
    columns.slice(1).reduce((before, parts) => {
      const next = parts.length ? parts : before;
      if (parts.length) {
        if (isNarrow) [before.at(-1), ...parts].slice(0, -1).forEach((part, i) => found.push({ from: part.key, to: parts[i].key, isQuiet }));
        else for (const part of parts) found.push({ from: before[0].key, to: part.key, isQuiet });
      }
      return next;
    }, columns[0]);
  const last = chain(fire.filter((parts) => parts.length), false);
  const quiet = ending.slice(1).filter((parts) => parts.length);
  found.push({ from: isNarrow ? last.at(-1).key : fire[0][0].key, to: quiet[0][0].key, isQuiet: true });
  chain(quiet, true);
  return found;
}

// ── where the keys go ──────────────────────────────────────────────────────────────────────────────────────
/** The key of the part that an arrow key leads to from `key`; itself where there is no further. */
export function nextTo(picture, key, arrow) {
  const all = partsOf(picture);
  const here = all.find(({ part }) => part.key === key) ?? all[0];
  const { part, parent, row, column, at, siblings } = here;
  const columns = picture.rows[row];
  if (arrow === "ArrowRight") return (part.parts?.[0] ?? columns.slice(column + 1).find((parts) => parts.length)?.[0] ?? part).key;
  if (arrow === "ArrowLeft") return (parent ?? columns.slice(0, column).findLast((parts) => parts.length)?.[0] ?? part).key;
  const step = arrow === "ArrowDown" ? 1 : -1;
  if (siblings[at + step]) return siblings[at + step].key;
  if (parent) return nextTo(picture, parent.key, arrow);
  const other = picture.rows[row + step];
  if (!other) return part.key;
  const filled = other.map((parts, i) => ({ parts, i })).filter(({ parts }) => parts.length);
  const nearest = filled.sort((one, two) => Math.abs(one.i - column) - Math.abs(two.i - column))[0];
  return (step === 1 ? nearest.parts[0] : nearest.parts.at(-1)).key;
}

// ── where a dragged card falls ─────────────────────────────────────────────────────────────────────────────
/** Corners in the picture's own pixels, frames' parts no longer relative. */
export function corners(boxes) {
  const found = new Map();
  for (const box of boxes) {
    const above = box.parent ? found.get(box.parent) : { x: 0, y: 0 };
    found.set(box.key, { ...box, x: above.x + box.x, y: above.y + box.y });
  }
  return found;
}

/** The frame under a point and the place among its parts: {key, list, index}, or null. Not within `moved` itself. */
export function dropAt(boxes, moved, point) {
  const all = corners(boxes);
  const isWithin = (key) => key !== null && (key === moved || isWithin(all.get(key).parent));
  const over = [...all.values()].filter((box) => box.part.list && !isWithin(box.key) && point.x >= box.x && point.x <= box.x + box.width && point.y >= box.y && point.y <= box.y + box.height);
  const frame = over.at(-1);
  if (!frame) return null;
  const inner = [...all.values()].filter((box) => box.parent === frame.key);
  const index = inner.filter((box) => box.y + box.height / 2 < point.y).length;
  return { key: frame.key, list: frame.part.list, index };
}
