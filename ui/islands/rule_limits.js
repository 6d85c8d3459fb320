// The numeric limits that a rule has for a metric: what can be dragged. No React in here.
import { METRIC_KINDS, leavesOf } from "./rule_model.js";
import { LOOKS, opsOf, sign } from "./rule_words.js";

const OPS = new Map(opsOf("NUMBER"));
const SMOOTH = new Set(["avg", "min", "max"]);

/** Whether the limit is measured as the metric's values are, so that it can be drawn among them. */
function isDrawn({ kind, node }, unit) {
  const isSame = !node.unit || sign(node.unit) === sign(unit);
  return isSame && (kind === "value" || (kind === "agg" && SMOOTH.has(node.agg.fn)));
}

function wordsOf({ kind, node }, value) {
  const look = LOOKS.find(([of, fn]) => of === kind && fn === (kind === "agg" ? node.agg.fn : null))?.[2] ?? "";
  return `${kind === "value" ? "" : `${look}, `}${OPS.get(node.op) ?? node.op} ${value}`;
}

function limitsBelow(document, root, metric, unit) {
  const leaves = leavesOf(root.reduce((node, key) => node?.[key], document), root).filter(({ kind, node }) => METRIC_KINDS.includes(kind) && node.metric === metric);
  return leaves.flatMap((leaf) => {
    const { node, path } = leaf;
    const at = Array.isArray(node.value) ? node.value.map((value, i) => [value, [...path, "value", i]]) : [[node.value, [...path, "value"]]];
    return at.filter(([value]) => typeof value === "number").map(([value, place]) => ({ value, path: place, unit: node.unit ?? "", isDrawn: isDrawn(leaf, unit), words: wordsOf(leaf, value) }));
  });
}

/** Every number that the metric is compared with, those that make it fire first: {value, path, unit, isDrawn, words}. */
export function limitsOf(document, metric, unit) {
  const fires = limitsBelow(document, ["when"], metric, unit);
  const clears = document.clear?.when ? limitsBelow(document, ["clear", "when"], metric, unit) : [];
  return [...fires, ...clears.map((each) => ({ ...each, words: `it clears: ${each.words}` }))];
}

/** From where to where a slider goes: over all that is drawn; where nothing is drawn, as far again around the limit. */
export function reachOf(limit, low, high) {
  const wide = Math.max(Math.abs(limit.value), 1);
  const isFlat = Math.min(low, limit.value) === Math.max(high, limit.value);
  const [least, most] = limit.isDrawn && !isFlat ? [Math.min(low, limit.value), Math.max(high, limit.value)] : [limit.value - wide, limit.value + wide];
  const step = 10 ** Math.floor(Math.log10((most - least) / 50));
  const round = (value) => Number((Math.round(value / step) * step).toPrecision(12));
  return { least: round(least - step * 5), most: round(most + step * 5), step, round };
}
