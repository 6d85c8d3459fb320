// The designer's second view: the desk's document as a picture, each part edited with the sentence's own words.
import { useMemo } from "react";
import { Action } from "./rule_actions.jsx";
import { RuleCanvas } from "./rule_canvas.jsx";
import { Condition } from "./rule_condition.jsx";
import { useDesk } from "./rule_desk.js";

const EDITORS = {
  Leaf: ({ path }) => <Condition path={path} depth={1} />,
  Action: ({ node, path }) => <Action path={path} action={node} />,
};

/** `verdicts` by path, from the test bench; `onSentence()` shows the sentence instead. */
export function PictureView({ verdicts, onSentence }) {
  const { document, change, metrics, profiles, ground, check } = useDesk();
  const vocabulary = useMemo(() => ({ metrics, profiles, groups: ground.groups }), [metrics, profiles, ground]);
  return <RuleCanvas document={document} vocabulary={vocabulary} problems={check.problems} verdicts={verdicts} editors={EDITORS} onChange={(next, tag) => change(() => next, tag)} onSentence={onSentence} />;
}

export default PictureView;
