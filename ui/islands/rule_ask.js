// Asking the platform about the document as it stands, a moment after it has changed.
import { useEffect, useState } from "react";
import { ask } from "./live.js";
import { useDesk } from "./rule_desk.js";

const ASK_AFTER_MS = 500;

/** Asks again a moment after what is asked has changed; null asks nothing. */
export function useAsked(query, variables, field) {
  const [answer, setAnswer] = useState({ found: null, problem: "" });
  const text = variables ? JSON.stringify(variables) : "";
  useEffect(() => {
    if (!text) return undefined;
    const controller = new AbortController();
    const timer = setTimeout(() => {
      ask(query, JSON.parse(text), controller.signal)
        .then((data) => setAnswer({ found: data[field], problem: "" }))
        .catch((failure) => failure.name !== "AbortError" && setAnswer({ found: null, problem: failure.message }));
    }, ASK_AFTER_MS);
    return () => (clearTimeout(timer), controller.abort());
  }, [text, query]);
  return text ? answer : { found: null, problem: "" };
}

/** The document, once it is complete and nothing is wrong with it; else null. */
export function useReady() {
  const { whole, check, complete } = useDesk();
  return complete && check.isCurrent && !check.problems.length ? whole : null;
}
