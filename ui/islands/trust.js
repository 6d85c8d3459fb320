// What a reading says of itself, in plain words: how far it can be trusted, and how it came. No React in here.

const DOUBTS = {
  uncertain: ["in doubt", "The device says it is not sure of it."],
  bad: ["no value now", "The last there was; no good value has come since."],
};
const NEVER = ["no value yet", "No good value has come yet."];

/** [a few words, what they mean] for what the contract calls uncertain or bad; null where all is good. `reason`: why it is bad. */
export function doubt(quality, hasValue = true, reason = "") {
  const found = DOUBTS[quality] ?? null;
  if (!found || quality !== "bad") return found;
  const [name, words] = hasValue ? found : NEVER;
  return [name, reason ? `${words.replace(/\.$/, "")}: ${reason.replace(/\.$/, "")}.` : words];
}

const TRANSPORTS = { mqtt: "MQTT", http: "HTTP", coap: "CoAP", broker: "a message broker" };
const ENCODINGS = { json: "JSON", cbor: "CBOR", senml: "SenML" };
const MACHINES = { modbus: "Modbus", opcua: "OPC UA", bacnet: "BACnet" };

/** How a reading came, of one of the contract's `sources`; null for readings of which that was not kept. */
export function cameBy(source) {
  if (!source) return "How it came was not kept.";
  const road = `by ${TRANSPORTS[source.transport] ?? "a way this page does not know"}`;
  const form = ENCODINGS[source.encoding] ? ` as ${ENCODINGS[source.encoding]}` : "";
  const machine = source.via ? `from the machine by ${MACHINES[source.via] ?? source.via}, then ` : "";
  const gateway = source.gateway ? `through the gateway ${source.gateway} ` : source.via ? "through its gateway " : "";
  const said = `${machine}${gateway}${road}${form}, read by decoder ${source.decoder}`;
  return `It came ${said}.`;
}

const SPANS = [
  [60, 1, "second"],
  [3600, 60, "minute"],
  [86400, 3600, "hour"],
  [Infinity, 86400, "day"],
];

/** How long a reading was under way, in milliseconds since 1970; "" for one that came at once. */
export function underWay(measured, received) {
  const seconds = (received - measured) / 1000;
  if (seconds < 2) return "";
  const [, size, unit] = SPANS.find(([limit]) => seconds < limit);
  const count = Math.round(seconds / size);
  return `Received ${count} ${unit}${count === 1 ? "" : "s"} after it was measured.`;
}
