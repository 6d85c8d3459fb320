// A table of devices: chosen or pasted, tried without changing anything, then taken; the new tokens are saved once.
import { useEffect, useRef, useState } from "react";
import { ask } from "./live.js";

const MAX_CHARS = 1_500_000;
const WORDS = {
  WRONG: ["left out", "badge badge-bad"],
  DIFFERENT: ["differs, stays", "badge badge-warn"],
  CHANGED: ["changed", "badge badge-accent"],
  NEW: ["new", "badge badge-ok"],
  SAME: ["there already", "badge"],
};
const example = (profile) =>
  `key,name,profile,tags,attributes,groups\npump-1,Pump 1,${profile},outdoor,site=Hamburg;floor=2,\npump-2,Pump 2,${profile},,site=Kiel,\n`;
const count = (n, one, many) => (n === 1 ? `1 ${one}` : `${n.toLocaleString()} ${many}`);

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function Figures({ result }) {
  const said = [
    [result.new, "NEW", result.isDryRun ? "would be added" : "added"],
    [result.changed, "CHANGED", result.isDryRun ? "would be changed" : "changed"],
    [result.same, "SAME", "there already"],
    [result.different, "DIFFERENT", "known and different, left unchanged"],
    [result.wrong, "WRONG", "left out, see why below"],
  ].filter(([n]) => n > 0);
  return (
    <ul className="row" aria-label="What became of the lines">
      {said.map(([n, outcome, words]) => (
        <li key={outcome} className={WORDS[outcome][1]}>
          {n.toLocaleString()} {words}
        </li>
      ))}
    </ul>
  );
}

function Lines({ result }) {
  const hidden = result.total - result.lines.length;
  return (
    <>
      <table className="table table-lines">
        <thead>
          <tr>
            <th scope="col">Line</th>
            <th scope="col">Device</th>
            <th scope="col">What happens</th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {result.lines.map((each) => (
            <tr key={each.line}>
              <td className="num muted" data-label="Line">
                {each.line}
              </td>
              <td className="mono" data-label="Device">
                {each.key || "–"}
              </td>
              <td data-label="What happens">
                <span className={WORDS[each.outcome][1]}>{WORDS[each.outcome][0]}</span>
              </td>
              <td className="small">
                {each.column && each.outcome === "WRONG" ? <b>{each.column}: </b> : null}
                {each.message}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {hidden > 0 ? <p className="pager small muted">and {count(hidden, "more line", "more lines")} of which there is nothing to say.</p> : null}
    </>
  );
}

function Tokens({ credentials, onSaved }) {
  return (
    <div className="note note-warn" role="status">
      <span>
        <b>The new devices' tokens are here this once.</b> Save them now: we keep only fingerprints of them.
      </span>
      <button
        type="button"
        className="btn btn-small"
        onClick={() => {
          save("tidegate-device-tokens.csv", credentials);
          onSaved();
        }}
      >
        Save the tokens
      </button>
    </div>
  );
}

/** `profiles`: [{id, key, name}]; `query`: the import's operation. */
export function Importer({ profiles, query }) {
  const [csv, setCsv] = useState("");
  const [profileId, setProfileId] = useState("");
  const [update, setUpdate] = useState(false);
  const [result, setResult] = useState(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const [isSaved, setSaved] = useState(false);
  const outcome = useRef(null);
  const isOpen = Boolean(result?.credentials) && !isSaved;

  useEffect(() => {
    if (result || problem) outcome.current?.focus();
  }, [result, problem]);
  useEffect(() => {
    if (!isOpen) return undefined;
    const stay = (event) => event.preventDefault(); // tokens that nobody saved would be lost
    window.addEventListener("beforeunload", stay);
    return () => window.removeEventListener("beforeunload", stay);
  }, [isOpen]);

  const change = (set) => (value) => {
    set(value);
    setResult(null);
    setProblem("");
  };
  const run = async (dryRun) => {
    if (csv.length > MAX_CHARS) {
      setProblem("The table is too long: at most 10,000 lines or 1.5 million characters at once.");
      return;
    }
    setBusy(true);
    setProblem("");
    try {
      const data = await ask(query, { csv, profileId: profileId || null, dryRun, update });
      setSaved(false);
      setResult(data.deviceImport);
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  const read = async (event) => {
    const file = event.target.files?.[0];
    if (file) change(setCsv)(await file.text());
    event.target.value = "";
  };
  const willDo = result?.isDryRun ? result.new + result.changed : 0;

  return (
    <div className="stack-wide">
      <section className="card" aria-label="The table">
        <div className="card-body stack">
          <div className="row">
            <label className="btn btn-file">
              Choose a file…
              <input type="file" accept=".csv,text/csv,text/plain" className="sr-only" onChange={read} />
            </label>
            <span className="small muted">saved as CSV by the spreadsheet; or paste it below, headings first.</span>
            <button type="button" className="btn btn-small push" onClick={() => save("devices.csv", example(profiles[0]?.key || ""))}>
              Save an example
            </button>
          </div>
          <textarea
            className="textarea input mono"
            rows={8}
            spellCheck={false}
            aria-label="The table as CSV"
            placeholder={example(profiles[0]?.key || "")}
            value={csv}
            onChange={(event) => change(setCsv)(event.target.value)}
          />
          <div className="pair">
            <div className="field">
              <label htmlFor="import-profile">Lines that name no profile get</label>
              <select id="import-profile" className="select" value={profileId} onChange={(event) => change(setProfileId)(event.target.value)}>
                <option value="">no profile: such lines are left out</option>
                {profiles.map((each) => (
                  <option key={each.id} value={each.id}>
                    {each.name}
                  </option>
                ))}
              </select>
            </div>
            <label className="tick">
              <input type="checkbox" checked={update} onChange={(event) => change(setUpdate)(event.target.checked)} />
              <span>
                Change devices that are there already
                <span className="sub">Otherwise those that differ from the table stay as they are.</span>
              </span>
            </label>
          </div>
          <div className="row">
            <button type="button" className={`btn${willDo || result?.isDryRun === false ? "" : " btn-primary"}`} disabled={!csv.trim() || busy} onClick={() => run(true)}>
              {busy ? "Looking…" : "Try it"}
            </button>
            <span className="small muted">Nothing is changed by trying.</span>
          </div>
        </div>
      </section>
      <div ref={outcome} tabIndex={-1} className="stack-wide outcome">
        {problem ? (
          <div className="note note-bad" role="alert">
            {problem}
          </div>
        ) : null}
        {result ? (
          <>
            {isOpen ? <Tokens credentials={result.credentials} onSaved={() => setSaved(true)} /> : null}
            {isSaved ? (
              <div className="note note-ok" role="status">
                The tokens are saved. Each device signs in with its username and token.
              </div>
            ) : null}
            <section className="card" aria-label="Result">
              <div className="card-head">
                <div>
                  <h2>{result.isDryRun ? "This would happen" : "Done"}</h2>
                  <p>{count(result.total, "line", "lines")} read.</p>
                </div>
                {result.isDryRun ? (
                  <button type="button" className="btn btn-primary" disabled={busy || !willDo} onClick={() => run(false)}>
                    {willDo ? `Import ${count(willDo, "device", "devices")}` : "Nothing to import"}
                  </button>
                ) : (
                  <a className="btn" href="/devices">
                    Look at the devices
                  </a>
                )}
              </div>
              <div className="card-body">
                <Figures result={result} />
              </div>
              <Lines result={result} />
            </section>
          </>
        ) : null}
      </div>
    </div>
  );
}
