// What the designer's tests are made of: asks rule_keep.js, rule_given.js and rule_limits.js for what the test names.
const { keep, given, limits, asked } = JSON.parse(await Bun.stdin.text());
const [k, g, l] = await Promise.all([keep, given, limits].map((path) => import(path)));

const said = asked.map(([name, ...told]) => {
  try {
    return { ...k, ...g, ...l }[name](...told) ?? null;
  } catch (problem) {
    return { problem: problem.message };
  }
});
process.stdout.write(JSON.stringify(said));
