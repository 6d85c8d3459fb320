// The rule designer: one document, shown as a sentence one fills in, beside what the platform says about it.
import { Suspense, lazy, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Redo2, Undo2 } from "lucide-react";
import { toTheMinute } from "./clock.js";
import { Backtest } from "./rule_backtest.jsx";
import { Desk, isShown, useDesk } from "./rule_desk.js";
import { Gallery } from "./rule_gallery.jsx";
import { useCheck, useGround, useLeaveGuard, useUndoKeys } from "./rule_hooks.js";
import { verdictsOf } from "./rule_canvas_layout.js";
import { KnownNames } from "./rule_known.jsx";
import { begin, changeTo, isComplete, leavesOf, newDocument, redo, setAt, undo } from "./rule_model.js";
import { Help, Said } from "./rule_pieces.jsx";
import { Noted, Publish, Unreadable, Versions, useDraft } from "./rule_publish.jsx";
import { Sentence } from "./rule_sentence.jsx";
import { Tests, Trial } from "./rule_trial.jsx";
import { proposedName } from "./rule_words.js";
import { unbroken } from "./zones.js";

// React Flow comes with the picture, only when somebody looks at it.
const Picture = lazy(() => import("./rule_canvas_view.jsx"));

/** The views of one document: [key, words, component]. */
const VIEWS = [
  ["sentence", "Sentence", Sentence],
  ["picture", "Picture", Picture],
];

/** The page's island. `ruleId` empty: a new rule. `onDone(words, id)` when it is published or deleted (then without an id); `onAbsent()`: no such rule. */
export function RuleEditor({ ruleId, queries, mayWrite, onDone, onAbsent }) {
  const { found, problem, isAbsent } = useGround(ruleId, queries);
  const [start, setStart] = useState(null);
  useEffect(() => {
    if (isAbsent) onAbsent?.();
  }, [isAbsent]);
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
  const { rule, drafts, ...ground } = found;
  if (!rule && !start) {
    const empty = (profile) => newDocument(ground.profiles.find((each) => each.key === profile) ?? { metrics: ground.profiles.flatMap((each) => each.metrics), key: null });
    const begun = (document, profile) => setStart({ document: document ?? empty(profile), draft: null });
    const goOn = (draft) => setStart({ document: draft.document, draft });
    return <Gallery profiles={ground.profiles} policies={ground.policies} drafts={drafts.filter((each) => each.ruleId === null)} queries={queries} onStart={begun} onGoOn={goOn} />;
  }
  const draft = rule ? (drafts.find((each) => each.ruleId === rule.id) ?? null) : start.draft;
  if (rule && !rule.isReadable && !draft && !start) {
    const profile = ground.profiles.find((each) => each.key === rule.document?.scope?.profile);
    const anew = newDocument(profile ?? { metrics: ground.profiles.flatMap((each) => each.metrics), key: null });
    return <Unreadable rule={rule} queries={queries} mayWrite={mayWrite} anew={anew} onMend={(document) => setStart({ document, draft: null })} onDone={onDone} />;
  }
  const mended = rule && !draft ? start?.document : null;
  return <Designer key={rule?.id ?? "new"} ground={ground} rule={rule} start={mended ?? draft?.document ?? rule?.document ?? start.document} isMended={Boolean(mended)} first={draft} queries={queries} mayWrite={mayWrite} onDone={onDone} />;
}

function metricsOf(profiles, key) {
  const chosen = key === null ? profiles : profiles.filter((each) => each.key === key);
  return new Map(chosen.flatMap((each) => each.metrics).map((each) => [each.key, each]));
}

function Designer({ ground, rule, start, isMended, first, queries, mayWrite, onDone }) {
  const [history, setHistory] = useState(() => begin(start));
  const [view, setView] = useState(VIEWS[0][0]);
  const [goal, setGoal] = useState(null);
  const [moment, setMoment] = useState({ deviceId: null, at: "" });
  const [side, setSide] = useState("back");
  const [why, setWhy] = useState(null);
  const [isGone, setGone] = useState(false);
  const bench = useRef(null);
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
  const isChanged = isMended || document !== start;
  const draft = useDraft(whole, isChanged && !isGone && mayWrite, rule, first, queries);
  useUndoKeys(back, forth);
  useEffect(() => {
    if (view === "sentence" && goal) goTo(goal);
    setGoal(null);
  }, [view, goal]);
  useLeaveGuard(isChanged && !isGone && mayWrite && draft.words === "");
  const verdicts = useMemo(() => verdictsOf(why, document, { metrics }), [why, document, metrics]);
  const desk = { document, verdicts, whole, name, change, metrics, commands, profiles, ground, check, complete, queries, rule, mayWrite, why, setWhy };
  const View = VIEWS.find(([key]) => key === view)[2];
  const gone = () => setGone(true);
  const versions = () => {
    setSide("versions");
    bench.current?.scrollIntoView({ block: "start" });
  };
  const look = (next) => {
    setMoment(next);
    setSide("try");
  };
  const steps = <Steps history={history} back={back} forth={forth} />;
  const sides = [["back", "Look back"], ["try", "Try it"], ["tests", document.tests?.length ? `Tests (${document.tests.length})` : "Tests"], ...(rule ? [["noted", "Noted"], ["versions", "Versions"]] : [])];
  return (
    <Desk.Provider value={desk}>
      <KnownNames />
      <div className={view === "sentence" ? "designer designer-two" : "designer"}>
        <div className="designer-main">
          <Head name={document.name ?? ""} proposal={proposal} change={change} history={history} steps={steps} view={view} setView={setView} />
          {first ? <Found draft={first} rule={rule} /> : null}
          <Suspense fallback={<div className="skeleton" style={{ height: 420 }} role="status" aria-label="Loading" />}>
            <View onSentence={(path) => (setView("sentence"), setGoal(path))} />
          </Suspense>
        </div>
        <div className="designer-right">
          <InWords />
          {mayWrite ? <Publish draft={draft} isChanged={isChanged} onDone={onDone} onGone={gone} onVersions={versions} steps={steps} /> : <Looking rule={rule} isChanged={isChanged} />}
          <aside className="card designer-side" aria-label="Test bench" ref={bench}>
            <div className="bench-tabs" role="group" aria-label="Test bench">
              {sides.map(([key, words]) => (
                <button key={key} type="button" aria-pressed={key === side} onClick={() => setSide(key)}>
                  {words}
                </button>
              ))}
            </div>
            <div className="bench-body">
              {side === "back" ? <Backtest onLook={look} /> : null}
              {side === "try" ? <Trial moment={moment} setMoment={setMoment} /> : null}
              {side === "tests" ? <Tests /> : null}
              {side === "noted" ? <Noted /> : null}
              {side === "versions" ? <Versions onDone={onDone} onGone={gone} /> : null}
            </div>
          </aside>
        </div>
      </div>
    </Desk.Provider>
  );
}

/** To the words that are said of a part of the document, or of what it is in; their first field takes the focus. */
function goTo(path) {
  const lies = (one, other) => one.startsWith(other) && !/^\d/.test(one.slice(other.length));
  const said = [...globalThis.document.querySelectorAll(".sentence [data-at]")];
  const target = said.find(({ dataset: { at } }) => lies(at, path)) ?? said.findLast(({ dataset: { at } }) => lies(path, at));
  target?.scrollIntoView({ block: "center" });
  target?.querySelector("select, input, button")?.focus({ preventScroll: true });
}

/** In place of publishing, for who may look and not write. */
function Looking({ rule, isChanged }) {
  const does = { ON: "It is in force.", SHADOW: "It only watches: it notes what it would do.", OFF: "It rests." }[rule?.mode] ?? "";
  return (
    <section className="card card-body" aria-label="What may be done">
      <p className="small muted" role="status">
        {does} {isChanged ? "What you have changed here is for trying only: nothing of it is kept." : "Change what you like to try it out: nothing of it is kept."}
      </p>
    </section>
  );
}

/** Says that this is not what is in force, but what somebody was writing. */
function Found({ draft, rule }) {
  const when = toTheMinute(draft.savedAt);
  return (
    <p className="note">
      This is the draft that {draft.savedBy} saved on {when}. {rule ? "What is in force is as it was before." : ""}
    </p>
  );
}

/** Undo and redo. */
const Steps = ({ history, back, forth }) => (
  <span className="row nowrap designer-undo">
    <button type="button" className="btn btn-ghost btn-icon" aria-label="Undo" title="Undo (Ctrl+Z)" disabled={!history.past.length} onClick={back}>
      <Undo2 size={17} aria-hidden="true" />
    </button>
    <button type="button" className="btn btn-ghost btn-icon" aria-label="Redo" title="Redo (Ctrl+Shift+Z)" disabled={!history.future.length} onClick={forth}>
      <Redo2 size={17} aria-hidden="true" />
    </button>
  </span>
);

function Head({ name, proposal, change, history, steps, view, setView }) {
  return (
    <div className="designer-head">
      <input
        id="rule-name"
        className="rule-name"
        aria-label="Name"
        title="The rule's name: click to change it"
        maxLength={120}
        value={name}
        placeholder={proposal || "Name of the rule"}
        onChange={(event) => change((old) => setAt(old, ["name"], event.target.value), "name")}
      />
      <div className="segmented" role="group" aria-label="View">
        {VIEWS.map(([key, words]) => (
          <button key={key} type="button" aria-pressed={key === view} onClick={() => setView(key)}>
            {words}
          </button>
        ))}
      </div>
      <span className="row nowrap designer-tools">
        <Help about="picture" />
        <span className="sr-only" role="status">
          {history.future.length ? `${history.future.length === 1 ? "1 step" : `${history.future.length} steps`} undone` : ""}
        </span>
        {steps}
      </span>
    </div>
  );
}

/** What the rule means, always in view, and what is wrong or odd that no field shows. */
function InWords() {
  const { check, complete } = useDesk();
  const waiting = complete ? (check.isCurrent ? "Mend what is marked; what the rule means appears here." : "…") : "Fill in what is still open; what the rule means appears here.";
  return (
    <section className="card card-body in-words" aria-label="In plain words">
      <div className="label-text">In plain words</div>
      <p className={check.isCurrent ? "preview" : "preview preview-old"} aria-live="polite" data-rule="sentence">
        {unbroken(check.sentence) || waiting}
      </p>
      <Said problems={check.problems.filter((each) => !isShown(each))} warnings={check.warnings.filter((each) => !isShown(each))} />
    </section>
  );
}
