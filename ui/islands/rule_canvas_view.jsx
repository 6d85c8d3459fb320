// The designer's second view: the desk's document as a picture, each part edited with the sentence's own words.
import { useMemo } from "react";
import { Action, Actions, blankAction } from "./rule_actions.jsx";
import { RuleCanvas } from "./rule_canvas.jsx";
import { verdictsOf } from "./rule_canvas_layout.js";
import { Condition } from "./rule_condition.jsx";
import { useDesk } from "./rule_desk.js";
import { setAt } from "./rule_model.js";
import { Pick } from "./rule_pieces.jsx";
import { HeldBack, Times, Watched } from "./rule_sentence.jsx";
import { ACTIONS } from "./rule_words.js";

/** An action and which it is; a rule raises one alert at most, and none when it is over. */
function Deed({ path, action }) {
  const desk = useDesk();
  const others = desk.document[path[0]].filter((each) => each !== action);
  const mayAlert = path[0] === "then" && !others.some((each) => each.do === "alert");
  const options = ACTIONS.filter(([kind]) => kind !== "alert" || mayAlert);
  return (
    <>
      <Pick label="What is done" value={action.do} options={options} onChange={(kind) => desk.change((old) => setAt(old, path, blankAction(kind, desk)))} wide />
      <Action path={path} action={action} />
    </>
  );
}

const EDITORS = {
  leaf: ({ path }) => <Condition path={path} depth={1} />,
  deed: Deed,
  watch: () => (
    <>
      <Watched />
      <Times />
    </>
  ),
  guards: HeldBack,
  end: () => <Actions path={["on_clear"]} words="do something" />,
};

/** `onSentence(path)` shows the sentence instead, and there what it says of that part. What the test bench saw last (`why` of the desk) is marked on the cards. */
export default function PictureView({ onSentence }) {
  const { document, change, metrics, profiles, ground, check, why } = useDesk();
  const vocabulary = useMemo(() => ({ metrics, profiles, groups: ground.groups, policies: ground.policies, channels: ground.channels }), [metrics, profiles, ground]);
  const verdicts = useMemo(() => verdictsOf(why, document, vocabulary), [why, document, vocabulary]);
  return <RuleCanvas document={document} vocabulary={vocabulary} problems={check.problems} verdicts={verdicts} editors={EDITORS} onChange={(next, tag) => change(() => next, tag)} onSentence={onSentence} />;
}
