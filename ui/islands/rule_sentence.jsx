// The sentence form: watch, when, then, when it is over, and how often at most. What is not used is only offered.
import { useEffect, useState } from "react";
import { ask } from "./live.js";
import { Actions, DevicePick } from "./rule_actions.jsx";
import { AddCondition, Attribute, Condition, Many, TimeOfDay, Zone } from "./rule_condition.jsx";
import { useDesk, useSaid } from "./rule_desk.js";
import { knownAs } from "./rule_known.jsx";
import { dropAt, insertAt, kindOf, ownEnd, setAt } from "./rule_model.js";
import { Applies, Clock, Help, Line, Offer, Pick, Remove, Said, Span, Write } from "./rule_pieces.jsx";
import { MISSING, SCHEDULES, cronOf, scheduleOf } from "./rule_words.js";

const FIELDS = "input, select, textarea, .token";

/** Keyboards go on where something was added, and do not fall out of the page where something was taken away. */
function follow(event) {
  const line = event.target.closest?.(".line");
  if (!line || !event.target.closest(".offer, [role=menuitem], .clause-remove")) return;
  const before = new Set(line.querySelectorAll(FIELDS));
  setTimeout(() => {
    const fresh = [...line.querySelectorAll(FIELDS)].find((each) => !before.has(each));
    const isLost = window.document.activeElement === window.document.body;
    if (fresh) fresh.focus();
    else if (isLost) line.querySelector(".offer")?.focus();
  });
}

export function Sentence() {
  return (
    <section className="card sentence" aria-label="The rule" onClickCapture={follow}>
      <Watch />
      <When />
      <Then />
      <Over />
      <Often />
    </section>
  );
}

function useChange() {
  const { change } = useDesk();
  const put = (path, value) => change((old) => setAt(old, path, value), path.join("."));
  const drop = (path) => change((old) => dropAt(old, path));
  return { change, put, drop };
}

const Watch = () => (
  <Line word="Watch" about="scope" tall at="$.scope">
    <Watched />
  </Line>
);

/** Which devices are watched. */
export function Watched() {
  const { document, profiles, ground, check } = useDesk();
  const { put, drop, change } = useChange();
  const said = useSaid(["scope"]);
  const scope = document.scope ?? {};
  const profile = (key) => put(["scope", "profile"], key === "" ? null : key);
  const hasPart = (key) => scope[key] !== undefined;
  return (
    <>
      <div className="clause">
        <span>devices of</span>
        <Pick label="Which devices" value={scope.profile ?? ""} options={[...profiles.map((each) => [each.key, each.name]), ["", "any profile"]]} onChange={profile} />
        <Applies to={check.appliesTo} />
      </div>
      {hasPart("groups") ? (
        <div className="clause">
          <span>in the group</span>
          {scope.groups.map((id, i) => (
            <span className="token-pair" key={id ?? "new"}>
              {i ? <span className="muted">or</span> : null}
              <Pick label="Group" value={id} options={ground.groups.map((each) => [each.id, each.name])} onChange={(next) => put(["scope", "groups", i], next || null)} />
              <Remove label="Remove this group" onClick={() => drop(["scope", "groups", i])} />
            </span>
          ))}
          {scope.groups.includes(null) ? null : <Offer onClick={() => change((old) => insertAt(old, ["scope", "groups"], scope.groups.length, null))}>group</Offer>}
        </div>
      ) : null}
      {hasPart("tags") ? (
        <div className="clause">
          <span>with the tag</span>
          <Many value={scope.tags} label="Tag" list={knownAs("tags")} placeholder="outdoor" onChange={(tags) => (tags ? put(["scope", "tags"], tags) : drop(["scope", "tags"]))} />
          <Remove label="With any tag" onClick={() => drop(["scope", "tags"])} />
        </div>
      ) : null}
      {hasPart("devices") ? <Chosen /> : null}
      {hasPart("where") ? scope.where.map((fact, i) => <Fact key={i} fact={fact} path={["scope", "where", i]} />) : null}
      <Said {...said} />
      <div className="offers">
        <span className="small muted">Only some of them:</span>
        {hasPart("groups") || !ground.groups.length ? null : <Offer onClick={() => put(["scope", "groups"], [null])}>a group</Offer>}
        {hasPart("tags") ? null : <Offer onClick={() => put(["scope", "tags"], [])}>a tag</Offer>}
        {hasPart("devices") ? null : <Offer onClick={() => put(["scope", "devices"], [])}>single devices</Offer>}
        <Offer onClick={() => change((old) => insertAt(old, ["scope", "where"], scope.where?.length ?? 0, { attribute: null, op: "==", value: "" }))}>an attribute</Offer>
      </div>
    </>
  );
}

const NAMED = 30;

/** The devices that were chosen one by one, by name. */
function Chosen() {
  const { document, queries } = useDesk();
  const { drop, change, put } = useChange();
  const [names, setNames] = useState({});
  const { devices } = document.scope;
  useEffect(() => {
    const unknown = devices.filter((id) => !(id in names)).slice(0, NAMED);
    unknown.forEach((id) =>
      ask(queries.device, { id })
        .then(({ device }) => setNames((old) => ({ ...old, [id]: device.name })))
        .catch(() => setNames((old) => ({ ...old, [id]: "a device that is gone" }))),
    );
  }, [devices]);
  const add = (id, device) => {
    setNames((old) => ({ ...old, [id]: device.name }));
    if (!devices.includes(id)) change((old) => insertAt(old, ["scope", "devices"], devices.length, id));
  };
  return (
    <div className="clause">
      <span>only</span>
      <span className="chips">
        {devices.slice(0, NAMED).map((id, i) => (
          <span className="chip" key={id}>
            {names[id] ?? "…"}
            <button type="button" aria-label={`Remove ${names[id] ?? "device"}`} onClick={() => (devices.length > 1 ? drop(["scope", "devices", i]) : put(["scope", "devices"], []))}>
              ×
            </button>
          </span>
        ))}
        {devices.length > NAMED ? <span className="muted">and {devices.length - NAMED} more</span> : null}
        <DevicePick key={devices.length} value={null} label="Add a device" onChange={add} />
      </span>
      <Remove label="All devices again" onClick={() => drop(["scope", "devices"])} />
    </div>
  );
}

function Fact({ fact, path }) {
  const { put, drop } = useChange();
  if ("tag" in fact) {
    return (
      <div className="clause">
        <span>whose tag is</span>
        <Write label="Tag" value={fact.tag} list={knownAs("tags")} onChange={(tag) => put([...path, "tag"], tag || null)} />
        <Remove label="Remove this" onClick={() => drop(path)} />
      </div>
    );
  }
  return (
    <div className="clause">
      <span>whose attribute</span>
      <Attribute node={fact} put={(key, value) => put([...path, ...(Array.isArray(key) ? key : [key])], value)} swap={(next) => put(path, next)} />
      <Remove label="Remove this" onClick={() => drop(path)} />
    </div>
  );
}

function When() {
  const { document } = useDesk();
  const { put, drop } = useChange();
  const around = useSaid(["for"]);
  const kind = kindOf(document.when);
  const isPlain = kind !== "all" && kind !== "any" && !(kind === "not" && ["all", "any"].includes(kindOf(document.when.not)));
  return (
    <Line word="When" about="condition" tall at="$.when">
      {document.trigger ? (
        <>
          <Schedule />
          <p>and fire when then</p>
        </>
      ) : null}
      <Condition path={["when"]} />
      {document.for !== undefined ? (
        <div className="clause">
          <span>for at least</span>
          <Span label="For at least" value={document.for} onChange={(text) => put(["for"], text)} />
          <Help about="for" />
          <Remove label="At once" onClick={() => drop(["for"])} />
        </div>
      ) : null}
      <Said {...around} />
      <Missing />
      <div className="offers">
        {isPlain ? <AddCondition beside={["when"]} /> : null}
        {document.for === undefined ? <Offer onClick={() => put(["for"], "5m")}>for some time</Offer> : null}
        <OfferMissing />
        <OfferSchedule />
      </div>
    </Line>
  );
}

/** What happens when values stay away; nothing where that is not said. */
function Missing() {
  const { document } = useDesk();
  const { put, drop } = useChange();
  const said = useSaid(["missing"]);
  return (
    <>
      {document.missing ? (
        <div className="clause">
          <span>If nothing new comes for</span>
          <Span label="If nothing new comes for" value={document.missing.after} onChange={(after) => put(["missing", "after"], after)} />
          <span>then</span>
          <Pick label="What to do then" value={document.missing.do} options={MISSING} onChange={(next) => put(["missing", "do"], next)} />
          <Help about="missing-data" />
          <Remove label="Nothing special" onClick={() => drop(["missing"])} />
        </div>
      ) : null}
      <Said {...said} />
    </>
  );
}

function OfferMissing() {
  const { document } = useDesk();
  const { put } = useChange();
  return document.missing ? null : <Offer onClick={() => put(["missing"], { after: "30m", do: "hold" })}>if values stay away</Offer>;
}

function OfferSchedule() {
  const { document } = useDesk();
  const { put } = useChange();
  return document.trigger ? null : <Offer onClick={() => put(["trigger"], { schedule: { cron: "0 6 * * *", tz: "site" } })}>only at set times</Offer>;
}

/** When it is looked at: whenever something changes, or at set times. */
export function Times() {
  const { document } = useDesk();
  return document.trigger ? (
    <Schedule />
  ) : (
    <div className="clause">
      <span>Looked at whenever something changes</span>
      <OfferSchedule />
    </div>
  );
}

function Schedule() {
  const { document } = useDesk();
  const { put, drop } = useChange();
  const said = useSaid(["trigger"]);
  const { schedule } = document.trigger;
  const [isOwn, setOwn] = useState(() => scheduleOf(schedule.cron).choice === "custom");
  const { choice, at } = isOwn ? { choice: "custom", at: null } : scheduleOf(schedule.cron);
  const pick = (next) => {
    setOwn(next === "custom");
    if (next !== "custom") put(["trigger", "schedule", "cron"], cronOf(next, at));
  };
  return (
    <div className="leaf">
      <div className="clause">
        <span>Look</span>
        <Pick label="How often to look" value={choice} options={[...SCHEDULES, ["custom", "at times of my own"]]} onChange={pick} />
        {choice === "custom" ? (
          <Write label="Schedule as cron" size={14} placeholder="0 6 * * 1-5" value={schedule.cron} onChange={(cron) => put(["trigger", "schedule", "cron"], cron || null)} />
        ) : at ? (
          <>
            <span>at</span>
            <Clock label="At" value={at} onChange={(next) => put(["trigger", "schedule", "cron"], cronOf(choice, next))} />
          </>
        ) : null}
        <Zone value={schedule.tz} onChange={(tz) => put(["trigger", "schedule", "tz"], tz)} />
        <Help about="trigger" />
        <Remove label="Whenever something changes" onClick={() => drop(["trigger"])} />
      </div>
      {choice === "custom" ? <p className="small muted">Five fields: minute, hour, day of the month, month, day of the week. “0 6 * * 1-5” is 6 o'clock from Monday to Friday.</p> : null}
      <Said {...said} />
    </div>
  );
}

const Then = () => (
  <Line word="Then" about="action" tall at="$.then">
    <Actions path={["then"]} words="do something else too" />
  </Line>
);

function Over() {
  const { document } = useDesk();
  const { put, drop } = useChange();
  const { clear } = document;
  const choose = (value) => (value === "own" ? put(["clear"], { when: ownEnd(document) }) : drop(["clear"]));
  const said = useSaid(["clear"], false);
  return (
    <Line word="Over" about="over" tall at="$.clear">
      <div className="clause">
        <span>It is over</span>
        <Pick
          label="When it is over"
          value={clear ? "own" : "auto"}
          options={[
            ["auto", "when that is no longer so"],
            ["own", "when another condition is true"],
          ]}
          onChange={choose}
        />
      </div>
      {clear ? (
        <>
          <Condition path={["clear", "when"]} />
          {clear.for !== undefined ? (
            <div className="clause">
              <span>for at least</span>
              <Span label="Over after at least" value={clear.for} onChange={(text) => put(["clear", "for"], text)} />
              <Remove label="At once" onClick={() => drop(["clear", "for"])} />
            </div>
          ) : null}
        </>
      ) : null}
      <Said {...said} />
      {document.on_clear ? (
        <div className="then-over">
          <span className="muted">Then</span>
          <Actions path={["on_clear"]} words="do something else too" />
        </div>
      ) : null}
      <div className="offers">
        {clear && !["all", "any"].includes(kindOf(clear.when)) ? <AddCondition beside={["clear", "when"]} /> : null}
        {clear && clear.for === undefined ? <Offer onClick={() => put(["clear", "for"], "2m")}>for some time</Offer> : null}
        {document.on_clear ? null : <Offer onClick={() => put(["on_clear"], [{ do: "set", attribute: null, value: "" }])}>do something when it is over</Offer>}
      </div>
    </Line>
  );
}

const Often = () => (
  <Line word="Not too often" about="limits" tall at="$.limits">
    <Limits />
  </Line>
);

/** What happens without values, and how often it fires at most: what holds a rule back. */
export const HeldBack = () => (
  <>
    <Missing />
    <div className="offers">
      <OfferMissing />
    </div>
    <Limits />
  </>
);

function Limits() {
  const { document } = useDesk();
  const { put, drop } = useChange();
  const said = useSaid(["limits"]);
  const limits = document.limits ?? {};
  return (
    <>
      {limits.cooldown !== undefined ? (
        <div className="clause">
          <span>After it was over, stay quiet for</span>
          <Span label="Stay quiet for" value={limits.cooldown} onChange={(text) => put(["limits", "cooldown"], text)} />
          <Help about="cooldown" />
          <Remove label="No pause" onClick={() => drop(["limits", "cooldown"])} />
        </div>
      ) : null}
      {limits.max_per_hour !== undefined ? (
        <div className="clause">
          <span>At most</span>
          <Write label="At most so often" numeric size={4} value={limits.max_per_hour} onChange={(count) => put(["limits", "max_per_hour"], count)} />
          <span>times an hour</span>
          <Remove label="As often as it comes" onClick={() => drop(["limits", "max_per_hour"])} />
        </div>
      ) : null}
      {limits.quiet ? (
        <div className="clause">
          <span>Tell nobody</span>
          <TimeOfDay node={limits.quiet} put={(path, value) => put(["limits", "quiet", ...path], value)} />
          <Help about="quiet-hours" />
          <Remove label="No quiet hours" onClick={() => drop(["limits", "quiet"])} />
        </div>
      ) : null}
      {limits.max_lateness !== undefined ? (
        <div className="clause">
          <span>Pass over what arrives more than</span>
          <Span label="Greatest lateness" value={limits.max_lateness} onChange={(text) => put(["limits", "max_lateness"], text)} />
          <span>late</span>
          <Help about="lateness" />
          <Remove label="Take what comes late" onClick={() => drop(["limits", "max_lateness"])} />
        </div>
      ) : null}
      <Said {...said} />
      <div className="offers">
        {limits.cooldown === undefined ? <Offer onClick={() => put(["limits", "cooldown"], "15m")}>a pause afterwards</Offer> : null}
        {limits.max_per_hour === undefined ? <Offer onClick={() => put(["limits", "max_per_hour"], 4)}>at most so often</Offer> : null}
        {limits.quiet ? null : <Offer onClick={() => put(["limits", "quiet"], { from: "22:00", to: "06:00", tz: "site" })}>quiet hours</Offer>}
        {limits.max_lateness === undefined ? <Offer onClick={() => put(["limits", "max_lateness"], "1h")}>what comes late</Offer> : null}
      </div>
    </>
  );
}
