// Small live pieces: a value, a device's presence, a time that ages, a button that copies.
import { useEffect, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { said, toTheMinute } from "./clock.js";
import { onLine, plainValue, watchStatus, watchTelemetry } from "./live.js";
import { doubt } from "./trust.js";
import { inOwnZone, ownZone, unbroken } from "./zones.js";

const never = () => () => {};
/** Whether this is drawn in a browser: the server knows neither its zone nor its address. What comes later is drawn whole at once. */
const useIsHere = () => useSyncExternalStore(never, () => true, () => false);

// One clock for every relative time on the page.
const ticks = new Set();
let ticking;
function useTick() {
  const [, tick] = useReducer((n) => n + 1, 0);
  useEffect(() => {
    ticks.add(tick);
    ticking ??= setInterval(() => ticks.forEach((each) => each()), 5000);
    return () => ticks.delete(tick);
  }, []);
}

const STEPS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [86400 * 30, 86400, "day"],
  [86400 * 365, 86400 * 30, "month"],
  [Infinity, 86400 * 365, "year"],
];
function ago(date) {
  const seconds = (date.getTime() - Date.now()) / 1000;
  if (Math.abs(seconds) < 8) return "just now";
  const [, size, unit] = STEPS.find(([limit]) => Math.abs(seconds) < limit);
  return new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "long" }).format(Math.round(seconds / size), unit);
}
/** "for 3 minutes": how long something has been so. */
function lasting(date) {
  const seconds = Math.max(1, (Date.now() - date.getTime()) / 1000);
  const [, size, unit] = STEPS.find(([limit]) => seconds < limit);
  const count = Math.round(seconds / size);
  return `for ${count} ${unit}${count === 1 ? "" : "s"}`;
}
const exact = (date) => `${said(date, { dateStyle: "medium", timeStyle: "medium" })} (${ownZone()})`;

const WEEKDAYS_TELL_MS = 6 * 86400_000;
/** "Sun 06:00" where the weekday tells which, else with its date. */
const hour = (date) =>
  Math.abs(date.getTime() - Date.now()) < WEEKDAYS_TELL_MS ? said(date, { weekday: "short", hour: "2-digit", minute: "2-digit" }) : toTheMinute(date);

/** "3 min ago", with the exact time in the viewer's zone on hover, and `spoken` to screen readers. */
export function When({ at, none = "never", both = false, asSpan = false, asHour = false, spoken = false }) {
  useTick();
  const isHere = useIsHere();
  if (!at) return <span className="muted">{none}</span>;
  if (!isHere) return <span>{"\u200b"}</span>; // as high as what comes
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={exact(date)} className="nowrap">
      {asHour ? hour(date) : asSpan ? lasting(date) : ago(date)}
      {both ? <span className="muted exact"> · {toTheMinute(date)}</span> : null}
      {spoken ? <span className="sr-only">, {toTheMinute(date)}</span> : null}
    </time>
  );
}

/** A sentence of the platform's, its times by the viewer's own clock. `at`: when it was said. */
export function Told({ text, at }) {
  const isHere = useIsHere();
  return <>{isHere ? inOwnZone(text, at) : text}</>;
}

/** A sentence that says no times. */
export const Unbroken = ({ text }) => unbroken(text);

/** Which time zone the page's times are of. */
export function OwnZone() {
  const isHere = useIsHere();
  return isHere ? <span>Times are by your own clock: {ownZone().replaceAll("_", " ")}.</span> : <span />;
}

function useLatest(deviceId, metric, value, time, quality, reason) {
  const [live, setLive] = useState(null);
  const loadedAt = time ? Date.parse(time) : 0;
  const isNewer = live && live.at >= loadedAt;
  const latest = isNewer ? { ...live, isLive: true } : { value, at: loadedAt || null, quality, reason, isLive: false };
  const shown = useRef(latest);
  shown.current = latest;
  useEffect(() => {
    setLive(null);
    if (!deviceId) return undefined;
    return watchTelemetry(deviceId, (event) => {
      const at = Date.parse(event.time);
      const before = shown.current.at ?? 0;
      const mark = event.quality?.[metric] ?? null;
      const isNews = event.isCatchUp ? at > before || (at === before && mark) : at >= before;
      if (!isNews) return;
      if (metric === undefined) {
        setLive({ at });
      } else if (event.values && metric in event.values) {
        setLive({ at, value: event.values[metric], quality: mark, reason: event.reason?.[metric] });
      } else if (mark) {
        const known = shown.current.quality === mark ? shown.current.reason : "";
        // what was known stands, as the last
        setLive({ at: before, value: shown.current.value, quality: mark, reason: event.reason?.[metric] ?? known });
      }
    });
  }, [deviceId, metric]);
  return latest;
}

/** A few words beside a value that is in doubt; nothing beside a good one. */
const Doubt = ({ about }) => (about ? <span className="badge badge-warn doubt" title={about[1]}>{about[0]}</span> : null);

/** A metric's newest value: first as the page loaded it, then as messages arrive. `explains`: says what a doubt means, and why. */
export function LiveValue({ deviceId, metric, unit, value, time, quality, reason = "", explains = false }) {
  const latest = useLatest(deviceId, metric, value, time, quality, reason);
  const [fresh, setFresh] = useState(false);
  useEffect(() => {
    if (!latest.isLive) return undefined;
    setFresh(true);
    const timer = setTimeout(() => setFresh(false), 250);
    return () => clearTimeout(timer);
  }, [latest.at]);
  const none = latest.value === null || latest.value === undefined;
  const text = none ? "–" : plainValue(latest.value);
  const long = text.length > 14 ? " is-long" : "";
  const about = doubt(latest.quality, !none, latest.reason);
  const past = latest.quality === "bad" ? " is-past" : "";
  return (
    <>
      <span className={`live-value${fresh ? " is-fresh" : ""}${none ? " is-none" : ""}${long}${past}`} data-metric={metric}>
        {text}
        {!none && unit && typeof latest.value === "number" ? <span className="unit">{unit}</span> : null}
      </span>
      <Doubt about={about} />
      {about && explains ? <span className="small muted">{about[1]}</span> : null}
    </>
  );
}

/** When a metric (or, without one, the device) was last heard of; moves with live messages. */
export function LiveWhen({ deviceId, metric, time, none }) {
  const latest = useLatest(deviceId, metric, undefined, time);
  return <When at={latest.at ? new Date(latest.at).toISOString() : null} none={none} />;
}

/** "every 60 s", "every 15 min": how often something is expected. */
function every(seconds) {
  const [size, unit] = [[86400, "d"], [3600, "h"], [60, "min"]].find(([size]) => seconds % size === 0 && seconds > size) ?? [1, "s"];
  return `every ${seconds / size} ${unit}`;
}

/** Online or offline, as the device comes and goes; and silent, where reports are expected that do not come. */
export function LivePresence({ deviceId, online, since, silentSince = "", interval = 0, detailed = false }) {
  const [link, setLink] = useState(null); // the newest coming or going
  const [voice, setVoice] = useState(null); // the newest falling silent or being heard
  useEffect(() => {
    setLink(null);
    setVoice(null);
    const tell = (event) =>
      (event.change === "CONNECTED" || event.change === "DISCONNECTED" ? setLink : setVoice)(event);
    return deviceId ? watchStatus(deviceId, tell) : undefined;
  }, [deviceId]);
  const isOnline = link ? link.isOnline : online;
  const at = link ? link.at : since;
  const silent = voice ? voice.silentSince : silentSince;
  if (silent) {
    return (
      <span className="presence" title={isOnline ? "It is connected, but sends nothing." : "It is not connected."}>
        <span className="dot dot-warn" aria-hidden="true" />
        {isOnline && detailed ? "Connected, but silent" : "Silent"}
        {detailed ? (
          <span className="muted">
            <When at={silent} asSpan />
            {interval ? `, expected ${every(interval)}` : null}
          </span>
        ) : null}
      </span>
    );
  }
  return (
    <span className="presence">
      <span className={`dot${isOnline ? " dot-ok" : ""}`} aria-hidden="true" />
      {isOnline ? "Online" : "Offline"}
      {detailed && at ? (
        <span className="muted">
          <When at={at} asSpan />
        </span>
      ) : null}
    </span>
  );
}

/** Copies a text; says so. */
export function Copy({ text, label = "Copy" }) {
  const [said, setSaid] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid("Copied");
    } catch {
      setSaid("Select the text and press Ctrl+C");
    }
    setTimeout(() => setSaid(""), 2500);
  };
  return (
    <button type="button" className="btn btn-small" onClick={copy}>
      <span aria-live="polite">{said || label}</span>
    </button>
  );
}

const MOSQUITTO = "Paste it into a terminal that has the mosquitto clients installed.";

/** A text to copy in which %HOST% stands for the machine this page came from, %ORIGIN% for its address. */
export function Command({ text, hint = MOSQUITTO, label = "Command to paste", button = "Copy command" }) {
  if (!useIsHere()) return null; // half an address is worse than none for a moment
  const { hostname, origin } = window.location;
  const host = hostname === "localhost" ? "127.0.0.1" : hostname;
  const line = (text || "").replaceAll("%HOST%", host).replaceAll("%ORIGIN%", origin);
  return (
    <div>
      <div className="code" tabIndex={0} role="textbox" aria-readonly="true" aria-label={label}>
        {line}
      </div>
      <div className="code-foot">
        <span className="small muted">{hint}</span>
        <Copy text={line} label={button} />
      </div>
    </div>
  );
}

/** Says when live updates are interrupted; nothing while all is well. */
export function LiveLine() {
  const [connected, setConnected] = useState(true);
  useEffect(() => onLine(setConnected), []);
  return connected ? null : (
    <div className="lost" role="status">
      <span className="dot" aria-hidden="true" />
      Live updates are interrupted. Reconnecting…
    </div>
  );
}

const SETTLED_MS = 2500; // the newest values a page asks for are written a moment after the message is stored

/** All values of one device as cards. What the page does not know yet is added here and told to it, by `onNew`. */
export function LiveCards({ deviceId, readings, isNew, onNew }) {
  const [found, setFound] = useState([]); // metrics that came while we watched
  const known = useRef(new Set());
  known.current = new Set((readings || []).map((each) => each.metric));
  const tell = useRef(onNew);
  tell.current = onNew;
  useEffect(() => {
    const told = new Set();
    let wasNew = isNew;
    let timer;
    setFound([]);
    const stop = watchTelemetry(deviceId, (event) => {
      const none = Object.fromEntries(Object.keys(event.quality || {}).map((key) => [key, null])); // what is bad has no value
      const fresh = Object.entries({ ...none, ...event.values }).filter(([key]) => !known.current.has(key) && !told.has(key));
      if (!fresh.length && !wasNew) return;
      wasNew = false;
      fresh.forEach(([key]) => told.add(key));
      const quality = (key) => event.quality?.[key] ?? "";
      setFound((old) => [...old, ...fresh.map(([key, value]) => ({ metric: key, label: inWords(key), unit: "", value, time: event.time, quality: quality(key) }))]);
      clearTimeout(timer);
      timer = setTimeout(() => tell.current?.(), SETTLED_MS);
    });
    return () => {
      clearTimeout(timer);
      stop();
    };
  }, [deviceId]);
  const cards = [...(readings || []), ...found.filter((each) => !known.current.has(each.metric))];
  return (
    <div className="cards">
      {cards.map((each) => (
        <div className="card value-card" key={each.metric}>
          <span className="label" title={each.metric}>
            {each.label}
          </span>
          <LiveValue deviceId={deviceId} metric={each.metric} unit={each.unit} value={each.value} time={each.time || null} quality={each.quality} reason={each.reason} explains />
          <span className="when">
            <LiveWhen deviceId={deviceId} metric={each.metric} time={each.time || null} none="no value yet" />
          </span>
        </div>
      ))}
    </div>
  );
}

const inWords = (key) => {
  const plain = key.replaceAll(/[_.-]/g, " ").trim();
  return plain.charAt(0).toUpperCase() + plain.slice(1);
};

/** Waits for a new device's first message and says so when it comes. */
export function FirstMessage({ deviceId }) {
  const [event, setEvent] = useState(null);
  useEffect(() => {
    setEvent(null);
    return deviceId ? watchTelemetry(deviceId, (each) => setEvent((old) => old ?? each)) : undefined;
  }, [deviceId]);
  return event ? (
    <div className="note note-ok" role="status">
      <span>
        <b>It arrived.</b>{" "}
        {Object.entries(event.values)
          .slice(0, 4)
          .map(([key, value]) => `${key} ${plainValue(value)}`)
          .join(" · ")}
      </span>
    </div>
  ) : (
    <div className="note" role="status">
      <span className="dot dot-waiting" aria-hidden="true" />
      <span className="muted">Waiting for the first message. It appears here by itself.</span>
    </div>
  );
}
