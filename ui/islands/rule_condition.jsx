// The conditions of a rule in sentence form: comparisons and facts, joined by and, or, not to any depth.
import { Area, Place } from "./rule_area.jsx";
import { useDesk, useSaid } from "./rule_desk.js";
import { AttributeName, knownAs, useValuesOf } from "./rule_known.jsx";
import { METRIC_KINDS, addBeside, blank, comparison, getAt, idOf, isGroup, joinAt, jsonPath, kindOf, moveAt, negateAt, removeAt, setAt, unwrapAt, wrapAt } from "./rule_model.js";
import { Clock, Days, Help, Menu, Pick, Said, Span, Write } from "./rule_pieces.jsx";
import { FACTS, JOINS, isAsked, isYesNo, kinOf, looksOf, opsOf, sign, wantsMany, wantsTwo, yesNoBehind } from "./rule_words.js";

const tagOf = (path) => path.join(".");

/** A condition, whatever it is. `path` is where it stands; `depth` how deep. */
export function Condition({ path, depth = 0 }) {
  const { document } = useDesk();
  const node = getAt(document, path);
  const kind = kindOf(node);
  if (kind === "not") {
    const inner = kindOf(node.not);
    if (inner === "all" || inner === "any") return <Group path={path} listPath={[...path, "not", inner]} join={`not ${inner}`} depth={depth} />;
    return isGroup(inner) ? <Group path={path} listPath={[...path, "not"]} join="not" depth={depth} /> : <Leaf path={[...path, "not"]} whole={path} isNot />;
  }
  if (kind === "all" || kind === "any") return <Group path={path} listPath={[...path, kind]} join={kind} depth={depth} />;
  return <Leaf path={path} whole={path} />;
}

function Group({ path, listPath, join, depth }) {
  const { document, change } = useDesk();
  const said = useSaid(listPath.slice(0, -1), false);
  const list = join === "not" ? [getAt(document, listPath)] : getAt(document, listPath);
  const word = join.endsWith("any") ? "or" : "and";
  return (
    <div className={depth ? "clauses clauses-nested" : "clauses"} role="group" aria-label={depth ? "Group of conditions" : "Conditions"}>
      <div className="clause">
        {join === "not" ? (
          <span className="muted">it is not so that</span>
        ) : (
          <Pick label="How the conditions belong together" value={join} options={JOINS} onChange={(next) => change((old) => joinAt(old, path, next))} wide />
        )}
        <GroupMenu path={path} count={list.length} depth={depth} />
        {depth ? null : <Help about="groups-of-conditions" />}
      </div>
      <Said {...said} />
      {list.map((part, i) => {
        const place = join === "not" ? listPath : [...listPath, i];
        return (
          <div className="part" key={typeof part === "object" && part ? idOf(part) : i}>
            <span className="part-word">{i > 0 ? word : ""}</span>
            <div className="part-body">
              <Condition path={place} depth={depth + 1} />
            </div>
          </div>
        );
      })}
      {join === "not" ? null : (
        <div className="clause-add">
          <AddCondition beside={[...listPath, list.length - 1]} depth={depth} />
        </div>
      )}
    </div>
  );
}

function GroupMenu({ path, count, depth }) {
  const { change } = useDesk();
  return (
    <Menu
      label={depth ? "More about this group" : "More about these conditions"}
      className="clause-more"
      items={[
        ["Turn into the opposite", () => change((old) => negateAt(old, path))],
        count === 1 ? ["Dissolve the group", () => change((old) => unwrapAt(old, path))] : null,
        depth ? ["Remove the group", () => change((old) => removeAt(old, path))] : null,
      ]}
    >
      ⋯
    </Menu>
  );
}

/** "+ condition": beside the one at a path; a value first, then all that a rule may also ask. */
export function AddCondition({ beside, depth = 0, words = "condition" }) {
  const { change, metrics } = useDesk();
  const all = [...metrics.values()];
  const first = all.find((each) => each.type === "NUMBER") ?? all[0];
  const place = all.find((each) => each.type === "OBJECT");
  const add = (leaf) => change((old) => addBeside(old, beside, leaf));
  const items = [
    ["A value", null],
    ...all.filter((each) => each.type !== "OBJECT").slice(0, 12).map((each) => [each.label || each.key, () => add(comparison(each))]),
    ...FACTS.flatMap(([kind, facts, group], i) => {
      const item = [facts[0].toUpperCase() + facts.slice(1), () => add(blank(kind, place))];
      return FACTS[i - 1]?.[2] === group ? [item] : [[group, null], item];
    }),
    ["Together", null],
    depth < 5 ? ["A group of conditions", () => add({ any: [comparison(first), comparison(first)] })] : null,
  ];
  return (
    <Menu label={`Add a ${words}`} className="offer" items={items}>
      + {words}
    </Menu>
  );
}

function Leaf({ path, whole, isNot }) {
  const { document, change, metrics } = useDesk();
  const node = getAt(document, path);
  const kind = kindOf(node);
  const said = useSaid(path);
  // What is wrong with the metric is marked there, and not at the value, which may be right.
  const isOfMetric = (each) => each.path === jsonPath([...path, "metric"]);
  const bad = said.problems.some((each) => !isOfMetric(each));
  const put = (key, value) => change((old) => setAt(old, [...path, ...(Array.isArray(key) ? key : [key])], value), tagOf([...path, key]));
  const swap = (next) => change((old) => setAt(old, path, next));
  const View = VIEWS[kind] ?? Other;
  return (
    <div className="leaf" data-at={jsonPath(whole)}>
      <div className="clause">
        {isNot ? (
          <button type="button" className="token token-not" aria-label="Not: take this away" title="Take “not” away" onClick={() => change((old) => negateAt(old, whole))}>
            not
          </button>
        ) : null}
        {kind === "other" ? null : <Subject node={node} kind={kind} swap={swap} bad={said.problems.some(isOfMetric)} />}
        <View node={node} kind={kind} put={put} swap={swap} bad={bad} metrics={metrics} />
        <LeafMenu path={path} whole={whole} node={node} kind={kind} isNot={isNot} swap={swap} />
        <Verdict path={path} whole={whole} />
      </div>
      {kind === "place" ? <Area place={node.place} put={put} /> : null}
      <Said {...said} />
    </div>
  );
}

const VERDICTS = { yes: ["ok", "so"], no: ["no", "not so"], unknown: ["open", "not known"] };

/** What the test bench sees of this condition, while one looks there. */
function Verdict({ path, whole }) {
  const { verdicts } = useDesk();
  const found = verdicts?.[jsonPath(whole)];
  if (!found) return null;
  const [look, words] = VERDICTS[found.verdict];
  const seen = verdicts[jsonPath(path)]?.seen;
  return (
    <span className={`sign sign-${look} leaf-verdict`} title="What “Try it” sees">
      {seen ? `${seen}: ${words}` : words}
    </span>
  );
}

/** What the comparison is about: a metric, or one of the facts. */
function Subject({ node, kind, swap, bad }) {
  const { metrics } = useDesk();
  const all = [...metrics.values()];
  const isMetric = METRIC_KINDS.includes(kind);
  const values = all.filter((each) => each.type !== "OBJECT").map((each) => [`m ${each.key}`, each.label || each.key]);
  const groups = [...new Set(FACTS.map(([, , group]) => group))].map((group) => [group, FACTS.filter((fact) => fact[2] === group).map(([key, words]) => [`f ${key}`, words])]);
  const choose = (value) => {
    const [what, key] = [value[0], value.slice(2)];
    if (what === "f") return swap(blank(key, all.find((each) => each.type === "OBJECT")));
    const next = metrics.get(key);
    const same = isMetric && metrics.get(node.metric)?.type === next?.type;
    if (!same) return swap(comparison(next));
    const { unit: _old, ...rest } = node;
    return swap({ ...rest, metric: key, ...(next.unit && "op" in node ? { unit: next.unit } : {}) });
  };
  const value = isMetric ? `m ${node.metric}` : `f ${kind}`;
  const isKnown = !isMetric || metrics.has(node.metric);
  const options = [[values.length ? "A value" : null, isKnown ? values : [...values, [value, node.metric ?? "choose…"]]], ...groups].filter(([, list]) => list.length);
  return <Pick label="What is looked at" value={value} options={options} onChange={choose} bad={bad} />;
}

function LeafMenu({ path, whole, node, kind, isNot, swap }) {
  const { document, change, metrics } = useDesk();
  const at = whole.at(-1);
  const list = typeof at === "number" ? whole.slice(0, -1) : null;
  const count = list ? getAt(document, list).length : 0;
  const metric = metrics.get(node?.metric);
  const canCompare = ["value", "agg", "rate", "delta"].includes(kind) && !wantsTwo(node.op) && !wantsMany(node.op);
  const isWritten = typeof node?.value !== "object" || node.value === null;
  const compare = (value) => {
    const { unit: _unit, ...rest } = node;
    swap({ ...rest, value });
  };
  const other = [...metrics.values()].find((each) => each.type === metric?.type && each.key !== node?.metric);
  const items = [
    canCompare ? ["Compare with", null] : null,
    canCompare && !isWritten ? ["A fixed value", () => swap({ ...comparison(metric), ...node, value: comparison(metric).value })] : null,
    canCompare && other ? ["Another value", () => compare({ metric: other.key })] : null,
    canCompare ? ["An attribute of the device", () => compare({ attribute: null })] : null,
    canCompare && kind === "value" ? ["Its own value some time ago", () => compare({ metric: node.metric, ago: "1h" })] : null,
    ["Change", null],
    [isNot ? "Take “not” away" : "Turn into the opposite", () => change((old) => negateAt(old, whole))],
    ["Duplicate", () => change((old) => addBeside(old, whole, structuredClone(getAt(old, whole))))],
    ["Put in a group of its own", () => change((old) => wrapAt(old, whole, "any", comparison(metric ?? [...metrics.values()][0])))],
    list && at > 0 ? ["Move up", () => change((old) => moveAt(old, whole, list, at - 1))] : null,
    list && at < count - 1 ? ["Move down", () => change((old) => moveAt(old, whole, list, at + 2))] : null,
    whole.length > 1 && list ? ["Remove", () => change((old) => removeAt(old, whole))] : null,
  ];
  return (
    <span className="leaf-tools">
      <Menu label="More about this condition" className="clause-more" items={items}>
        ⋯
      </Menu>
      {list ? (
        <button type="button" className="clause-remove" aria-label="Remove this condition" title="Remove" onClick={() => change((old) => removeAt(old, whole))}>
          ×
        </button>
      ) : null}
    </span>
  );
}

function Compared({ node, put, swap, bad, metrics, kind }) {
  const metric = metrics.get(node.metric);
  const type = node.agg || node.rate || node.delta ? "NUMBER" : (metric?.type ?? guess(node.value));
  const look = node.agg ? node.agg.fn : kind;
  const looks = looksOf(metric?.type ?? "NUMBER").map(([key, fn, words]) => [fn ?? key, words]);
  const setOp = (op) => {
    const shape = (each) => (wantsTwo(each) ? 2 : wantsMany(each) ? 3 : 1);
    if (shape(op) === shape(node.op) || (shape(op) === 1 && isOperand(node.value))) return swap({ ...node, op });
    const first = Array.isArray(node.value) ? (node.value[0] ?? null) : isOperand(node.value) ? null : node.value;
    return swap({ ...node, op, value: shape(op) === 2 ? [first, null] : shape(op) === 3 ? (first === null || first === "" ? null : [first]) : first });
  };
  return (
    <>
      <Pick label="How it is looked at" value={look} options={looks} onChange={(next) => swap(looked(node, next, metric))} />
      {node.agg ? <Window node={node} put={put} /> : null}
      {node.rate ? (
        <>
          <span>per</span>
          <Span label="Per" value={node.rate.per} onChange={(per) => put(["rate", "per"], per)} />
          <span>over</span>
          <Span label="Over" value={node.rate.over} onChange={(over) => put(["rate", "over"], over)} />
        </>
      ) : null}
      {node.delta ? (
        <>
          <span>within</span>
          <Span label="Within" value={node.delta.over} onChange={(over) => put(["delta", "over"], over)} />
        </>
      ) : null}
      {isYesNo(node) && metric ? null : <Pick label="How it is compared" value={node.op} options={opsOf(type)} onChange={setOp} />}
      <Value node={node} put={put} swap={swap} type={type} metric={metric} bad={bad} metrics={metrics} />
    </>
  );
}

const isOperand = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const guess = (value) => (typeof value === "boolean" ? "BOOLEAN" : typeof value === "string" ? "STRING" : "NUMBER");

/** The same comparison with another look at the metric; what fits is kept. */
function looked(node, look, metric) {
  const { agg, rate, delta, changed, stuck, ...plain } = node;
  if (look === "changed" || look === "stuck") return blank(look, metric ?? { key: node.metric });
  const kind = ["value", "rate", "delta"].includes(look) ? look : "agg";
  const made = blank(kind, metric ?? { key: node.metric, type: "NUMBER" });
  const kept = "op" in plain ? { ...plain } : made;
  if (kind === "agg") return { ...kept, ...(look === "count" ? withoutUnit(kept) : {}), agg: { ...(agg ?? made.agg), fn: look } };
  return { ...kept, ...(made[kind] ? { [kind]: made[kind] } : {}) };
}

function withoutUnit(node) {
  delete node.unit;
  if (typeof node.value !== "number") Object.assign(node, { op: "<", value: 1 });
  return node;
}

function Window({ node, put }) {
  const isLast = "last" in node.agg;
  return (
    <>
      <Pick
        label="Kind of window"
        value={isLast ? "last" : "over"}
        options={[
          ["over", "over the last"],
          ["last", "of the last"],
        ]}
        onChange={(next) => put("agg", next === "last" ? { fn: node.agg.fn, last: 10 } : { fn: node.agg.fn, over: "5m" })}
      />
      {isLast ? (
        <>
          <Write label="How many values" numeric size={4} value={node.agg.last} onChange={(last) => put(["agg", "last"], last)} />
          <span>values</span>
        </>
      ) : (
        <Span label="Window" value={node.agg.over} onChange={(over) => put(["agg", "over"], over)} />
      )}
      <Help about="window" />
    </>
  );
}

function Value({ node, put, swap, type, metric, bad, metrics, list }) {
  const { value } = node;
  if (isOperand(value)) return <Operand node={node} put={put} type={type} metrics={metrics} />;
  if (isYesNo(node) && metric) {
    const options = [true, false].map((each) => [String(each), yesNoBehind(metric, each)]);
    return <Pick label="Value" value={String(isAsked(node))} options={options} onChange={(text) => swap({ ...node, op: "==", value: text === "true" })} />;
  }
  if (type === "BOOLEAN") {
    return (
      <Pick
        label="Value"
        value={value === null ? "" : String(value)}
        options={[
          ["true", "yes"],
          ["false", "no"],
        ]}
        onChange={(text) => put("value", text === "true")}
      />
    );
  }
  const numeric = type === "NUMBER";
  const unit = numeric && node.agg?.fn !== "count" ? <Unit node={node} metric={metric} swap={swap} /> : null;
  if (wantsTwo(node.op)) {
    const [low, high] = Array.isArray(value) ? value : [value, null];
    return (
      <span className="token-pair">
        <Write label="Lower end" numeric bad={bad} value={low} onChange={(next) => put("value", [next, high])} />
        {node.op === "between" ? "and" : "to"}
        <Write label="Upper end" numeric bad={bad} value={high} onChange={(next) => put("value", [low, next])} />
        {unit}
      </span>
    );
  }
  if (wantsMany(node.op)) return <Many value={value} numeric={numeric} bad={bad} list={list} onChange={(next) => put("value", next)} />;
  return (
    <span className="token-pair">
      <Write label="Value" numeric={numeric} bad={bad} list={list} value={value} onChange={(next) => put("value", next)} />
      {unit}
    </span>
  );
}

/** Several values as chips; Enter or a comma takes what is written. */
export function Many({ value, numeric, bad, onChange, list: offered, label = "Values", placeholder = "add…" }) {
  const list = Array.isArray(value) ? value : [];
  const add = (input) => {
    const texts = input.value.split(",").map((each) => each.trim()).filter(Boolean);
    const read = texts.map((text) => (numeric && Number.isFinite(Number(text)) ? Number(text) : text));
    input.value = "";
    if (read.length) onChange([...list, ...read.filter((each) => !list.includes(each))]);
  };
  return (
    <span className="chips">
      {list.map((each, i) => (
        <span className="chip" key={`${typeof each} ${each}`}>
          {String(each)}
          <button type="button" aria-label={`Remove ${each}`} onClick={() => onChange(list.length > 1 ? list.filter((_, other) => other !== i) : null)}>
            ×
          </button>
        </span>
      ))}
      <input
        className={`token token-input${list.length ? "" : " token-open"}`}
        aria-label={label}
        aria-invalid={bad || undefined}
        list={offered}
        placeholder={placeholder}
        style={{ width: "9ch" }}
        onBlur={(event) => add(event.target)}
        onKeyDown={(event) => {
          if (event.key === "Enter" || event.key === ",") {
            event.preventDefault();
            add(event.target);
          }
        }}
      />
    </span>
  );
}

function Unit({ node, metric, swap }) {
  const own = node.unit ?? metric?.unit;
  const kin = kinOf(metric?.unit);
  if (kin.length < 2 || !kin.includes(own)) return own ? <span>{sign(own)}</span> : null;
  return <Pick label="Unit" value={own} options={kin.map((unit) => [unit, sign(unit)])} onChange={(unit) => swap({ ...node, unit })} />;
}

function Operand({ node, put, type, metrics }) {
  const { value } = node;
  if ("attribute" in value) {
    return (
      <>
        <span>the device's</span>
        <AttributeName value={value.attribute} placeholder="attribute" onChange={(name) => put(["value", "attribute"], name)} />
      </>
    );
  }
  const options = [...metrics.values()].filter((each) => each.type === type).map((each) => [each.key, each.label || each.key]);
  const called = ([key, words]) => [key, "ago" in value && key === node.metric ? "what it was" : words];
  const pick = <Pick label="Other value" value={value.metric} options={options.map(called)} onChange={(key) => put(["value", "metric"], key)} />;
  if ("ago" in value) {
    return (
      <>
        {pick}
        <Span label="How long ago" value={value.ago} onChange={(ago) => put(["value", "ago"], ago)} />
        <span>ago</span>
      </>
    );
  }
  const scaled = (key, words) =>
    key in value ? (
      <>
        <span>{words}</span>
        <Write label={words} numeric size={4} value={value[key]} onChange={(next) => put(["value", key], next === null ? undefined : next)} />
      </>
    ) : null;
  return (
    <>
      {pick}
      {scaled("times", "times")}
      {scaled("plus", "plus")}
      {type === "NUMBER" && !("plus" in value) ? (
        <button type="button" className="offer" onClick={() => put(["value", "plus"], 1)}>
          + plus
        </button>
      ) : null}
      {type === "NUMBER" && !("times" in value) ? (
        <button type="button" className="offer" onClick={() => put(["value", "times"], 1.1)}>
          + times
        </button>
      ) : null}
    </>
  );
}

function Changed({ node, put, swap, kind, metrics }) {
  const metric = metrics.get(node.metric);
  const looks = looksOf(metric?.type ?? "NUMBER").map(([key, fn, words]) => [fn ?? key, words]);
  const pick = <Pick label="How it is looked at" value={kind} options={looks} onChange={(next) => swap(looked({ ...comparison(metric ?? { key: node.metric, type: "NUMBER" }), metric: node.metric }, next, metric))} />;
  if (kind === "changed") {
    return (
      <>
        {pick}
        <span>within the last</span>
        <Span label="Within" value={node.changed.over} onChange={(over) => put(["changed", "over"], over)} />
      </>
    );
  }
  return (
    <>
      {pick}
      <span>for</span>
      <Span label="Stands still for" value={node.stuck.for} onChange={(held) => put(["stuck", "for"], held)} />
      {metric?.type === "STRING" || metric?.type === "BOOLEAN" ? null : "within" in node.stuck ? (
        <>
          <span>give or take</span>
          <Write label="Give or take" numeric size={4} value={node.stuck.within} onChange={(within) => put(["stuck", "within"], within === null ? undefined : within)} />
          {metric?.unit ? <span>{sign(metric.unit)}</span> : null}
        </>
      ) : (
        <button type="button" className="offer" onClick={() => put(["stuck", "within"], 0.1)}>
          + give or take
        </button>
      )}
    </>
  );
}

/** An attribute of the device against a value of any kind. */
export function Attribute({ node, put, swap, bad }) {
  const [list, names] = useValuesOf(node.attribute);
  const value = Array.isArray(node.value) ? (node.value[0] ?? null) : node.value;
  const type = guess(value);
  const kinds = [
    ["STRING", "text"],
    ["NUMBER", "number"],
    ["BOOLEAN", "yes or no"],
  ];
  const turn = (next) => swap({ ...node, op: "==", value: next === "BOOLEAN" ? true : next === "NUMBER" ? null : "" });
  return (
    <>
      <AttributeName value={node.attribute} placeholder="its name" onChange={(name) => put("attribute", name)} />
      <Pick label="Kind of value" value={type} options={kinds} onChange={turn} />
      <Pick label="How it is compared" value={node.op} options={opsOf(type)} onChange={(op) => swap({ ...node, op, value: wantsTwo(op) ? [value, null] : wantsMany(op) ? (value === null || value === "" ? null : [value]) : value })} />
      <Value node={node} put={put} swap={swap} type={type} bad={bad} metrics={new Map()} list={list} />
      {names}
    </>
  );
}

export function TimeOfDay({ node, put }) {
  const whole = !("from" in node) && !("to" in node);
  return (
    <>
      <Days value={node.days} onChange={(days) => put(["days"], days)} />
      {whole ? (
        <button type="button" className="offer" onClick={() => put([], { ...node, from: "08:00", to: "18:00" })}>
          + from … to …
        </button>
      ) : (
        <span className="token-pair">
          <span>from</span>
          <Clock label="From" value={node.from ?? "00:00"} onChange={(from) => put(["from"], from)} />
          <span>to</span>
          <Clock label="To" value={node.to ?? "24:00"} isEnd onChange={(to) => put(["to"], to === "00:00" ? "24:00" : to)} />
        </span>
      )}
      <Zone value={node.tz} onChange={(tz) => put(["tz"], tz)} />
    </>
  );
}

/** Whose clock counts. */
export function Zone({ value, onChange }) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const { zone } = useDesk().ground;
  const options = [["site", "site's time"], ["UTC", "UTC"]];
  for (const named of [own, value]) {
    if (named && !options.some(([key]) => key === named)) options.push([named, `${named.replaceAll("_", " ")} time`]);
  }
  const title = `“site's time” is by the clock where the device is: its attribute “timezone”, else ${zone}.`;
  return <Pick label="Whose clock" title={title} value={value ?? "site"} options={options} onChange={onChange} />;
}

const Time = ({ node, put }) => <TimeOfDay node={node.time} put={(path, value) => put(["time", ...path], value)} />;

const Silence = ({ node, put }) => (
  <>
    <span>of the device for</span>
    <Span label="Silent for" value={node.silence} onChange={(next) => put("silence", next)} />
  </>
);

const Presence = ({ node, put }) => (
  <>
    <span>is</span>
    <Pick
      label="Connection"
      value={node.presence}
      options={[
        ["offline", "offline"],
        ["online", "online"],
      ]}
      onChange={(next) => put("presence", next)}
    />
  </>
);

const Named = ({ node, kind, put }) => (
  <>
    <span>{kind === "tag" ? "which is" : "of type"}</span>
    <Write label={kind === "tag" ? "Tag" : "Type of event"} size={kind === "tag" ? 9 : 14} value={node[kind]} list={knownAs(kind === "tag" ? "tags" : "events")} placeholder={kind === "tag" ? "outdoor" : "door-forced"} onChange={(text) => put(kind, text || null)} />
  </>
);

function Chosen({ node, kind, put }) {
  const { ground, profiles } = useDesk();
  const options = kind === "group" ? ground.groups.map((each) => [each.id, each.name]) : profiles.map((each) => [each.key, each.name]);
  return (
    <>
      <span>is</span>
      <Pick label={kind === "group" ? "Group" : "Profile"} value={node[kind]} options={options} onChange={(next) => put(kind, next || null)} />
    </>
  );
}

/** Something this form does not know: shown, and kept as it is. */
function Other({ node }) {
  return (
    <span className="kept">
      <span className="muted">kept as it is:</span> <code>{JSON.stringify(node)}</code>
    </span>
  );
}

const VIEWS = {
  value: Compared,
  agg: Compared,
  rate: Compared,
  delta: Compared,
  changed: Changed,
  stuck: Changed,
  attribute: Attribute,
  time: Time,
  place: Place,
  silence: Silence,
  presence: Presence,
  tag: Named,
  event: Named,
  group: Chosen,
  profile: Chosen,
};
