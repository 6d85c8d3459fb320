// A rule as a picture: what is watched, the conditions as cards in frames, the wait, the actions, and how it is over.
import "@xyflow/react/dist/base.css";
import "./rule_canvas.css";
import { Handle, Position, ReactFlow, ReactFlowProvider, applyNodeChanges, useReactFlow } from "@xyflow/react";
import { createContext, useCallback, useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { Icon, JOIN_WORDS, Panel } from "./rule_canvas_panel.jsx";
import { corners, dropAt, keyAt, layoutOf, nextTo, partsOf, pictureOf, problemsByPart } from "./rule_canvas_layout.js";
import { addBeside, comparison, dropAt as takeAway, getAt, idOf, insertAt, jsonPath, moveAt, negateAt, ownEnd, removeAt, setAt, unwrapAt, wrapAt } from "./rule_model.js";

const NARROW = "(max-width: 760px)";
const PANEL_WIDTH = 340;
const TOOLS_WIDTH = 48;
const Canvas = createContext(null);
const VERDICTS = { yes: "Yes", no: "No", unknown: "Unknown" };
const WRAPS = { a: ["all", "AND"], o: ["any", "OR"], n: ["not", "NOT"] };

// ── one part ───────────────────────────────────────────────────────────────────────────────────────────────
const isCondition = (part) => part.type === "leaf" || part.type === "frame";

/** What a screen reader says of a part. */
function spoken(part, place, problems, verdict) {
  const kind = { leaf: "Condition", frame: "Group", deed: "Action", wait: "Wait", guards: "Limits", watch: "Watched", auto: "The end", end: "The end" }[part.type];
  const what = part.over === "Over when" ? `${kind} of the end` : kind;
  const words = part.type === "frame" ? `${JOIN_WORDS[part.join]}, ${part.parts.length} ${part.parts.length === 1 ? "condition" : "conditions"}` : [part.type === "watch" || part.type === "guards" ? "" : part.title, part.text, ...(part.lines ?? [])].filter(Boolean).join(" ");
  const where = place?.parent ? `, ${place.at + 1} of ${place.siblings.length} in ${JOIN_WORDS[place.parent.join]}` : place?.siblings.length > 1 ? `, ${place.at + 1} of ${place.siblings.length}` : "";
  const trouble = problems?.length ? `. Problem: ${problems.map((each) => each.message).join(" ")}` : "";
  const answer = verdict ? `. ${VERDICTS[verdict.verdict] ?? verdict.verdict}${verdict.seen ? `, saw ${verdict.seen}` : ""}` : "";
  return `${what}: ${words}${where}${trouble}${answer}`;
}

function Marks({ part }) {
  const { problems, verdicts } = useContext(Canvas);
  const verdict = verdicts.get(part.key);
  const trouble = problems.get(part.key);
  return (
    <>
      {verdict ? (
        <span className="canvas-mark" data-verdict={verdict.verdict}>
          <Icon name={verdict.verdict} /> {VERDICTS[verdict.verdict] ?? verdict.verdict}
          {verdict.seen ? <small>saw {verdict.seen}</small> : null}
        </span>
      ) : null}
      {trouble ? (
        <span className="canvas-mark" data-verdict="problem">
          <Icon name="problem" />
          <span className="canvas-cut">{trouble[0].message}</span>
        </span>
      ) : null}
    </>
  );
}

/** The button that is the part itself: it takes the focus, the arrow keys, Enter and the letters. */
function Face({ part, className, children }) {
  const { selected, select, places, problems, verdicts, lead } = useContext(Canvas);
  const isSelected = selected === part.key;
  return (
    <button
      type="button"
      className={className}
      data-part={part.key}
      data-path={jsonPath(part.path)}
      aria-pressed={isSelected}
      tabIndex={isSelected ? 0 : -1}
      aria-label={spoken(part, places.get(part.key), problems.get(part.key), verdicts.get(part.key))}
      onFocus={() => isSelected || select(part.key, false)}
      onClick={() => (lead ? lead(jsonPath(part.path)) : select(part.key, true))}
    >
      {children}
    </button>
  );
}

function Tool({ label, onClick, children }) {
  return (
    <button type="button" className="canvas-tool" aria-label={label} title={label} onClick={onClick}>
      {children}
    </button>
  );
}

function Tools({ part }) {
  const { chosen, readOnly, act } = useContext(Canvas);
  if (readOnly || chosen !== part.key || !(isCondition(part) || part.type === "deed")) return null;
  return (
    <div className="canvas-tools nodrag nopan" role="group" aria-label="Change this part">
      {isCondition(part) ? (
        <>
          <Tool label={part.list ? "Add a condition to this group" : "Add a condition beside"} onClick={() => act.add(part)}>
            <Icon name="add" />
          </Tool>
          <Tool label="Put into a group: all of these" onClick={() => act.wrap(part, "a")}>
            AND
          </Tool>
          <Tool label="Put into a group: any of these" onClick={() => act.wrap(part, "o")}>
            OR
          </Tool>
          <Tool label={part.join?.startsWith("not") ? "Take the not away" : "Turn into its opposite: not"} onClick={() => act.wrap(part, "n")}>
            NOT
          </Tool>
        </>
      ) : null}
      <Tool label="Remove" onClick={() => act.remove(part)}>
        <Icon name="remove" />
      </Tool>
    </div>
  );
}

/** Where arrows come in and go out, where there are any. */
const Ends = ({ ends: [isIn, isOut], isNarrow }) => (
  <>
    {isIn ? <Handle type="target" position={isNarrow ? Position.Top : Position.Left} isConnectable={false} /> : null}
    {isOut ? <Handle type="source" position={isNarrow ? Position.Bottom : Position.Right} isConnectable={false} /> : null}
  </>
);

function stateOf({ problems, verdicts, chosen, target }, part) {
  const trouble = problems.has(part.key) ? " has-problem" : "";
  return `${chosen === part.key ? " is-selected" : ""}${trouble}${target?.key === part.key ? " is-target" : ""}${verdicts.get(part.key) ? ` is-${verdicts.get(part.key).verdict}` : ""}`;
}

function CardNode({ data: { part, ends, isNarrow } }) {
  const canvas = useContext(Canvas);
  return (
    <div className={`canvas-card canvas-${part.type}${stateOf(canvas, part)}`}>
      <Ends ends={ends} isNarrow={isNarrow} />
      {part.over ? (
        <span className="canvas-over" aria-hidden="true">
          {part.over}
        </span>
      ) : null}
      <Face part={part} className="canvas-face">
        <span className="canvas-icon">
          <Icon name={part.kind} />
        </span>
        <span className="canvas-words">
          <span className="canvas-title">{part.title}</span>
          {part.text ? <span className="canvas-text">{part.text}</span> : null}
          {part.lines?.map((line) => (
            <span className="canvas-line" key={line}>
              {line}
            </span>
          ))}
          <Marks part={part} />
        </span>
      </Face>
      <Tools part={part} />
    </div>
  );
}

function FrameNode({ data: { part, ends, isNarrow, gaps } }) {
  const canvas = useContext(Canvas);
  const word = part.join.endsWith("all") ? "and" : "or";
  return (
    <div className={`canvas-frame canvas-frame-${part.join.replace(" ", "-")}${stateOf(canvas, part)}`}>
      <Ends ends={ends} isNarrow={isNarrow} />
      {part.over ? (
        <span className="canvas-over" aria-hidden="true">
          {part.over}
        </span>
      ) : null}
      <Face part={part} className="canvas-head">
        <span className="canvas-join">{JOIN_WORDS[part.join]}</span>
        <Marks part={part} />
      </Face>
      <Tools part={part} />
      {gaps.map((y) => (
        <span className="canvas-word" style={{ top: y }} key={y} aria-hidden="true">
          {word}
        </span>
      ))}
      {part.list && !canvas.readOnly ? (
        <button type="button" className="canvas-add nodrag nopan" tabIndex={canvas.selected === part.key ? 0 : -1} onClick={() => canvas.act.add(part)}>
          <Icon name="add" /> condition
        </button>
      ) : null}
    </div>
  );
}

function AddNode({ data: { words, run } }) {
  const { act } = useContext(Canvas);
  return (
    <button type="button" className="canvas-add nodrag nopan" onClick={() => run(act)}>
      <Icon name="add" /> {words}
    </button>
  );
}

/** What is offered below a part that stands there: [its key, words, what it does]. */
function offersOf({ clear, then, rows }) {
  const hasGuards = rows[1][0].length > 0;
  return [
    hasGuards ? null : ["watch", "limits", (act) => act.guard()],
    clear ? null : ["auto", "when it is over", (act) => act.ownEnd()],
    [then.at(-1)?.key, "action", (act) => act.deed("then")],
    ["end", "action", (act) => act.deed("on_clear")],
  ].filter(Boolean);
}

const NODE_TYPES = { card: CardNode, frame: FrameNode, add: AddNode };

// ── the whole ──────────────────────────────────────────────────────────────────────────────────────────────
function nodesOf(layout, { readOnly, isNarrow, picture }) {
  const comes = new Set(layout.arrows.map(({ to }) => to));
  const goes = new Set(layout.arrows.map(({ from }) => from));
  const nodes = layout.boxes.map(({ key, part, parent, x, y, width, height, gaps }) => ({
    id: key,
    type: part.type === "frame" ? "frame" : "card",
    position: { x, y },
    parentId: parent ?? undefined,
    width,
    height,
    draggable: !readOnly && isCondition(part) && parent !== null,
    data: { part, ends: [comes.has(key), goes.has(key)], isNarrow, gaps },
    ariaRole: "presentation",
    domAttributes: { "aria-roledescription": undefined },
  }));
  for (const [key, words, run] of readOnly ? [] : offersOf(picture)) {
    const above = layout.boxes.find((box) => box.key === key);
    if (!above) continue;
    const position = { x: above.x, y: above.y + above.height + 8 };
    nodes.push({ id: `add ${key}`, type: "add", position, width: 160, height: 32, draggable: false, data: { words, run }, ariaRole: "presentation", domAttributes: { "aria-roledescription": undefined } });
  }
  return nodes;
}

const edgesOf = (layout) =>
  layout.arrows.map(({ from, to, isQuiet }) => ({
    id: `${from}>${to}`,
    source: from,
    target: to,
    className: isQuiet ? "canvas-quiet" : "",
    markerEnd: "canvas-arrow",
    domAttributes: { "aria-hidden": true, role: undefined, "aria-roledescription": undefined, "aria-label": undefined },
  }));

function useMatch(query) {
  const [matches, setMatches] = useState(() => window.matchMedia(query).matches);
  useEffect(() => {
    const list = window.matchMedia(query);
    const tell = () => setMatches(list.matches);
    list.addEventListener("change", tell);
    return () => list.removeEventListener("change", tell);
  }, [query]);
  return matches;
}

function useWidth(ref) {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watch = new ResizeObserver(([entry]) => setWidth(entry.contentRect.width));
    watch.observe(ref.current);
    return () => watch.disconnect();
  }, []);
  return width;
}

/** Verdicts by path ("$.when.all[0]": {verdict: "yes"|"no"|"unknown", seen}) as a Map by part. */
function verdictsByPart(picture, verdicts) {
  const found = partsOf(picture).map(({ part }) => [part.key, verdicts?.[jsonPath(part.path)]]);
  return new Map(found.filter(([, verdict]) => verdict));
}

/** The metric that a new condition begins with: the one its neighbour asks about, else the first number. */
function likely(vocabulary, near) {
  const metrics = [...(vocabulary.metrics?.values?.() ?? [])];
  return metrics.find((each) => each.key === near?.metric) ?? metrics.find((each) => each.type === "NUMBER") ?? metrics[0];
}

/** What buttons, keys and the hand do to the document. Each says what it did and selects what it made. */
function deedsOf({ document, picture, vocabulary, change, select, say, readOnly }) {
  const keyOf = (node) => `p${idOf(node)}`;
  const blank = (near) => comparison(likely(vocabulary, near));
  const done = (next, words, key, isOpen = false) => {
    change(next);
    say(words);
    select(key, isOpen);
  };
  const guard = (act) => (...given) => (readOnly ? say("This rule can only be looked at here.") : act(...given));
  return {
    add: guard((part) => {
      const leaf = blank(part.list ? part.parts.findLast((each) => each.type === "leaf")?.tree.node : part.tree.node);
      const next = part.list ? insertAt(document, part.list, part.parts.length, leaf) : addBeside(document, part.path, leaf);
      done(next, part.list ? `A condition is added to ${JOIN_WORDS[part.join]}.` : "A condition is added beside it.", keyOf(leaf), true);
    }),
    wrap: guard((part, letter) => {
      if (!isCondition(part)) return say("Only conditions can be put into a group.");
      const [kind, word] = WRAPS[letter];
      const next = kind === "not" ? negateAt(document, part.path) : wrapAt(document, part.path, kind);
      done(next, kind === "not" ? "It now asks for the opposite." : `Put into a group, ${word}: ${JOIN_WORDS[kind]}.`, keyAt(next, part.path));
    }),
    unwrap: guard((part) => {
      const next = unwrapAt(document, part.path);
      done(next, "The group is gone, what it held stays.", keyAt(next, part.path));
    }),
    remove: guard((part) => {
      if (part.type === "deed") {
        const list = getAt(document, [part.path[0]]);
        if (part.path[0] === "then" && list.length === 1) return say("A rule needs at least one action.");
        const left = list.filter((_, i) => i !== part.path[1]);
        return done(takeAway(document, part.path), `${part.title} is removed.`, left.length && part.path[0] === "then" ? keyOf(left[Math.max(0, part.path[1] - 1)]) : "end");
      }
      if (part.path.join() === "clear,when") return done(takeAway(document, ["clear"]), "It is over when that is no longer so.", "auto");
      if (part.type === "guards") return done(["limits", "missing"].reduce((left, key) => takeAway(left, [key]), document), "The limits are gone.", "watch");
      if (!isCondition(part)) return say("This part cannot be removed here.");
      const instead = blank(part.tree.node);
      const here = partsOf(picture).find((each) => each.part.key === part.key);
      const neighbour = here.siblings[here.at + 1] ?? here.siblings[here.at - 1] ?? here.parent;
      done(removeAt(document, part.path, instead), here.parent ? "The condition is removed." : "The condition is emptied.", here.parent ? neighbour.key : keyOf(instead));
    }),
    move: guard((part, target) => done(moveAt(document, part.path, target.list, target.index), "The condition is moved.", part.key)),
    deed: guard((field) => {
      const deed = field === "then" ? { do: "notify", policy: null } : { do: "set", attribute: null, value: "" };
      done(insertAt(document, [field], document[field]?.length ?? 0, deed), field === "then" ? "An action is added." : "An action for the end is added.", keyOf(deed), true);
    }),
    ownEnd: guard(() => {
      const when = ownEnd(document);
      done({ ...document, clear: { when } }, "It has an end of its own.", keyOf(when), true);
    }),
    guard: guard(() => done(setAt(document, ["limits"], { cooldown: "15m" }), "It stays quiet for 15 min after each time.", "guards", true)),
  };
}

function usePicture({ document, vocabulary, problems, verdicts, readOnly, isNarrow }) {
  const picture = useMemo(() => pictureOf(document, vocabulary), [document, vocabulary]);
  const byPart = useMemo(() => problemsByPart(picture, problems), [picture, problems]);
  const answers = useMemo(() => verdictsByPart(picture, verdicts), [picture, verdicts]);
  const layout = useMemo(() => layoutOf(picture, { isNarrow, editable: !readOnly, problems: byPart, verdicts: answers }), [picture, isNarrow, readOnly, byPart, answers]);
  const places = useMemo(() => new Map(partsOf(picture).map((each) => [each.part.key, each])), [picture]);
  return { picture, byPart, answers, layout, places };
}

const calm = () => (window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 180);

/** Keeps the whole in sight when it grows, and the selected part clear of the panel. */
function useView({ layout, width, height, isNarrow, selected, isOpen }) {
  const flow = useReactFlow();
  const at = useRef(null);
  useEffect(() => {
    if (!width || (isOpen && at.current)) return;
    const room = isNarrow ? 12 : 28;
    const zoom = Math.min(1, (width - 2 * room) / layout.width, isNarrow ? 1 : (height - 2 * room - 30) / layout.height);
    const isReadable = isNarrow || zoom >= 0.55;
    const used = isReadable ? zoom : 0.7;
    const x = isReadable ? (width - layout.width * used) / 2 : room;
    const y = isNarrow ? room : isReadable ? Math.max(room, (height - layout.height * used) / 2) : room;
    flow.setViewport({ x, y, zoom: used }, { duration: at.current === null ? 0 : calm() });
    at.current = layout;
  }, [layout.width, layout.height, width, height, isNarrow]);
  useEffect(() => {
    const box = corners(layout.boxes).get(selected);
    if (!box || !width || isNarrow) return;
    const { x, y, zoom } = flow.getViewport();
    const right = width - (isOpen ? PANEL_WIDTH : 0) - 20;
    const left = Math.max(Math.min(x, right - (box.x + box.width + TOOLS_WIDTH) * zoom), 20 - box.x * zoom);
    const top = Math.max(Math.min(y, height - 20 - (box.y + Math.min(box.height, 120)) * zoom), 56 - box.y * zoom);
    if (left !== x || top !== y) flow.setViewport({ x: left, y: top, zoom }, { duration: calm() });
  }, [selected, isOpen]);
  return flow;
}

/** Nodes that follow the layout, except the one in the hand. */
function useNodes(laid, layout, act, setTarget) {
  const [nodes, setNodes] = useState(laid);
  useEffect(() => setNodes(laid), [laid]);
  const onNodesChange = useCallback((changes) => setNodes((old) => applyNodeChanges(changes.filter((each) => each.type === "position" || each.type === "dimensions"), old)), []);
  const over = (node) => {
    const home = corners(layout.boxes).get(node.id);
    const { parentId } = node;
    const above = parentId ? corners(layout.boxes).get(parentId) : { x: 0, y: 0 };
    return dropAt(layout.boxes, node.id, { x: above.x + node.position.x + home.width / 2, y: above.y + node.position.y + Math.min(home.height / 2, 40) });
  };
  const onNodeDrag = (_, node) => setTarget(over(node));
  const onNodeDragStop = (_, node) => {
    setTarget(null);
    setNodes(laid);
    const target = over(node);
    if (target) act.move(node.data.part, target);
  };
  return { nodes, onNodesChange, onNodeDrag, onNodeDragStop };
}

function keysOf({ picture, selected, places, select, act, close }) {
  return (event) => {
    if (event.key === "Escape") return close();
    const part = places.get(selected)?.part;
    if (!part || !event.target.dataset.part || event.ctrlKey || event.metaKey || event.altKey) return;
    const letter = event.key.toLowerCase();
    if (event.key.startsWith("Arrow")) select(nextTo(picture, selected, event.key), false);
    else if (event.key === "Delete" || event.key === "Backspace") act.remove(part);
    else if (event.key === "+" && isCondition(part)) act.add(part);
    else if (letter in WRAPS) act.wrap(part, letter);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
}

function Controls({ flow, refit }) {
  return (
    <div className="canvas-controls" role="group" aria-label="View">
      <Tool label="Zoom in" onClick={() => flow.zoomIn({ duration: calm() })}>
        <Icon name="add" />
      </Tool>
      <Tool label="Zoom out" onClick={() => flow.zoomOut({ duration: calm() })}>
        <Icon name="less" />
      </Tool>
      <Tool label="Show the whole rule" onClick={refit}>
        <Icon name="fit" />
      </Tool>
    </div>
  );
}

const Arrow = () => (
  <svg className="canvas-defs" aria-hidden="true">
    <defs>
      <marker id="canvas-arrow" markerWidth="14" markerHeight="14" viewBox="-10 -10 20 20" orient="auto-start-reverse" markerUnits="userSpaceOnUse">
        <path d="M-6,-5 L0,0 L-6,5" fill="none" strokeWidth="2" strokeLinecap="round" strokeLinejoin="round" />
      </marker>
    </defs>
  </svg>
);

function Picture(props) {
  const { document, vocabulary = {}, onChange, onSentence, editors } = props;
  const isNarrow = useMatch(NARROW);
  const readOnly = Boolean(props.readOnly) || isNarrow;
  const box = useRef(null);
  const width = useWidth(box);
  const { picture, byPart, answers, layout, places } = usePicture({ ...props, vocabulary, readOnly, isNarrow });
  const [chosen, setChosen] = useState({ key: "", isOpen: false });
  const [said, setSaid] = useState("");
  const [target, setTarget] = useState(null);
  const selected = places.has(chosen.key) ? chosen.key : picture.when.key;
  const isOpen = chosen.isOpen && places.has(chosen.key) && !isNarrow;
  const wanted = useRef("");
  const select = useCallback((key, open) => {
    if (!open) wanted.current = key;
    setChosen({ key, isOpen: open });
  }, []);
  useEffect(() => {
    if (wanted.current !== chosen.key || !wanted.current) return;
    const face = box.current.querySelector(`[data-part="${CSS.escape(chosen.key)}"]`);
    if (face) wanted.current = "";
    if (face && globalThis.document.activeElement !== face) face.focus({ preventScroll: true });
  });
  useEffect(() => {
    const { activeElement, body } = globalThis.document;
    const isLost = activeElement === body || box.current.contains(activeElement);
    if (chosen.key && !places.has(chosen.key) && isLost) select(picture.when.key, false);
  }, [places]);
  const act = deedsOf({ document, picture, vocabulary, change: onChange, select, say: setSaid, readOnly });
  const room = isNarrow ? layout.height * Math.min(1, (width - 24) / layout.width) + 24 : Math.min(Math.max(layout.height + 90, 420), 740);
  const flow = useView({ layout, width, height: room, isNarrow, selected, isOpen });
  const laid = useMemo(() => nodesOf(layout, { readOnly, isNarrow, picture }), [layout, readOnly, isNarrow]);
  const edges = useMemo(() => edgesOf(layout), [layout]);
  const hand = useNodes(laid, layout, act, setTarget);
  const close = () => select(selected, false);
  const rest = byPart.get("");
  const context = { selected, chosen: isNarrow ? "" : chosen.key, select, places, problems: byPart, verdicts: answers, readOnly, act, target, lead: isNarrow ? onSentence : null };
  return (
    <Canvas.Provider value={context}>
      {isNarrow ? <p className="canvas-hint">On a small screen the sentence is edited. Tap a card to go to its words, or <button type="button" className="offer" onClick={() => onSentence("$")}>see the whole sentence</button></p> : null}
      <div ref={box} className={`canvas${isNarrow ? " is-narrow" : ""}`} role="group" aria-label="The rule as a picture" style={{ height: room }} onKeyDown={keysOf({ picture, selected, places, select, act, close })}>
        <Arrow />
        <ReactFlow
          {...hand}
          edges={edges}
          nodeTypes={NODE_TYPES}
          minZoom={0.25}
          maxZoom={1.6}
          nodeDragThreshold={6}
          nodesConnectable={false}
          nodesFocusable={false}
          edgesFocusable={false}
          elementsSelectable={false}
          disableKeyboardA11y
          deleteKeyCode={null}
          zoomOnScroll={false}
          zoomOnDoubleClick={false}
          preventScrolling={false}
          panOnDrag={!isNarrow}
          zoomOnPinch={!isNarrow}
          autoPanOnNodeFocus={false}
          proOptions={{ hideAttribution: true }}
        />
        {isNarrow ? null : <Controls flow={flow} refit={() => flow.fitView({ padding: 0.08, maxZoom: 1, duration: calm() })} />}
        {isOpen ? <Panel key={selected} part={places.get(selected).part} {...{ document, editors, readOnly, onChange, act, close }} problems={byPart.get(selected)} /> : null}
        {rest ? (
          <div className="canvas-rest" role="status">
            <Icon name="problem" /> {rest[0].message}
          </div>
        ) : null}
      </div>
      {readOnly ? null : (
        <p className="canvas-keys">
          <kbd>↑ ↓ ← →</kbd> walk · <kbd>Enter</kbd> edit · <kbd>A</kbd> and · <kbd>O</kbd> or · <kbd>N</kbd> not · <kbd>+</kbd> add · <kbd>Del</kbd> remove · drag a card into another group
        </p>
      )}
      <p className="sr-only" aria-live="polite" data-canvas="said">
        {said}
      </p>
    </Canvas.Provider>
  );
}

/**
 * `document` a rule's document; `vocabulary` {metrics: Map, profiles, groups, policies, channels}; `problems` as the checker gives them;
 * `verdicts` by path; `onChange(document)`; `readOnly`; `onSentence(path)` leads to the sentence, to what is said there of a part; `editors` by type of part
 * {leaf, deed, watch, guards, end} are what the panel shows of it; each gets {path, action}.
 */
export function RuleCanvas(props) {
  return (
    <ReactFlowProvider>
      <Picture {...props} />
    </ReactFlowProvider>
  );
}
