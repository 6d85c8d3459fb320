// What stands on the cards of a rule's picture: a title and a short text for each part. No React in here.
import { seenNumber } from "./numbers.js";
import { spanOf } from "./rule_model.js";
import { DAYS, MISSING, SCHEDULES, SEVERITIES, WHEREABOUTS, isAsked, isYesNo, opsOf, scheduleOf, sign, stateWords, wantsTwo, yesNoBehind } from "./rule_words.js";

const SHORT = { s: "s", m: "min", h: "h", d: "d" };
const OPEN = "…";

/** "10m" as "10 min"; what is no length of time stays as it is. */
export function spanWords(text) {
  const span = spanOf(text);
  return span ? `${span.count} ${span.unit === "d" && span.count === "1" ? "day" : span.unit === "d" ? "days" : SHORT[span.unit]}` : String(text ?? OPEN);
}

const metricOf = (vocabulary, key) => vocabulary.metrics?.get?.(key);
const nameOf = (vocabulary, key) => metricOf(vocabulary, key)?.label || key || OPEN;
const named = (list, key) => list?.find((each) => each.id === key || each.key === key)?.name ?? key ?? OPEN;

function scalarWords(value, type) {
  if (value === null || value === undefined || value === "") return OPEN;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number" && type !== "STRING") return value.toLocaleString("en", { maximumFractionDigits: 4 });
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** `own`: the metric that is compared, which need not be named again where its own past is meant. */
function operandWords(value, unit, vocabulary, own) {
  const tail = unit ? ` ${unit}` : "";
  if (Array.isArray(value)) return value;
  if (typeof value !== "object" || value === null) return `${scalarWords(value)}${tail}`;
  if ("attribute" in value) return `the device's “${value.attribute ?? OPEN}”`;
  if ("ago" in value) return `${value.metric === own ? "what it was" : nameOf(vocabulary, value.metric)} ${spanWords(value.ago)} ago`;
  const times = value.times === undefined ? "" : ` × ${value.times}`;
  const plus = value.plus === undefined ? "" : value.plus < 0 ? ` − ${-value.plus}${tail}` : ` + ${value.plus}${tail}`;
  return "metric" in value ? `${nameOf(vocabulary, value.metric)}${times}${plus}` : JSON.stringify(value);
}

function comparedWords(node, vocabulary, unit, type) {
  const op = opsOf(type).find(([key]) => key === node.op)?.[1] ?? node.op ?? OPEN;
  if (!Array.isArray(node.value)) return `${op} ${operandWords(node.value, unit, vocabulary, node.metric)}`;
  const values = node.value.map((each) => scalarWords(each, type));
  return `${op} ${values.join(wantsTwo(node.op) ? " and " : ", ")}${unit ? ` ${unit}` : ""}`;
}

const FUNCTIONS = { avg: "average", min: "lowest", max: "highest", sum: "sum", count: "count" };

function metricWords(node, kind, vocabulary) {
  const metric = metricOf(vocabulary, node.metric);
  const name = nameOf(vocabulary, node.metric);
  const type = metric?.type ?? (typeof node.value === "number" || kind !== "value" ? "NUMBER" : typeof node.value === "boolean" ? "BOOLEAN" : "STRING");
  const unit = type === "NUMBER" && node.agg?.fn !== "count" ? sign(node.unit ?? metric?.unit) : "";
  const over = (span) => (span ? `over ${spanWords(span)}` : "");
  switch (kind) {
    case "agg":
      return { title: `${name}, ${FUNCTIONS[node.agg.fn] ?? node.agg.fn} ${"last" in node.agg ? `of the last ${node.agg.last}` : over(node.agg.over)}`, text: comparedWords(node, vocabulary, unit, "NUMBER") };
    case "rate":
      return { title: `${name}, change per ${spanWords(node.rate.per).replace(/^1 /, "")} ${over(node.rate.over)}`, text: comparedWords(node, vocabulary, unit, "NUMBER") };
    case "delta":
      return { title: `${name}, moved ${over(node.delta.over)}`, text: comparedWords(node, vocabulary, unit, "NUMBER") };
    case "changed":
      return { title: name, text: `has changed within ${spanWords(node.changed.over)}` };
    case "stuck":
      return { title: name, text: `has stood still for ${spanWords(node.stuck.for)}${node.stuck.within ? `, within ${node.stuck.within}${unit ? ` ${unit}` : ""}` : ""}` };
    default:
      return { title: name, text: isYesNo(node) ? yesNoBehind(metric, isAsked(node)) : comparedWords(node, vocabulary, unit, type) };
  }
}

/** What a part of an explanation saw, with its unit: "9.1 °C"; "" where that says nothing. */
export function seenWords(part, vocabulary) {
  const { seen } = part;
  if (seen === null || seen === undefined || typeof seen === "object" || (typeof seen === "boolean" && !("op" in part))) return "";
  const unit = typeof seen === "number" && part.agg?.fn !== "count" ? sign(part.unit ?? metricOf(vocabulary, part.metric)?.unit) : "";
  if (typeof seen === "boolean" && part.metric) return stateWords(metricOf(vocabulary, part.metric), seen);
  return `${typeof seen === "number" ? seenNumber(part) : scalarWords(seen)}${unit ? ` ${unit}` : ""}`;
}

/** Days as people list them: "Monday to Friday", "Sat, Sun". */
function dayWords(days) {
  if (!Array.isArray(days) || !days.length) return "";
  const run = days.every((day, i) => i === 0 || day === days[i - 1] + 1);
  const word = (day, at) => DAYS.find(([key]) => key === day)?.[at] ?? String(day);
  return run && days.length > 2 ? `${word(days[0], 2)} to ${word(days.at(-1), 2)}` : days.map((day) => word(day, 1)).join(", ");
}

function timeWords({ days, from, to, tz }) {
  const clock = from || to ? `${from ?? "00:00"} – ${to ?? "24:00"}` : "";
  const zone = tz && tz !== "site" ? ` (${tz})` : "";
  return ([dayWords(days), clock].filter(Boolean).join(", ") || "any time") + zone;
}

function areaWords(of) {
  const { circle } = of;
  if (!circle) return `an area of ${of.polygon?.length ?? 0} corners`;
  const radius = typeof circle.radius_m === "number" && circle.radius_m >= 1000 ? `${circle.radius_m / 1000} km` : `${circle.radius_m ?? OPEN} m`;
  return `${radius} around ${circle.lat ?? OPEN}, ${circle.lon ?? OPEN}`;
}

/** Title and text of a single condition. What no view knows is shown as it is written. */
export function leafWords(node, kind, vocabulary) {
  switch (kind) {
    case "value":
    case "agg":
    case "rate":
    case "delta":
    case "changed":
    case "stuck":
      return metricWords(node, kind, vocabulary);
    case "attribute":
      return { title: `The device's “${node.attribute ?? OPEN}”`, text: comparedWords(node, vocabulary, "", typeof node.value === "number" ? "NUMBER" : typeof node.value === "boolean" ? "BOOLEAN" : "STRING") };
    case "tag":
      return { title: "The device's tags", text: `have “${node.tag ?? OPEN}”` };
    case "group":
      return { title: "The device's group", text: `is ${named(vocabulary.groups, node.group)}` };
    case "profile":
      return { title: "The device's profile", text: `is ${named(vocabulary.profiles, node.profile)}` };
    case "time":
      return { title: "The local time", text: timeWords(node.time) };
    case "place":
      return { title: nameOf(vocabulary, node.place.metric), text: `${WHEREABOUTS.find(([key]) => key === node.place.is)?.[1] ?? node.place.is ?? OPEN} ${areaWords(node.place.of)}` };
    case "silence":
      return { title: "The device", text: `has been silent for ${spanWords(node.silence)}` };
    case "presence":
      return { title: "The device", text: `is ${node.presence ?? OPEN}` };
    case "event":
      return { title: "An event comes", text: node.event ?? OPEN };
    default:
      return { title: "Something else", text: JSON.stringify(node) ?? OPEN };
  }
}

/** Title and text of an action. */
export function actionWords(node, document, vocabulary) {
  switch (node?.do) {
    case "alert":
      return { title: "Alert", text: `raise ${SEVERITIES.find(([key]) => key === document.severity)?.[1] ?? `a ${document.severity ?? "major"}`} alert` };
    case "notify":
      return { title: "Notify", text: `people of “${named(vocabulary.policies, node.policy)}”` };
    case "webhook":
      return { title: "Webhook", text: `call “${named(vocabulary.channels, node.channel)}”` };
    case "command":
      return { title: "Command", text: `send “${node.command ?? OPEN}” to ${node.device ? "another device" : "the device"}` };
    case "set":
      return { title: "Attribute", text: `set “${node.attribute ?? OPEN}” to ${scalarWords(node.value)}` };
    case "tag":
      return { title: "Tag", text: "remove" in node ? `take off “${node.remove ?? OPEN}”` : `put on “${node.add ?? OPEN}”` };
    case "derive":
      return { title: "Own value", text: `write ${nameOf(vocabulary, node.metric)}` };
    default:
      return { title: "Something else", text: JSON.stringify(node) ?? OPEN };
  }
}

/** What is watched, and when it is looked at. */
export function watchWords(document, vocabulary) {
  const { profile, devices, groups, tags, where } = document.scope ?? {};
  const lines = [];
  if (devices?.length) lines.push(`only ${devices.length} chosen ${devices.length === 1 ? "device" : "devices"}`);
  if (groups?.length) lines.push(`in ${groups.map((each) => named(vocabulary.groups, each)).join(", ")}`);
  if (tags?.length) lines.push(`tagged ${tags.map((each) => each ?? OPEN).join(", ")}`);
  if (where?.length) lines.push(`of which ${where.length} ${where.length === 1 ? "thing is" : "things are"} so`);
  if (document.trigger?.schedule) lines.push(`looked at ${scheduleWords(document.trigger.schedule)}`);
  return { title: "Watch", text: profile ? `devices of ${named(vocabulary.profiles, profile)}` : "all devices", lines };
}

function scheduleWords({ cron, tz }) {
  const { choice, at } = scheduleOf(cron);
  const zone = tz && tz !== "site" ? ` (${tz})` : "";
  if (choice === "custom") return `at “${cron ?? OPEN}”${zone}`;
  const words = SCHEDULES.find(([key]) => key === choice)[1];
  return `${words}${at ? ` at ${at}` : ""}${zone}`;
}

/** The missing-data policy and the limits, a line each. */
export function guardWords(document) {
  const lines = [];
  const { missing, limits } = document;
  if (missing) lines.push(`No values for ${spanWords(missing.after)}: ${MISSING.find(([key]) => key === missing.do)?.[1] ?? missing.do ?? OPEN}`);
  if (limits?.cooldown) lines.push(`Quiet for ${spanWords(limits.cooldown)} after each time`);
  if (limits?.max_per_hour !== undefined) lines.push(`At most ${limits.max_per_hour ?? OPEN} times an hour`);
  if (limits?.max_lateness) lines.push(`Values at most ${spanWords(limits.max_lateness)} late`);
  if (limits?.quiet) lines.push(`No actions ${timeWords(limits.quiet)}`);
  return lines;
}
