// What opens beside a part of the picture: its fields, and what can be done with it. And the picture's icons.
import { useEffect, useRef } from "react";
import { dropAt, getAt, joinAt, setAt } from "./rule_model.js";
import { Pick, Said, Span } from "./rule_pieces.jsx";
import { JOINS } from "./rule_words.js";

export const JOIN_WORDS = { all: "all of these", any: "any of these", "not any": "none of these", "not all": "not all of these", not: "not so" };

const PATHS = {
  value: "M12 14V5a2 2 0 1 0-4 0v9a4 4 0 1 0 4 0M16 6h4M16 10h3M16 14h4",
  agg: "M3 17l5-6 4 3 5-8 4 4M3 21h18",
  rate: "M3 17 21 5M15 5h6v6",
  delta: "M4 19 12 5l8 14z",
  changed: "M4 8h13l-3-3M20 16H7l3 3",
  stuck: "M4 12h16M8 8v8M16 8v8",
  attribute: "M4 6h16M4 12h10M4 18h7",
  tag: "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.01",
  group: "M4 5h7v6H4zM13 13h7v6h-7zM13 5h7v4h-7zM4 15h7v4H4z",
  profile: "M6 3h12v18H6zM10 17h4M9 7h6M9 11h6",
  time: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7v5l3 2",
  schedule: "M4 5h16v15H4zM4 10h16M8 3v4M16 3v4",
  place: "M12 21s7-6.5 7-11.5a7 7 0 1 0-14 0C5 14.500 12 21 12 21M12 12a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5",
  silence: "M4 10v4M8 7v10M12 10v4M16 11v2M20 12h.01",
  presence: "M5 12.500a10 10 0 0 1 14 0M8 15.500a6 6 0 0 1 8 0M12 19h.01M2 9a15 15 0 0 1 20 0",
  event: "M13 3 5 14h6l-1 7 8-11h-6z",
  watch: "M2 12s3.600-7 10-7 10 7 10 7-3.600 7-10 7S2 12 2 12M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6",
  wait: "M7 3h10M7 21h10M8 3c0 5 8 5 8 9s-8 4-8 9M16 3c0 5-8 5-8 9s8 4 8 9",
  alert: "M12 4 2.500 20h19zM12 10v4M12 17h.01",
  notify: "M3 6h18v12H3zM3 7l9 7 9-7",
  webhook: "M9 8a4 4 0 1 1 5 3l3 6M9 14a4 4 0 1 0 4 5h5M7 14l3-5",
  command: "M4 6l5 6-5 6M12 18h8",
  set: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  derive: "M5 5h14M9 5c0 8-2 12-4 14M16 5v14",
  guards: "M12 3 4 6v6c0 5 4 8 8 9 4-1 8-4 8-9V6z",
  auto: "M20 12a8 8 0 1 1-2.500-5.800M20 3v5h-5",
  end: "M5 12l5 5 9-10",
  yes: "M5 12l5 5 9-10",
  no: "M6 6l12 12M18 6 6 18",
  unknown: "M9 9a3 3 0 1 1 4 2.800c-1 .5-1 1.200-1 2.200M12 18h.01",
  problem: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18M12 7.500v5M12 16h.01",
  add: "M12 5v14M5 12h14",
  less: "M5 12h14",
  remove: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  other: "M8 4C5 4 6 8 6 10s-2 2-2 2 2 0 2 2-1 6 2 6M16 4c3 0 2 4 2 6s2 2 2 2-2 0-2 2 1 6-2 6",
};

export function Icon({ name }) {
  return (
    <svg viewBox="0 0 24 24" width="16" height="16" fill="none" stroke="currentColor" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name] ?? PATHS.other} />
    </svg>
  );
}

function Body({ part, document, editors, onChange, act }) {
  if (part.type === "wait") {
    const span = getAt(document, part.path);
    return (
      <>
        <Span label="For at least" value={span} onChange={(next) => onChange(next === null ? dropAt(document, part.path) : setAt(document, part.path, next), "picture wait")} />
        <p className="muted small">How long the condition must stay true. Empty: at once.</p>
      </>
    );
  }
  if (part.type === "frame") {
    return (
      <>
        {part.join === "not" ? null : <Pick label="How the conditions belong together" value={part.join} options={JOINS} onChange={(join) => onChange(joinAt(document, part.path, join))} wide />}
        {part.parts.length === 1 ? (
          <button type="button" className="btn btn-small" onClick={() => act.unwrap(part)}>
            {part.join === "not" ? "Take the not away" : "Take the group away, keep what it holds"}
          </button>
        ) : null}
      </>
    );
  }
  if (part.type === "auto") {
    return (
      <>
        <p className="small">It is over when the condition is no longer so.</p>
        <button type="button" className="btn btn-small" onClick={act.ownEnd}>
          Another condition ends it
        </button>
      </>
    );
  }
  const Editor = editors[part.type];
  return <Editor path={part.path} action={getAt(document, part.path)} />;
}

/** Opens with the focus in its first field; Escape leads back to the part. */
export function Panel({ part, problems, readOnly, close, ...rest }) {
  const box = useRef(null);
  const title = part.type === "frame" ? `Group: ${JOIN_WORDS[part.join]}` : part.title;
  useEffect(() => {
    (box.current.querySelector("input, select") ?? box.current.querySelector("button"))?.focus({ preventScroll: true });
  }, []);
  return (
    <section ref={box} className="canvas-panel nodrag nopan" aria-label={`Edit: ${title}`}>
      <header>
        <h2>{title}</h2>
        <button type="button" className="clause-remove" aria-label="Close" title="Close (Esc)" onClick={close}>
          ×
        </button>
      </header>
      {readOnly ? <p>{[part.text, ...(part.lines ?? [])].filter(Boolean).join(" · ")}</p> : <Body part={part} {...rest} />}
      <Said problems={problems} />
    </section>
  );
}
