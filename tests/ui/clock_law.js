// Asks clock.js what times of day it reads: [[function, argument…], …].
const { clock, asked } = JSON.parse(await Bun.stdin.text());
const found = await import(clock);
process.stdout.write(JSON.stringify(asked.map(([name, ...given]) => found[name](...given))));
