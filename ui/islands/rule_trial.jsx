// The test bench: a device and a moment, what each part of the rule says then; invented messages, step by step; tests.
import { useEffect, useState } from "react";
import { MomentField } from "./clock_field.jsx";
import { ask } from "./live.js";
import { useAsked, useReady } from "./rule_ask.js";
import { DevicePick } from "./rule_actions.jsx";
import { useDesk } from "./rule_desk.js";
import { didWords, factsRead, givenOf, isWholeStep, testDevice } from "./rule_given.js";
import { triedTest } from "./rule_keep.js";
import { dropAt, metricsRead, setAt, spanMs } from "./rule_model.js";
import { Help, Pick, Remove, Span, Write } from "./rule_pieces.jsx";
import { Why, WhyNot } from "./rule_why.jsx";
import { sign, stateWords } from "./rule_words.js";
import { unbroken } from "./zones.js";

const PHASES = { OK: ["ok", "All is well"], PENDING: ["open", "Waiting"], FIRING: ["yes", "It fires"], CLEARING: ["open", "Nearly over"] };

function Phase({ phase }) {
  const [key, words] = PHASES[phase] ?? ["open", phase];
  return <span className={`sign sign-${key}`}>{words}</span>;
}

/** `moment`: {deviceId, at} to look at; `at` empty means now. */
export function Trial({ moment, setMoment }) {
  return (
    <div className="stack">
      <Look moment={moment} setMoment={setMoment} />
      <hr className="bench-line" />
      <Play />
    </div>
  );
}

function Look({ moment, setMoment }) {
  const { queries, metrics, profiles, document, setWhy } = useDesk();
  const ready = useReady();
  const profileId = profiles.find((each) => each.key === document.scope?.profile)?.id;
  useEffect(() => {
    if (moment.deviceId) return undefined;
    const controller = new AbortController();
    ask(queries.devices, { search: null, profileId: profileId ?? null }, controller.signal)
      .then(({ devices }) => devices.items[0] && setMoment((old) => (old.deviceId ? old : { deviceId: devices.items[0].id, at: "" })))
      .catch(() => {});
    return () => controller.abort();
  }, [profileId]);
  const { found, problem } = useAsked(queries.explain, ready && moment.deviceId ? { document: ready, deviceId: moment.deviceId, at: moment.at || null } : null, "ruleExplain");
  useEffect(() => {
    setWhy(found?.why ?? null);
    return () => setWhy(null);
  }, [found]);
  return (
    <section aria-label="A device at a moment" className="stack-tight">
      <div className="row bench-row">
        <span>For</span>
        <DevicePick value={moment.deviceId} profileId={profileId} label="Device to look at" onChange={(deviceId) => setMoment({ ...moment, deviceId })} />
        {moment.at ? (
          <>
            <MomentField className="token token-input" label="Moment to look at" value={moment.at} onChange={(at) => at !== null && setMoment({ ...moment, at: new Date(at).toISOString() })} />
            <button type="button" className="offer" onClick={() => setMoment({ ...moment, at: "" })}>
              now
            </button>
          </>
        ) : (
          <button type="button" className="token" onClick={() => setMoment({ ...moment, at: new Date(Date.now() - 36e5).toISOString() })} title="Choose a moment of the past">
            now
          </button>
        )}
        <Help about="try" />
      </div>
      {problem ? <p className="clause-problem">{problem}</p> : null}
      {found ? (
        <div className="looked" aria-live="polite" data-rule="explained">
          <p>
            <Phase phase={found.phase} /> {unbroken(found.sentence)}
          </p>
          <Why tree={found.why} metrics={metrics} />
        </div>
      ) : problem ? null : (
        <p className="muted">{ready ? "…" : "Complete the sentence, then each part says yes or no here."}</p>
      )}
      <WhyNot deviceId={moment.deviceId} onLook={(at) => setMoment({ ...moment, at })} />
    </section>
  );
}

/** What a device might do, one thing after the other, and what it is. */
function Play() {
  const { queries, metrics, document, change } = useDesk();
  const ready = useReady();
  const read = metricsRead(document);
  const asked = factsRead(document);
  const canPlay = read.length > 0 || asked.events.length > 0 || asked.hasPresence || asked.tags.length + asked.attributes.length + asked.groups.length > 0;
  const blank = () => Object.fromEntries(read.map((key) => [key, firstOf(metrics.get(key))]));
  const [steps, setSteps] = useState([]);
  const [facts, setFacts] = useState({ attributes: {}, tags: [], groups: [] });
  const given = steps.map(({ after, ...step }) => givenOf({ ...step, afterSeconds: Math.round(spanMs(after) / 1000) }));
  const isWhole = steps.every(isWholeStep);
  const { found, problem } = useAsked(queries.rehearse, ready && steps.length && isWhole ? { document: ready, given, device: testDevice(facts) } : null, "ruleRehearse");
  const set = (i, part) => setSteps(steps.map((each, at) => (at === i ? { ...each, ...part } : each)));
  const first = () => ({ values: blank(), presence: "", event: asked.events[0] ?? "", after: "0s" });
  const add = () => setSteps([...steps, steps.length ? { ...steps.at(-1), values: { ...steps.at(-1).values }, after: later(steps.at(-1).after) } : first()]);
  const keep = () => change((old) => setAt(old, ["tests"], [...(old.tests ?? []), triedTest(given, found, `Test ${(old.tests?.length ?? 0) + 1}`, facts)]));
  return (
    <section aria-label="Made-up messages" className="stack-tight">
      <p>{steps.length ? "If a device did this:" : <span className="muted">Or make up what a device does, step by step, and see what the rule would do.</span>}</p>
      {steps.length ? <Being asked={asked} facts={facts} setFacts={setFacts} /> : null}
      <ol className="trial-steps">
        {steps.map((step, i) => {
          const said = found?.length === steps.length ? found[i] : null;
          return (
            <li key={i}>
              <div className="clause">
                <span className="muted">after</span>
                <Span label={`Step ${i + 1}, after`} value={step.after} onChange={(after) => set(i, { after: after ?? "0s" })} />
                {asked.hasPresence ? (
                  <Pick
                    label={`Step ${i + 1}, connection`}
                    value={step.presence}
                    options={[
                      ["", "connection as before"],
                      ["online", "it connects"],
                      ["offline", "it goes offline"],
                    ]}
                    onChange={(presence) => set(i, { presence })}
                  />
                ) : null}
                {asked.events.length ? <Pick label={`Step ${i + 1}, event`} value={step.event} options={[["", "no event"], ...asked.events.map((each) => [each, `event “${each}”`])]} onChange={(event) => set(i, { event })} /> : null}
                {Object.keys(step.values).map((key) => (
                  <Sent key={key} metric={metrics.get(key) ?? { key }} value={step.values[key]} label={`Step ${i + 1}, ${metrics.get(key)?.label || key}`} onChange={(value) => set(i, { values: { ...step.values, [key]: value } })} />
                ))}
                <Remove label={`Remove step ${i + 1}`} onClick={() => setSteps(steps.filter((_, at) => at !== i))} />
              </div>
              {said ? (
                <p className="small">
                  <Phase phase={said.phase} /> {didWords(said.did)}
                </p>
              ) : null}
            </li>
          );
        })}
      </ol>
      {problem ? <p className="clause-problem">{problem}</p> : null}
      <div className="row bench-row">
        <button type="button" className="offer" onClick={add} disabled={!canPlay}>
          + {steps.length ? "step" : "make up a message"}
        </button>
        {found && steps.length && found.length === steps.length ? (
          <button type="button" className="offer" onClick={keep}>
            Keep as a test
          </button>
        ) : null}
      </div>
    </section>
  );
}

/** What the rule asks of the device itself: attributes, tags, groups. */
function Being({ asked, facts, setFacts }) {
  const { ground } = useDesk();
  if (!asked.attributes.length && !asked.tags.length && !asked.groups.length) return null;
  const toggle = (list, each) => (list.includes(each) ? list.filter((one) => one !== each) : [...list, each]);
  const group = (id) => ground.groups?.find((each) => each.id === id)?.name ?? "the group";
  return (
    <div className="clause" role="group" aria-label="What the device is">
      <span className="muted">The device</span>
      {asked.attributes.map((key) => (
        <span className="token-pair" key={key}>
          <span className="muted">has {key}</span>
          <Write label={`The device's ${key}`} value={facts.attributes[key] ?? ""} onChange={(text) => setFacts({ ...facts, attributes: { ...facts.attributes, [key]: text } })} />
        </span>
      ))}
      {asked.tags.map((tag) => (
        <Whether key={tag} label={`The tag ${tag}`} value={facts.tags.includes(tag)} yes={`has the tag “${tag}”`} no={`has no tag “${tag}”`} onChange={() => setFacts({ ...facts, tags: toggle(facts.tags, tag) })} />
      ))}
      {asked.groups.map((id) => (
        <Whether key={id} label={`The group ${group(id)}`} value={facts.groups.includes(id)} yes={`is in ${group(id)}`} no={`is not in ${group(id)}`} onChange={() => setFacts({ ...facts, groups: toggle(facts.groups, id) })} />
      ))}
    </div>
  );
}

function Whether({ label, value, yes, no, onChange }) {
  return (
    <Pick
      label={label}
      value={String(value)}
      options={[
        ["true", yes],
        ["false", no],
      ]}
      onChange={onChange}
    />
  );
}

const firstOf = (metric) => ({ BOOLEAN: true, STRING: "", OBJECT: { lat: 0, lon: 0 } })[metric?.type] ?? 0;

function later(after) {
  const minutes = Math.round(spanMs(after) / 6e4) + 5;
  return `${minutes}m`;
}

function Sent({ metric, value, label, onChange }) {
  return (
    <span className="token-pair">
      <span className="muted">{metric.label || metric.key}</span>
      {metric.type === "OBJECT" ? (
        <>
          <Write label={`${label}, latitude`} numeric size={9} value={value.lat} onChange={(lat) => onChange({ ...value, lat })} />
          <Write label={`${label}, longitude`} numeric size={9} value={value.lon} onChange={(lon) => onChange({ ...value, lon })} />
        </>
      ) : typeof value === "boolean" ? (
        <Pick
          label={label}
          value={String(value)}
          options={[true, false].map((each) => [String(each), stateWords(metric, each)])}
          onChange={(text) => onChange(text === "true")}
        />
      ) : (
        <Write label={label} numeric={metric.type !== "STRING"} value={value} onChange={onChange} />
      )}
      {metric.unit ? <span className="muted">{sign(metric.unit)}</span> : null}
    </span>
  );
}

/** The tests that are kept with the rule: each is run with every change, and a rule that fails one is not published. */
export function Tests() {
  const { document, change, queries } = useDesk();
  const ready = useReady();
  const tests = document.tests ?? [];
  const { found, problem } = useAsked(queries.tests, ready && tests.length ? { document: ready } : null, "ruleTests");
  if (!tests.length) {
    return (
      <p className="muted">
        A test says what must happen: “this spike must alert”. Point at a time of the past in the chart, or at a time it would have fired (both under “Look back”), or make up messages (under “Try it”). It is kept with the rule and run with every change; a rule that fails one cannot be published. <Help about="rule-test" />
      </p>
    );
  }
  return (
    <ul className="tests" aria-live="polite">
      {tests.map((test, i) => {
        const result = found?.[i];
        return (
          <li key={i}>
            <div className="clause">
              {result ? <span className={`sign sign-${result.passed ? "ok" : "no"}`}>{result.passed ? "Holds" : "Fails"}</span> : <span className="sign sign-open">…</span>}
              <Write label="Name of the test" size={24} value={test.name} onChange={(name) => change((old) => setAt(old, ["tests", i, "name"], name), `tests.${i}.name`)} />
              <Remove label="Remove this test" onClick={() => change((old) => dropAt(old, ["tests", i]))} />
            </div>
            <p className="small muted">
              {test.given.length === 1 ? "1 message" : `${test.given.length} messages`}, then {test.within && test.expect.length === 1 ? "it must alert in that time" : test.within && !test.expect.length ? "it must stay quiet in that time" : test.expect.length ? test.expect.map((each) => (each.do === "raise" ? "it must fire" : "it must be over")).join(", ") : "nothing may happen"}.
            </p>
            {result && !result.passed ? <p className="clause-problem">{result.said}</p> : null}
          </li>
        );
      })}
      {problem ? <li className="clause-problem">{problem}</li> : null}
    </ul>
  );
}
