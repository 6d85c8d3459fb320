// A point table as text: its lines numbered, those with problems marked, and a way from each problem to its line.
import { useEffect, useRef, useState } from "react";
import "./points_text.css";

const REST_MS = 600;
const MOST_BYTES = 950_000; // what one message to the server may have is 1 MB

/**
 * `onWrite(text)` a moment after the last letter, and whenever the field is left. `number` rises when the page puts
 * another text in its place. `problems`: [{line, message}], line 0 for what is about the whole; `areOld`: whether the
 * text was changed since they were found. Whatever comes and goes stands below `children`, the buttons: these must not
 * move while somebody presses them, and to press one is to leave the field.
 */
export function PointsText({ text, number, problems, areOld = false, isReadOnly = false, label, onWrite, children }) {
  const [written, setWritten] = useState(text ?? "");
  const [isTooLong, setIsTooLong] = useState(false);
  const field = useRef(null);
  const scroller = useRef(null);
  const timer = useRef(null);
  useEffect(() => {
    clearTimeout(timer.current);
    setWritten(text ?? "");
    setIsTooLong(false);
  }, [number]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const tell = (now) => {
    clearTimeout(timer.current);
    const isLong = new Blob([JSON.stringify(now)]).size > MOST_BYTES;
    setIsTooLong(isLong);
    if (!isLong) onWrite?.(now);
  };
  const write = (event) => {
    const now = event.target.value;
    setWritten(now);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => tell(now), REST_MS);
  };
  const lines = written.split("\n");
  const rows = Math.max(lines.length, 6) + 1;
  const longest = lines.reduce((most, each) => Math.max(most, each.length), 0);
  const marked = new Set(problems.map((each) => each.line));
  const go = (line) => {
    const before = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    field.current.focus({ preventScroll: true });
    field.current.setSelectionRange(before, before + (lines[line - 1] ?? "").length);
    const height = field.current.clientHeight / rows;
    scroller.current.scrollTo(0, Math.max(0, (line - 4) * height));
    scroller.current.scrollIntoView({ block: "nearest" });
  };
  return (
    <div className={children ? "stack" : "stack-tight"}>
      <div className="points-text" ref={scroller}>
        <pre className="points-numbers" aria-hidden="true">
          {lines.map((_, index) => (
            <span key={index} className={marked.has(index + 1) ? "is-wrong" : undefined}>
              {index + 1}
              {"\n"}
            </span>
          ))}
          {"\n".repeat(rows - lines.length - 1)}{" "}
        </pre>
        <textarea
          ref={field}
          className="mono"
          aria-label={label}
          wrap="off"
          rows={rows}
          style={{ width: `calc(${longest + 4}ch + 24px)` }}
          spellCheck={false}
          autoCapitalize="off"
          autoComplete="off"
          readOnly={isReadOnly}
          value={written}
          onChange={write}
          onBlur={() => !isReadOnly && written !== text && tell(written)}
        />
      </div>
      {children}
      <div role="alert">
        {isTooLong && (
          <p className="note note-bad">
            This is too long to be sent from here, and what was written last does not count. Make it shorter, or set
            the table by the API.
          </p>
        )}
        {problems.length > 0 && (
          <ul className="points-problems" aria-label="What is wrong with the table">
            {problems.map((each, index) => (
              <li key={index}>
                {each.line > 0 ? (
                  <button type="button" className="btn btn-small" onClick={() => go(each.line)}>
                    Line {each.line}
                  </button>
                ) : (
                  <b>All of it</b>
                )}
                <span>{each.message}</span>
              </li>
            ))}
          </ul>
        )}
        {areOld && <p className="small">Found before you changed the text. Check it again to see what is left.</p>}
      </div>
    </div>
  );
}

/** Shows nothing; `onTime` again and again while it is there. */
export function Again({ every, onTime }) {
  const tell = useRef(onTime);
  tell.current = onTime;
  useEffect(() => {
    const timer = setInterval(() => tell.current?.(), every);
    return () => clearInterval(timer);
  }, [every]);
  return null;
}
