// The rule designer: one document, shown as a sentence one fills in, beside what the platform says about it.
import { Suspense, lazy, useCallback, useMemo, useState } from "react";
import { Redo2, Undo2 } from "lucide-react";
import { ask } from "./live.js";
import { Desk, isShown, useDesk } from "./rule_desk.js";
import { Gallery } from "./rule_gallery.jsx";
import { useCheck, useGround, useLeaveGuard, useUndoKeys } from "./rule_hooks.js";
import { begin, changeTo, isComplete, leavesOf, newDocument, redo, setAt, undo } from "./rule_model.js";
import { Said } from "./rule_pieces.jsx";
import { Sentence } from "./rule_sentence.jsx";
import { proposedName } from "./rule_words.js";

// React Flow comes with the picture, only when somebody looks at it.
const Picture = lazy(() => import("./rule_canvas_view.jsx"));

/** The views of one document: [key, words, component]. */
const VIEWS = [
  ["sentence", "Sentence", Sentence],
  ["picture", "Picture", Picture],
];

/** The page's island. `ruleId` empty: a new rule. `onDone(words)` when it is published or deleted. */
export function RuleEditor({ ruleId, queries, onDone }) {
  const { found, problem } = useGround(ruleId, queries);
  const [start, setStart] = useState(null);
  if (problem) {
    return (
      <div className="note note-bad" role="alert">
        {problem}
      </div>
    );
  }
  if (!found) {
    return (
      <div className="card card-body stack" role="status" aria-label="Loading">
        {[62, 78, 54, 70].map((width) => (
          <span key={width} className="skeleton" style={{ width: `${width}%`, height: 22 }} />
        ))}
      </div>
    );
  }
  const { rule, ...ground } = found;
  if (!rule && !start) {
    const begun = (document, profile) => setStart(document ?? newDocument(ground.profiles.find((each) => each.key === profile) ?? { metrics: ground.profiles.flatMap((each) => each.metrics), key: null }));
    return <Gallery profiles={ground.profiles} policies={ground.policies} queries={queries} onStart={begun} />;
  }
  return <Designer key={rule?.id ?? "new"} ground={ground} rule={rule} start={rule?.document ?? start} queries={queries} onDone={onDone} />;
}

function metricsOf(profiles, key) {
  const chosen = key === null ? profiles : profiles.filter((each) => each.key === key);
  return new Map(chosen.flatMap((each) => each.metrics).map((each) => [each.key, each]));
}

function Designer({ ground, rule, start, queries, onDone }) {
  const [history, setHistory] = useState(() => begin(start));
  const [view, setView] = useState(VIEWS[0][0]);
  const [isBusy, setBusy] = useState(false);
  const document = history.now;
  const { profiles } = ground;
  const profile = document.scope?.profile ?? null;
  const metrics = useMemo(() => metricsOf(profiles, profile), [profiles, profile]);
  const commands = profiles.find((each) => each.key === profile)?.commands ?? [];
  const complete = isComplete(document);
  const proposal = complete ? proposedName(leavesOf(document.when, ["when"])[0].node, metrics) : "";
  const name = document.name?.trim() || proposal;
  const whole = useMemo(() => (document.name?.trim() ? document : { ...document, name: proposal || "New rule" }), [document, proposal]);
  const check = useCheck(whole, complete, rule?.id, queries.check);
  const change = useCallback((make, tag = "") => setHistory((old) => changeTo(old, make(old.now), tag)), []);
  const back = useCallback(() => setHistory(undo), []);
  const forth = useCallback(() => setHistory(redo), []);
  const isDirty = document !== start || !rule;
  useUndoKeys(back, forth);
  useLeaveGuard(document !== start && !isBusy);
  const desk = { document, whole, name, change, metrics, commands, profiles, ground, check, queries, rule };
  const View = VIEWS.find(([key]) => key === view)[2];
  return (
    <Desk.Provider value={desk}>
      <div className="designer">
        <div className="designer-main">
          <Head name={document.name ?? ""} proposal={proposal} change={change} history={history} back={back} forth={forth} view={view} setView={setView} />
          <Suspense fallback={<div className="skeleton" style={{ height: 420 }} role="status" aria-label="Loading" />}>
            <View onSentence={() => setView("sentence")} />
          </Suspense>
          <InWords complete={complete} />
          <Publish complete={complete} isDirty={isDirty} isBusy={isBusy} setBusy={setBusy} onDone={onDone} />
        </div>
      </div>
    </Desk.Provider>
  );
}

function Head({ name, proposal, change, history, back, forth, view, setView }) {
  return (
    <div className="designer-head">
      <input
        id="rule-name"
        className="rule-name"
        aria-label="Name"
        maxLength={120}
        value={name}
        placeholder={proposal || "Name of the rule"}
        onChange={(event) => change((old) => setAt(old, ["name"], event.target.value), "name")}
      />
      {VIEWS.length > 1 ? (
        <div className="segmented" role="group" aria-label="View">
          {VIEWS.map(([key, words]) => (
            <button key={key} type="button" aria-pressed={key === view} onClick={() => setView(key)}>
              {words}
            </button>
          ))}
        </div>
      ) : null}
      <span className="row nowrap designer-undo">
        <button type="button" className="btn btn-ghost btn-icon" aria-label="Undo" title="Undo (Ctrl+Z)" disabled={!history.past.length} onClick={back}>
          <Undo2 size={17} aria-hidden="true" />
        </button>
        <button type="button" className="btn btn-ghost btn-icon" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled={!history.future.length} onClick={forth}>
          <Redo2 size={17} aria-hidden="true" />
        </button>
      </span>
    </div>
  );
}

/** What the rule means, always in view, and what is wrong or odd that no field shows. */
function InWords({ complete }) {
  const { check } = useDesk();
  const waiting = complete ? (check.isCurrent ? "Mend what is marked; what the rule means appears here." : "…") : "Fill in what is still open; what the rule means appears here.";
  return (
    <section className="card card-body in-words" aria-label="In plain words">
      <div className="label-text">In plain words</div>
      <p className={check.isCurrent ? "preview" : "preview preview-old"} aria-live="polite" data-rule="sentence">
        {check.sentence || waiting}
      </p>
      <Said problems={check.problems.filter((each) => !isShown(each))} warnings={check.warnings.filter((each) => !isShown(each))} />
    </section>
  );
}

function Publish({ complete, isDirty, isBusy, setBusy, onDone }) {
  const { rule, whole, check, queries } = useDesk();
  const [isEnabled, setEnabled] = useState(rule?.isEnabled ?? true);
  const [isDeleting, setDeleting] = useState(false);
  const [failure, setFailure] = useState("");
  const isSwitched = rule && isEnabled !== rule.isEnabled;
  const act = async (deed, words) => {
    setBusy(true);
    setFailure("");
    try {
      await deed();
      onDone?.(words);
    } catch (problem) {
      setBusy(false);
      setFailure(problem.code === "RULE_CHANGED" ? "Somebody else changed this rule meanwhile. Reload the page to see their change, then make yours again." : problem.message);
    }
  };
  const publish = () =>
    act(
      async () => {
        if (!rule) return ask(queries.create, { document: whole, isEnabled });
        if (isDirty) await ask(queries.update, { id: rule.id, document: whole, version: rule.version });
        if (isSwitched) await ask(isEnabled ? queries.enable : queries.disable, { id: rule.id });
      },
      `“${whole.name}” is published${isEnabled ? " and watches from now on" : "; it is switched off"}.`,
    );
  const canPublish = complete && check.isCurrent && !check.problems.length && !isBusy && (isDirty || isSwitched);
  return (
    <section className="card card-body stack" aria-label="Publish">
      {failure ? (
        <div className="note note-bad" role="alert">
          {failure}
        </div>
      ) : null}
      <div className="row">
        <button type="button" className="btn btn-primary" disabled={!canPublish} onClick={publish}>
          Publish
        </button>
        <label className="row" style={{ gap: 8 }}>
          <button type="button" role="switch" className="switch" aria-checked={isEnabled} aria-label="The rule is on" onClick={() => setEnabled(!isEnabled)} />
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
            <button type="button" className="btn btn-small btn-danger-solid" onClick={() => act(() => ask(queries.delete, { id: rule.id }), `“${rule.name}” is deleted.`)} disabled={isBusy}>
              Delete the rule
            </button>
            <button type="button" className="btn btn-small" onClick={() => setDeleting(false)} autoFocus>
              Keep it
            </button>
          </span>
        </div>
      ) : null}
    </section>
  );
}
