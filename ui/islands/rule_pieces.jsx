// The small parts of the rule designer: words to choose, numbers to write, lengths of time, menus.
import { useEffect, useId, useRef, useState } from "react";
import { ClockField } from "./clock_field.jsx";
import { useDesk } from "./rule_desk.js";
import { mended, numberOf, spanOf, writtenOf } from "./rule_model.js";
import { DAYS, ONE, UNITS } from "./rule_words.js";

/** A word of the sentence that is chosen. Options: [key, words] or [group, [[key, words]…]]. */
export function Pick({ label, value, options, onChange, wide, bad, title }) {
  const flat = options.flatMap(([key, words]) => (Array.isArray(words) ? words : [[key, words]]));
  const known = flat.some(([key]) => key === value);
  const option = ([key, words]) => (
    <option key={key} value={key}>
      {words}
    </option>
  );
  return (
    <select className={`token${wide ? " token-wide" : ""}${known ? "" : " token-open"}`} aria-label={label} title={title} aria-invalid={bad || undefined} value={value ?? ""} onChange={(event) => onChange(event.target.value)}>
      {known ? null : <option value={value ?? ""}>{value || "choose…"}</option>}
      {options.map(([key, words]) =>
        Array.isArray(words) ? (
          <optgroup key={key} label={key}>
            {words.map(option)}
          </optgroup>
        ) : (
          option([key, words])
        ),
      )}
    </select>
  );
}

/** How many devices a rule watches; that it is none is worth a look, though it may be meant. Before it is known (null), its room. */
export const Applies = ({ to, className = "" }) => (
  <span className={`badge ${to ? "badge-accent" : "badge-warn"} ${className}`} style={to === null ? { visibility: "hidden" } : undefined} role="status">
    applies to {to === null ? "… devices" : to === 0 ? "no device yet" : to === 1 ? "1 device" : `${to.toLocaleString()} devices`}
  </span>
);

/** A number or a text. What is no number is handed on as it stands, for the checker to explain; nothing is null. */
export function Write({ label, value, onChange, numeric, bad, size, placeholder, list }) {
  const read = numeric ? numberOf : (text) => text;
  const [text, setText] = useState(writtenOf(value));
  useEffect(() => {
    if (!Object.is(read(text), value) && writtenOf(value) !== text) setText(writtenOf(value));
  }, [value]);
  const change = (event) => {
    setText(event.target.value);
    onChange(read(event.target.value));
  };
  const width = Math.min(Math.max(size ?? (numeric ? 5 : 9), text.length + 2), 44);
  return (
    <input
      className={`token token-input${text === "" ? " token-open" : ""}`}
      aria-label={label}
      aria-invalid={bad || undefined}
      value={text}
      list={list}
      inputMode={numeric ? "decimal" : "text"}
      placeholder={placeholder ?? "…"}
      style={{ width: `${width}ch` }}
      onChange={change}
    />
  );
}

/** "10 minutes". An emptied number hands on null; `onChange` gets the text of a document, "10m". */
export function Span({ label, value, onChange, bad }) {
  const span = spanOf(value) ?? { count: "", unit: "m" };
  const [unit, setUnit] = useState(span.unit);
  useEffect(() => {
    if (spanOf(value)) setUnit(span.unit);
  }, [value]);
  const tell = (count, of) => onChange(count === "" ? null : `${count}${of}`);
  return (
    <span className="token-pair">
      <input
        className={`token token-input${span.count === "" ? " token-open" : ""}`}
        aria-label={`${label}, number`}
        aria-invalid={bad || undefined}
        inputMode="numeric"
        placeholder="…"
        value={span.count}
        style={{ width: `${Math.max(4, span.count.length + 2)}ch` }}
        onChange={(event) => tell(event.target.value.replace(/\D/g, "").slice(0, 6), unit)}
      />
      <Pick
        label={`${label}, unit`}
        value={unit}
        options={span.count === "1" ? ONE : UNITS}
        onChange={(of) => {
          setUnit(of);
          if (span.count !== "") tell(span.count, of);
        }}
      />
    </span>
  );
}

/** "22:00"; as the end of a span of hours also "24:00". */
export const Clock = ({ label, value, onChange, isEnd }) => <ClockField className="token token-input token-clock" label={label} value={value} onChange={onChange} isEnd={isEnd} />;

const SOME = "some";
const OFTEN = [["", "every day"], ["1,2,3,4,5", "on weekdays"], ["6,7", "at weekends"], [SOME, "on some days"]];

/** On which days; which ones they are is only asked where they are none of the usual. */
export function Days({ value, onChange }) {
  const [isAsking, setAsking] = useState(false);
  const key = [...(value ?? [])].sort().join();
  const isUsual = OFTEN.some(([each]) => each === key);
  const choose = (next) => {
    setAsking(next === SOME);
    if (next !== SOME) onChange(next ? next.split(",").map(Number) : undefined);
  };
  return (
    <>
      <Pick label="On which days" value={isAsking || !isUsual ? SOME : key} options={OFTEN} onChange={choose} />
      {isAsking || !isUsual ? <Week value={value} onChange={onChange} /> : null}
    </>
  );
}

/** Days of the week; none chosen means all of them. */
function Week({ value, onChange }) {
  const chosen = new Set(value ?? []);
  const toggle = (day) => {
    const next = chosen.has(day) ? (value ?? []).filter((each) => each !== day) : [...(value ?? []), day].sort();
    onChange(next.length ? next : undefined);
  };
  return (
    <span className="days" role="group" aria-label="Days">
      {DAYS.map(([day, short, long]) => (
        <button key={day} type="button" className="day" aria-pressed={value === undefined || chosen.has(day)} data-all={value === undefined || undefined} aria-label={long} onClick={() => toggle(day)}>
          {short}
        </button>
      ))}
    </span>
  );
}

/** A button that opens a list of things to do: [words, act] or [words, act, hint]; null draws a line. */
export function Menu({ label, children, items, className = "btn btn-small btn-ghost", align }) {
  const [isOpen, setOpen] = useState(false);
  const box = useRef(null);
  const id = useId();
  const close = (back) => {
    setOpen(false);
    if (back) box.current?.querySelector("button")?.focus();
  };
  useEffect(() => {
    if (!isOpen) return undefined;
    box.current.querySelector("[role=menuitem]")?.focus();
    const away = (event) => box.current?.contains(event.target) || setOpen(false);
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [isOpen]);
  const keys = (event) => {
    if (!isOpen) return;
    const all = [...box.current.querySelectorAll("[role=menuitem]")];
    const at = all.indexOf(document.activeElement);
    const go = (to) => (event.preventDefault(), all[(to + all.length) % all.length]?.focus());
    if (event.key === "Escape") return event.stopPropagation(), close(true);
    if (event.key === "Tab") return setOpen(false);
    if (event.key === "ArrowDown") return go(at + 1);
    if (event.key === "ArrowUp") return go(at - 1);
    if (event.key === "Home") return go(0);
    if (event.key === "End") return go(-1);
    if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && event.key !== " ") {
      const found = all.findIndex((each, i) => i > at && each.textContent.toLowerCase().startsWith(event.key.toLowerCase()));
      if (found >= 0) go(found);
    }
  };
  return (
    <span className="menu" ref={box} onKeyDown={keys}>
      <button
        type="button"
        className={className}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        aria-controls={isOpen ? id : undefined}
        onClick={() => setOpen(!isOpen)}
        onKeyDown={(event) => event.key === "ArrowDown" && !isOpen && (event.preventDefault(), setOpen(true))}
      >
        {children}
      </button>
      {isOpen ? (
        <div className={`menu-list${align === "end" ? " menu-end" : ""}`} role="menu" id={id} aria-label={label}>
          {items.filter(Boolean).map(([words, act, hint]) =>
            act ? (
              <button
                key={words}
                type="button"
                role="menuitem"
                tabIndex={-1}
                onClick={() => {
                  close(true);
                  act();
                }}
              >
                {words}
                {hint ? <small>{hint}</small> : null}
              </button>
            ) : (
              <div key={words} className="menu-head" role="presentation">
                {words}
              </div>
            ),
          )}
        </div>
      ) : null}
    </span>
  );
}

/** Takes an optional part away again. */
export function Remove({ label, onClick }) {
  return (
    <button type="button" className="clause-remove" aria-label={label} title={label} onClick={onClick}>
      ×
    </button>
  );
}

/** A quiet offer to add something. */
export function Offer({ children, onClick }) {
  return (
    <button type="button" className="offer" onClick={onClick}>
      + {children}
    </button>
  );
}

/** What the platform says about a place: what is wrong, then what is odd. */
export function Said({ problems = [], warnings = [] }) {
  return (
    <>
      {problems.map((each) => (
        <p className="clause-problem" key={each.path + each.message} role="alert">
          {each.message} {each.suggestion}
        </p>
      ))}
      {warnings.map((each) => (
        <p className="clause-hint" key={each.path + each.message}>
          {each.message} {each.suggestion} {each.fix ? <DoThat fix={each.fix} /> : null}
        </p>
      ))}
    </>
  );
}

/** Makes the edits of a finding's fix in the draft: one step, which Undo takes back. */
function DoThat({ fix }) {
  const { change, check } = useDesk();
  return (
    <button type="button" className="do-that" disabled={!check.isCurrent} onClick={() => change((old) => mended(old, fix.edits))}>
      Do that: {fix.words}
    </button>
  );
}

/** Leads to what a word means; in a tab of its own, since somebody is writing here. `about`: an anchor of /help. */
export const Help = ({ about }) => (
  <a className="help" href={`/help#${about}`} target="_blank" rel="noopener" title="What is this?" aria-label={`Help: ${about.replaceAll("-", " ")}`}>
    ?
  </a>
);

/** A part of the sentence; `at`: where in the document, as the checker writes it. */
export function Line({ word, about, tall, at, children }) {
  return (
    <div className="line" role="group" aria-label={word} data-at={at}>
      <div className="line-word">
        <span aria-hidden="true">{word}</span> {about ? <Help about={about} /> : null}
      </div>
      <div className={tall ? "line-body line-tall" : "line-body"}>{children}</div>
    </div>
  );
}
