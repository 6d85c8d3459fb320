// An area with corners as people write it, a corner a line, and as a drawing. No React in here.

const CORNER = /^\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*$/;
const EARTH_M = 111_320;
const EXAMPLE = "like 52.52, 13.405";

/** Corners as text, a line each; what has yet to be filled in is an empty line. */
export const textOf = (corners) => corners.map((each) => (Array.isArray(each) && each.every((part) => part !== null) ? each.join(", ") : "")).join("\n");

function wrongWith(line) {
  const found = CORNER.exec(line);
  if (!found) return `is not a latitude and a longitude, ${EXAMPLE}`;
  if (Math.abs(Number(found[1])) > 90) return "begins with the latitude, which is between -90 and 90";
  return Math.abs(Number(found[2])) > 180 ? "ends with the longitude, which is between -180 and 180" : "";
}

/** What is written, read: {corners, problems}. A line that says no corner becomes one that has yet to be filled in. */
export function read(text) {
  const lines = text.split("\n").map((line, i) => ({ line: line.trim(), number: i + 1 })).filter(({ line }) => line);
  const problems = lines.map(({ line, number }) => [wrongWith(line), line, number]).filter(([wrong]) => wrong);
  const corners = lines.map(({ line }) => (wrongWith(line) ? [null, null] : CORNER.exec(line).slice(1, 3).map(Number)));
  while (corners.length < 3) corners.push([null, null]);
  const short = lines.length && lines.length < 3 && !problems.length ? ["An area has at least three corners."] : [];
  return { corners, problems: [...problems.map(([wrong, line, number]) => `Line ${number}: “${line}” ${wrong}.`), ...short] };
}

const round = (value) => Number(value.toFixed(6));
const wide = (lat) => EARTH_M * Math.max(Math.cos((lat * Math.PI) / 180), 0.01);

/** The square around a circle. */
export function squareOf({ lat, lon, radius_m: radius }) {
  if (![lat, lon, radius].every(Number.isFinite)) return read("").corners;
  const [up, aside] = [radius / EARTH_M, radius / wide(lat)];
  return [[1, -1], [1, 1], [-1, 1], [-1, -1]].map(([north, east]) => [round(lat + north * up), round(lon + east * aside)]);
}

/** A circle around all corners. */
export function circleOf(corners) {
  const known = corners.filter((each) => each.every(Number.isFinite));
  if (!known.length) return { lat: null, lon: null, radius_m: 500 };
  const middle = (at) => (Math.min(...known.map((each) => each[at])) + Math.max(...known.map((each) => each[at]))) / 2;
  const [lat, lon] = [middle(0), middle(1)];
  const far = known.map((each) => Math.hypot((each[0] - lat) * EARTH_M, (each[1] - lon) * wide(lat)));
  return { lat: round(lat), lon: round(lon), radius_m: Math.max(1, Math.ceil(Math.max(...far))) };
}

/** Where a device's value says that it is: [latitude, longitude], or null. */
export function positionOf(value) {
  const at = [value?.lat ?? value?.latitude, value?.lon ?? value?.lng ?? value?.longitude];
  return at.every(Number.isFinite) ? at : null;
}

/** Where a device stands by its latest values, of one metric or of any: [latitude, longitude] to the decimetre, or null. */
export function standing(latest, metric = null) {
  const found = latest.filter((each) => metric === null || each.metric === metric).map((each) => positionOf(each.value));
  return found.find(Boolean)?.map(round) ?? null;
}

/** The corners with one more; one that had yet to be filled in is that one. */
export function withCorner(corners, at) {
  const open = corners.findIndex((each) => !each.every(Number.isFinite));
  return open < 0 ? [...corners, at] : corners.map((each, i) => (i === open ? at : each));
}

const FAR = 3;
const LEAST_M = 50;

/** Which of the places (in metres) lie near the area's corners; those farther away would make a speck of it. */
function nearTo(corners, places) {
  const ends = [0, 1].map((at) => [Math.min(...corners.map((each) => each[at])), Math.max(...corners.map((each) => each[at]))]);
  const room = FAR * Math.max(...ends.map(([least, most]) => most - least), LEAST_M);
  return places.map((each) => ends.every(([least, most], at) => each[at] >= least - room && each[at] <= most + room));
}

/** The longest round distance that takes at most so many px: {metres, px}. */
export function barOf(perPx, most) {
  const size = 10 ** Math.floor(Math.log10(perPx * most));
  const metres = [5, 2, 1].map((each) => each * size).find((each) => each <= perPx * most);
  return { metres, px: metres / perPx };
}

const NAME_PX = [5.4, 11];

/** Where each name stands beside its dot, [x, y, anchor]; null where it would lie on another. */
export function namesAt(names, points, width) {
  const taken = [];
  return points.map((point, i) => {
    if (!point) return null;
    const [x, y] = point;
    const long = names[i].length * NAME_PX[0];
    const isLeft = x + 8 + long > width;
    const box = [isLeft ? x - 8 - long : x + 8, y];
    if (box[0] < 0 || taken.some(([left, top, wide]) => Math.abs(top - y) < NAME_PX[1] && left < box[0] + long && box[0] < left + wide)) return null;
    taken.push([...box, long]);
    return [isLeft ? x - 8 : x + 8, y + 3.5, isLeft ? "end" : "start"];
  });
}

/**
 * A drawing of `of` (circle or polygon) with points: {corners, circle, points} in a box of `size`; null if nothing is known.
 * Of points that lie too far away stands null. `perPx`: metres. `where([x, y])` says which place a spot of it is, to the metre.
 */
export function drawn(of, points, [width, height]) {
  const corners = (of.polygon ?? squareOf(of.circle)).filter((each) => each.every(Number.isFinite));
  if (!corners.length) return null;
  const lat = corners[0][0];
  const flat = ([north, east]) => [east * wide(lat), -north * EARTH_M];
  const isNear = nearTo(corners.map(flat), points.map(flat));
  const all = [...corners, ...points.filter((_, i) => isNear[i])].map(flat);
  const [xs, ys] = [0, 1].map((at) => all.map((each) => each[at]));
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const pad = 26; // room for the numbers of the corners, and for the scale
  const scale = Math.min((width - 2 * pad) / Math.max(Math.max(...xs) - left, 1), (height - 2 * pad) / Math.max(Math.max(...ys) - top, 1));
  const [offX, offY] = [(width - (Math.max(...xs) - left) * scale) / 2, (height - (Math.max(...ys) - top) * scale) / 2];
  const place = (each) => flat(each).map((part, at) => (part - [left, top][at]) * scale + [offX, offY][at]);
  const circle = of.circle ? { at: place([of.circle.lat, of.circle.lon]), radius: of.circle.radius_m * scale } : null;
  const back = (part, at) => (part - [offX, offY][at]) / scale + [left, top][at];
  const where = ([x, y]) => [-back(y, 1) / EARTH_M, back(x, 0) / wide(lat)].map((part) => Number(part.toFixed(5)));
  return { corners: of.polygon ? corners.map(place) : [], circle, points: points.map((each, i) => (isNear[i] ? place(each) : null)), perPx: 1 / scale, metres: (width - 2 * offX) / scale, where };
}
