// The words of the rule designer: how each part of a rule is called where people choose it. No React in here.

const OPS = {
  NUMBER: [
    [">", "is above"],
    [">=", "is at least"],
    ["<", "is below"],
    ["<=", "is at most"],
    ["between", "is between"],
    ["outside", "is outside"],
    ["==", "is exactly"],
    ["!=", "is not"],
    ["in", "is one of"],
    ["not in", "is none of"],
  ],
  BOOLEAN: [
    ["==", "is"],
    ["!=", "is not"],
  ],
  STRING: [
    ["==", "is"],
    ["!=", "is not"],
    ["in", "is one of"],
    ["not in", "is none of"],
  ],
};
export const opsOf = (type) => OPS[type] ?? OPS.STRING;
export const wantsTwo = (op) => op === "between" || op === "outside";
export const wantsMany = (op) => op === "in" || op === "not in";

/** What may be looked at in a metric: [kind, function, words]. */
export const LOOKS = [
  ["value", null, "now"],
  ["agg", "avg", "on average"],
  ["agg", "min", "at its lowest"],
  ["agg", "max", "at its highest"],
  ["agg", "sum", "in sum"],
  ["agg", "count", "number of values"],
  ["rate", null, "how fast it moves"],
  ["delta", null, "how far it has moved"],
  ["changed", null, "has changed"],
  ["stuck", null, "stands still"],
];
/** Looks that a metric of a type allows; only numbers move and have averages. */
export const looksOf = (type) => LOOKS.filter(([kind, fn]) => type === "NUMBER" || kind === "value" || kind === "changed" || fn === "count" || kind === "stuck");

/** What is not about a metric: [kind, words, group]. */
export const FACTS = [
  ["silence", "nothing is heard", "The connection"],
  ["presence", "the connection", "The connection"],
  ["event", "an event comes", "The connection"],
  ["time", "the time of day", "When and where"],
  ["place", "its place", "When and where"],
  ["attribute", "an attribute", "The device"],
  ["tag", "a tag", "The device"],
  ["group", "its group", "The device"],
  ["profile", "its profile", "The device"],
];

export const JOINS = [
  ["all", "all of these are so"],
  ["any", "at least one of these is so"],
  ["not any", "none of these is so"],
  ["not all", "these are not all so"],
];

export const UNITS = [
  ["s", "seconds"],
  ["m", "minutes"],
  ["h", "hours"],
  ["d", "days"],
];

/** The same where there is one of them: "1 hour". */
export const ONE = UNITS.map(([key, words]) => [key, words.slice(0, -1)]);

export const SEVERITIES = [
  ["info", "an info"],
  ["minor", "a minor"],
  ["major", "a major"],
  ["critical", "a critical"],
];

export const DAYS = [
  [1, "Mon", "Monday"],
  [2, "Tue", "Tuesday"],
  [3, "Wed", "Wednesday"],
  [4, "Thu", "Thursday"],
  [5, "Fri", "Friday"],
  [6, "Sat", "Saturday"],
  [7, "Sun", "Sunday"],
];

export const WHEREABOUTS = [
  ["inside", "is inside"],
  ["outside", "is outside"],
  ["entered", "has just entered"],
  ["left", "has just left"],
];

export const MISSING = [
  ["hold", "keep things as they are"],
  ["fire", "fire"],
  ["clear", "count it as over"],
  ["ignore", "go on with what is there"],
];

/** What a rule may do: [kind, words, what that is for]. */
export const ACTIONS = [
  ["alert", "raise an alert", "it stands in the list until it is over"],
  ["notify", "notify people", "by a policy: who at once, and who if nobody answers"],
  ["webhook", "tell a single channel", "a program, a chat, an address"],
  ["command", "send a command to a device", "such as: open the valve"],
  ["set", "set an attribute", "a word about the device, such as its state"],
  ["tag", "put on or take off a tag", "to find such devices, or to let other rules watch them"],
  ["derive", "write a value of its own", "such as an average, to be drawn and watched"],
];

export const PLACEHOLDERS = [
  ["{device}", "the device's name"],
  ["{device.key}", "the device's key"],
  ["{rule}", "the rule's name"],
  ["{severity}", "how bad it is"],
  ["{value}", "the value, with its unit"],
  ["{time}", "when it fired"],
];

/** Schedules that need no cron: [cron with H for the hour and M for the minute, words]. */
export const SCHEDULES = [
  ["M H * * *", "every day"],
  ["M H * * 1-5", "Monday to Friday"],
  ["M H * * 6,0", "on weekends"],
  ["M H * * 1", "every Monday"],
  ["M H 1 * *", "on the first of the month"],
  ["0 * * * *", "every hour"],
  ["*/15 * * * *", "every 15 minutes"],
];

/** A cron as {choice, at}: one of SCHEDULES and its time of day, or {choice: "custom"}. */
export function scheduleOf(cron) {
  for (const [choice] of SCHEDULES) {
    if (choice === cron) return { choice, at: null };
    if (!choice.startsWith("M H")) continue;
    const match = new RegExp(`^(\\d|[1-5]\\d) (\\d|1\\d|2[0-3])${choice.slice(3).replace(/[*]/g, "\\*")}$`).exec(cron ?? "");
    if (match) return { choice, at: `${match[2].padStart(2, "0")}:${match[1].padStart(2, "0")}` };
  }
  return { choice: "custom", at: null };
}

export function cronOf(choice, at) {
  const [hour, minute] = (at || "06:00").split(":").map(Number);
  return choice.replace("M H", `${minute} ${hour}`);
}

const SIGNS = { degC: "°C", degF: "°F", percent: "%", deg: "°", m3: "m³", m2: "m²", "m3/h": "m³/h", "ug/m3": "µg/m³", "m/s2": "m/s²", ohm: "Ω" };
export const sign = (unit) => SIGNS[unit] ?? unit ?? "";

const KIN = [["degC", "degF", "K"], ["mbar", "bar", "hPa", "kPa", "Pa", "psi"], ["mm", "cm", "m", "km"], ["W", "kW", "MW"], ["Wh", "kWh", "MWh"], ["mV", "V", "kV"], ["mA", "A"], ["L", "m3"], ["L/min", "L/s", "m3/h"], ["m/s", "km/h"], ["g", "kg", "t"], ["s", "min", "h", "d"]];
/** Units in which a metric's limit may be given, its own among them; [] where there is nothing to choose. */
export const kinOf = (unit) => KIN.find((kin) => kin.includes(unit)) ?? [];

/** "1h" as "1 hour"; what is no length of time stays as it is. */
function agoWords(text) {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(text ?? "") ?? [];
  return unit ? `${count} ${(count === "1" ? ONE : UNITS).find(([key]) => key === unit)[1]}` : String(text ?? "…");
}

/** What a yes/no metric says by a value, as the platform words it: "door is open". */
const sayOf = (metric, value) => (value ? metric?.whenTrue : metric?.whenFalse) || `${metric?.label || metric?.key || "it"} is ${value ? "yes" : "no"}`;
/** What such a comparison asks for: "is not yes" asks for no. */
export const isAsked = (node) => node.value === (node.op !== "!=");
export const isYesNo = (node) => typeof node?.value === "boolean" && Boolean(node.metric);
export const yesNoWords = (node, metric) => sayOf(metric, isAsked(node));
/** How it is, without what it is about: "open". */
export const stateWords = (metric, value) => sayOf(metric, value).split(" is ").slice(1).join(" is ");
/** The same behind the metric's name, which need not be said twice: "is on" of a lamp, "door is open" of “Door open”. */
export function yesNoBehind(metric, value) {
  const said = sayOf(metric, value);
  const name = `${metric?.label || metric?.key || ""} `;
  return said.toLowerCase().startsWith(`${name.toLowerCase()}is `) ? said.slice(name.length) : said;
}

/** A name for a rule nobody named: the sentence's first words. */
export function proposedName(node, metrics) {
  const name = (key) => metrics.get(key)?.label || key;
  if (node.silence) return `Nothing heard for ${agoWords(node.silence)}`;
  if (node.presence) return node.presence === "offline" ? "Offline" : "Online";
  if (node.event) return `Event ${node.event}`;
  if (node.place) return `${name(node.place.metric)} ${WHEREABOUTS.find(([key]) => key === node.place.is)?.[1] ?? ""} an area`;
  if (!node.metric) return "";
  if (node.changed) return `${name(node.metric)} has changed`;
  if (node.stuck) return `${name(node.metric)} stands still`;
  const metric = metrics.get(node.metric);
  if (isYesNo(node)) {
    const said = yesNoWords(node, metric).replace(/^it is /, "");
    return said.slice(0, 1).toUpperCase() + said.slice(1);
  }
  const op = opsOf(metric?.type ?? "NUMBER").find(([key]) => key === node.op)?.[1] ?? node.op;
  const one = (value) => (value === true ? "yes" : value === false ? "no" : typeof value === "object" && value ? ("ago" in value ? `${value.metric === node.metric ? "what it was" : name(value.metric)} ${agoWords(value.ago)} ago` : name(value.metric ?? value.attribute)) : String(value ?? ""));
  const value = Array.isArray(node.value) ? node.value.map(one).join(wantsTwo(node.op) ? " and " : ", ") : one(node.value);
  const unit = typeof node.value === "object" && !Array.isArray(node.value) ? "" : sign(node.unit ?? metric?.unit);
  const look = node.agg ? ` ${LOOKS.find(([, fn]) => fn === node.agg.fn)?.[2] ?? ""}` : node.rate ? " per " + node.rate.per : node.delta ? " moved" : "";
  return `${name(node.metric)}${look} ${op} ${value}${metric?.type === "NUMBER" && unit ? ` ${unit}` : ""}`.slice(0, 120);
}

function timeWords({ days, from, to }) {
  const hours = from || to ? `between ${from ?? "00:00"} and ${to ?? "24:00"}` : "";
  const on = days?.length ? `on ${DAYS.filter(([day]) => days.includes(day)).map(([, short]) => short).join(", ")}` : "";
  return [hours, on].filter(Boolean).join(" ") || "any time";
}

/** One leaf in a few words, as the test bench shows it. */
export function leafWords(node, metrics) {
  if ("attribute" in node) return `its ${node.attribute} ${opsOf("NUMBER").find(([key]) => key === node.op)?.[1] ?? node.op} ${[node.value].flat().map(String).join(", ")}`;
  if ("tag" in node) return `it has the tag ${node.tag}`;
  if ("group" in node) return "it is in the group";
  if ("profile" in node) return `its profile is ${node.profile}`;
  if ("missing" in node) return `no ${metrics.get(node.metric)?.label || node.metric} came for ${agoWords(node.missing)}`;
  if ("time" in node) return `it is ${timeWords(node.time)}`;
  if ("presence" in node) return `it is ${node.presence}`;
  if ("silence" in node) return `nothing heard for ${agoWords(node.silence)}`;
  if ("event" in node) return `the event ${node.event} has come`;
  if (isYesNo(node)) return yesNoWords(node, metrics.get(node.metric));
  return proposedName(node, metrics) || "a condition";
}
