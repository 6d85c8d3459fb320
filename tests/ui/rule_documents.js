// Rule documents by chance, for tests: every kind of condition and action, nested, with things nobody knows among them.

/** A small generator of numbers in [0, 1), the same for the same seed. */
export function chance(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function maker(random) {
  const below = (count) => Math.floor(random() * count);
  const one = (list) => list[below(list.length)];
  const maybe = (part) => (random() < 0.5 ? part() : {});
  const some = (most, make) => Array.from({ length: below(most + 1) }, make);
  const span = () => `${1 + below(90)}${one(["s", "m", "h", "d"])}`;
  const key = () => one(["temperature", "humidity", "door", "position", "o'clock", "ü"]);
  const scalar = () => one([0, -3.5, 8, true, false, "", "on", null]);
  const value = () => one([scalar, scalar, () => [1, 9], () => some(3, scalar), () => ({ metric: key(), plus: 2 }), () => ({ metric: key() }), () => ({ attribute: "limit" }), () => ({ metric: key(), ago: span() }), () => ({ odd: { metric: 1 } })])();
  const op = () => one([">", ">=", "<", "<=", "==", "!=", "between", "outside", "in", "not in", "~"]);
  const compared = (more) => () => ({ metric: key(), ...more(), op: op(), value: value(), ...maybe(() => ({ unit: one(["degC", "degF", "percent", "parsec"]) })) });
  const tz = () => maybe(() => ({ tz: one(["site", "Europe/Berlin"]) }));
  const time = () => ({ ...maybe(() => ({ days: [1, 2, 5] })), ...maybe(() => ({ from: "22:00" })), ...maybe(() => ({ to: "06:00" })), ...tz() });
  const area = () => one([{ circle: { lat: 52.5, lon: 13.4, radius_m: 2500 } }, { polygon: [[1, 2], [3, 4], [5, 1]] }]);
  const leaf = () =>
    one([
      compared(() => ({})),
      compared(() => ({ agg: { fn: one(["avg", "min", "max", "sum", "count"]), ...one([{ over: span() }, { last: 10 }]) } })),
      compared(() => ({ rate: { per: "1m", over: span() } })),
      compared(() => ({ delta: { over: span() } })),
      () => ({ metric: key(), changed: { over: span() } }),
      () => ({ metric: key(), stuck: { for: span(), ...maybe(() => ({ within: 0.1 })) } }),
      () => ({ attribute: "critical", op: op(), value: scalar() }),
      () => ({ tag: "outdoor" }),
      () => ({ group: "0190-aa" }),
      () => ({ profile: "pump" }),
      () => ({ time: time() }),
      () => ({ place: { metric: "position", is: one(["inside", "outside", "entered", "left"]), of: area() } }),
      () => ({ silence: span() }),
      () => ({ presence: one(["online", "offline"]) }),
      () => ({ event: "door-forced" }),
      () => ({ "x-later": { all: [{ deep: [1, null, { any: 2 }] }] } }),
      () => ({ all: [leaf()], note: "a group with a field of its own" }),
      () => null,
    ])();
  const condition = (depth) => {
    if (!depth || random() < 0.4) return leaf();
    return one([() => ({ all: some(4, () => condition(depth - 1)) }), () => ({ any: some(4, () => condition(depth - 1)) }), () => ({ not: condition(depth - 1) })])();
  };
  const action = () =>
    one([
      () => ({ do: "alert" }),
      () => ({ do: "notify", policy: one(["night", null]), ...maybe(() => ({ message: "{device} {value}" })) }),
      () => ({ do: "webhook", channel: "ops" }),
      () => ({ do: "command", command: "start", arguments: { speed: 3, list: [1, [2]] }, ...maybe(() => ({ device: "0190-bb" })) }),
      () => ({ do: "set", attribute: "state", value: scalar() }),
      () => ({ do: "tag", [one(["add", "remove"])]: "warm" }),
      () => ({ do: "derive", metric: "own", value: { metric: key(), agg: { fn: "avg", over: span() } } }),
      () => ({ do: "dance", steps: [1, 2] }),
    ])();
  const scope = () => ({ profile: one(["pump", null]), ...maybe(() => ({ devices: ["a"] })), ...maybe(() => ({ groups: ["0190-aa"] })), ...maybe(() => ({ tags: ["x"] })), ...maybe(() => ({ where: [{ tag: "y" }] })) });
  const limits = () => ({ ...maybe(() => ({ cooldown: span() })), ...maybe(() => ({ max_per_hour: 4 })), ...maybe(() => ({ max_lateness: span() })), ...maybe(() => ({ quiet: time() })) });
  const document = () => ({
    v: 1,
    name: one(["Too warm", ""]),
    severity: one(["info", "minor", "major", "critical", "odd"]),
    ...maybe(() => ({ scope: scope() })),
    ...maybe(() => ({ trigger: { schedule: { cron: one(["0 6 * * 1-5", "*/7 * * * *", "0 * * * *"]), ...tz() } } })),
    when: condition(4),
    ...maybe(() => ({ for: span() })),
    ...maybe(() => ({ clear: { when: condition(3), ...maybe(() => ({ for: span() })), ...maybe(() => ({ later: 1 })) } })),
    ...maybe(() => ({ missing: { after: span(), do: one(["hold", "fire", "clear", "ignore"]) } })),
    ...maybe(() => ({ limits: limits() })),
    then: [action(), ...some(3, action)],
    ...maybe(() => ({ on_clear: some(3, action) })),
    ...maybe(() => ({ tests: [{ name: "t", given: [{ at: "0s", temperature: 9 }], expect: [] }] })),
    ...maybe(() => ({ "x-kept": [null, { a: 1 }] })),
  });
  return { below, one, leaf, condition, document };
}
