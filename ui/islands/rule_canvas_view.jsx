// The designer's second view: the desk's document as a picture, each part edited with the sentence's own words.
import { useMemo } from "react";
import { Action } from "./rule_actions.jsx";
import { RuleCanvas } from "./rule_canvas.jsx";
import { verdictsOf } from "./rule_canvas_layout.js";
import { Condition } from "./rule_condition.jsx";
import { useDesk } from "./rule_desk.js";

const EDITORS = {
  Leaf: ({ path }) => <Condition path={path} depth={1} />,
  Action,
};

/** `onSentence()` shows the sentence instead. What the test bench saw last (`why` of the desk) is marked on the cards. */
export default function PictureView({ onSentence }) {
  const { document, change, metrics, profiles, ground, check, why } = useDesk();
  const vocabulary = useMemo(() => ({ metrics, profiles, groups: ground.groups }), [metrics, profiles, ground]);
  const verdicts = useMemo(() => verdictsOf(why, document, vocabulary), [why, document, vocabulary]);
  return <RuleCanvas document={document} vocabulary={vocabulary} problems={check.problems} verdicts={verdicts} editors={EDITORS} onChange={(next, tag) => change(() => next, tag)} onSentence={onSentence} />;
}
