// Fields for a time of day and for a moment: the day from the browser's calendar, the time in 24 hours.
import { useEffect, useState } from "react";
import { clockOf, dayWords, isWholeClock, momentOf, partsOf } from "./clock.js";

const HOW = "Write the time as 22:00.";

/**
 * "22:00"; "10 pm" and "2200" will do. `onChange` gets it once it is written, never half a time; what is left half is
 * taken back. `optional`: it may be empty, ''. `isEnd`: the end of a day may be 24:00.
 */
export function ClockField({ value, onChange = () => {}, label, optional = false, isEnd = false, className = "input", name, id }) {
  const [text, setText] = useState(value ?? "");
  const read = (written) => {
    const found = clockOf(written);
    return found?.startsWith("24") && !isEnd ? found.replace("24", "00") : found;
  };
  useEffect(() => {
    if (read(text) !== (value ?? "")) setText(value ?? "");
  }, [value]);
  const isWrong = text === "" ? !optional : read(text) === null;
  const write = (event) => {
    const written = event.target.value;
    setText(written);
    event.target.setCustomValidity(written === "" || read(written) !== null ? "" : HOW);
    if (isWholeClock(written)) onChange(read(written));
  };
  const leave = (event) => {
    const found = read(text);
    if (text === "" && optional) return onChange("");
    event.target.setCustomValidity("");
    setText(found ?? value ?? "");
    return found !== null && found !== value ? onChange(found) : undefined;
  };
  return (
    <input
      id={id}
      name={name}
      className={`${className} clock`}
      aria-label={label}
      aria-invalid={(text !== "" && isWrong) || undefined}
      inputMode="text"
      autoComplete="off"
      placeholder="22:00"
      title={HOW}
      maxLength={11}
      value={text}
      onChange={write}
      onBlur={leave}
      onKeyDown={(event) => event.key === "Enter" && leave(event)}
    />
  );
}

/** A time of a form that the page sends: `value` is what stood there before, '' for none. */
export function ClockOfForm({ value, name, fieldId }) {
  const [now, setNow] = useState(value ?? "");
  return <ClockField id={fieldId} name={name} value={now} onChange={setNow} optional />;
}

/** Which day is meant, in words, since browsers write 03/04 in either order. */
const DayInWords = ({ day }) => (
  <span className="day-words" role="status">
    {dayWords(day)}
  </span>
);

/** A day of the calendar. Until one is chosen it says so, where browsers show only the pattern of a date. */
const Day = ({ value, onChange, ...more }) => (
  <span className={value ? "date" : "date date-open"}>
    <input type="date" value={value} onChange={(event) => onChange(event.target.value)} {...more} />
    <span className="date-none" aria-hidden="true">
      Choose a day
    </span>
  </span>
);

/** A day of the calendar, said in words beside it: `onChange` gets "2026-11-22", '' for none. */
export function DayField({ label, onChange }) {
  const [day, setDay] = useState("");
  return (
    <label className="day-field small muted">
      {label}
      <Day
        className="input"
        value={day}
        onChange={(next) => {
          setDay(next);
          onChange(next);
        }}
      />
      <DayInWords day={day} />
    </label>
  );
}

/** A day and a time of the reader's own clock. `value`: a moment or null; `onChange` gets it in ms, null while it is open. */
export function MomentField({ value, onChange, label, hasSeconds = false, className = "input", earliest }) {
  const known = partsOf(value, hasSeconds);
  const [day, setDay] = useState(known.day);
  const [at, setAt] = useState(known.at);
  useEffect(() => {
    const moment = value === null || value === "" ? null : new Date(value).getTime();
    if (momentOf(day, at) === moment) return;
    setDay(known.day);
    setAt(known.at);
  }, [value]);
  const tell = (nextDay, nextAt) => onChange(momentOf(nextDay, nextAt));
  return (
    <span className="moment-field" role="group" aria-label={label}>
      <Day
        className={className}
        aria-label={`${label}, day`}
        value={day}
        min={earliest ? partsOf(earliest).day : undefined}
        onChange={(next) => {
          const time = at || (next ? "00:00" : "");
          setDay(next);
          setAt(time);
          tell(next, time);
        }}
      />
      <ClockField
        className={className}
        label={`${label}, time`}
        value={at}
        onChange={(next) => {
          setAt(next);
          tell(day, next);
        }}
      />
      <DayInWords day={day} />
    </span>
  );
}
