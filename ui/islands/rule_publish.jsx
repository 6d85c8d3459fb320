// From being written to being in force: drafts saved by themselves, publishing, what the rule is to do, its versions.
import { useCallback, useEffect, useRef, useState } from "react";
import { toTheMinute } from "./clock.js";
import { ask } from "./live.js";
import { Desk, useDesk } from "./rule_desk.js";
import { Help } from "./rule_pieces.jsx";
import { Why } from "./rule_why.jsx";
import { inOwnZone, unbroken } from "./zones.js";

const SAVE_AFTER_MS = 1200;
const MODES = [
  ["ON", "Act", "It does what the sentence says."],
  ["SHADOW", "Only watch", "It notes what it would do, and does nothing."],
  ["OFF", "Rest", "It does nothing and notes nothing."],
];

/**
 * Saves what is being written, a moment after each change. `first` is the draft there was, if any. A draft remembers the
 * version of the rule it was begun on: publishing it is refused when another one came into force, until it was `seen`.
 */
export function useDraft(document, isChanged, rule, first, queries) {
  const draft = useRef(first);
  const line = useRef(Promise.resolve());
  const saved = useRef(first ? document : null);
  const [state, setState] = useState({ words: "", problem: "" });
  const save = useCallback(
    (next, seen) => {
      // One after the other: each save names the version that the one before it made.
      line.current = line.current.then(async () => {
        if (saved.current === next && draft.current && !seen) return;
        try {
          const { id, version } = draft.current ?? {};
          const ruleVersion = seen ?? (id ? null : (rule?.version ?? null));
          const { ruleDraftSave } = await ask(queries.draftSave, { document: next, id: id ?? null, ruleId: rule?.id ?? null, ruleVersion, version: version ?? null });
          draft.current = ruleDraftSave;
          saved.current = next;
          setState({ words: "Draft saved", problem: "" });
        } catch (failure) {
          setState({ words: "", problem: failure.code === "DRAFT_CHANGED" ? "Somebody else is writing on this draft too. Reload the page to see it." : failure.message });
          throw failure;
        }
      });
      const done = line.current;
      line.current = done.catch(() => {});
      return done;
    },
    [queries, rule],
  );
  useEffect(() => {
    if (!isChanged || saved.current === document) return undefined;
    setState((old) => ({ ...old, words: "" }));
    const timer = setTimeout(() => save(document).catch(() => {}), SAVE_AFTER_MS);
    return () => clearTimeout(timer);
  }, [document, isChanged, save]);
  return { draft, save, ...state };
}

/** How far what is written has come, and what is still between it and being published. */
function stateOf({ draft, isIdle, complete, check }) {
  if (isIdle) return "This is what is in force.";
  const open = !complete ? "Fill in what is still open." : check.isCurrent && check.problems.length ? "Mend what is marked." : "";
  return [draft.words, open].filter(Boolean).join(". ");
}

/** Publish, the mode, and the draft's fate. `steps`: undo and redo, which on a phone stand here. */
export function Publish({ draft, isChanged, onDone, onGone, onVersions, steps }) {
  const { rule, whole, check, complete, queries } = useDesk();
  const [mode, setMode] = useState(rule?.mode ?? "ON");
  const [isBusy, setBusy] = useState(false);
  const [isDeleting, setDeleting] = useState(false);
  const [failure, setFailure] = useState("");
  const [hasMore, setMore] = useState(false); // on a phone the rest of the bar is only shown on demand
  const [newer, setNewer] = useState(null);
  const learnOf = (version) => {
    setNewer({ version, since: [] });
    ask(queries.versions, { id: rule.id })
      .then(({ ruleVersions }) => setNewer({ version, since: ruleVersions.items.filter((each, i) => i === 0 || each.version > rule.version) }))
      .catch(() => {}); // that there is one is said already
  };
  const act = async (deed, words, idOf = () => "") => {
    setBusy(true);
    setFailure("");
    setNewer(null);
    try {
      const told = await deed();
      onGone();
      onDone?.(words, idOf(told));
    } catch (problem) {
      setBusy(false);
      setDeleting(false);
      setFailure(problem.message);
      if (problem.code === "RULE_CHANGED") learnOf(problem.details.version);
    }
  };
  const hasWords = !rule || isChanged || draft.draft.current;
  const publish = (seen) => {
    const how = mode === "ON" ? "and watches from now on" : mode === "SHADOW" ? "and only watches: it notes what it would do" : "; it rests";
    const deed = async () => {
      if (!hasWords) return ask(queries.setMode, { id: rule.id, mode });
      await draft.save(whole, seen);
      const { id, version } = draft.draft.current;
      return ask(queries.publish, { id, mode, version });
    };
    return act(deed, `“${whole.name}” is published${mode === "OFF" ? "" : " "}${how}.`, (told) => (told.rulePublish ?? told.ruleModeSet).id);
  };
  const throwAway = () => act(() => (draft.draft.current ? ask(queries.draftDelete, { id: draft.draft.current.id }) : Promise.resolve()), "The draft is thrown away.");
  const isIdle = !hasWords && mode === rule?.mode;
  const canPublish = complete && check.isCurrent && !check.problems.length && !isBusy && !isIdle;
  return (
    <section className={`card card-body stack publish${isIdle ? " publish-idle" : ""}${hasMore ? " publish-open" : ""}`} aria-label="Publish">
      {newer ? <Newer newer={newer} isBusy={isBusy} onOver={() => publish(newer.version)} onLook={onVersions} /> : null}
      {failure && !newer ? (
        <div className="note note-bad" role="alert">
          {failure}
        </div>
      ) : null}
      <div className="row">
        <span className="segmented" role="group" aria-label="What it is to do">
          {MODES.map(([key, words]) => (
            <button key={key} type="button" aria-pressed={mode === key} onClick={() => setMode(key)}>
              {words}
            </button>
          ))}
        </span>
        <span className="muted small mode-words">{MODES.find(([key]) => key === mode)[2]}</span>
        <Help about="mode" />
      </div>
      <div className="row">
        {newer ? null : (
          <button type="button" className="btn btn-primary" disabled={!canPublish} onClick={() => publish()}>
            Publish
          </button>
        )}
        <button type="button" className="btn btn-ghost btn-icon publish-more" aria-label="More" aria-expanded={hasMore} onClick={() => setMore(!hasMore)}>
          ⋯
        </button>
        {isChanged || draft.draft.current ? (
          <button type="button" className="btn btn-ghost" disabled={isBusy} onClick={throwAway}>
            Throw the draft away
          </button>
        ) : null}
        <span className="small muted" role="status">
          {stateOf({ draft, isIdle, complete, check })}
        </span>
        {steps}
        <Help about="draft" />
        {draft.problem ? (
          <span className="clause-problem" role="alert">
            {draft.problem}
          </span>
        ) : null}
        {rule && !isDeleting ? (
          <button type="button" className="btn btn-ghost btn-danger push" onClick={() => setDeleting(true)}>
            Delete…
          </button>
        ) : null}
      </div>
      {isDeleting ? <SureToDelete rule={rule} isBusy={isBusy} onYes={() => act(() => ask(queries.delete, { id: rule.id }), deleted(rule))} onNo={() => setDeleting(false)} /> : null}
    </section>
  );
}

const MOST_SAID = 3;

/** Somebody else was quicker: what they changed, and the ways on. */
function Newer({ newer, isBusy, onOver, onLook }) {
  const [last] = newer.since;
  const changes = newer.since.flatMap((each) => each.changes);
  return (
    <div className="note note-warn newer" role="alert">
      <p>
        <b>Somebody else has changed this rule meanwhile.</b> {last ? `${last.createdBy} published version ${last.version} on ${toTheMinute(last.createdAt)}:` : null}
      </p>
      {changes.length ? (
        <ul className="changes">
          {changes.slice(0, MOST_SAID).map((words) => (
            <li key={words}>{unbroken(words)}</li>
          ))}
          {changes.length > MOST_SAID ? <li>and {changes.length - MOST_SAID} more</li> : null}
        </ul>
      ) : null}
      <p>Published over it, yours takes its place as a whole; theirs stays among the versions.</p>
      <div className="row">
        <button type="button" className="btn btn-small" disabled={isBusy} onClick={onOver}>
          Publish mine over it
        </button>
        <button type="button" className="btn btn-small btn-ghost" onClick={onLook}>
          See the versions
        </button>
      </div>
    </div>
  );
}

const deleted = (rule) => `“${rule.name}” is deleted.`;

const SureToDelete = ({ rule, isBusy, onYes, onNo }) => (
  <div className="note note-warn" role="group" aria-label="Delete this rule?">
    <span>Delete “{rule.name}”? Its open alerts end with it; past alerts stay in the history.</span>
    <span className="row push">
      <button type="button" className="btn btn-small btn-danger-solid" onClick={onYes} disabled={isBusy}>
        Delete the rule
      </button>
      <button type="button" className="btn btn-small" onClick={onNo} autoFocus>
        Keep it
      </button>
    </span>
  </div>
);

/** Whether the designer can show it: then what is wrong is marked where it stands. */
const isShaped = (document) => document?.v === 1 && typeof document.when === "object" && document.when !== null && Array.isArray(document.then);

/**
 * In place of the designer, for a rule that the platform can no longer read: what is wrong, what it says, and the ways
 * on. `onMend(document)` goes on in the designer with another document.
 */
export function Unreadable({ rule, queries, mayWrite, anew, onMend, onDone }) {
  const [isDeleting, setDeleting] = useState(false);
  const [problem, setProblem] = useState("");
  const remove = () =>
    ask(queries.delete, { id: rule.id })
      .then(() => onDone?.(deleted(rule), ""))
      .catch((failure) => setProblem(failure.message));
  const desk = { rule, queries, mayWrite, change: (make) => onMend(make(rule.document)) };
  return (
    <section className="card card-body stack unreadable" aria-label="A rule that cannot be read" data-rule="unreadable">
      <div className="note note-bad" role="alert">
        <span>
          <b>{rule.name}</b>: {rule.sentence}
        </span>
      </div>
      {rule.problems.length > 1 ? (
        <ul className="changes" aria-label="All that is wrong">
          {rule.problems.map((each) => (
            <li key={each.path + each.message}>
              {each.place[0].toUpperCase() + each.place.slice(1)}: {each.message} {each.suggestion}
            </li>
          ))}
        </ul>
      ) : null}
      {problem ? <p className="clause-problem">{problem}</p> : null}
      {mayWrite ? (
        <div className="row">
          {isShaped(rule.document) ? (
            <button type="button" className="btn btn-primary" onClick={() => onMend(rule.document)}>
              Mend it
            </button>
          ) : null}
          <button type="button" className="btn" onClick={() => onMend({ ...anew, name: rule.name })}>
            Write it anew
          </button>
          {isDeleting ? null : (
            <button type="button" className="btn btn-ghost btn-danger" onClick={() => setDeleting(true)}>
              Delete…
            </button>
          )}
        </div>
      ) : null}
      {isDeleting ? <SureToDelete rule={rule} isBusy={false} onYes={remove} onNo={() => setDeleting(false)} /> : null}
      <h2>Its versions</h2>
      <Desk.Provider value={desk}>
        <Versions onDone={onDone} onGone={() => {}} />
      </Desk.Provider>
      <details className="fold">
        <summary>What is stored, as it stands</summary>
        <pre className="code">{JSON.stringify(rule.document, null, 2)}</pre>
      </details>
    </section>
  );
}

/** What was published before, what changed each time in words, and the way back. */
export function Versions({ onDone, onGone }) {
  const { rule, queries, change, mayWrite } = useDesk();
  const [versions, setVersions] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const controller = new AbortController();
    ask(queries.versions, { id: rule.id }, controller.signal)
      .then(({ ruleVersions }) => setVersions(ruleVersions.items))
      .catch((failure) => failure.name !== "AbortError" && setProblem(failure.message));
    return () => controller.abort();
  }, [rule.id]);
  const revert = (version) =>
    ask(queries.revert, { id: rule.id, version })
      .then(() => {
        onGone();
        onDone?.(`“${rule.name}” is as it was in version ${version} again.`, rule.id);
      })
      .catch((failure) => setProblem(failure.message));
  return (
    <div className="stack-tight">
      <p className="small muted">
        What was published, the newest first. <Help about="version" />
      </p>
      {problem ? <p className="clause-problem">{problem}</p> : null}
      <ol className="versions" reversed>
        {(versions ?? []).map((each, i) => (
          <li key={each.version}>
            <div className="row bench-row">
              <b>Version {each.version}</b>
              {i > 0 ? null : rule.isReadable ? <span className="badge badge-ok">in force</span> : <span className="badge badge-bad">cannot be read</span>}
              <span className="small muted">
                {each.createdBy}, {toTheMinute(each.createdAt)}
              </span>
            </div>
            {each.changes.length ? (
              <ul className="changes small">
                {each.changes.map((words) => (
                  <li key={words}>{unbroken(words)}</li>
                ))}
              </ul>
            ) : null}
            {i > 0 ? (
              <div className="row bench-row">
                <button type="button" className="offer" onClick={() => change(() => each.document)}>
                  Take it as the draft
                </button>
                {mayWrite ? (
                  <button type="button" className="offer" onClick={() => revert(each.version)}>
                    Publish it again
                  </button>
                ) : null}
              </div>
            ) : null}
          </li>
        ))}
      </ol>
    </div>
  );
}

/** The times a rule fired without an alert: it only watches, or raises none. */
export function Noted() {
  const { rule, queries, metrics } = useDesk();
  const [firings, setFirings] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const controller = new AbortController();
    ask(queries.firings, { id: rule.id }, controller.signal)
      .then(({ ruleFirings }) => setFirings(ruleFirings.items))
      .catch((failure) => failure.name !== "AbortError" && setProblem(failure.message));
    return () => controller.abort();
  }, [rule.id]);
  if (problem) return <p className="clause-problem">{problem}</p>;
  if (!firings) return <p className="muted">…</p>;
  if (!firings.length) {
    return (
      <p className="muted">
        Nothing is noted so far. Here stands when and why this rule fires while it only watches, or raises no alert. <Help about="noted" />
      </p>
    );
  }
  return (
    <div className="stack-tight">
      <p className="small muted">
        When and why this rule fired without raising an alert; the newest first. <Help about="noted" />
      </p>
      <ul className="episodes" aria-label="What it noted">
        {firings.map((each) => (
          <li key={each.id}>
            <details className="episode">
              <summary>
                <span className="episode-when num">{toTheMinute(each.firedAt)}</span>
                <span>
                  <b>{each.device.name}</b>
                  <span className="sub">{inOwnZone(each.reason, each.firedAt)}</span>
                </span>
              </summary>
              <p className="small">{each.would.length ? `It would have: ${each.would.join(" ")}` : "It was in force, and did what it says."}</p>
              <Why tree={each.why} metrics={metrics} />
            </details>
          </li>
        ))}
      </ul>
    </div>
  );
}
