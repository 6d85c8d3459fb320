// Run by test_rule_canvas.py under bun: one property over the documents on standard input; the first document that breaks it is told.
import { deepStrictEqual, ok } from "node:assert";
import { corners, documentOf, dropAt, layoutOf, nextTo, partsOf, pictureOf, problemsByPart, verdictsOf } from "../../ui/islands/rule_canvas_layout.js";
import { addBeside, comparison, getAt, insertAt, jsonPath, leavesOf, moveAt, negateAt, removeAt, setAt, treeOf, wrapAt } from "../../ui/islands/rule_model.js";

const property = process.argv[2];
const { documents, seed } = JSON.parse(await Bun.stdin.text());

/** A small generator of numbers in [0, 1), the same for the same seed. */
function chance(start) {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const random = chance(seed);
const below = (count) => Math.floor(random() * count);
const one = (list) => list[below(list.length)];
const copyOf = structuredClone;
const vocabulary = { metrics: new Map([["temperature", { key: "temperature", type: "NUMBER", unit: "degC", label: "Temperature" }]]) };
const conditions = (picture) => partsOf(picture).filter(({ part }) => part.tree);

/** The whole document except its conditions: what no change of a condition may touch. */
function around({ when: _when, clear, ...rest }) {
  if (!clear) return rest;
  const { when: _own, ...kept } = clear;
  return { ...rest, clear: kept };
}

const PROPERTIES = {
  identity(document) {
    const before = copyOf(document);
    deepStrictEqual(documentOf(pictureOf(document, vocabulary)), before);
    deepStrictEqual(document, before);
  },
  changes(document) {
    const before = copyOf(document);
    let now = document;
    for (let turn = 0; turn < 6; turn += 1) {
      const picture = pictureOf(now, vocabulary);
      const { part } = one(conditions(picture));
      const leaf = comparison({ key: "temperature", type: "NUMBER", unit: "degC" });
      const frames = conditions(picture).filter((each) => each.part.list);
      const into = frames.length ? one(frames).part : null;
      const acts = [
        () => addBeside(now, part.path, leaf),
        () => wrapAt(now, part.path, one(["all", "any"])),
        () => negateAt(now, part.path),
        () => removeAt(now, part.path, leaf),
        () => (into ? insertAt(now, into.list, below(into.parts.length + 1), leaf) : now),
        () => (into ? moveAt(now, part.path, into.list, below(into.parts.length + 1)) : now),
        () => (part.type === "leaf" ? setAt(now, part.path, leaf) : now),
      ];
      now = one(acts)();
      const seen = copyOf(now);
      deepStrictEqual(documentOf(pictureOf(now, vocabulary)), seen);
      deepStrictEqual(around(seen), around(before));
    }
    deepStrictEqual(document, before);
  },
  layout(document) {
    const picture = pictureOf(document, vocabulary);
    for (const isNarrow of [false, true]) {
      const { boxes, width, height, arrows } = layoutOf(picture, { isNarrow, editable: !isNarrow });
      const keys = new Set(boxes.map((box) => box.key));
      ok(keys.size === boxes.length && boxes.length === partsOf(picture).length, "every part has one box and a key of its own");
      for (const { from, to } of arrows) ok(keys.has(from) && keys.has(to) && from !== to, `arrow ${from} > ${to}`);
      const all = [...corners(boxes).values()];
      for (const box of all) {
        ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 0.5 && box.y + box.height <= height + 0.5, "all within the picture");
        const above = box.parent ? all.find((each) => each.key === box.parent) : null;
        if (above) ok(box.x >= above.x && box.y >= above.y && box.x + box.width <= above.x + above.width && box.y + box.height <= above.y + above.height, "parts within their frame");
      }
      for (const [i, box] of all.entries()) {
        for (const other of all.slice(i + 1)) {
          if (box.parent !== other.parent) continue;
          ok(box.x + box.width <= other.x || other.x + other.width <= box.x || box.y + box.height <= other.y || other.y + other.height <= box.y, `${box.key} covers ${other.key}`);
        }
      }
    }
  },
  walking(document) {
    const picture = pictureOf(document, vocabulary);
    const reached = new Set(["watch"]);
    const todo = ["watch"];
    while (todo.length) {
      const key = todo.pop();
      for (const arrow of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
        const next = nextTo(picture, key, arrow);
        if (!reached.has(next)) todo.push(next);
        reached.add(next);
      }
    }
    for (const { part } of partsOf(picture)) ok(reached.has(part.key), `no arrow key leads to ${part.key} at ${jsonPath(part.path)}`);
  },
  problems(document) {
    const picture = pictureOf(document, vocabulary);
    const { part } = one(conditions(picture));
    const problem = { path: `${jsonPath(part.path)}.value`, message: "no" };
    const nowhere = { path: "$.name", message: "empty" };
    const found = problemsByPart(picture, [problem, nowhere]);
    deepStrictEqual(found.get(part.key), [problem]);
    deepStrictEqual(found.get(""), [nowhere]);
  },
  verdicts(document) {
    const answers = {};
    const answered = (tree) => {
      const is = one([true, false, null]);
      answers[jsonPath(tree.path)] = { true: "yes", false: "no", null: "unknown" }[is];
      if (tree.kind === "not") return { is, not: answered(tree.parts[0]) };
      return ["all", "any"].includes(tree.kind) ? { is, [tree.kind]: tree.parts.map(answered) } : { is, metric: "temperature", seen: 9.1 };
    };
    const found = verdictsOf(answered(treeOf(document.when, ["when"])), document, vocabulary);
    deepStrictEqual(Object.fromEntries(Object.entries(found).map(([path, each]) => [path, each.verdict])), answers);
    for (const { path, kind } of leavesOf(document.when, ["when"])) ok(kind in { all: 1, any: 1, not: 1 } || found[jsonPath(path)].seen === "9.1 °C");
    deepStrictEqual(verdictsOf(null, document), {});
    verdictsOf({ is: true, any: [1], all: "odd", not: null }, document);
  },
  dropping(document) {
    const picture = pictureOf(document, vocabulary);
    const { boxes } = layoutOf(picture, { editable: true });
    const all = corners(boxes);
    const frames = [...all.values()].filter((box) => box.part.list);
    const moved = one(conditions(picture)).part;
    for (const frame of frames) {
      const target = dropAt(boxes, moved.key, { x: frame.x + 4, y: frame.y + frame.height - 4 });
      if (!target) continue;
      ok(Array.isArray(getAt(document, target.list)) && target.index <= getAt(document, target.list).length, "falls into a list");
      ok(!jsonPath(target.list).startsWith(`${jsonPath(moved.path)}.`), "never falls into itself");
    }
  },
};

for (const [i, document] of documents.entries()) {
  try {
    PROPERTIES[property](document);
  } catch (problem) {
    console.log(JSON.stringify({ failed: i, why: problem.message, document }));
    process.exit(1);
  }
}
console.log(JSON.stringify({ passed: documents.length }));
