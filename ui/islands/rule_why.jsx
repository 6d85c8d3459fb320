// A condition with what each part saw: yes, no, or nobody knows.
import { plainValue } from "./live.js";
import { seenNumber } from "./numbers.js";
import { leafWords, sign } from "./rule_words.js";

const UNKNOWN = "nothing known";
const VERDICTS = { true: ["yes", "Yes"], false: ["no", "No"], null: ["open", "Unknown"] };
const JOINED = { all: "All of these", any: "At least one of these", not: "It is not so that" };

function Sign({ is }) {
  const [key, words] = VERDICTS[String(is ?? null)];
  return <span className={`sign sign-${key}`}>{words}</span>;
}

export function Why({ tree, metrics }) {
  if (!tree || typeof tree !== "object" || !("is" in tree)) return null;
  return (
    <ul className="why">
      <Part tree={tree} metrics={metrics} />
    </ul>
  );
}

function Part({ tree, metrics }) {
  const join = ["all", "any", "not"].find((key) => key in tree);
  if (!join) {
    const unit = sign(tree.unit ?? metrics.get(tree.metric)?.unit);
    const seen = tree.seen === null || tree.seen === undefined ? UNKNOWN : typeof tree.seen === "object" ? null : (typeof tree.seen === "number" ? seenNumber(tree) : plainValue(tree.seen)) + (typeof tree.seen === "number" && unit && tree.agg?.fn !== "count" ? `\u00a0${unit}` : "");
    return (
      <li>
        <Sign is={tree.is} /> {leafWords(tree, metrics)}
        {seen && (typeof tree.seen !== "boolean" || tree.metric) ? <span className="muted"> · {seen === UNKNOWN ? seen : `seen: ${seen}`}</span> : null}
      </li>
    );
  }
  const parts = join === "not" ? [tree.not] : tree[join];
  return (
    <li>
      <Sign is={tree.is} /> {JOINED[join]}
      <ul>
        {parts.map((part, i) => (
          <Part key={i} tree={part} metrics={metrics} />
        ))}
      </ul>
    </li>
  );
}
