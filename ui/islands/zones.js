// The platform's sentences as a reader sees them: moments, written in UTC, in the reader's own time zone, which is named;
// numbers with their unit beside them. No React in here.

const WRITTEN = /(?:(\d{4})-(\d\d)-(\d\d) |(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) )?\b([01]\d|2[0-3]):([0-5]\d) UTC/g;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const UNIT = /(?<=\d) (?=[%°µΩ]|(?:[kMGmcµn]?(?:Wh|VAr?|Ah|Pa|bar|Hz|[WVAgmlLJNKs])|min|[hdt]|lx|dBm?|pp[mb]|rpm|pH)(?:[²³]|\/\S+)?(?![\p{L}\d]))/gu;
const MINUTE_MS = 6e4;
const DAY_MS = 864e5;

/** The name of the reader's time zone, as "Europe/Berlin". */
export const ownZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A sentence in which a number keeps its unit beside it at a line's end. */
export const unbroken = (text) => String(text ?? "").replace(UNIT, "\u00a0");

/**
 * A sentence with the times in it as the reader's clock shows them: "since 14:02 UTC" is "since 16:02 GMT+2". `at`: when
 * it was said; a time without a day is of that day, or the next one behind "until". `zone`, `locale`: the reader's, if not given.
 */
export function inOwnZone(text, at, zone = undefined, locale = undefined) {
  const said = at ? new Date(at) : new Date();
  return unbroken(text).replace(WRITTEN, (whole, year, month, day, short, name, long, hours, minutes, offset, told) => {
    const date = new Date(said);
    if (year) date.setUTCFullYear(+year, +month - 1, +day);
    else if (name) date.setUTCFullYear(+long, MONTHS.indexOf(name), +short);
    date.setUTCHours(+hours, +minutes, 0, 0);
    const isOver = date.getTime() + MINUTE_MS <= said.getTime(); // not in its own minute, which has no seconds here
    if (!year && !name && isOver && /until\s*$/i.test(told.slice(0, offset))) date.setTime(date.getTime() + DAY_MS);
    if (Number.isNaN(date.getTime())) return whole;
    const dayOf = (each) => each.toLocaleDateString(locale, { timeZone: zone, day: "numeric", month: "short", year: "numeric" });
    const clock = date.toLocaleTimeString(locale, { timeZone: zone, hourCycle: "h23", hour: "2-digit", minute: "2-digit", timeZoneName: "short" });
    return dayOf(date) === dayOf(said) ? clock : `${dayOf(date)}, ${clock}`;
  });
}
