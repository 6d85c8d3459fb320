// The names that devices bear and rules ask for: offered wherever an attribute, a tag or an event is written.
import { useId } from "react";
import { useDesk } from "./rule_desk.js";
import { Write } from "./rule_pieces.jsx";

/** The place of a list that `KnownNames` puts into the page. `what`: "attributes", "tags" or "events". */
export const knownAs = (what) => `known-${what}`;

const Names = ({ id, names }) => (
  <datalist id={id}>
    {names.map((name) => (
      <option key={name} value={name} />
    ))}
  </datalist>
);

/** Once in the page, for all the fields that name one of them. */
export function KnownNames() {
  const { attributes, tags, events } = useDesk().ground.known;
  return (
    <>
      <Names id={knownAs("attributes")} names={Object.keys(attributes)} />
      <Names id={knownAs("tags")} names={tags} />
      <Names id={knownAs("events")} names={events} />
    </>
  );
}

/** The name of an attribute: one that is in use, or any other. */
export const AttributeName = ({ value, placeholder, onChange }) => (
  <Write label="Attribute" value={value} placeholder={placeholder} list={knownAs("attributes")} onChange={(text) => onChange(text || null)} />
);

/** What devices have written under an attribute: [the list's place, the list itself]. */
export function useValuesOf(attribute) {
  const id = useId();
  const values = useDesk().ground.known.attributes[attribute] ?? [];
  return values.length ? [id, <Names key={id} id={id} names={values} />] : [undefined, null];
}
