// How much arrives: messages a minute now, and the last 24 hours as bars.
import { useEffect, useState } from "react";
import { Link } from "react-router";
import { clock } from "./clock.js";
import { ask, plainNumber } from "./live.js";

const HOUR = 3600_000;
const EVERY_MS = 5000;
const WINDOW_MS = 60_000;

function useCounts(query, deviceId) {
  const [view, setView] = useState({ hours: [], rate: null, problem: "" });
  useEffect(() => {
    const seen = []; // [when, received in all hours asked for], a minute deep
    let timer;
    const controller = new AbortController();
    // A fixed start, so that two answers are sums over the same hours.
    const from = new Date(Math.floor(Date.now() / HOUR) * HOUR - 23 * HOUR);
    const load = async () => {
      try {
        const { ingestCounts } = await ask(query, { from: from.toISOString(), ...(deviceId ? { deviceId } : {}) }, controller.signal);
        const now = Date.now();
        seen.push([now, ingestCounts.reduce((sum, each) => sum + each.received, 0)]);
        while (seen.length > 2 && now - seen[1][0] >= WINDOW_MS) seen.shift();
        const [then, before] = seen[0];
        const rate = now - then > 2000 ? ((seen.at(-1)[1] - before) * 60_000) / (now - then) : null;
        setView({ hours: bars(ingestCounts, from), rate, problem: "" });
      } catch (problem) {
        if (problem.name !== "AbortError") setView((old) => ({ ...old, problem: problem.message }));
      }
      // The second answer comes soon: only a difference gives a rate.
      timer = setTimeout(load, seen.length < 2 ? 2500 : document.hidden ? EVERY_MS * 6 : EVERY_MS);
    };
    load();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [query, deviceId]);
  return view;
}

function bars(counts, from) {
  const byHour = new Map(counts.map((each) => [Math.floor(Date.parse(each.hour) / HOUR), each]));
  const first = Math.floor(from.getTime() / HOUR);
  return Array.from({ length: Math.floor(Date.now() / HOUR) - first + 1 }, (_, i) => {
    const each = byHour.get(first + i);
    return {
      at: (first + i) * HOUR,
      received: each?.received ?? 0,
      stored: each?.stored ?? 0,
      duplicates: each?.duplicates ?? 0,
      rejected: each?.rejected ?? 0,
      refused: each?.refused ?? 0,
      notKept: each?.notKept ?? 0,
      bad: (each?.rejected ?? 0) + (each?.refused ?? 0),
    };
  });
}

/** The two figures of the overview: messages a minute, and what was not accepted in 24 hours. */
export function Pulse({ query, inbox }) {
  const { hours, rate, problem } = useCounts(query);
  const received = hours.reduce((sum, each) => sum + each.received, 0);
  const bad = hours.reduce((sum, each) => sum + each.bad, 0);
  const top = Math.max(1, ...hours.map((each) => each.received));
  const width = 100 / Math.max(1, hours.length);
  return (
    <section className="card" aria-labelledby="pulse-title">
      <div className="card-head">
        <h2 id="pulse-title">Messages</h2>
        <span className="small muted">last 24 hours</span>
      </div>
      <div className="card-body stack">
        <dl className="row" style={{ gap: "8px 16px", justifyContent: "space-between" }}>
          <div>
            <dt className="small muted">per minute</dt>
            <dd className="num" style={{ fontSize: "1.4rem", fontWeight: 620 }} data-pulse="rate">
              {rate === null ? "…" : plainNumber(Math.round(rate))}
            </dd>
          </div>
          <div>
            <dt className="small muted">received</dt>
            <dd className="num" style={{ fontSize: "1.4rem", fontWeight: 620 }} data-pulse="received">
              {received.toLocaleString()}
            </dd>
          </div>
          <div>
            <dt className="small muted">not accepted</dt>
            <dd className="num" style={{ fontSize: "1.4rem", fontWeight: 620, color: bad ? "var(--bad)" : undefined }} data-pulse="bad">
              {bad.toLocaleString()}
            </dd>
          </div>
        </dl>
        <div>
          <svg className="pulse" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={`${received} messages received in the last 24 hours, ${bad} of them not accepted`}>
            {hours.map((each, i) => {
              const tall = each.received ? Math.max(1.2, (each.received / top) * 39) : 0;
              const red = each.received ? (each.bad / each.received) * tall : 0;
              const label = `${clock(each.at)}: ${each.received.toLocaleString()} received, ${each.bad} not accepted`;
              return (
                <g key={each.at}>
                  <title>{label}</title>
                  <rect className="floor" x={i * width + width * 0.12} width={width * 0.76} y={39.4} height={0.6} />
                  <rect x={i * width + width * 0.12} width={width * 0.76} y={40 - tall} height={tall} />
                  {red > 0 ? <rect className="bad" x={i * width + width * 0.12} width={width * 0.76} y={40 - red} height={red} /> : null}
                </g>
              );
            })}
          </svg>
          <div className="pulse-foot" aria-hidden="true">
            <span>24 h ago</span>
            <span>now</span>
          </div>
        </div>
        {problem ? <p className="small muted">{problem}</p> : null}
        {bad > 0 ? (
          <p className="small muted">
            Messages that are not accepted are kept with the reason, so nothing is lost silently.
            {inbox ? (
              <>
                {" "}
                <Link to={inbox}>Look at them in the inbox</Link>
              </>
            ) : null}
          </p>
        ) : null}
      </div>
    </section>
  );
}


/** Above the inbox: what became of everything that was received, and in which hours something was turned away. */
export function TurnedAway({ query, deviceId }) {
  const { hours, problem } = useCounts(query, deviceId);
  const sum = (name) => hours.reduce((total, each) => total + each[name], 0);
  const top = Math.max(1, ...hours.map((each) => each.bad));
  const width = 100 / Math.max(1, hours.length);
  const figures = [
    ["received", "received"],
    ["stored", "stored"],
    ["duplicates", "sent twice"],
    ["rejected", "not accepted"],
    ["refused", "refused"],
  ];
  const bad = sum("bad");
  const notKept = sum("notKept");
  return (
    <section className="card" aria-label="The last 24 hours">
      <div className="card-body turned">
        <dl className="row figures">
          {figures.map(([name, words]) => (
            <div key={name}>
              <dt className="small muted">{words}</dt>
              <dd className="num" data-turned={name}>{hours.length ? sum(name).toLocaleString() : "…"}</dd>
            </div>
          ))}
        </dl>
        <div>
          <svg className="pulse pulse-low" viewBox="0 0 100 40" preserveAspectRatio="none" role="img" aria-label={`${bad} messages not accepted in the last 24 hours`}>
            {hours.map((each, i) => {
              const tall = each.bad ? Math.max(2, (each.bad / top) * 39) : 0;
              return (
                <g key={each.at}>
                  <title>{`${clock(each.at)}: ${each.rejected.toLocaleString()} into the inbox, ${each.refused.toLocaleString()} refused`}</title>
                  <rect className="floor" x={i * width + width * 0.12} width={width * 0.76} y={39.4} height={0.6} />
                  {tall ? <rect className="bad" x={i * width + width * 0.12} width={width * 0.76} y={40 - tall} height={tall} /> : null}
                </g>
              );
            })}
          </svg>
          <div className="pulse-foot" aria-hidden="true">
            <span>24 h ago</span>
            <span>not accepted, hour by hour</span>
            <span>now</span>
          </div>
        </div>
        {notKept > 0 ? <p className="small muted">{`${notKept.toLocaleString()} of them were more than the inbox keeps of one device in an hour: they are counted, not kept.`}</p> : null}
        {sum("refused") > 0 ? <p className="small muted">Refused means: over the quota, or the device had no right to send. Those are answered and counted, never stored.</p> : null}
        {problem ? <p className="small muted">{problem}</p> : null}
      </div>
    </section>
  );
}
