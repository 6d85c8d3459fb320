// One metric of one device, the times it would have fired marked, its limits to be dragged, a time to be pointed at.
import { useEffect, useMemo, useRef, useState } from "react";
import "./rule_chart.css";
import { ask, plainNumber } from "./live.js";
import { useDesk } from "./rule_desk.js";
import { limitsOf, reachOf } from "./rule_limits.js";
import { metricsRead, setAt } from "./rule_model.js";
import { Pick } from "./rule_pieces.jsx";
import { Pointed, usePointing } from "./rule_point.jsx";
import { ends, times } from "./rule_time.js";
import { Timeline } from "./rule_timeline.jsx";
import { sign } from "./rule_words.js";

const W = 1000;
const H = 220;
const LEAST_MS = 6e5;
// A new device has only minutes of history, of which an hour's average would be one point.
const FINER = { "1h": "5m", "5m": "10s" };
const ENOUGH = 24;
// So few readings are points: a line of one of them would be nothing.
const FEW = 3;

const told = (telemetry, i, column) => Number(telemetry[column]?.[i] ?? telemetry.values[i]);
const pointsOf = (telemetry) => telemetry.times.map((at, i) => [at, told(telemetry, i, "values"), told(telemetry, i, "min"), told(telemetry, i, "max")]).filter(([, value]) => Number.isFinite(value));

/** The line to draw: in buckets, and in finer ones where the history is too short for those. */
async function lineOf(query, asked, signal) {
  const { device } = await ask(query, { ...asked, limit: 2000 }, signal);
  const points = pointsOf(device.telemetry);
  const finer = FINER[asked.bucket];
  if (!points.length || points.length >= ENOUGH || !finer) return points;
  return lineOf(query, { ...asked, from: new Date(Math.max(points[0][0], Date.parse(asked.from))).toISOString(), bucket: finer }, signal);
}

function useLine(deviceId, metric, from, bucket, query) {
  const [points, setPoints] = useState(null);
  const start = useRef(from);
  start.current = from;
  useEffect(() => {
    setPoints(null);
    if (!deviceId || !metric) return undefined;
    const controller = new AbortController();
    lineOf(query, { id: deviceId, metric, from: start.current, bucket }, controller.signal)
      .then(setPoints)
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
  const [pointed, setPointed] = useState(null);
  const span = pointed?.deviceId === device?.id ? pointed : null;
  const setSpan = (next, deviceId = device?.id) => setPointed({ ...next, deviceId });
  if (!key) return <Timeline {...{ device, devices, setDevice, episodes, result, span, setSpan }} />;
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
  const [first, last] = ends(scale.first, result.to);
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
          {drawn.length <= FEW ? drawn.map(([at, value]) => <line key={at} className="marked-dot" x1={x(at)} x2={x(at)} y1={y(value)} y2={y(value)} />) : null}
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
        <span>{first}</span>
        {half === null ? null : <span>Now click where it ends.</span>}
        <span>{last}</span>
      </div>
    </>
  );
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

function scaleOf(points, limits, result) {
  const drawn = limits.filter((each) => each.isDrawn).map((each) => each.value);
  const all = [...points.flatMap(([, , least, most]) => [least, most]), ...drawn];
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const from = Date.parse(result.from);
  const begun = points.length ? Math.max(from, Math.min(points[0][0], Date.parse(result.to) - LEAST_MS)) : from;
  const first = points.length && points.length <= FEW ? begun - (Date.parse(result.to) - begun) / 30 : begun;
  const wide = Math.max(Date.parse(result.to) - first, 1);
  const tall = high - low || 1;
  return { low, high, first, at: (share) => first + share * wide, x: (at) => ((at - first) / wide) * W, y: (value) => H - 12 - ((value - low) / tall) * (H - 24) };
}
