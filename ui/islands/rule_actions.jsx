// What a rule does when it fires and when it is over.
import { useEffect, useState } from "react";
import { useAsked, useReady } from "./rule_ask.js";
import { useDesk, useSaid } from "./rule_desk.js";
import { AttributeName, knownAs } from "./rule_known.jsx";
import { dropAt, getAt, idOf, insertAt, jsonPath, numberOf, setAt } from "./rule_model.js";
import { Help, Menu, Pick, Remove, Said, Span, Write } from "./rule_pieces.jsx";
import { ask } from "./live.js";
import { ACTIONS, LOOKS, PLACEHOLDERS, SEVERITIES, sign } from "./rule_words.js";

const SEARCH_AFTER_MS = 250;
/** What tells others how bad it is, beside an alert: policies choose by it, endpoints are told it. */
const BEARING = ["notify", "webhook"];
const SAYING = ["notify", "webhook", "command", "set", "derive"];

/** A first version of an action; `null` is what has yet to be filled in. */
export function blankAction(kind, { ground, commands, metrics }) {
  switch (kind) {
    case "notify":
      return { do: "notify", policy: ground.policies[0]?.key ?? null };
    case "webhook":
      return { do: "webhook", channel: ground.channels[0]?.name ?? null };
    case "command":
      return { do: "command", command: commands[0]?.key ?? null };
    case "set":
      return { do: "set", attribute: null, value: "" };
    case "tag":
      return { do: "tag", add: null };
    case "derive":
      return { do: "derive", metric: null, value: { metric: [...metrics.values()].find((each) => each.type === "NUMBER")?.key ?? null } };
    default:
      return { do: "alert" };
  }
}

/** What the actions of a list would say now of a device that the rule may watch: the platform fills in their words. */
function usePreview(path, list) {
  const { queries, profiles, document } = useDesk();
  const ready = useReady();
  const [device, setDevice] = useState(null);
  const chosen = document.scope?.devices?.[0];
  const profileId = profiles.find((each) => each.key === document.scope?.profile)?.id ?? null;
  const saysAny = list.some((each) => SAYING.includes(each.do));
  useEffect(() => {
    if (!saysAny) return undefined;
    const controller = new AbortController();
    const found = chosen ? ask(queries.device, { id: chosen }, controller.signal).then((data) => data.device) : ask(queries.devices, { search: null, profileId }, controller.signal).then(({ devices }) => devices.items[0]);
    found.then((each) => setDevice(each ?? null)).catch(() => {});
    return () => controller.abort();
  }, [saysAny, chosen, profileId]);
  const { found } = useAsked(queries.preview, saysAny && ready && device ? { document: ready, deviceId: device.id } : null, "rulePreview");
  return (i) => {
    const said = found?.find((each) => each.path === jsonPath([...path, i]));
    return said && device ? { device: device.name, text: said.text } : null;
  };
}

/** The list of actions at a path: ["then"] or ["on_clear"]. */
export function Actions({ path, words }) {
  const desk = useDesk();
  const { document, change } = desk;
  const list = getAt(document, path) ?? [];
  const isClearing = path[0] === "on_clear";
  const hasAlert = list.some((each) => each.do === "alert");
  const offered = ACTIONS.filter(([kind]) => kind !== "alert" || (!isClearing && !hasAlert));
  const add = (kind) => change((old) => insertAt(old, path, list.length, blankAction(kind, desk)));
  const preview = usePreview(path, list);
  return (
    <>
      {list.map((action, i) => (
        <Action key={idOf(action)} path={[...path, i]} action={action} canGo={isClearing || list.length > 1} joined={i > 0} preview={preview(i)} />
      ))}
      {!isClearing && !hasAlert && list.some((each) => BEARING.includes(each.do)) ? (
        <div className="clause">
          <span className="muted">It counts as</span>
          <Severity />
        </div>
      ) : null}
      <div className="clause-add">
        <Menu label={words} className="offer" items={offered.map(([kind, each, hint]) => [each[0].toUpperCase() + each.slice(1), () => add(kind), hint])}>
          + {words}
        </Menu>
      </div>
    </>
  );
}

function Severity() {
  const { document, change } = useDesk();
  return <Pick label="How bad it is" value={document.severity} options={SEVERITIES} onChange={(severity) => change((old) => setAt(old, ["severity"], severity))} />;
}

/** One action as a sentence; `canGo` offers to take it away. */
export function Action({ path, action, canGo, joined, preview = null }) {
  const { change } = useDesk();
  const said = useSaid(path);
  const put = (keys, value) => change((old) => (value === undefined ? dropAt(old, [...path, ...keys]) : setAt(old, [...path, ...keys], value)), [...path, ...keys].join("."));
  const View = VIEWS[action.do] ?? Other;
  return (
    <div className="leaf" data-at={jsonPath(path)}>
      <div className="clause">
        {joined ? <span className="muted">and</span> : null}
        <View action={action} put={put} bad={said.problems.length > 0} path={path} />
        {canGo ? <Remove label="Remove this action" onClick={() => change((old) => dropAt(old, path))} /> : null}
      </div>
      {action.do === "notify" ? <Message action={action} put={put} /> : null}
      {preview ? (
        <p className="small muted" data-rule="preview">
          If it fired now for {preview.device}: <span className="message-seen">{preview.text}</span>
        </p>
      ) : null}
      <Said {...said} />
    </div>
  );
}

const Alert = () => (
  <>
    <span>raise</span>
    <Severity />
    <span>alert</span>
  </>
);

function Notify({ action, put }) {
  const { ground } = useDesk();
  return (
    <>
      <span>notify</span>
      <Help about="policy" />
      <Pick label="Notification policy" value={action.policy} options={ground.policies.map((each) => [each.key, each.name])} onChange={(policy) => put(["policy"], policy || null)} />
      {"message" in action ? null : (
        <button type="button" className="offer" onClick={() => put(["message"], "{device}: {rule} ({value})")}>
          + own words
        </button>
      )}
      {ground.policies.length ? null : (
        <a className="small" href="/notifications">
          There is no policy yet: make one
        </a>
      )}
    </>
  );
}

function Message({ action, put }) {
  const { metrics } = useDesk();
  if (!("message" in action)) return null;
  const places = [...PLACEHOLDERS, ...[...metrics.values()].slice(0, 8).map((each) => [`{metric:${each.key}}`, each.label || each.key])];
  const id = `message-${idOf(action)}`;
  return (
    <div className="message">
      <label className="sr-only" htmlFor={id}>
        Message
      </label>
      <textarea id={id} className="textarea input" rows={2} maxLength={1000} value={action.message} onChange={(event) => put(["message"], event.target.value)} />
      <div className="row message-foot">
        <Menu label="Put in" className="offer" items={places.map(([hole, words]) => [words[0].toUpperCase() + words.slice(1), () => put(["message"], `${action.message}${action.message ? " " : ""}${hole}`), hole])}>
          + put in…
        </Menu>
        <button type="button" className="offer" onClick={() => put(["message"], undefined)}>
          the usual words
        </button>
      </div>
    </div>
  );
}

function Webhook({ action, put }) {
  const { ground } = useDesk();
  const options = ground.channels.map((each) => [each.name, each.name]);
  const named = ground.channels.find((each) => each.id === action.channel);
  if (named) options.push([named.id, named.name]);
  return (
    <>
      <span>tell the channel</span>
      <Pick label="Channel" value={action.channel} options={options} onChange={(channel) => put(["channel"], channel || null)} />
    </>
  );
}

function Command({ action, put }) {
  const { commands } = useDesk();
  const declared = commands.find((each) => each.key === action.command);
  const given = action.arguments ?? {};
  const all = [...(declared?.arguments ?? []), ...Object.keys(given).filter((key) => !declared?.arguments.some((each) => each.key === key)).map((key) => ({ key, type: "STRING" }))];
  return (
    <>
      <span>send</span>
      <Help about="command" />
      {commands.length ? (
        <Pick label="Command" value={action.command} options={commands.map((each) => [each.key, each.label || each.key])} onChange={(command) => put(["command"], command || null)} />
      ) : (
        <Write label="Command" value={action.command} placeholder="command" onChange={(command) => put(["command"], command || null)} />
      )}
      {all.map((each) => (
        <Argument key={each.key} argument={each} value={given[each.key]} put={(value) => put(["arguments", each.key], value)} />
      ))}
      <span>to</span>
      {"device" in action ? (
        <>
          <DevicePick value={action.device} onChange={(device) => put(["device"], device)} />
          <button type="button" className="offer" onClick={() => put(["device"], undefined)}>
            the same device
          </button>
        </>
      ) : (
        <button type="button" className="token" title="Choose another device" onClick={() => put(["device"], null)}>
          the same device
        </button>
      )}
    </>
  );
}

function Argument({ argument, value, put }) {
  const label = argument.label || argument.key;
  if (value === undefined && !argument.isRequired) {
    return (
      <button type="button" className="offer" onClick={() => put(argument.type === "BOOLEAN" ? true : (argument.choices?.[0] ?? (argument.type === "NUMBER" ? null : "")))}>
        + {label}
      </button>
    );
  }
  const yesNo = [
    ["true", "yes"],
    ["false", "no"],
  ];
  const clean = (next) => put(next === null || next === "" ? (argument.isRequired ? null : undefined) : next);
  return (
    <span className="token-pair">
      <span className="muted">{label}</span>
      {argument.type === "BOOLEAN" ? (
        <Pick label={label} value={value === undefined || value === null ? "" : String(value)} options={yesNo} onChange={(text) => put(text === "true")} />
      ) : argument.choices?.length ? (
        <Pick label={label} value={value ?? ""} options={argument.choices.map((each) => [each, each])} onChange={put} />
      ) : (
        <Write label={label} numeric={argument.type === "NUMBER" && typeof value !== "string"} value={value ?? null} onChange={clean} />
      )}
      {argument.unit ? <span>{sign(argument.unit)}</span> : null}
    </span>
  );
}

/** A device found by its name. */
export function DevicePick({ value, onChange, label = "Device", profileId }) {
  const { queries } = useDesk();
  const [text, setText] = useState("");
  const [found, setFound] = useState([]);
  const id = `devices-${label.replace(/\W/g, "")}`;
  useEffect(() => {
    if (!value) return undefined;
    const controller = new AbortController();
    ask(queries.device, { id: value }, controller.signal)
      .then(({ device }) => setText(device.name))
      .catch(() => setText(value));
    return () => controller.abort();
  }, [value]);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      ask(queries.devices, { search: text || null, profileId: profileId ?? null }, controller.signal)
        .then(({ devices }) => setFound(devices.items))
        .catch(() => {});
    }, SEARCH_AFTER_MS);
    return () => (clearTimeout(timer), controller.abort());
  }, [text, profileId]);
  // Also when the name was written out, or pasted, before the search had answered.
  useEffect(() => {
    const chosen = found.find((each) => each.name === text || each.key === text);
    if (chosen && chosen.id !== value) onChange(chosen.id, chosen);
  }, [found, text]);
  return (
    <>
      <input className={`token token-input device-pick${value ? "" : " token-open"}`} aria-label={label} list={id} placeholder="find a device…" value={text} onChange={(event) => setText(event.target.value)} onFocus={(event) => event.target.select()} />
      <datalist id={id}>
        {found.map((each) => (
          <option key={each.id} value={each.name}>
            {each.key}
          </option>
        ))}
      </datalist>
    </>
  );
}

function SetAttribute({ action, put }) {
  return (
    <>
      <span>set</span>
      <AttributeName value={action.attribute} placeholder="attribute" onChange={(key) => put(["attribute"], key)} />
      <span>to</span>
      {typeof action.value === "boolean" ? (
        <Pick
          label="Value"
          value={String(action.value)}
          options={[
            ["true", "yes"],
            ["false", "no"],
          ]}
          onChange={(text) => put(["value"], text === "true")}
        />
      ) : (
        <Write label="Value" value={String(action.value ?? "")} onChange={(text) => put(["value"], typeof action.value === "number" ? numberOf(text) : text)} />
      )}
    </>
  );
}

function Tag({ action, put }) {
  const isAdd = "add" in action;
  const key = isAdd ? "add" : "remove";
  return (
    <>
      <Pick
        label="Put on or take off"
        value={key}
        options={[
          ["add", "put on the tag"],
          ["remove", "take off the tag"],
        ]}
        onChange={(next) => put([], { do: "tag", [next]: action[key] })}
      />
      <Write label="Tag" value={action[key]} list={knownAs("tags")} placeholder="tag" onChange={(tag) => put([key], tag || null)} />
    </>
  );
}

function Derive({ action, put }) {
  const { metrics } = useDesk();
  const { value } = action;
  const numbers = [...metrics.values()].filter((each) => each.type === "NUMBER").map((each) => [each.key, each.label || each.key]);
  const isPart = typeof value === "object" && value !== null;
  const kind = !isPart ? "number" : value.agg ? value.agg.fn : "value";
  const looks = [...LOOKS.filter(([each]) => each === "value" || each === "agg").map(([, fn, words]) => [fn ?? "value", words]), ["number", "a fixed number"]];
  const choose = (next) => {
    const metric = isPart ? value.metric : (numbers[0]?.[0] ?? null);
    if (next === "number") return put(["value"], 0);
    return put(["value"], next === "value" ? { metric } : { metric, agg: { over: "5m", ...value?.agg, fn: next } });
  };
  return (
    <>
      <span>write</span>
      <Help about="own-value" />
      <Write label="Name of the new value" value={action.metric} placeholder="name" onChange={(key) => put(["metric"], key || null)} />
      <span>=</span>
      {isPart ? <Pick label="From which value" value={value.metric} options={numbers} onChange={(key) => put(["value", "metric"], key || null)} /> : <Write label="Number" numeric value={value} onChange={(next) => put(["value"], next)} />}
      <Pick label="What of it" value={kind} options={looks} onChange={choose} />
      {value?.agg?.over ? <Span label="Window" value={value.agg.over} onChange={(over) => put(["value", "agg", "over"], over)} /> : null}
      {value?.agg && "last" in value.agg ? (
        <>
          <span>of the last</span>
          <Write label="How many values" numeric size={4} value={value.agg.last} onChange={(last) => put(["value", "agg", "last"], last)} />
          <span>values</span>
        </>
      ) : null}
    </>
  );
}

const Other = ({ action }) => (
  <span className="kept">
    <span className="muted">kept as it is:</span> <code>{JSON.stringify(action)}</code>
  </span>
);

const VIEWS = { alert: Alert, notify: Notify, webhook: Webhook, command: Command, set: SetAttribute, tag: Tag, derive: Derive };
