// What the designer asks the platform while somebody edits.
import { useEffect, useRef, useState } from "react";
import { ask } from "./live.js";
import { namesInUse } from "./rule_model.js";

const CHECK_AFTER_MS = 350;
const NOTHING = { problems: [], warnings: [], sentence: "", appliesTo: null, at: "" };

/** What the platform thinks of a document, a moment after the last change. An unfinished one is only counted. */
export function useCheck(document, complete, ruleId, query) {
  const [check, setCheck] = useState(NOTHING);
  const asked = complete ? document : { v: 1, name: "x", severity: "info", scope: document.scope, when: { silence: "1h" }, then: [{ do: "alert" }] };
  const text = JSON.stringify(asked);
  useEffect(() => {
    const controller = new AbortController();
    const timer = setTimeout(async () => {
      try {
        const { ruleCheck } = await ask(query, { document: JSON.parse(text), id: ruleId || null }, controller.signal);
        const { sentence, appliesTo } = ruleCheck;
        setCheck(complete ? { ...ruleCheck, appliesTo: sentence ? appliesTo : null, at: text } : { ...NOTHING, appliesTo: sentence ? appliesTo : null, at: text });
      } catch (problem) {
        if (problem.name !== "AbortError") setCheck({ ...NOTHING, problems: [{ path: "$", message: problem.message }], at: text });
      }
    }, CHECK_AFTER_MS);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [text, complete, query]);
  return { ...check, isCurrent: check.at === text };
}

const LISTS = { beginnings: ["ruleProfiles"], drafts: ["ruleDrafts", "items"], groups: ["deviceGroups", "items"], policies: ["notificationPolicies"], channels: ["channels"] };

/** The profiles in the order in which a new rule is offered them, each with how many devices it has, where that is known. */
function inOrder(profiles, beginnings) {
  const known = new Map(beginnings.map(({ key, deviceCount }, at) => [key, { at, deviceCount }]));
  return profiles.map((each) => ({ ...each, devices: known.get(each.key)?.deviceCount })).sort((one, other) => (known.get(one.key)?.at ?? Infinity) - (known.get(other.key)?.at ?? Infinity) || 0);
}

/** What a rule may name: profiles, and as far as this person may see them groups, policies, channels, drafts and names in use. */
export function useGround(ruleId, queries) {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  const [isAbsent, setAbsent] = useState(false);
  useEffect(() => {
    const controller = new AbortController();
    const list = (name) =>
      ask(queries[name], {}, controller.signal)
        .then((data) => LISTS[name].reduce((part, key) => part[key], data))
        .catch(() => []);
    const load = async () => {
      try {
        const rule = ruleId ? ask(queries.rule, { id: ruleId }, controller.signal) : { rule: null };
        const known = ask(queries.known, {}, controller.signal)
          .then(({ devices, rules }) => namesInUse(devices.items, rules.items.map((each) => each.document)))
          .catch(() => namesInUse([], []));
        const zoned = ask(queries.zone, {}, controller.signal).then(({ me }) => me.tenant.timeZone).catch(() => "UTC");
        const [profiles, beginnings, groups, policies, channels, drafts, seen, inUse, zone] = await Promise.all([ask(queries.profiles, {}, controller.signal), ruleId ? [] : list("beginnings"), list("groups"), list("policies"), list("channels"), list("drafts"), rule, known, zoned]);
        setFound({ profiles: inOrder(profiles.profiles.items, beginnings), groups, policies, channels, drafts, known: inUse, zone, rule: seen.rule });
      } catch (failure) {
        if (failure.name === "AbortError") return;
        if (failure.code === "RULE_NOT_FOUND" || failure.code === "BAD_REQUEST") setAbsent(true);
        else setProblem(failure.message);
      }
    };
    setFound(null);
    setProblem("");
    setAbsent(false);
    load();
    return () => controller.abort();
  }, [ruleId]);
  return { found, problem, isAbsent };
}

/** Asks before a reload or a closed tab throws edits away. */
export function useLeaveGuard(isDirty) {
  const dirty = useRef(isDirty);
  dirty.current = isDirty;
  useEffect(() => {
    const guard = (event) => {
      if (dirty.current) event.preventDefault();
    };
    window.addEventListener("beforeunload", guard);
    return () => window.removeEventListener("beforeunload", guard);
  }, []);
}

/** Ctrl+Z and Ctrl+Shift+Z (or Ctrl+Y) for the whole rule: each step is a step of the document. */
export function useUndoKeys(undo, redo) {
  useEffect(() => {
    const keys = (event) => {
      if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return;
      event.preventDefault();
      if (key === "y" || event.shiftKey) redo();
      else undo();
    };
    window.addEventListener("keydown", keys);
    return () => window.removeEventListener("keydown", keys);
  }, [undo, redo]);
}
