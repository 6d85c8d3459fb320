// Run by test_rule_area.py under bun: answers what the designer makes of corners that somebody wrote, and of circles.
import { barOf, circleOf, drawn, namesAt, positionOf, read, squareOf, standing, textOf, withCorner } from "../../ui/islands/rule_area.js";

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
    far: drawn({ polygon: [[52.5, 13.3], [52.6, 13.3], [52.6, 13.5]] }, [[52.55, 13.4], [48.1, 11.6]], SIZE).points,
    bars: [0.3, 17, 4100].map((perPx) => barOf(perPx, 90)),
    names: namesAt(["Van 1", "Van 2", "Van 3", "Van 4"], [[100, 50], [104, 52], [310, 90], null], 320),
    nothing: drawn({ polygon: read("").corners }, [], SIZE),
    positions: values.map(positionOf),
    standing: [standing(latest), standing(latest, "spot"), standing(latest, "speed"), standing([])],
    grown: [withCorner(read("").corners, [1, 2]), withCorner(areas[0], [1, 2])],
  }),
);
