// From when until when, in the viewer's own time: a few spans to choose from, or two moments of one's own.
import { useEffect, useState } from "react";
import { said } from "./clock.js";
import { MomentField } from "./clock_field.jsx";

const HOUR = 3600_000;

function at(day, hour, days = 0) {
  const moment = new Date(day);
  moment.setDate(moment.getDate() + days);
  moment.setHours(hour, 0, 0, 0);
  return moment;
}

/** The spans on offer, each as [from (null: now), until]; those that make no sense at this hour are left out. */
export function spans(names, now = new Date()) {
  const tonight = at(now, 20) > now ? at(now, 20) : null;
  const untilSaturday = (6 - now.getDay() + 7) % 7;
  const isWeekend = now.getDay() === 6 || now.getDay() === 0;
  const known = {
    hour: ["1 hour", null, new Date(now.getTime() + HOUR)],
    morning: ["Until tomorrow, 8:00", null, at(now, 8, 1)],
    night: [tonight ? "Tonight, 20:00 to 6:00" : "Tonight, until 6:00", tonight, at(now, 6, now.getHours() < 6 ? 0 : 1)],
    weekend: isWeekend
      ? ["This weekend, until Monday 6:00", null, at(now, 6, now.getDay() === 6 ? 2 : 1)]
      : ["This weekend, from Saturday 0:00", at(now, 0, untilSaturday), at(now, 6, untilSaturday + 2)],
    week: ["1 week", null, new Date(now.getTime() + 7 * 24 * HOUR)],
  };
  return names.map((name) => [name, ...known[name]]);
}

const iso = (moment) => (moment === null ? "" : new Date(moment).toISOString());
const words = (moment) => said(moment, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** Part of a form, which sends `from_at` ('' for now) and `until_at` in UTC. `offers`: names of spans; `name`: of this group. */
export function Spans({ name, legend, offers, hasStart }) {
  const [chosen, setChosen] = useState(offers[0]);
  const [start, setStart] = useState(null);
  const [end, setEnd] = useState(null);
  const [now, setNow] = useState(null); // the server knows neither the viewer's hour nor their zone
  useEffect(() => {
    setNow(new Date());
    const timer = setInterval(() => setNow(new Date()), 60_000);
    return () => clearInterval(timer);
  }, []);
  if (!now) return null;
  const offered = spans(offers, now);
  const own = chosen === "own";
  const [, , first, last] = offered.find(([key]) => key === chosen) ?? ["", "", null, null];
  const from = own ? iso(start) : (first?.toISOString() ?? "");
  const until = own ? iso(end) : last.toISOString();
  const choose = (key) => {
    if (key === "own" && end === null) setEnd(Math.ceil((now.getTime() + 2 * HOUR) / 60_000) * 60_000);
    setChosen(key);
  };
  return (
    <fieldset className="spans">
      <legend className="label-text">{legend}</legend>
      <div className="span-offers">
        {[...offered, ["own", hasStart ? "From … to …" : "Until …"]].map(([key, label]) => (
          <label key={key} className="span-offer">
            <input type="radio" name={`${name}-span`} value={key} checked={chosen === key} onChange={() => choose(key)} />
            <span>{label}</span>
          </label>
        ))}
      </div>
      {own ? (
        <div className="row span-own">
          {hasStart ? (
            <div className="field">
              <span className="label-text">From</span>
              <MomentField label="From" value={start} onChange={setStart} />
              <span className="hint">Left empty: from now.</span>
            </div>
          ) : null}
          <div className="field">
            <span className="label-text">Until</span>
            <MomentField label="Until" value={end} earliest={now} onChange={setEnd} />
          </div>
        </div>
      ) : (
        <p className="small muted">
          {first ? `From ${words(first)} until ${words(last)}.` : `From now until ${words(last)}.`}
        </p>
      )}
      <input type="hidden" name="from_at" value={from} readOnly />
      <input type="hidden" name="until_at" value={until} readOnly />
    </fieldset>
  );
}
