// One metric of one device, the times it would have fired marked, its limits to be dragged, a time to be pointed at.
import { useEffect, useMemo, useRef, useState } from "react";
import "./rule_chart.css";
import { ask, plainNumber } from "./live.js";
import { useDesk } from "./rule_desk.js";
import { keptSpan } from "./rule_keep.js";
import { limitsOf, reachOf } from "./rule_limits.js";
import { metricsRead, setAt } from "./rule_model.js";
import { Pick } from "./rule_pieces.jsx";
import { sign } from "./rule_words.js";

const W = 1000;
const H = 220;
const HOUR = 36e5;
const CLICK_PX = 4;

export const times = (count) => (count === 1 ? "once" : count === 2 ? "twice" : `${count.toLocaleString()} times`);
export const moment = (text) => new Date(text).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

function useLine(deviceId, metric, from, bucket, query) {
  const [points, setPoints] = useState(null);
  const start = useRef(from);
  start.current = from;
  useEffect(() => {
    if (!deviceId || !metric) return undefined;
    const controller = new AbortController();
    const told = (telemetry, i, column) => Number(telemetry[column]?.[i] ?? telemetry.values[i]);
    ask(query, { id: deviceId, metric, from: start.current, bucket, limit: 2000 }, controller.signal)
      .then(({ device: { telemetry } }) => setPoints(telemetry.times.map((at, i) => [at, told(telemetry, i, "values"), told(telemetry, i, "min"), told(telemetry, i, "max")]).filter(([, value]) => Number.isFinite(value))))
      .catch((failure) => failure.name !== "AbortError" && setPoints([]));
    return () => controller.abort();
  }, [deviceId, metric, bucket, query]);
  return points;
}

/** `devices`: those that can be drawn; the chart stands also where none has data, so that the limit can be moved. */
export function Chart({ device, devices, setDevice, episodes, result, bucket }) {
  const { document, metrics, queries } = useDesk();
  const read = metricsRead(document).filter((key) => metrics.get(key)?.type === "NUMBER");
  const [chosen, setChosen] = useState(null);
  const key = read.includes(chosen) ? chosen : read[0];
  const metric = metrics.get(key);
  const points = useLine(device?.id, key, result.from, bucket, queries.series);
  const limits = useMemo(() => (key ? limitsOf(document, key, metric.unit) : []), [document, key]);
  const marks = episodes.filter((each) => each.device.id === device?.id);
  const scale = useMemo(() => scaleOf(points ?? [], limits, result), [points, result, limits]);
  const [span, setSpan] = useState(null);
  if (!key) return null;
  const unit = sign(metric.unit);
  const name = metric.label || key;
  return (
    <figure className="marked">
      <figcaption className="row bench-row">
        {devices.length > 1 ? <Pick label="Device to draw" value={device.id} options={devices.map((each) => [each.id, each.name])} onChange={setDevice} /> : <b>{device?.name ?? "No device has sent anything in this time."}</b>}
        {read.length > 1 ? <Pick label="Value to draw" value={key} options={read.map((each) => [each, metrics.get(each).label || each])} onChange={setChosen} /> : <span className="muted">{name}</span>}
      </figcaption>
      {device ? <Plot {...{ name, unit, device, points, limits, marks, scale, result, span, setSpan }} /> : null}
      {limits.length ? <Limit key={key} limits={limits} scale={scale} isLoaded={points !== null || !device} unit={unit} /> : null}
      {device ? <Pointed device={device} span={span} setSpan={setSpan} result={result} /> : null}
    </figure>
  );
}

function Plot({ name, unit, device, points, limits, marks, scale, result, span, setSpan }) {
  const { x, y, low, high } = scale;
  const [point, half] = usePointing(scale, setSpan);
  const drawn = points ?? [];
  const line = drawn.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const band = [...drawn.map(([at, , , most]) => [at, most]), ...drawn.map(([at, , least]) => [at, least]).reverse()].map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  return (
    <>
      <div className="marked-plot marked-pointed" role="img" aria-label={`${name} of ${device.name}, between ${plainNumber(low)} and ${plainNumber(high)} ${unit}; it would have fired ${times(marks.length)}.`}>
        <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true" {...point}>
          <rect className="marked-ground" x="0" y="0" width={W} height={H} />
          {marks.map((each) => {
            const from = Math.max(0, x(Date.parse(each.raisedAt)));
            const to = each.clearedAt ? x(Date.parse(each.clearedAt)) : W;
            return <rect key={each.raisedAt} className="mark" x={from} y="0" width={Math.max(4, to - from)} height={H} />;
          })}
          {span ? <rect className="marked-span" x={x(span.from)} y="0" width={Math.max(3, x(span.to) - x(span.from))} height={H} /> : null}
          {half === null ? null : <line className="marked-half" x1={x(half)} x2={x(half)} y1="0" y2={H} />}
          <polygon className="marked-band" points={band} />
          <polyline className="marked-line" points={line} />
          {limits.filter((each) => each.isDrawn).map(({ path, value }) => <line key={path.join(".")} className="marked-limit" x1="0" x2={W} y1={y(value)} y2={y(value)} />)}
        </svg>
        <span className="marked-high small">
          {plainNumber(high)} {unit}
        </span>
        <span className="marked-low small">
          {plainNumber(low)} {unit}
        </span>
      </div>
      <div className="marked-foot small muted">
        <span>{moment(scale.first)}</span>
        {half === null ? null : <span>Now click where it ends.</span>}
        <span>{moment(result.to)}</span>
      </div>
    </>
  );
}

/** A time is pointed at by dragging, or by a click at its beginning and one at its end. */
function usePointing(scale, setSpan) {
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

/** A limit of the rule as a slider: moving it plays the history again. Of several limits one is chosen. */
function Limit({ limits, scale, isLoaded, unit }) {
  const { change } = useDesk();
  const [chosen, setChosen] = useState("");
  const limit = limits.find(({ path }) => path.join(".") === chosen) ?? limits[0];
  const place = limit.path.join(".");
  const kept = useRef({ place: "", isLoaded: false });
  // Where the slider ends stays while it is moved, whatever comes of it; a value written beyond widens it.
  const { least, most } = kept.current.reach ?? {};
  if (kept.current.place !== place || kept.current.isLoaded !== isLoaded || limit.value < least || limit.value > most) {
    kept.current = { place, isLoaded, reach: reachOf(limit, scale.low, scale.high) };
  }
  const { reach } = kept.current;
  return (
    <div className="limits">
      {limits.length > 1 ? <Pick label="Limit to move" value={place} options={limits.map(({ path, words }) => [path.join("."), words])} onChange={setChosen} /> : null}
      <label className="limit small">
        <span>
          Limit{" "}
          <b className="num">
            {limit.value} {limit.isDrawn ? unit : sign(limit.unit)}
          </b>
        </span>
        <input
          type="range"
          disabled={!isLoaded}
          aria-valuetext={`${limit.value} ${limit.isDrawn ? unit : sign(limit.unit)}`}
          min={reach.least}
          max={reach.most}
          step={reach.step}
          value={limit.value}
          onChange={(event) => change((old) => setAt(old, limit.path, reach.round(Number(event.target.value))), place)}
        />
      </label>
    </div>
  );
}

const field = (ms) => {
  const at = new Date(ms);
  return new Date(at.getTime() - at.getTimezoneOffset() * 6e4).toISOString().slice(0, 19);
};

/** What must have come of the time that was pointed at, or written; kept among the tests. */
function Pointed({ device, span, setSpan, result }) {
  const { document, change, queries } = useDesk();
  const [said, setSaid] = useState("");
  const write = (end) => (event) => {
    const at = Date.parse(event.target.value);
    if (Number.isFinite(at)) setSpan({ from: at, to: Math.min(at + HOUR, Date.parse(result.to)), ...span, [end]: at });
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
      <legend className="small muted">Drag over the chart, click where a time begins and ends, or write it: what must have come of it?</legend>
      <div className="row bench-row small">
        <span>From</span>
        <input type="datetime-local" step="1" className="token token-input" aria-label="From" value={span ? field(span.from) : ""} onChange={write("from")} />
        <span>to</span>
        <input type="datetime-local" step="1" className="token token-input" aria-label="To" value={span ? field(span.to) : ""} onChange={write("to")} />
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

function scaleOf(points, limits, result) {
  const drawn = limits.filter((each) => each.isDrawn).map((each) => each.value);
  const all = [...points.flatMap(([, , least, most]) => [least, most]), ...drawn];
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const from = Date.parse(result.from);
  const first = points.length ? Math.max(from, Math.min(points[0][0], Date.parse(result.to) - HOUR)) : from;
  const wide = Math.max(Date.parse(result.to) - first, 1);
  const tall = high - low || 1;
  return { low, high, first, at: (share) => first + share * wide, x: (at) => ((at - first) / wide) * W, y: (value) => H - 12 - ((value - low) / tall) * (H - 24) };
}
