// What a rule would have done: the platform plays the stored history through it, and again with each change.
import { useEffect, useMemo, useRef, useState } from "react";
import { ask, plainNumber } from "./live.js";
import { useDesk } from "./rule_desk.js";
import { limitOf, metricsRead, setAt } from "./rule_model.js";
import { Help, Pick } from "./rule_pieces.jsx";
import { keptTest } from "./rule_keep.js";
import { Why } from "./rule_why.jsx";
import { sign } from "./rule_words.js";

const PLAY_AFTER_MS = 700;
const HOUR = 36e5;
const RANGES = [
  ["1", "24 hours", "5m"],
  ["7", "7 days", "1h"],
  ["30", "30 days", "1h"],
];
const SHOWN = 20;
const times = (count) => (count === 1 ? "once" : count === 2 ? "twice" : `${count.toLocaleString()} times`);
const moment = (text) => new Date(text).toLocaleString(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** How often that is, as people say it: "About 4 a day." or "About one every 2 days." */
function often(perDay) {
  if (perDay >= 0.75) return `About ${plainNumber(Math.round(perDay))} a day.`;
  return `About one every ${plainNumber(Math.round(1 / perDay))} days.`;
}

/** The history played through the document, a moment after its last change. */
function usePlayed(document, days, isReady, query) {
  const [played, setPlayed] = useState({ result: null, problem: "", at: "" });
  const text = isReady ? JSON.stringify([document, days]) : "";
  useEffect(() => {
    if (!text) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      const from = new Date(Date.now() - days * 24 * HOUR).toISOString();
      try {
        const { ruleBacktest } = await ask(query, { document, from }, controller.signal);
        setPlayed({ result: ruleBacktest, problem: "", at: text });
      } catch (failure) {
        if (failure.name !== "AbortError") setPlayed({ result: null, problem: failure.message, at: text });
      }
    }, PLAY_AFTER_MS);
    return () => (clearTimeout(timer), controller.abort());
  }, [text]);
  return { ...played, isCurrent: played.at === text };
}

export function Backtest({ onLook }) {
  const { whole, check, complete, queries } = useDesk();
  const [days, setDays] = useState("7");
  const isReady = complete && check.isCurrent && !check.problems.length;
  const { result, problem, isCurrent } = usePlayed(whole, Number(days), isReady, queries.backtest);
  return (
    <div className="stack">
      <div className="row bench-row">
        <span>In the last</span>
        <Pick label="How far to look back" value={days} options={RANGES.map(([key, words]) => [key, words])} onChange={setDays} />
        <Help about="backtest" />
      </div>
      {problem ? <p className="clause-problem">{problem}</p> : null}
      {!result && !problem ? <p className="muted">{isReady || check.sentence ? "Playing the history…" : "As soon as the sentence is complete, the stored history is played through it."}</p> : null}
      {result ? <Played result={result} days={days} isOld={!isCurrent} onLook={onLook} /> : null}
    </div>
  );
}

function Played({ result, days, isOld, onLook }) {
  const { total, firedDevices, devices, devicesInScope, perDay, isComplete, episodes } = result;
  const [device, setDevice] = useState(null);
  const fired = [...new Map(episodes.map((each) => [each.device.id, each.device])).values()];
  const seen = fired.find((each) => each.id === device) ?? fired[0] ?? null;
  const [isAll, setAll] = useState(false);
  const shown = isAll ? episodes : episodes.slice(0, 5);
  return (
    <div className={isOld ? "stack played is-old" : "stack played"} aria-live="polite">
      <p className="verdict" data-rule="backtest">
        {total ? (
          <>
            It would have fired <b>{times(total)}</b> on <b>{firedDevices === 1 ? "1 device" : `${firedDevices.toLocaleString()} devices`}</b>
          </>
        ) : (
          <>
            It would <b>not have fired</b>
          </>
        )}{" "}
        in the last {RANGES.find(([key]) => key === days)[1]}.
      </p>
      <p className="small muted">
        {total ? `${often(perDay)} ` : ""}
        {result.messages.toLocaleString()} messages of {devices === 1 ? "1 device" : `${devices.toLocaleString()} devices`} were played
        {isComplete ? "." : `; only part of the history of ${devicesInScope.toLocaleString()} devices.`}
      </p>
      {seen ? <Marked key={seen.id} device={seen} devices={fired} setDevice={setDevice} episodes={episodes} result={result} days={days} /> : null}
      {episodes.length ? (
        <ul className="episodes" aria-label="When it would have fired">
          {shown.map((each) => (
            <Episode key={each.device.id + each.raisedAt} episode={each} onLook={onLook} />
          ))}
        </ul>
      ) : null}
      {!isAll && episodes.length > shown.length ? (
        <button type="button" className="offer" onClick={() => setAll(true)}>
          Show {Math.min(episodes.length, SHOWN * 5) - shown.length} more
        </button>
      ) : null}
    </div>
  );
}

function Episode({ episode, onLook }) {
  const { document, metrics, change, queries } = useDesk();
  const [said, setSaid] = useState("");
  const keep = async () => {
    setSaid("…");
    try {
      const test = await keptTest(episode, document, queries.series);
      change((old) => setAt(old, ["tests"], [...(old.tests ?? []), test]));
      setSaid("Kept among the tests.");
    } catch (failure) {
      setSaid(failure.message);
    }
  };
  return (
    <li>
      <details className="episode">
        <summary>
          <span className="episode-when num">{moment(episode.raisedAt)}</span>
          <span>
            <b>{episode.device.name}</b> <span className="muted">{lasted(episode)}</span>
            <span className="sub">{episode.reason}</span>
          </span>
        </summary>
        <Why tree={episode.why} metrics={metrics} />
        <div className="row">
          <button type="button" className="offer" onClick={() => onLook({ deviceId: episode.device.id, at: episode.raisedAt })}>
            Look at this moment
          </button>
          <button type="button" className="offer" onClick={keep}>
            Make a test of this
          </button>
          <span className="small muted" role="status">
            {said}
          </span>
        </div>
      </details>
    </li>
  );
}

function lasted({ raisedAt, clearedAt }) {
  if (!clearedAt) return "and it still lasts";
  const minutes = Math.round((Date.parse(clearedAt) - Date.parse(raisedAt)) / 6e4);
  if (minutes < 1) return "for less than a minute";
  return minutes < 120 ? `for ${minutes} min` : `for ${Math.round(minutes / 60)} hours`;
}

// ── the chart: one metric of one device, the times it would have fired marked, the limit to be dragged ────────
const W = 1000;
const H = 220;

function useLine(deviceId, metric, result, days, query) {
  const [points, setPoints] = useState(null);
  useEffect(() => {
    const controller = new AbortController();
    const bucket = RANGES.find(([key]) => key === days)[2];
    ask(query, { id: deviceId, metric, from: result.from, bucket, limit: 2000 }, controller.signal)
      .then(({ device }) => setPoints(device.telemetry.times.map((at, i) => [at, Number(device.telemetry.values[i]), device.telemetry.min?.[i], device.telemetry.max?.[i]]).filter(([, value]) => Number.isFinite(value))))
      .catch((failure) => failure.name !== "AbortError" && setPoints([]));
    return () => controller.abort();
  }, [deviceId, metric, days, query]);
  return points;
}

function Marked({ device, devices, setDevice, episodes, result, days }) {
  const { document, metrics, queries, change } = useDesk();
  const read = metricsRead(document).filter((key) => metrics.get(key)?.type === "NUMBER");
  const [chosen, setChosen] = useState(null);
  const key = read.includes(chosen) ? chosen : read[0];
  const metric = metrics.get(key);
  const points = useLine(device.id, key ?? "", result, days, queries.series);
  const limit = key ? limitOf(document, key) : null;
  const marks = episodes.filter((each) => each.device.id === device.id);
  const scale = useMemo(() => scaleOf(points ?? [], limit?.value, result), [points, result, limit?.value]);
  if (!key) return null;
  const { x, y, low, high } = scale;
  const line = (points ?? []).map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const unit = sign(metric.unit);
  return (
    <figure className="marked">
      <figcaption className="row bench-row">
        {devices.length > 1 ? <Pick label="Device to draw" value={device.id} options={devices.map((each) => [each.id, each.name])} onChange={setDevice} /> : <b>{device.name}</b>}
        {read.length > 1 ? <Pick label="Value to draw" value={key} options={read.map((each) => [each, metrics.get(each).label || each])} onChange={setChosen} /> : <span className="muted">{metric.label || key}</span>}
      </figcaption>
      <div className="marked-plot" role="img" aria-label={`${metric.label || key} of ${device.name}, between ${plainNumber(low)} and ${plainNumber(high)} ${unit}; it would have fired ${times(marks.length)}.`}>
        <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true">
          {marks.map((each) => {
            const from = Math.max(0, x(Date.parse(each.raisedAt)));
            const to = each.clearedAt ? x(Date.parse(each.clearedAt)) : W;
            return <rect key={each.raisedAt} className="mark" x={from} y="0" width={Math.max(4, to - from)} height={H} />;
          })}
          <polyline className="marked-line" points={line} />
          {limit ? <line className="marked-limit" x1="0" x2={W} y1={y(limit.value)} y2={y(limit.value)} /> : null}
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
        <span>{moment(result.to)}</span>
      </div>
      {limit ? <Limit limit={limit} low={low} high={high} unit={unit} onChange={(value) => change((old) => setAt(old, limit.path, value), limit.path.join("."))} /> : null}
    </figure>
  );
}

/** The rule's limit as a slider: moving it plays the history again. */
function Limit({ limit, low, high, unit, onChange }) {
  const span = useRef(null);
  span.current ??= { low: Math.min(low, limit.value), high: Math.max(high, limit.value) };
  const { low: least, high: most } = span.current;
  const step = 10 ** Math.floor(Math.log10(Math.max(most - least, 1e-6) / 50));
  const round = (value) => Number((Math.round(value / step) * step).toPrecision(12));
  return (
    <label className="limit small">
      <span>
        Limit{" "}
        <b className="num">
          {limit.value} {unit}
        </b>
      </span>
      <input type="range" min={round(least - step * 5)} max={round(most + step * 5)} step={step} value={limit.value} onChange={(event) => onChange(round(Number(event.target.value)))} />
    </label>
  );
}

function scaleOf(points, limit, result) {
  const values = points.map(([, value]) => value);
  const all = limit === undefined ? values : [...values, limit];
  const [low, high] = all.length ? [Math.min(...all), Math.max(...all)] : [0, 1];
  const from = Date.parse(result.from);
  const first = points.length ? Math.max(from, Math.min(points[0][0], Date.parse(result.to) - HOUR)) : from;
  const wide = Math.max(Date.parse(result.to) - first, 1);
  const tall = high - low || 1;
  return { low, high, first, x: (at) => ((at - first) / wide) * W, y: (value) => H - 12 - ((value - low) / tall) * (H - 24) };
}
