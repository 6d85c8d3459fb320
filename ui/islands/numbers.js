// Numbers as people write them. No React in here.

const MOST_DIGITS = 15;

/** No more digits than mean something, but those that tell the number from what it is held against (`beside`). */
export function plainNumber(value, beside = []) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const least = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 || size === 0 ? 2 : Math.min(2 - Math.floor(Math.log10(size)), MOST_DIGITS);
  const differs = (digits) => beside.some((limit) => Math.sign(Number(value.toFixed(digits)) - limit) !== Math.sign(value - limit));
  let digits = least;
  while (digits < MOST_DIGITS && differs(digits)) digits += 1;
  return value.toLocaleString(undefined, { maximumFractionDigits: digits });
}

/** What a part of an explained condition saw, beside the limits it was held against. */
export function seenNumber({ seen, value, against }) {
  return plainNumber(seen, [value, against].flat().filter((each) => typeof each === "number"));
}
