// What every part of the designer shares: the document, how to change it, and what the platform says about it.
import { createContext, useContext } from "react";
import { jsonPath } from "./rule_model.js";

/** {document, change(make, tag), metrics, profiles, ground, check} */
export const Desk = createContext(null);
export const useDesk = () => useContext(Desk);

const isAt = (path, place) => path === place || path.startsWith(`${place}.`) || path.startsWith(`${place}[`);

/** What is said about a place of the document and all below it. */
export function useSaid(path, all = true) {
  const { check } = useDesk();
  const place = jsonPath(path);
  const here = (each) => (all ? isAt(each.path, place) : each.path === place);
  return { problems: check.problems.filter(here), warnings: check.warnings.filter(here) };
}

/** All places a form shows messages at; what stands elsewhere is said at the end. */
export const SHOWN_AT = ["$.when", "$.clear", "$.then", "$.on_clear", "$.scope", "$.trigger", "$.for", "$.missing", "$.limits"];
export const isShown = (each) => SHOWN_AT.some((place) => isAt(each.path, place));
