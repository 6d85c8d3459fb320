// What must hold for every rule document in the designer's model. Reads {model, documents} from standard input and
// answers, for each document, what the model makes of it: whether it comes back, and which laws it broke.
const { model, words, documents } = JSON.parse(await Bun.stdin.text());
const m = await import(model);
const w = await import(words);

const same = (one, other) => Bun.deepEquals(one, other, true);

function paths(node, path = []) {
  if (typeof node !== "object" || node === null) return [path];
  return [path, ...Object.entries(node).flatMap(([key, part]) => paths(part, [...path, Array.isArray(node) ? Number(key) : key]))];
}

function* conditions(document) {
  const walk = function* (tree) {
    yield tree;
    for (const part of tree.parts) yield* walk(part);
  };
  yield* walk(m.treeOf(document.when, ["when"]));
  if (document.clear) yield* walk(m.treeOf(document.clear.when, ["clear", "when"]));
}

function broken(document) {
  const wrong = [];
  const law = (words, holds) => holds || wrong.push(words);
  for (const path of paths(document)) {
    law(`set ${path}`, same(m.setAt(document, path, m.getAt(document, path)), document));
    if (!path.some((key) => /[.[]/.test(key))) law(`read ${path}`, same(m.pathOf(m.jsonPath(path)), path));
    const value = m.getAt(document, path);
    if (typeof value === "number") law(`write ${path}`, m.numberOf(m.writtenOf(value)) === value);
    const span = typeof value === "string" ? m.spanOf(value) : null;
    if (span) law(`span ${value}`, `${span.count}${span.unit}` === value);
  }
  for (const tree of conditions(document)) {
    const { path, kind } = tree;
    law(`known ${JSON.stringify(tree.node)}`, kind !== "other");
    law(`there ${path}`, m.getAt(document, path) === tree.node);
    // "not not" loses both with the first step, since taking it away is what somebody asks for who sees a "not".
    const isDouble = kind === "not" && tree.parts[0].kind === "not";
    law(`negated twice ${path}`, isDouble || same(m.negateAt(m.negateAt(document, path), path), document));
    law(`wrapped and unwrapped ${path}`, same(m.unwrapAt(m.wrapAt(document, path, "any"), path), document));
    const beside = m.addBeside(document, path, { tag: "new" });
    law(`one more leaf ${path}`, path.at(-1) === "not" || count(beside) === count(document) + 1);
    law(`one leaf less ${path}`, m.removeAt(document, path, { tag: "new" }) !== document);
    const at = path.at(-1);
    const list = typeof at === "number" ? path.slice(0, -1) : null;
    const size = list ? m.getAt(document, list).length : 0;
    if (list) law(`mended ${path}`, same(m.mended(document, [{ kind: "REMOVE", path: m.jsonPath(path) }]), m.removeAt(document, path)));
    if (list && at + 1 < size) law(`moved there and back ${path}`, same(m.moveAt(m.moveAt(document, path, list, at + 2), [...list, at + 1], list, at), document));
    if (kind === "all" || kind === "any") law(`joined ${path}`, same(m.joinAt(m.joinAt(document, path, "not any"), path, kind), document));
  }
  if (document.trigger) {
    const { cron } = document.trigger.schedule;
    const { choice, at } = w.scheduleOf(cron);
    law(`schedule ${cron}`, choice === "custom" || w.cronOf(choice, at) === cron);
  }
  let history = m.begin(document);
  history = m.changeTo(history, m.setAt(document, ["name"], "other"), "name", 1);
  history = m.changeTo(history, m.setAt(history.now, ["for"], "1s"), "for", 2);
  const after = history.now;
  law("undone", m.undo(m.undo(history)).now === document);
  law("redone", m.redo(m.redo(m.undo(m.undo(history)))).now === after);
  return wrong;
}

const count = (document) => [...conditions(document)].filter(({ parts }) => !parts.length).length;

const answers = documents.map((document) => {
  const back = { ...document, when: m.conditionOf(m.treeOf(document.when, ["when"])) };
  if (document.clear) back.clear = { ...document.clear, when: m.conditionOf(m.treeOf(document.clear.when, ["clear", "when"])) };
  return { back, isComplete: m.isComplete(document), broken: broken(document) };
});
process.stdout.write(JSON.stringify(answers));
