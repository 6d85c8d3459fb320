// A time of the past is pointed at, and kept as a test: "this must alert".
import { useRef, useState } from "react";
import { MomentField } from "./clock_field.jsx";
import { useDesk } from "./rule_desk.js";
import { keptSpan } from "./rule_keep.js";
import { setAt } from "./rule_model.js";
import { Help } from "./rule_pieces.jsx";

const HOUR = 36e5;
const CLICK_PX = 4;

/** A time is pointed at by dragging, or by a click at its beginning and one at its end. */
export function usePointing(scale, setSpan) {
  const drag = useRef(null);
  const [half, setHalf] = useState(null);
  const timeAt = (event) => {
    const { left, width } = event.currentTarget.getBoundingClientRect();
    return Math.round(scale.at(Math.min(1, Math.max(0, (event.clientX - left) / width))));
  };
  const tell = (one, other) => setSpan({ from: Math.min(one, other), to: Math.max(one, other) });
  const stop = (event) => {
    if (!drag.current) return;
    const { at, px } = drag.current;
    drag.current = null;
    if (Math.abs(event.clientX - px) > CLICK_PX) return setHalf(null);
    if (half !== null) tell(half, at);
    setHalf(half === null ? at : null);
  };
  const point = {
    onPointerDown: (event) => {
      if (event.button !== 0) return;
      event.currentTarget.setPointerCapture(event.pointerId);
      drag.current = { at: timeAt(event), px: event.clientX };
    },
    onPointerMove: (event) => drag.current && Math.abs(event.clientX - drag.current.px) > CLICK_PX && tell(drag.current.at, timeAt(event)),
    onPointerUp: stop,
    onPointerCancel: () => (drag.current = null),
  };
  return [point, half];
}

/** What must have come of the time that was pointed at, or written; kept among the tests. */
export function Pointed({ device, span, setSpan, result }) {
  const { document, change, queries } = useDesk();
  const [said, setSaid] = useState("");
  const write = (end) => (at) => {
    if (at !== null) setSpan({ from: at, to: Math.min(at + HOUR, Date.parse(result.to)), ...span, [end]: at });
  };
  const isWhole = span && span.from <= span.to;
  const keep = async (isRaise) => {
    setSaid("…");
    try {
      const { test, said: how } = await keptSpan(device, span, isRaise, document, queries.series);
      change((old) => setAt(old, ["tests"], [...(old.tests ?? []), test]));
      setSaid(`Kept among the tests. ${how}`);
    } catch (failure) {
      setSaid(failure.message);
    }
  };
  return (
    <fieldset className="pointed">
      <legend className="small">
        <b>Make a test of it.</b> <Help about="rule-test" /> <span className="muted">Drag over a time above, or write it; then say what must come of it. The test is run with every change.</span>
      </legend>
      <div className="pointed-ends small">
        <span>From</span>
        <MomentField className="token token-input" hasSeconds label="From" value={span?.from ?? null} onChange={write("from")} />
        <span>to</span>
        <MomentField className="token token-input" hasSeconds label="To" value={span?.to ?? null} onChange={write("to")} />
      </div>
      <div className="row bench-row">
        <button type="button" className="btn btn-small" disabled={!isWhole} onClick={() => keep(true)}>
          This must alert
        </button>
        <button type="button" className="btn btn-small" disabled={!isWhole} onClick={() => keep(false)}>
          This must stay quiet
        </button>
        <span className="small muted" role="status">
          {span && !isWhole ? "It ends before it begins." : said}
        </span>
      </div>
    </fieldset>
  );
}
