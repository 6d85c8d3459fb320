// What a made-up device of the test bench does and is: values, events, connection, attributes, tags. No React in here.
import { spanText } from "./rule_model.js";

/** What the rule asks beside metrics: {events, hasPresence, attributes, tags, groups}. */
export function factsRead(document) {
  const found = { events: new Set(), attributes: new Set(), tags: new Set(), groups: new Set(), hasPresence: false };
  const walk = (node) => {
    if (Array.isArray(node)) node.forEach(walk);
    else if (node && typeof node === "object") {
      if (typeof node.event === "string") found.events.add(node.event);
      if (typeof node.attribute === "string") found.attributes.add(node.attribute);
      if (typeof node.tag === "string") found.tags.add(node.tag);
      if (typeof node.group === "string") found.groups.add(node.group);
      found.hasPresence ||= typeof node.presence === "string";
      Object.values(node).forEach(walk);
    }
  };
  walk([document.when, document.clear]);
  const { events, attributes, tags, groups, hasPresence } = found;
  return { events: [...events], attributes: [...attributes], tags: [...tags], groups: [...groups], hasPresence };
}

/** The device as it is kept with a test: only what is said of it; null for nothing. */
export function testDevice({ attributes = {}, tags = [], groups = [] } = {}) {
  const told = Object.fromEntries(Object.entries(attributes).filter(([, text]) => text !== ""));
  const device = { ...(Object.keys(told).length ? { attributes: told } : {}), ...(tags.length ? { tags } : {}), ...(groups.length ? { groups } : {}) };
  return Object.keys(device).length ? device : null;
}

/** A step as the platform rehearses it. What is left open of a message is not sent. */
export function givenOf({ afterSeconds, values, event, presence }) {
  const sent = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null && isPlace(value)));
  return { afterSeconds, values: sent, event: event || null, isOnline: presence ? presence === "online" : null };
}

/** A rehearsed step as it is kept with a rule. */
export function toldOf({ afterSeconds, values, event, isOnline }) {
  const presence = isOnline === null || isOnline === undefined ? {} : { $presence: isOnline ? "online" : "offline" };
  return { at: spanText(afterSeconds * 1000), ...presence, ...(event ? { $event: event } : {}), ...values };
}

const OVER = "clear: ";

/** What a step would do, in words: "It would raise a minor alert. It would then be over: …". */
export function didWords(did) {
  const acts = did.filter((each) => !each.startsWith(OVER));
  const ends = did.filter((each) => each.startsWith(OVER)).map((each) => each.slice(OVER.length));
  const begun = acts.length ? [`It would ${acts.join(", ")}.`] : [];
  return [...begun, ...ends.slice(0, 1).map((why) => `It would ${acts.length ? "then " : ""}be over: ${why}.`)].join(" ");
}

const isPlace = (value) => typeof value !== "object" || (typeof value.lat === "number" && typeof value.lon === "number");

/** Whether a step says all that it begins to say: a number that is none, or half a position, cannot be played. */
export const isWholeStep = ({ values }) => Object.values(values).every((value) => value !== null && isPlace(value));
