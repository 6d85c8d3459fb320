// Times in words, and the time line of a rule's firings: whose lines it has, from when to when it goes. No React in here.
import { clock, said } from "./clock.js";

export const times = (count) => (count === 1 ? "once" : count === 2 ? "twice" : `${count.toLocaleString()} times`);
export const moment = (text) => said(text, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
/** Both ends of a line in words; the day once where it is the same. */
export function ends(from, to) {
  const [start, end] = [new Date(from), new Date(to)];
  const isOneDay = start.toDateString() === end.toDateString();
  return [moment(from), isOneDay ? clock(end) : moment(to)];
}

const MOST_ROWS = 8;
const LEAST_MS = 6e5;

/** A line for each device that fired, those that fired most first, `chosen` among them: {rows: [{device, episodes}], left}. */
export function rowsOf(episodes, chosen) {
  const found = new Map(chosen ? [[chosen.id, { device: chosen, episodes: [] }]] : []);
  for (const each of episodes) {
    if (!found.has(each.device.id)) found.set(each.device.id, { device: each.device, episodes: [] });
    found.get(each.device.id).episodes.push(each);
  }
  const rows = [...found.values()].sort((one, other) => other.episodes.length - one.episodes.length);
  const shown = rows.slice(0, MOST_ROWS);
  const own = rows.slice(MOST_ROWS).find(({ device }) => device.id === chosen?.id);
  if (own) shown[MOST_ROWS - 1] = own;
  return { rows: shown, left: rows.length - shown.length };
}

/** From a little before the first firing to the end, since a young history would be a thin line at the right. */
export function timeScale(episodes, { from, to }, width) {
  const [start, end] = [Date.parse(from), Date.parse(to)];
  const earliest = Math.min(end - LEAST_MS, ...episodes.map((each) => Date.parse(each.raisedAt)));
  const first = episodes.length ? Math.max(start, earliest - (end - earliest) / 10) : start;
  const wide = Math.max(end - first, 1);
  return { first, at: (share) => first + share * wide, x: (at) => ((at - first) / wide) * width };
}
