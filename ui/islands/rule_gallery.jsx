// Where a new rule begins: a gallery of what people most often want to be told of, each with a few things to choose.
import { useEffect, useRef, useState } from "react";
import {
  BatteryLow,
  Container,
  DoorOpen,
  DropletOff,
  Droplets,
  Filter,
  Footprints,
  MapPinOff,
  Pause,
  PenLine,
  RadioTower,
  Search,
  Snowflake,
  Target,
  ThermometerSnowflake,
  ThermometerSun,
  TrendingUp,
  Unplug,
  Waves,
  WifiOff,
  Wind,
  Workflow,
  Zap,
} from "lucide-react";
import { ask } from "./live.js";
import { WhereNow } from "./rule_area.jsx";
import { Foretold } from "./rule_backtest.jsx";
import { Desk } from "./rule_desk.js";
import { Applies, Clock, Help, Pick, Span, Write } from "./rule_pieces.jsx";
import { sign } from "./rule_words.js";
import { unbroken } from "./zones.js";

const ICONS = {
  "battery-low": BatteryLow,
  container: Container,
  "door-open": DoorOpen,
  "droplet-off": DropletOff,
  droplets: Droplets,
  filter: Filter,
  footprints: Footprints,
  "map-pin-off": MapPinOff,
  pause: Pause,
  "radio-tower": RadioTower,
  snowflake: Snowflake,
  target: Target,
  "thermometer-snowflake": ThermometerSnowflake,
  "thermometer-sun": ThermometerSun,
  "trending-up": TrendingUp,
  unplug: Unplug,
  waves: Waves,
  "wifi-off": WifiOff,
  wind: Wind,
  zap: Zap,
};
const FILL_AFTER_MS = 300;

/** What stands in a hole where nothing was chosen; one that follows another stays as far from it as the defaults are. */
function standing(hole, holes, choices) {
  const followed = holes.find((each) => each.key === hole.follows);
  const value = followed ? choices[followed.key] : undefined;
  if (typeof value !== "number") return hole.default;
  const moved = Number((value + hole.default - followed.default).toFixed(9));
  return hole.unit === "percent" ? Math.min(Math.max(moved, 0), 100) : moved;
}

/** "Cold room, 6 devices"; a profile whose devices are not counted by its name alone. */
function counted({ name, devices }) {
  if (devices === undefined) return name;
  return `${name}, ${devices === 0 ? "no devices yet" : devices === 1 ? "1 device" : `${devices.toLocaleString()} devices`}`;
}

/** Whether all words that are looked for stand in what a template says of itself. */
function isAbout({ title, description, holes }, sought) {
  const said = [title, description, ...holes.map((each) => each.label)].join(" ").toLowerCase();
  return sought.toLowerCase().split(/\s+/).every((word) => said.includes(word));
}

function Icon({ name }) {
  const Found = ICONS[name] ?? Workflow;
  return (
    <span className="template-icon" aria-hidden="true">
      <Found size={20} strokeWidth={1.8} />
    </span>
  );
}

/** `onStart(document)`: a rule to edit; null for an empty one. `onGoOn(draft)`: one that was begun before. */
export function Gallery({ profiles, policies, drafts, queries, onStart, onGoOn }) {
  const [profile, setProfile] = useState(profiles[0]?.key ?? null);
  const [templates, setTemplates] = useState(null);
  const [problem, setProblem] = useState("");
  const [chosen, setChosen] = useState(null);
  useEffect(() => {
    const controller = new AbortController();
    ask(queries.templates, { profile }, controller.signal)
      .then(({ ruleTemplates }) => setTemplates(ruleTemplates))
      .catch((failure) => failure.name !== "AbortError" && setProblem(failure.message));
    return () => controller.abort();
  }, [profile]);
  const [sought, setSought] = useState("");
  const found = (templates ?? []).filter((each) => isAbout(each, sought));
  const fitting = found.filter((each) => each.isFitting);
  const others = found.filter((each) => !each.isFitting);
  if (chosen) {
    const template = templates.find((each) => each.key === chosen);
    return <Filling key={chosen} template={template} profiles={profiles} profile={profile} setProfile={setProfile} policies={policies} queries={queries} onStart={onStart} onBack={() => setChosen(null)} />;
  }
  return (
    <section className="stack" aria-label="Templates">
      <div className="row gallery-head">
        <span>Rules for devices of</span>
        <Pick label="Rules for devices of" value={profile ?? ""} options={[...profiles.map((each) => [each.key, counted(each)]), ["", "any profile"]]} onChange={(key) => setProfile(key || null)} />
        <Help about="template" />
        <div className="search push">
          <Search size={16} aria-hidden="true" />
          <input type="search" className="input" placeholder="Warm, leak, battery …" aria-label="Search the templates" value={sought} onChange={(event) => setSought(event.target.value)} />
        </div>
        <button type="button" className="btn" onClick={() => onStart(null, profile)}>
          <PenLine size={16} aria-hidden="true" /> Start from nothing
        </button>
      </div>
      {drafts.length ? (
        <div className="row gallery-head">
          <span className="muted">Begun before:</span>
          {drafts.slice(0, 6).map((each) => (
            <button key={each.id} type="button" className="btn btn-small" onClick={() => onGoOn(each)}>
              {each.name || "A rule without a name"}
            </button>
          ))}
        </div>
      ) : null}
      {problem ? (
        <div className="note note-bad" role="alert">
          {problem}
        </div>
      ) : null}
      {templates === null && !problem ? (
        <div className="templates" role="status" aria-label="Loading">
          {Array.from({ length: 6 }, (_, i) => (
            <span key={i} className="skeleton template-blank" />
          ))}
        </div>
      ) : (
        <>
          <Templates list={fitting} onChoose={setChosen} />
          {templates?.length && !found.length ? (
            <div className="card empty" role="status">
              <h2>No template is about that</h2>
              <p>Try another word, or start from nothing: any value can be watched.</p>
              <button type="button" className="btn" onClick={() => setSought("")}>
                Show all templates
              </button>
            </div>
          ) : null}
          {others.length ? (
            <>
              <h2 className="templates-other">
                For other devices <span className="muted">· each says what {profiles.find((each) => each.key === profile)?.name ?? "your profiles"} would have to measure</span>
              </h2>
              <Templates list={others} onChoose={setChosen} />
            </>
          ) : null}
        </>
      )}
    </section>
  );
}

const Templates = ({ list, onChoose }) => (
  <ul className="templates">
    {list.map((each) => (
      <li key={each.key}>
        <button type="button" className={`template${each.isFitting ? "" : " template-unfit"}`} data-template={each.key} onClick={() => onChoose(each.key)}>
          <Icon name={each.icon} />
          <span className="template-words">
            <b>{each.title}</b>
            <span>{each.description}</span>
            {each.lack ? <span className="template-lack">{each.lack}</span> : null}
          </span>
        </button>
      </li>
    ))}
  </ul>
);

/** The few things to choose, with what the rule then says. */
function Filling({ template, profiles, profile, setProfile, policies, queries, onStart, onBack }) {
  const [choices, setChoices] = useState({});
  const [policy, setPolicy] = useState(null);
  const [draft, setDraft] = useState(null);
  const [problem, setProblem] = useState("");
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), []);
  const given = Object.fromEntries(Object.entries(choices).filter(([, value]) => value !== null && value !== ""));
  const asked = JSON.stringify([template.key, profile, given, policy]);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(() => {
      ask(queries.fill, { template: template.key, profile, choices: given, policy }, controller.signal)
        .then(({ ruleFromTemplate }) => (setDraft({ ...ruleFromTemplate, asked }), setProblem("")))
        .catch((failure) => failure.name !== "AbortError" && setProblem(failure.message));
    }, FILL_AFTER_MS);
    return () => (clearTimeout(timer), controller.abort());
  }, [asked]);
  const metrics = new Map(profiles.filter((each) => profile === null || each.key === profile).flatMap((each) => each.metrics.map((metric) => [metric.key, metric])));
  const set = (key) => (value) => setChoices((old) => ({ ...old, [key]: value }));
  const check = draft?.check;
  // What fits may still not be meant, as humidity where a battery is asked for: then nothing was taken unasked.
  const isOpen = (hole) => check?.problems.some((each) => each.path === `$.choices.${hole.key}`) ?? false;
  const [first] = check?.problems ?? [];
  const isReady = draft?.asked === asked && Boolean(draft?.document);
  return (
    <div className="filling-two">
    <form
      className="card card-body stack filling"
      aria-label={template.title}
      onSubmit={(event) => {
        event.preventDefault();
        if (isReady) onStart(draft.document, profile);
      }}
    >
      <div className="filling-head">
        <Icon name={template.icon} />
        <div>
          <h2 ref={heading} tabIndex={-1}>
            {template.title}
          </h2>
          <p className="muted">{template.description}</p>
        </div>
      </div>
      <div className="holes">
        <div className="hole">
          <span className="hole-label">For devices of</span>
          <Pick label="For devices of" value={profile ?? ""} options={[...profiles.map((each) => [each.key, each.name]), ["", "any profile"]]} onChange={(key) => setProfile(key || null)} />
        </div>
        {template.holes.map((hole) => (
          <div className="hole" key={hole.key}>
            <span className="hole-label">{hole.label}</span>
            <Hole hole={hole} isOpen={isOpen(hole)} value={choices[hole.key] ?? standing(hole, template.holes, choices)} onChange={set(hole.key)} metrics={metrics} profileId={profiles.find((each) => each.key === profile)?.id} queries={queries} />
          </div>
        ))}
        {policies.length ? (
          <div className="hole">
            <span className="hole-label">Tell people</span>
            <Pick label="Tell people" value={policy ?? ""} options={[["", "only an alert in the console"], ...policies.map((each) => [each.key, each.name])]} onChange={(key) => setPolicy(key || null)} />
          </div>
        ) : null}
      </div>
      <p className={draft?.asked === asked ? "preview" : "preview preview-old"} aria-live="polite" data-rule="sentence">
        {unbroken(check?.sentence) || (first ? `${first.message} ${first.suggestion ?? ""}` : "…")}
      </p>
      {problem ? (
        <div className="note note-bad" role="alert">
          {problem}
        </div>
      ) : null}
      <div className="row">
        <button type="submit" className="btn btn-primary" disabled={!isReady}>
          Use it
        </button>
        <button type="button" className="btn btn-ghost" onClick={onBack}>
          Back to the templates
        </button>
        {check?.sentence ? <Applies to={check.appliesTo} className="push" /> : null}
      </div>
    </form>
    <Foretold document={draft?.asked === asked ? draft.document : null} query={queries.backtest} />
    </div>
  );
}

function Hole({ hole, isOpen, value, onChange, metrics, profileId, queries }) {
  switch (hole.kind) {
    case "METRIC":
      return <Pick label={hole.label} value={value ?? (isOpen ? "" : (hole.fitting[0] ?? ""))} options={hole.fitting.map((key) => [key, metrics.get(key)?.label || key])} onChange={onChange} />;
    case "NUMBER":
      return (
        <span className="token-pair">
          <Write label={hole.label} numeric value={value ?? null} onChange={onChange} />
          {hole.unit ? <span>{sign(hole.unit)}</span> : null}
        </span>
      );
    case "DURATION":
      return <Span label={hole.label} value={value} onChange={onChange} />;
    case "CLOCK":
      return <Clock label={hole.label} value={value} onChange={onChange} />;
    case "CIRCLE": {
      const circle = value ?? { lat: null, lon: null, radius_m: 500 };
      const part = (key, label, size) => <Write label={label} numeric size={size} value={circle[key]} onChange={(next) => onChange({ ...circle, [key]: next })} />;
      return (
        <Desk.Provider value={{ queries }}>
          <span className="token-pair token-wrap">
            {part("radius_m", "Radius in metres", 6)} <span>m around</span> {part("lat", "Latitude", 9)} {part("lon", "Longitude", 9)}
          </span>
          <WhereNow metric={null} profileId={profileId} words="around where a device is now" onTake={([lat, lon]) => onChange({ ...circle, lat, lon })} />
        </Desk.Provider>
      );
    }
    default:
      return <Write label={hole.label} value={value ?? ""} onChange={onChange} />;
  }
}
