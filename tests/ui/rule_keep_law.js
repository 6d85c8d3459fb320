// What the designer's tests are made of: asks rule_keep.js, rule_given.js, rule_limits.js and numbers.js for what the test names.
const { keep, given, limits, numbers, asked } = JSON.parse(await Bun.stdin.text());
const [k, g, l, n] = await Promise.all([keep, given, limits, numbers].map((path) => import(path)));

const said = asked.map(([name, ...told]) => {
  try {
    return { ...k, ...g, ...l, ...n }[name](...told) ?? null;
  } catch (problem) {
    return { problem: problem.message };
  }
});
process.stdout.write(JSON.stringify(said));
