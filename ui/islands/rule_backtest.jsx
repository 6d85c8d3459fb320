// What a rule would have done: the platform plays the stored history through it, and again with each change.
import { useEffect, useRef, useState } from "react";
import { ask } from "./live.js";
import { Chart } from "./rule_chart.jsx";
import { useDesk } from "./rule_desk.js";
import { setAt } from "./rule_model.js";
import { Help, Pick } from "./rule_pieces.jsx";
import { keptTest } from "./rule_keep.js";
import { moment, rowsOf, times } from "./rule_time.js";
import { Rows } from "./rule_timeline.jsx";
import { Why } from "./rule_why.jsx";
import { inOwnZone } from "./zones.js";

const PLAY_AFTER_MS = 700;
const AGAIN_AFTER_MS = 1200;
const TRIES = 6;
const HOUR = 36e5;
const RANGES = [
  ["1", "24 hours", "5m"],
  ["7", "7 days", "1h"],
  ["30", "30 days", "1h"],
];
const SHOWN = 20;
const DAYS_FORETOLD = 7;

const later = (ms) => new Promise((done) => setTimeout(done, ms));

/** Asks again where the history is just being played for what was there before the last change. */
async function asked(query, variables, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask(query, variables, signal);
    } catch (failure) {
      if (failure.code !== "BACKTEST_BUSY" || tries >= TRIES) throw failure;
    }
    await later(AGAIN_AFTER_MS);
    signal.throwIfAborted();
  }
}

/** The history played through the document, a moment after its last change. What was found before stays till then. */
function usePlayed(document, days, isReady, query) {
  const [played, setPlayed] = useState({ result: null, problem: "", at: "" });
  const text = isReady ? JSON.stringify([document, days]) : "";
  useEffect(() => {
    if (!text) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      const from = new Date(Date.now() - days * 24 * HOUR).toISOString();
      try {
        const { ruleBacktest } = await asked(query, { document, from }, controller.signal);
        setPlayed({ result: ruleBacktest, problem: "", at: text });
      } catch (failure) {
        if (failure.name !== "AbortError") setPlayed((old) => ({ ...old, problem: failure.message, at: text }));
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
      {result ? <Played result={result} days={days} isOld={!isCurrent || Boolean(problem)} onLook={onLook} /> : null}
    </div>
  );
}

/** What a rule would have done lately, in short, before there is a designer around it. `document` null: not ready yet. */
export function Foretold({ document, query }) {
  const { result, problem, isCurrent } = usePlayed(document, DAYS_FORETOLD, Boolean(document), query);
  const { rows, left } = rowsOf(result?.episodes ?? [], null);
  const isOld = !isCurrent && document !== null;
  return (
    <section className="card card-body stack foretold" aria-label="What it would have done">
      <h2 className="label-text">
        Had it been in force <Help about="backtest" />
      </h2>
      {problem ? <p className="small muted">{problem}</p> : null}
      {result ? (
        <div className={isOld ? "stack played is-old" : "stack played"} aria-live="polite" data-rule="foretold">
          <Verdict result={result} days={String(DAYS_FORETOLD)} />
          {rows.length ? <Rows rows={rows} left={left} result={result} /> : null}
        </div>
      ) : problem ? null : (
        <div className="stack" role="status" aria-label="Playing the history">
          <span className="skeleton" style={{ height: 22, width: "78%" }} />
          <span className="skeleton" style={{ height: 14, width: "62%" }} />
        </div>
      )}
    </section>
  );
}

/** How often it would have fired, and over how much history. */
function Verdict({ result, days }) {
  const { total, firedDevices, devices, devicesInScope, estimate, isComplete } = result;
  return (
    <>
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
        {estimate} {result.messages ? `${result.messages.toLocaleString()} messages of ${devices === 1 ? "1 device" : `${devices.toLocaleString()} devices`} were played` : null}
        {isComplete ? (result.messages ? "." : "") : `${result.messages ? "; " : ""}only part of the history of ${devicesInScope.toLocaleString()} devices.`}
      </p>
    </>
  );
}

function Played({ result, days, isOld, onLook }) {
  const { total, episodes } = result;
  const [device, setDevice] = useState(null);
  const drawn = [...new Map([...episodes.map((each) => each.device), ...result.nearest].map((each) => [each.id, each])).values()];
  // The device that is drawn stays while the limit is moved, whichever fires then.
  const last = useRef(null);
  last.current = drawn.find((each) => each.id === (device ?? last.current?.id)) ?? last.current ?? drawn[0] ?? null;
  const seen = last.current;
  const choice = seen && !drawn.some((each) => each.id === seen.id) ? [seen, ...drawn] : drawn;
  const [isAll, setAll] = useState(false);
  const shown = isAll ? episodes : episodes.slice(0, 5);
  return (
    <div className={isOld ? "stack played is-old" : "stack played"} aria-live="polite">
      <Verdict result={result} days={days} />
      <Chart key={days} device={seen} devices={choice} setDevice={setDevice} episodes={episodes} result={result} bucket={RANGES.find(([key]) => key === days)[2]} />
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
      const { test, said: how } = await keptTest(episode, document, queries.series);
      change((old) => setAt(old, ["tests"], [...(old.tests ?? []), test]));
      setSaid(`Kept among the tests. ${how}`);
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
            <span className="sub">{inOwnZone(episode.reason, episode.raisedAt)}</span>
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
