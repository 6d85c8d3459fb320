// Times of day as everybody writes them here, "22:00", whatever clock the browser's language has. No React in here.

const WRITTEN = /^(\d{1,2})(?:[:.h ]?([0-5]\d))?(?::([0-5]\d))?\s*([ap])?\.?(?:m\.?)?$/i;

/** "6", "630", "6:30 pm" as "06:00", "06:30", "18:30"; seconds where they are written; null for what is no time. */
export function clockOf(text) {
  const [whole, hours, minutes = "00", seconds, half] = WRITTEN.exec(String(text ?? "").trim()) ?? [];
  if (!whole) return null;
  const isPm = half?.toLowerCase() === "p";
  const hour = half ? (Number(hours) % 12) + (isPm ? 12 : 0) : Number(hours);
  if (half ? Number(hours) < 1 || Number(hours) > 12 : hour > 24 || (hour === 24 && (minutes !== "00" || Number(seconds ?? 0) > 0))) return null;
  return [String(hour).padStart(2, "0"), minutes, ...(seconds ? [seconds] : [])].join(":");
}

/** Whether somebody has written it to its end, so that it counts at once. */
export const isWholeClock = (text) => /^\d{1,2}:\d\d(:\d\d)?(\s*[ap]\.?m\.?)?$/i.test(text.trim()) && clockOf(text) !== null;

/** A date in the reader's language, its hours from 0 to 23. */
export const said = (date, options) => new Date(date).toLocaleString(undefined, { hourCycle: "h23", ...options });
export const toTheMinute = (date) => said(date, { dateStyle: "medium", timeStyle: "short" });
export const clock = (date) => said(date, { hour: "2-digit", minute: "2-digit" });

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

/** A day of a date field, "2026-11-22", in words that nobody can misread: "Sunday 22 November 2026"; "" for none. */
export function dayWords(day) {
  const date = new Date(/^\d{4,6}-\d\d-\d\d$/.test(day ?? "") ? `${day}T00:00:00Z` : NaN);
  return Number.isNaN(date.getTime()) ? "" : `${DAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

const two = (number) => String(number).padStart(2, "0");

/** A moment as {day: "2026-07-01", at: "16:02"} of the reader's own clock; seconds too if they are wanted. */
export function partsOf(moment, hasSeconds = false) {
  const date = new Date(moment ?? NaN);
  if (Number.isNaN(date.getTime())) return { day: "", at: "" };
  const at = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return { day: `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`, at: hasSeconds ? `${at}:${two(date.getSeconds())}` : at };
}

/** The moment of a day and a time on the reader's own clock, in ms; null while one of them is open. */
export function momentOf(day, at) {
  const time = clockOf(at);
  const ms = day && time ? Date.parse(`${day}T${time}`) : NaN;
  return Number.isFinite(ms) ? ms : null;
}
