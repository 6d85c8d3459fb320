// Run by test_rule_area.py under bun: answers what the designer makes of corners that somebody wrote, and of circles.
import { circleOf, drawn, positionOf, read, squareOf, standing, textOf, withCorner } from "../../ui/islands/rule_area.js";

const { texts, areas, circles, values, latest } = JSON.parse(await Bun.stdin.text());
const SIZE = [320, 190];
const inside = ([x, y]) => x >= 0 && y >= 0 && x <= SIZE[0] && y <= SIZE[1];

process.stdout.write(
  JSON.stringify({
    read: texts.map(read),
    back: areas.map((corners) => read(textOf(corners)).corners),
    around: circles.map((circle) => circleOf(squareOf(circle))),
    drawn: areas.map((corners) => drawn({ polygon: corners }, corners.slice(0, 2), SIZE)).map(({ corners, points }) => [...corners, ...points].every(inside)),
    moved: areas.map((corners) => {
      const { corners: spots, where } = drawn({ polygon: corners }, [], SIZE);
      return spots.map(where);
    }),
    nothing: drawn({ polygon: read("").corners }, [], SIZE),
    positions: values.map(positionOf),
    standing: [standing(latest), standing(latest, "spot"), standing(latest, "speed"), standing([])],
    grown: [withCorner(read("").corners, [1, 2]), withCorner(areas[0], [1, 2])],
  }),
);
