// A rule as a sentence one fills in: watch, when, for how long, then, and when it clears.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ask } from "./live.js";
import { JOINS, OPS, UNITS, changed, documentOf, formOf, group, isComplete, leaf, leavesOf, newForm, proposedName } from "./rule_model.js";

const CHECK_AFTER_MS = 350;
const SEVERITIES = [
  ["info", "an info"],
  ["minor", "a minor"],
  ["major", "a major"],
  ["critical", "a critical"],
];
const SIGNS = { degC: "°C", degF: "°F", percent: "%", deg: "°", m3: "m³", m2: "m²", "ug/m3": "µg/m³", "m/s2": "m/s²", ohm: "Ω" };
const sign = (unit) => SIGNS[unit] ?? unit ?? "";

function Pick({ label, value, options, onChange, wide }) {
  const known = options.some(([key]) => key === value);
  return (
    <select className={`token${wide ? " token-wide" : ""}`} aria-label={label} value={value} onChange={(event) => onChange(event.target.value)}>
      {known ? null : <option value={value}>{value || "choose…"}</option>}
      {options.map(([key, words]) => (
        <option key={key} value={key}>
          {words}
        </option>
      ))}
    </select>
  );
}

function Write({ label, value, onChange, numeric, bad, size }) {
  return (
    <input
      className="token token-input"
      aria-label={label}
      aria-invalid={bad || undefined}
      value={value}
      inputMode={numeric ? "decimal" : "text"}
      placeholder={numeric ? "0" : "…"}
      style={{ width: `${Math.max(size ?? (numeric ? 5 : 9), value.length + 2)}ch` }}
      onChange={(event) => onChange(event.target.value)}
    />
  );
}

/** "10 minutes"; an empty number means: at once. */
function Span({ label, span, onChange }) {
  return (
    <span className="token-pair">
      <Write label={`${label}, number`} numeric size={4} value={span.count} onChange={(count) => onChange({ ...span, count: count.replace(/\D/g, "").slice(0, 6) })} />
      <Pick label={`${label}, unit`} value={span.unit} options={UNITS} onChange={(unit) => onChange({ ...span, unit })} />
    </span>
  );
}

function Value({ node, type, unit, onChange, bad }) {
  const set = (i, text) => onChange({ ...node, texts: Object.assign([...node.texts], { [i]: text }) });
  if (type === "BOOLEAN") {
    const yesNo = [
      ["true", "yes"],
      ["false", "no"],
    ];
    return <Pick label="Value" value={node.texts[0]} options={yesNo} onChange={(text) => set(0, text)} />;
  }
  const numeric = type === "NUMBER";
  if (node.op === "between" || node.op === "outside") {
    return (
      <span className="token-pair">
        <Write label="Lower end" numeric bad={bad} value={node.texts[0] ?? ""} onChange={(text) => set(0, text)} />
        {node.op === "between" ? "and" : "to"}
        <Write label="Upper end" numeric bad={bad} value={node.texts[1] ?? ""} onChange={(text) => set(1, text)} />
        {unit}
      </span>
    );
  }
  if (node.op === "in" || node.op === "not in") {
    return <Write label="Values, separated by commas" size={18} bad={bad} value={node.texts.join(", ")} onChange={(text) => onChange({ ...node, texts: [text] })} />;
  }
  return (
    <span className="token-pair">
      <Write label="Value" numeric={numeric} bad={bad} value={node.texts[0] ?? ""} onChange={(text) => set(0, text)} />
      {numeric ? unit : null}
    </span>
  );
}

function Leaf({ node, edit, metrics, problems, removable }) {
  const metric = metrics.get(node.metric);
  const type = metric?.type ?? "NUMBER";
  const options = [...metrics.values()].filter((each) => each.type in OPS).map((each) => [each.key, each.label || each.key]);
  const choose = (key) => {
    const next = metrics.get(key);
    const same = next?.type === metric?.type;
    edit(node.id, () => (same ? { ...node, metric: key, extra: {} } : { ...leaf(next), id: node.id }));
  };
  const setOp = (op) => {
    const wantsMany = op === "in" || op === "not in";
    edit(node.id, () => ({ ...node, op, texts: wantsMany ? [node.texts.filter(Boolean).join(", ")] : node.texts }));
  };
  return (
    <>
      <div className="clause">
        <Pick label="What is measured" value={node.metric} options={options} onChange={choose} />
        <Pick label="How it is compared" value={node.op} options={OPS[type] ?? OPS.STRING} onChange={setOp} />
        <Value node={node} type={type} unit={sign(node.extra.unit ?? metric?.unit)} bad={problems.length > 0} onChange={(next) => edit(node.id, () => next)} />
        {removable ? (
          <button type="button" className="clause-remove" aria-label="Remove this condition" title="Remove" onClick={() => edit(node.id, () => null)}>
            ×
          </button>
        ) : null}
      </div>
      <Problems of={problems} />
    </>
  );
}

function Problems({ of }) {
  return of.map((each) => (
    <p className="clause-problem" key={each.path + each.message} role="alert">
      {each.message} {each.suggestion}
    </p>
  ));
}

function Group({ node, edit, metrics, problemsAt, depth = 0 }) {
  const word = node.join.endsWith("all") ? "and" : "or";
  const first = [...metrics.values()].find((each) => each.type === "NUMBER") ?? metrics.values().next().value;
  const add = (part) => edit(node.id, (old) => ({ ...old, parts: [...old.parts, part] }));
  const isSimple = node.parts.length === 1 && node.join === "all";
  return (
    <div className={depth ? "clauses clauses-nested" : "clauses"} role="group" aria-label={depth ? "Group of conditions" : "Conditions"}>
      {isSimple && !depth ? null : (
        <div className="clause">
          <Pick label="How the conditions belong together" value={node.join} options={JOINS} onChange={(join) => edit(node.id, (old) => ({ ...old, join }))} wide />
          {depth ? (
            <button type="button" className="clause-remove" aria-label="Remove this group" title="Remove the group" onClick={() => edit(node.id, () => null)}>
              ×
            </button>
          ) : null}
        </div>
      )}
      {node.parts.map((part, i) => (
        <div className={isSimple && !depth ? "part part-alone" : "part"} key={part.id}>
          {i > 0 ? <span className="part-word">{word}</span> : isSimple && !depth ? null : <span className="part-word" />}
          <div className="part-body">
            {part.kind === "leaf" ? (
              <Leaf node={part} edit={edit} metrics={metrics} problems={problemsAt(part.id)} removable={node.parts.length > 1 || depth > 0} />
            ) : (
              <Group node={part} edit={edit} metrics={metrics} problemsAt={problemsAt} depth={depth + 1} />
            )}
          </div>
        </div>
      ))}
      <div className="clause-add">
        <button type="button" className="btn btn-small btn-ghost" onClick={() => add(leaf(first))}>
          + condition
        </button>
        {depth < 2 ? (
          <button type="button" className="btn btn-small btn-ghost" onClick={() => add(group([leaf(first), leaf(first)], node.join === "any" ? "all" : "any"))}>
            + group
          </button>
        ) : null}
      </div>
    </div>
  );
}

/** Asks the platform what it thinks of the document, a moment after the last change. */
function useCheck(document, query) {
  const [check, setCheck] = useState({ problems: [], sentence: "", appliesTo: null, at: "" });
  const text = document ? JSON.stringify(document) : "";
  useEffect(() => {
    if (!text) {
      setCheck({ problems: [], sentence: "", appliesTo: null, at: "" });
      return undefined;
    }
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const { ruleCheck } = await ask(query, { document: JSON.parse(text) }, controller.signal);
        setCheck({ ...ruleCheck, at: text });
      } catch (problem) {
        if (problem.name !== "AbortError") setCheck((old) => ({ ...old, problems: [{ path: "$", message: problem.message }], at: text }));
      }
    }, CHECK_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, query]);
  return { ...check, isCurrent: check.at === text };
}

function useRule(ruleId, queries) {
  const [loaded, setLoaded] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const controller = new AbortController();
    const load = async () => {
      try {
        const { profiles } = await ask(queries.profiles, { first: 100 }, controller.signal);
        const rule = ruleId ? (await ask(queries.rule, { id: ruleId }, controller.signal)).rule : null;
        setLoaded({ profiles: profiles.items, rule });
      } catch (failure) {
        if (failure.name === "AbortError") return;
        setProblem(failure.code === "RULE_NOT_FOUND" || failure.code === "BAD_REQUEST" ? "There is no such rule." : failure.message);
      }
    };
    setLoaded(null);
    setProblem("");
    load();
    return () => controller.abort();
  }, [ruleId]);
  return { loaded, problem };
}

/** The page's island. `ruleId` empty: a new rule. `onDone(words)` when it is saved or deleted. */
export function RuleEditor({ ruleId, queries, onDone }) {
  const { loaded, problem } = useRule(ruleId, queries);
  if (problem) {
    return (
      <div className="note note-bad" role="alert">
        {problem}
      </div>
    );
  }
  if (!loaded) {
    return (
      <div className="card card-body stack" role="status" aria-label="Loading">
        {[62, 78, 54, 70].map((width) => (
          <span key={width} className="skeleton" style={{ width: `${width}%`, height: 22 }} />
        ))}
      </div>
    );
  }
  return <Form key={loaded.rule?.id ?? "new"} profiles={loaded.profiles} rule={loaded.rule} queries={queries} onDone={onDone} />;
}

function metricsOf(profiles, key) {
  const chosen = key === null ? profiles : profiles.filter((each) => each.key === key);
  return new Map(chosen.flatMap((each) => each.metrics).map((each) => [each.key, each]));
}

function Form({ profiles, rule, queries, onDone }) {
  const [form, setForm] = useState(() => (rule ? formOf(rule.document) : newForm(profiles[0])));
  const [isEnabled, setEnabled] = useState(rule?.isEnabled ?? true);
  const [isDirty, setDirty] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const [failure, setFailure] = useState("");
  const metrics = useMemo(() => metricsOf(profiles, form.profile), [profiles, form.profile]);
  const places = new Map();
  const complete = isComplete(form);
  const proposal = complete ? proposedName(form, metrics, sign) : "";
  const document = documentOf({ ...form, name: form.name.trim() || proposal }, metrics, places);
  const check = useCheck(complete ? document : null, queries.check);
  const set = useCallback((change) => {
    setDirty(true);
    setForm((old) => ({ ...old, ...change }));
  }, []);
  const editing = (field) => (id, change) => {
    setDirty(true);
    setForm((old) => ({ ...old, [field]: changed(old[field], id, change) }));
  };
  useLeaveGuard(isDirty && !isBusy);

  const problemsAt = (id) => {
    const path = places.get(id);
    return check.problems.filter((each) => path !== undefined && (each.path === path || each.path.startsWith(`${path}.`)));
  };
  const leaves = [...leavesOf(form.when), ...(form.hasClear ? leavesOf(form.clear) : [])];
  const shown = new Set(leaves.flatMap((node) => problemsAt(node.id)));

  const save = async () => {
    setBusy(true);
    setFailure("");
    try {
      if (rule) {
        await ask(queries.update, { id: rule.id, document, version: rule.version });
        if (isEnabled !== rule.isEnabled) await ask(isEnabled ? queries.enable : queries.disable, { id: rule.id });
      } else {
        await ask(queries.create, { document, isEnabled });
      }
      onDone?.(`“${document.name}” is saved${isEnabled ? " and watches from now on" : "; it is switched off"}.`);
    } catch (problem) {
      setBusy(false);
      setFailure(
        problem.code === "RULE_CHANGED"
          ? "Somebody else changed this rule meanwhile. Reload the page to see their change, then make yours again."
          : problem.message,
      );
    }
  };
  const remove = async () => {
    setBusy(true);
    try {
      await ask(queries.delete, { id: rule.id });
      onDone?.(`“${rule.name}” is deleted.`);
    } catch (problem) {
      setBusy(false);
      setDeleting(false);
      setFailure(problem.message);
    }
  };

  const profileOptions = profiles.map((each) => [each.key, each.name]);
  const pickProfile = (value) => set({ profile: value === "" ? null : value });
  const whens = <Group node={form.when} edit={editing("when")} metrics={metrics} problemsAt={problemsAt} />;
  const clears = form.hasClear && form.clear ? <Group node={form.clear} edit={editing("clear")} metrics={metrics} problemsAt={problemsAt} /> : null;
  const chooseClear = (value) => set(value === "own" ? { hasClear: true, clear: form.clear ?? ownClear(form) } : { hasClear: false });
  const rest = check.problems.filter((each) => !shown.has(each));

  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <section className="card sentence" aria-label="The rule">
        <Line word="Watch">
          <span>devices of</span>
          <Pick label="Which devices" value={form.profile ?? ""} options={[...profileOptions, ["", "any profile"]]} onChange={pickProfile} />
          {form.source.scope?.devices ? <span className="muted">({form.source.scope.devices.length} chosen devices)</span> : null}
          {check.appliesTo !== null && check.appliesTo !== undefined && check.sentence ? (
            <span className="badge badge-accent" role="status">
              {check.appliesTo === 1 ? "1 device" : `${check.appliesTo.toLocaleString()} devices`}
            </span>
          ) : null}
        </Line>
        <Line word="When" tall>
          {whens}
          <div className="clause">
            <span>for at least</span>
            <Span label="For at least" span={form.held} onChange={(held) => set({ held })} />
            {form.held.count === "" ? <span className="muted">(empty: at once)</span> : null}
          </div>
        </Line>
        <Line word="Then">
          <span>raise</span>
          <Pick label="How bad it is" value={form.severity} options={SEVERITIES} onChange={(severity) => set({ severity })} />
          <span>alert.</span>
        </Line>
        <Line word="Clear" tall>
          <div className="clause">
            <span>It clears</span>
            <Pick
              label="When the alert clears"
              value={form.hasClear ? "own" : "auto"}
              options={[
                ["auto", "when that is no longer so"],
                ["own", "when another condition is true"],
              ]}
              onChange={chooseClear}
            />
          </div>
          {clears}
          {form.hasClear ? (
            <div className="clause">
              <span>for at least</span>
              <Span label="Clears after at least" span={form.clearHeld} onChange={(clearHeld) => set({ clearHeld })} />
            </div>
          ) : null}
          <div className="clause">
            <span>Then stay quiet for</span>
            <Span label="Stay quiet for" span={form.cooldown} onChange={(cooldown) => set({ cooldown })} />
            {form.cooldown.count === "" ? <span className="muted">(empty: not at all)</span> : null}
          </div>
        </Line>
      </section>

      <section className="card card-body stack" aria-label="In words">
        <div className="field">
          <label htmlFor="rule-name">Name</label>
          <input id="rule-name" className="input" maxLength={120} value={form.name} placeholder={proposal || "Cold room too warm"} onChange={(event) => set({ name: event.target.value })} />
          <span className="hint">What the alert is called.{proposal && !form.name.trim() ? ` Left empty, the rule is called “${proposal}”.` : ""}</span>
        </div>
        <div>
          <div className="label-text">In plain words</div>
          <p className={check.isCurrent ? "preview" : "preview preview-old"} aria-live="polite" data-rule="sentence">
            {check.sentence || (complete ? (check.isCurrent ? "Mend what is marked; what the rule means appears here." : "…") : "Fill in the empty field above; what the rule means appears here.")}
          </p>
        </div>
        <Problems of={rest} />
        {failure ? (
          <div className="note note-bad" role="alert">
            {failure}
          </div>
        ) : null}
        <div className="row">
          <button type="submit" className="btn btn-primary" disabled={isBusy || !complete || check.problems.length > 0 || !check.isCurrent}>
            {rule ? "Save changes" : "Save rule"}
          </button>
          <label className="row" style={{ gap: 8 }}>
            <button type="button" role="switch" className="switch" aria-checked={isEnabled} aria-label="The rule is on" onClick={() => (setEnabled(!isEnabled), setDirty(true))} />
            <span>{isEnabled ? "On" : "Off"}</span>
          </label>
          {rule && !isDeleting ? (
            <button type="button" className="btn btn-ghost btn-danger push" onClick={() => setDeleting(true)}>
              Delete…
            </button>
          ) : null}
        </div>
        {isDeleting ? (
          <div className="note note-warn" role="group" aria-label="Delete this rule?">
            <span>Delete “{rule.name}”? Its open alerts end with it; past alerts stay in the history.</span>
            <span className="row push">
              <button type="button" className="btn btn-small btn-danger-solid" onClick={remove} disabled={isBusy}>
                Delete the rule
              </button>
              <button type="button" className="btn btn-small" onClick={() => setDeleting(false)} autoFocus>
                Keep it
              </button>
            </span>
          </div>
        ) : null}
      </section>
    </form>
  );
}

function Line({ word, tall, children }) {
  return (
    <div className="line">
      <div className="line-word">{word}</div>
      <div className={tall ? "line-body line-tall" : "line-body"}>{children}</div>
    </div>
  );
}

/** A first own clearing condition: the opposite of the first comparison, a starting point to edit. */
function ownClear(form) {
  const [node] = leavesOf(form.when);
  const opposite = { ">": "<", ">=": "<", "<": ">", "<=": ">", between: "outside", outside: "between", "==": "!=", "!=": "==", in: "not in", "not in": "in" };
  return group([{ ...node, id: leaf().id, op: opposite[node.op] ?? node.op }]);
}

/** Asks before a reload or a closed tab throws edits away. */
function useLeaveGuard(isDirty) {
  const dirty = useRef(isDirty);
  dirty.current = isDirty;
  useEffect(() => {
    const guard = (event) => {
      if (dirty.current) event.preventDefault();
    };
    window.addEventListener("beforeunload", guard);
    return () => window.removeEventListener("beforeunload", guard);
  }, []);
}
