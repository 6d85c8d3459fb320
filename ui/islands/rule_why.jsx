// A condition with what each part saw: yes, no, or nobody knows.
import { useEffect, useState } from "react";
import { toTheMinute } from "./clock.js";
import { ask, plainValue } from "./live.js";
import { seenNumber } from "./numbers.js";
import { useDesk } from "./rule_desk.js";
import { Help } from "./rule_pieces.jsx";
import { isYesNo, leafWords, sign, stateWords } from "./rule_words.js";
import { inOwnZone } from "./zones.js";

const UNKNOWN = "nothing known";
const VERDICTS = { true: ["yes", "Yes"], false: ["no", "No"], null: ["open", "Unknown"] };
const JOINED = { all: "All of these", any: "At least one of these", not: "It is not so that" };

const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

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
    const seen = "missing" in tree ? null : tree.seen === null || tree.seen === undefined ? UNKNOWN : typeof tree.seen === "object" ? null : (typeof tree.seen === "number" ? seenNumber(tree) : isYesNo(tree) ? stateWords(metrics.get(tree.metric), tree.seen) : plainValue(tree.seen)) + (typeof tree.seen === "number" && unit && tree.agg?.fn !== "count" ? `\u00a0${unit}` : "");
    return (
      <li>
        <Sign is={tree.is} /> {capital(leafWords(tree, metrics))}
        {seen && (typeof tree.seen !== "boolean" || "op" in tree) ? <span className="muted"> · {seen === UNKNOWN ? seen : `seen: ${seen}`}</span> : null}
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

/** Why the published rule did not fire for a device, as it was looked at now and then. `onLook(moment)` goes there. */
export function WhyNot({ deviceId, onLook }) {
  const { rule, queries, metrics } = useDesk();
  const [looks, setLooks] = useState([]);
  useEffect(() => {
    setLooks([]);
    if (!rule || !deviceId) return undefined;
    const controller = new AbortController();
    ask(queries.nonFirings, { ruleId: rule.id, deviceId }, controller.signal)
      .then(({ ruleNonFirings }) => setLooks(ruleNonFirings.items))
      .catch(() => {}); // the look above says what is wrong
    return () => controller.abort();
  }, [rule?.id, deviceId]);
  if (!looks.length) return null;
  return (
    <div className="stack-tight why-not" data-rule="why-not">
      <p className="small">
        <b>Why the published rule did not fire</b> <Help about="why-not" />
      </p>
      <ul className="episodes" aria-label="When it did not fire">
        {looks.map((each) => (
          <li key={each.id}>
            <details className="episode">
              <summary>
                <span className="episode-when num">{toTheMinute(each.lookedAt)}</span>
                <span>
                  {each.isNear ? <b>Almost: </b> : null}
                  {inOwnZone(each.reason, each.lookedAt)}
                </span>
              </summary>
              <Why tree={each.why} metrics={metrics} />
              <button type="button" className="offer" onClick={() => onLook(each.at)}>
                Look at that moment
              </button>
            </details>
          </li>
        ))}
      </ul>
    </div>
  );
}
