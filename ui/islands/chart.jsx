// One metric of one device over time: history by a query, then live by the subscription. Gaps stay gaps.
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { said } from "./clock.js";
import { ask, plainNumber, plainValue, watchTelemetry } from "./live.js";
import { cameBy, doubt, underWay } from "./trust.js";

const MINUTE = 60_000;
const RANGES = [
  { key: "15m", label: "15 min", long: "15 minutes", ms: 15 * MINUTE, bucket: null },
  { key: "1h", label: "1 h", long: "hour", ms: 60 * MINUTE, bucket: null },
  { key: "24h", label: "24 h", long: "24 hours", ms: 24 * 60 * MINUTE, bucket: "5m", bucketMs: 5 * MINUTE },
  { key: "7d", label: "7 d", long: "7 days", ms: 7 * 24 * 60 * MINUTE, bucket: "1h", bucketMs: 60 * MINUTE },
];
const LIMIT = 10_000;

/** History and live readings of one metric as rising columns [times in s, values, lowest, highest, count]. */
class Columns {
  constructor(range) {
    this.range = range;
    this.rows = new Map(); // time in ms -> {value, low, high, n, doubt}
    this.bad = new Set(); // times in ms at which the device said that it had no value
  }

  load(series) {
    series.times.forEach((at, i) => {
      const value = Number(series.values[i]);
      if (!Number.isFinite(value)) return;
      const doubt = series.quality?.[i] === "uncertain";
      this.rows.set(at, { value, low: series.min?.[i] ?? value, high: series.max?.[i] ?? value, n: series.n?.[i] ?? 1, doubt });
    });
    (series.bad ?? []).forEach((at) => this.bad.add(at));
  }

  add(at, value, doubt) {
    if (!this.range.bucket) {
      this.rows.set(at, { value, low: value, high: value, n: 1, doubt });
      return;
    }
    const start = Math.floor(at / this.range.bucketMs) * this.range.bucketMs;
    const old = this.rows.get(start);
    const n = (old?.n ?? 0) + 1;
    this.rows.set(start, {
      value: ((old?.value ?? 0) * (n - 1) + value) / n,
      low: Math.min(old?.low ?? value, value),
      high: Math.max(old?.high ?? value, value),
      n,
    });
  }

  /** Whether a reading of this time is drawn, or too old to be. */
  knows(at) {
    return at < Date.now() - this.range.ms || this.rows.has(this.range.bucket ? Math.floor(at / this.range.bucketMs) * this.range.bucketMs : at);
  }

  /** Rising rows inside the range. */
  sorted(now) {
    const from = now - this.range.ms - (this.range.bucketMs ?? 0);
    for (const at of this.rows.keys()) if (at < from) this.rows.delete(at);
    for (const at of this.bad) if (at < from) this.bad.delete(at);
    return [...this.rows].sort((a, b) => a[0] - b[0]);
  }
}

/** What uPlot draws; a null breaks the line where nothing came for much longer than usual, and where the device had no value. */
function withGaps(rows, range, bad) {
  const gap = range.bucketMs ? range.bucketMs * 1.5 : usualStep(rows) * 4;
  const columns = [[], [], [], [], []];
  const breaks = [...bad].sort((a, b) => a - b);
  let next = 0;
  const put = (at, value, low, high, doubt) => {
    columns[0].push(at / 1000);
    columns[1].push(value);
    columns[2].push(low);
    columns[3].push(high);
    columns[4].push(doubt ? value : null);
  };
  rows.forEach(([at, row], i) => {
    const isBroken = next < breaks.length && breaks[next] <= at;
    while (breaks[next] <= at) next += 1;
    if (i > 0 && (isBroken || at - rows[i - 1][0] > gap)) put(rows[i - 1][0] + 1, null, null, null);
    put(at, row.value, row.low, row.high, row.doubt);
  });
  return columns;
}

function usualStep(rows) {
  if (rows.length < 3) return Infinity;
  const steps = rows.slice(1).map(([at], i) => at - rows[i][0]).sort((a, b) => a - b);
  return Math.max(steps[Math.floor(steps.length * 0.8)], 1000);
}

function useTheme() {
  const read = () => document.documentElement.classList.contains("dark");
  const [dark, setDark] = useState(read);
  useEffect(() => {
    const watcher = new MutationObserver(() => setDark(read()));
    watcher.observe(document.documentElement, { attributes: true, attributeFilter: ["class"] });
    return () => watcher.disconnect();
  }, []);
  return dark;
}

/** The span to draw. The shortest range begins with the first reading, so that a new device's line is worth looking at. */
function spanOf(range, rows) {
  if (range.span) return range.span;
  const now = Date.now();
  const whole = now - range.ms;
  if (range !== RANGES[0] || !rows.length) return [whole, now];
  return [Math.max(whole, Math.min(rows[0][0], now - 3 * MINUTE)), now];
}

function options(width, height, metric, range, rows, onCursor) {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const font = "12px " + css.getPropertyValue("--sans");
  const step = metric.type === "BOOLEAN" ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
  const axis = { stroke: colour("--faint"), font, grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height,
    padding: [14, 14, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      points: { size: 8, fill: colour("--accent"), stroke: colour("--surface"), width: 2 },
      drag: { x: false, y: false },
    },
    scales: {
      x: { time: true, range: () => spanOf(range, rows()).map((at) => at / 1000) },
      y:
        metric.type === "BOOLEAN"
          ? { range: [-0.15, 1.15] }
          : { range: (_, low, high) => (low === null ? [0, 1] : uPlot.rangeNum(low, high === low ? low + 1 : high, 0.12, false)) },
    },
    axes: [
      { ...axis, size: 34, grid: { show: false }, space: width < 500 ? 80 : 110, values: timeLabels(range) },
      {
        ...axis,
        size: 52,
        space: 44,
        splits: metric.type === "BOOLEAN" ? () => [0, 1] : undefined,
        values: metric.type === "BOOLEAN" ? () => ["no", "yes"] : (_, splits) => splits.map((each) => plainNumber(each)),
      },
    ],
    series: [
      {},
      { stroke: colour("--accent"), width: 2, points: { show: false }, ...step },
      { stroke: "transparent", width: 0, points: { show: false }, ...step },
      { stroke: "transparent", width: 0, points: { show: false }, ...step },
      { stroke: "transparent", width: 0, points: { show: true, size: 7, width: 2, stroke: colour("--warn"), fill: colour("--surface") } },
    ],
    bands: range.bucket ? [{ series: [3, 2], fill: colour("--accent") + "26" }] : [],
    hooks: { setCursor: [onCursor] },
  };
}

function timeLabels(range) {
  const days = { weekday: "short", day: "numeric" };
  const minutes = { hour: "2-digit", minute: "2-digit" };
  return (_plot, splits, _axis, _space, step) => {
    const form = range.ms > 36 * 60 * MINUTE ? days : step < 60 ? { ...minutes, second: "2-digit" } : minutes;
    return splits.map((at) => said(at * 1000, form));
  };
}

/** The card: choose a metric and a span, see it move. */
export function Chart({ deviceId, metrics, query, sourceQuery }) {
  const shown = useMemo(() => (metrics || []).filter((each) => each.type === "NUMBER" || each.type === "BOOLEAN"), [metrics]);
  const [chosen, setChosen] = useState("");
  const [range, setRange] = useState(RANGES[0]);
  const metric = shown.find((each) => each.key === chosen) || shown[0];
  if (!metric) {
    return (
      <section className="card" aria-label="History">
        <p className="card-body muted">Numbers and yes/no values can be drawn over time. This device has sent none so far.</p>
      </section>
    );
  }
  return (
    <section className="card chart-card" aria-label="History">
      <div className="chart-tools">
        <select className="select" aria-label="Value to draw" value={metric.key} onChange={(event) => setChosen(event.target.value)}>
          {shown.map((each) => (
            <option key={each.key} value={each.key}>
              {each.label}
              {each.unit ? ` (${each.unit})` : ""}
            </option>
          ))}
        </select>
        <div className="segmented" role="group" aria-label="Span of time">
          {RANGES.map((each) => (
            <button key={each.key} type="button" aria-pressed={each.key === range.key} onClick={() => setRange(each)}>
              {each.label}
            </button>
          ))}
        </div>
      </div>
      <Plot key={`${deviceId} ${metric.key} ${range.key}`} deviceId={deviceId} metric={metric} range={range} query={query} sourceQuery={sourceQuery} />
    </section>
  );
}

function useSeries(deviceId, metric, range, query) {
  const columns = useRef(null);
  columns.current ??= new Columns(range);
  const [state, setState] = useState({ phase: "loading", words: "" });
  const [beat, setBeat] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    // Listen first, then ask for the past: nothing falls between the two, and the same reading twice is one row.
    const stop = watchTelemetry(deviceId, (event) => {
      const value = event.values?.[metric.key];
      const quality = event.quality?.[metric.key];
      const at = Date.parse(event.time);
      if (quality === "bad" && !range.bucket && !event.isCatchUp) columns.current.bad.add(at);
      if (typeof value !== "number" && typeof value !== "boolean") return;
      if (!event.isCatchUp) columns.current.add(at, Number(value), quality === "uncertain");
      else if (!columns.current.knows(at)) load(); // something came before the line stood
    });
    const load = async () => {
      try {
        const variables = { id: deviceId, metric: metric.key, from: new Date(Date.now() - range.ms).toISOString(), bucket: range.bucket, limit: LIMIT };
        const { device } = await ask(query, variables, controller.signal);
        columns.current.load(device.telemetry);
        setState({ phase: "ready", words: device.telemetry.isTruncated ? "Only part of this span is shown: there are too many readings." : "" });
      } catch (problem) {
        if (problem.name !== "AbortError") setState({ phase: "failed", words: problem.message });
      }
      setBeat((n) => n + 1);
    };
    load();
    const timer = setInterval(() => setBeat((n) => n + 1), range.bucket ? 5000 : 1000);
    return () => {
      controller.abort();
      stop();
      clearInterval(timer);
    };
  }, [deviceId, metric.key, range, query]);
  return { columns: columns.current, state, beat };
}

const LOOKING_MS = 250; // somebody who only passes by asks nothing

/** How the reading of that moment came, in words: "" while it is asked for (after `wait`), and where there is none to ask for (null). */
function useCame(deviceId, metric, at, query, wait) {
  const [known, setKnown] = useState({});
  useEffect(() => {
    if (at === null || at in known) return undefined;
    const controller = new AbortController();
    const look = async () => {
      try {
        const variables = { id: deviceId, metric: metric.key, from: new Date(at).toISOString(), to: new Date(at + 1).toISOString() };
        const { telemetry } = (await ask(query, variables, controller.signal)).device;
        if (!telemetry.times.length) return; // it is not stored yet, or not any more
        const words = `${cameBy(telemetry.sources[telemetry.source?.[0]])} ${underWay(telemetry.times[0], telemetry.received[0])}`;
        setKnown((old) => ({ ...old, [at]: words.trim() }));
      } catch {
        // a line less; the value itself is there
      }
    };
    const timer = setTimeout(look, wait);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [at, deviceId, metric.key, query]);
  return known[at] ?? "";
}

/** What lies under the pointer: the value, what is to be said of it, and when it was measured. */
function Tip({ tip, say, came, showsSpan, toTheSecond }) {
  const side = tip.left > tip.width * 0.5 ? { right: tip.width - tip.left + 22, top: 18 } : { left: tip.left + 22, top: 18 };
  const about = tip.doubt ? doubt("uncertain") : null;
  return (
    <div className="chart-tip" style={side}>
      <b>{say(tip.value)}</b>
      {about ? <div className="tip-doubt">{about[1]}</div> : null}
      {showsSpan && tip.low !== tip.high ? (
        <div className="muted">
          {say(tip.low)} to {say(tip.high)}
        </div>
      ) : null}
      <div className="muted">{said(tip.at, { dateStyle: "medium", timeStyle: toTheSecond ? "medium" : "short" })}</div>
      {came ? <div className="muted tip-came">{came}</div> : null}
    </div>
  );
}

/** Follows the pointer over what uPlot has drawn: what lies there, or null. */
const pointing = (setTip) => (u) => {
  const i = u.cursor.idx;
  const value = i === null || i === undefined ? null : u.data[1][i];
  if (value === null || value === undefined || u.cursor.left < 0) return setTip(null);
  setTip({ left: u.cursor.left + u.over.offsetLeft, width: u.width, at: Math.round(u.data[0][i] * 1000), value, low: u.data[2][i], high: u.data[3][i], doubt: u.data[4][i] !== null });
};

function Plot({ deviceId, metric, range, query, sourceQuery }) {
  const { columns, state, beat } = useSeries(deviceId, metric, range, query);
  const dark = useTheme();
  const box = useRef(null);
  const plot = useRef(null);
  const [tip, setTip] = useState(null);
  const rows = columns.sorted(Date.now());
  const newest = useRef(null); // of what was stored when the page came
  if (state.phase === "ready" && rows.length) newest.current ??= rows.at(-1)[0];
  const came = useCame(deviceId, metric, range.bucket ? null : (tip?.at ?? null), sourceQuery, LOOKING_MS);
  const newestCame = useCame(deviceId, metric, range.bucket ? null : newest.current, sourceQuery, 0);

  useEffect(() => {
    const size = () => ({ width: box.current.clientWidth, height: box.current.clientHeight });
    const { width, height } = size();
    plot.current = new uPlot(options(width, height, metric, range, () => columns.sorted(Date.now()), pointing(setTip)), withGaps(columns.sorted(Date.now()), range, columns.bad), box.current);
    // On leaving the page the box is gone a moment before this watcher is.
    const watcher = new ResizeObserver(() => box.current && plot.current?.setSize(size()));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      plot.current.destroy();
      plot.current = null;
      setTip(null);
    };
  }, [dark]);

  useEffect(() => {
    plot.current?.setData(withGaps(columns.sorted(Date.now()), range, columns.bad));
  }, [beat]);

  const unit = metric.unit ? ` ${metric.unit}` : "";
  const isNumber = metric.type === "NUMBER";
  const say = (value) => (isNumber ? plainNumber(value) + unit : plainValue(value >= 0.5));
  const low = Math.min(...rows.map(([, row]) => row.low));
  const high = Math.max(...rows.map(([, row]) => row.high));
  const count = rows.reduce((sum, [, row]) => sum + row.n, 0);
  const mean = rows.reduce((sum, [, row]) => sum + row.value * row.n, 0) / count;
  const doubted = rows.filter(([, row]) => row.doubt).length;
  const summary = rows.length
    ? `${metric.label}, last ${range.long}: between ${say(low)} and ${say(high)}, newest ${say(rows.at(-1)[1].value)}${rows.at(-1)[1].doubt ? " (in doubt)" : ""}.`
    : `${metric.label}, last ${range.long}: no readings.`;
  return (
    <>
      <div className="chart" role="img" aria-label={summary} data-points={rows.length}>
        <div ref={box} className="chart-box" style={{ visibility: rows.length ? "visible" : "hidden" }} />
        {state.phase === "loading" ? <div className="chart-note">Loading…</div> : null}
        {state.phase === "failed" ? <div className="chart-note">{state.words}</div> : null}
        {state.phase === "ready" && rows.length === 0 ? (
          <div className="chart-note">
            <p>
              No readings in the last {range.long}.<br />
              Choose a longer span, or wait: the line grows as messages arrive.
            </p>
          </div>
        ) : null}
        {tip ? <Tip tip={tip} say={say} came={came} showsSpan={range.bucket && isNumber} toTheSecond={!range.bucket} /> : null}
      </div>
      <div className="chart-foot">
        {isNumber
          ? [["Lowest", low], ["Average", mean], ["Highest", high]].map(([name, value]) => (
              <span key={name}>
                {name}
                <b>{rows.length ? say(value) : "–"}</b>
              </span>
            ))
          : null}
        <span>
          Readings<b>{count.toLocaleString()}</b>
        </span>
        {doubted ? (
          <span>
            In doubt<b>{doubted.toLocaleString()}</b>
          </span>
        ) : null}
        {columns.bad.size ? (
          <span>
            Without a value<b>{columns.bad.size.toLocaleString()}</b>
          </span>
        ) : null}
        {range.bucket ? <span className="state">The line is the average of each {range.bucket === "1h" ? "hour" : "5 minutes"}, the band its lowest to highest.</span> : null}
        {state.words && state.phase === "ready" ? <span className="state">{state.words}</span> : null}
        {range.bucket ? null : <span className="came">{newestCame.replace("It came", "The newest came")}</span>}
      </div>
    </>
  );
}

const AROUND_MS = 30 * MINUTE;
const LONGEST_MS = 6 * 60 * MINUTE;

/** What is to be seen around a moment: half an hour before it, and what followed until it was over, at most six hours. */
export function around(at, until, now = Date.now()) {
  const end = Math.min(now, (until ?? now) + AROUND_MS / 3, at + LONGEST_MS);
  return [at - AROUND_MS, Math.max(end, at + MINUTE)];
}

/** A line with a word at each moment, and one at each limit, drawn over the curve. */
function marked(options, moments, limits = [], sayLimit = String) {
  const css = getComputedStyle(document.documentElement);
  const draw = ({ ctx, bbox, valToPos }) => {
    const dpr = window.devicePixelRatio || 1;
    limits.forEach((limit) => {
      const y = Math.round(valToPos(limit, "y", true));
      ctx.save();
      ctx.strokeStyle = css.getPropertyValue("--warn").trim();
      ctx.lineWidth = 1.5 * dpr;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillStyle = ctx.strokeStyle;
      ctx.textAlign = "left";
      ctx.textBaseline = "alphabetic";
      ctx.font = `600 ${12 * dpr}px ${css.getPropertyValue("--sans")}`;
      ctx.fillText(sayLimit(limit), bbox.left + 6 * dpr, y - 5 * dpr);
      ctx.restore();
    });
    moments.forEach(({ at, words, colour }, i) => {
      const x = Math.round(valToPos(at / 1000, "x", true));
      const ink = css.getPropertyValue(colour).trim();
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = ink;
      ctx.lineWidth = 2 * dpr;
      ctx.setLineDash([5 * dpr, 4 * dpr]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.font = `600 ${12 * dpr}px ${css.getPropertyValue("--sans")}`;
      const isLeft = x > bbox.left + bbox.width * 0.75;
      ctx.textAlign = isLeft ? "right" : "left";
      const before = i ? Math.round(valToPos(moments[i - 1].at / 1000, "x", true)) : -Infinity;
      const isNear = Math.abs(x - before) < 48 * dpr; // then the words would stand on each other
      ctx.fillText(words, x + (isLeft ? -6 : 6) * dpr, bbox.top + (isNear ? 27 : 12) * dpr);
      ctx.restore();
    });
  };
  return { ...options, hooks: { ...options.hooks, draw: [draw] } };
}

/** One metric around the moment an alert was raised, with the moments marked; `until`: when it was over, '' if it is not. */
export function Moment({ deviceId, metric, at, until, query }) {
  const dark = useTheme();
  const box = useRef(null);
  const [state, setState] = useState({ phase: "loading", words: "", rows: [], bad: [] });
  const [tip, setTip] = useState(null);
  const raised = Date.parse(at);
  const over = until ? Date.parse(until) : null;
  const [from, to] = useMemo(() => around(raised, over), [at, until]);
  const long = to - from > 2 * 60 * MINUTE;
  const range = useMemo(() => ({ ms: to - from, bucket: long ? "1m" : null, bucketMs: long ? MINUTE : undefined }), [from, to]);

  useEffect(() => {
    const controller = new AbortController();
    const variables = { id: deviceId, metric: metric.key, from: new Date(from).toISOString(), to: new Date(to).toISOString(), bucket: range.bucket, limit: LIMIT };
    ask(query, variables, controller.signal)
      .then(({ device }) => {
        const columns = new Columns(range);
        columns.load(device.telemetry);
        setState({ phase: "ready", words: "", rows: columns.sorted(to), bad: columns.bad });
      })
      .catch((problem) => problem.name !== "AbortError" && setState({ phase: "failed", words: problem.message, rows: [], bad: [] }));
    return () => controller.abort();
  }, [deviceId, metric.key, range, query]);

  const { rows } = state;
  const unit = metric.unit ? ` ${metric.unit}` : "";
  const say = (value) => (metric.type === "BOOLEAN" ? plainValue(value >= 0.5) : plainNumber(value) + unit);
  const limits = metric.type === "NUMBER" ? metric.limits : [];
  useEffect(() => {
    if (!rows.length) return undefined;
    const moments = [{ at: raised, words: "alert", colour: "--bad" }];
    if (over && over <= to) moments.push({ at: over, words: "over", colour: "--ok" });
    const size = () => ({ width: box.current.clientWidth, height: 220 });
    const { width, height } = size();
    // Of a new device there is little before it: then the line begins with the first reading.
    const span = [Math.min(Math.max(from, rows[0][0]), raised - MINUTE), to];
    const plain = options(width, height, metric, { ...range, span }, () => rows, pointing(setTip));
    if (limits.length) plain.scales.y = { range: (_, low, high) => uPlot.rangeNum(Math.min(low ?? limits[0], ...limits), Math.max(high ?? limits[0], ...limits), 0.12, false) };
    const plot = new uPlot(marked(plain, moments, limits, say), withGaps(rows, range, state.bad), box.current);
    const watcher = new ResizeObserver(() => box.current && plot.setSize(size()));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      plot.destroy();
      setTip(null);
    };
  }, [rows, dark]);

  const low = Math.min(...rows.map(([, row]) => row.low));
  const high = Math.max(...rows.map(([, row]) => row.high));
  const summary = rows.length
    ? `${metric.label} around the alert: between ${say(low)} and ${say(high)}.`
    : `${metric.label} around the alert: no readings.`;
  return (
    <div className="chart" role="img" aria-label={summary} data-points={rows.length}>
      <div ref={box} style={{ minHeight: 220 }} />
      {tip ? <Tip tip={tip} say={say} showsSpan={range.bucket && metric.type === "NUMBER"} toTheSecond={!range.bucket} /> : null}
      {rows.length ? null : (
        <div className="chart-note">
          {state.phase === "loading" ? "Loading…" : state.phase === "failed" ? state.words : "There are no readings of that time any more."}
        </div>
      )}
    </div>
  );
}
