// Where a device is: inside or outside a circle or an area with corners, drawn beside where the devices were last.
import { useEffect, useId, useRef, useState } from "react";
import { ask } from "./live.js";
import { DevicePick } from "./rule_actions.jsx";
import { barOf, circleOf, drawn, namesAt, positionOf, read, squareOf, standing, textOf, withCorner } from "./rule_area.js";
import { useDesk } from "./rule_desk.js";
import { Help, Offer, Pick, Remove, Write } from "./rule_pieces.jsx";
import { WHEREABOUTS } from "./rule_words.js";

const SIZE = [320, 216];
const BAR_ROOM = 18; // below the drawing, for the scale
const KINDS = [
  ["circle", "a circle"],
  ["polygon", "an area with corners"],
];

/** "its position has just left a circle of 500 m around …". What needs more room stands below it, see Area. */
export function Place({ node, put, metrics, bad }) {
  const { place } = node;
  const options = [...metrics.values()].filter((each) => each.type === "OBJECT").map((each) => [each.key, each.label || each.key]);
  const { circle, polygon } = place.of;
  const at = (key, label, size) => <Write label={label} numeric size={size} bad={bad} value={circle[key]} onChange={(next) => put(["place", "of", "circle", key], next)} />;
  const turn = (kind) => put(["place", "of"], kind === "circle" ? { circle: circleOf(polygon) } : { polygon: squareOf(circle) });
  return (
    <>
      <Pick label="Which position" value={place.metric} options={options} onChange={(key) => put(["place", "metric"], key)} />
      <Pick label="Where it is" value={place.is} options={WHEREABOUTS} onChange={(is) => put(["place", "is"], is)} />
      <Pick label="Kind of area" value={circle ? "circle" : "polygon"} options={KINDS} onChange={turn} />
      <Help about="area" />
      {circle ? (
        <span className="token-pair token-wrap">
          <span>of</span>
          {at("radius_m", "Radius in metres", 6)}
          <span>m around</span>
          {at("lat", "Latitude", 9)}
          {at("lon", "Longitude", 9)}
        </span>
      ) : null}
    </>
  );
}

/** The corners of an area, its drawing, and places taken from where devices are. */
export function Area({ place, put }) {
  const { profiles, document } = useDesk();
  const profileId = profiles.find((each) => each.key === document.scope?.profile)?.id;
  const { circle, polygon } = place.of;
  const middle = ([lat, lon]) => put(["place", "of", "circle"], { ...circle, lat, lon });
  const corner = (at) => put(["place", "of", "polygon"], withCorner(polygon, at));
  return (
    <>
      <WhereNow metric={place.metric} profileId={profileId} words={circle ? "around where a device is now" : "a corner where a device is now"} onTake={circle ? middle : corner} />
      <div className="area">
        {polygon ? <Corners value={polygon} onChange={(corners) => put(["place", "of", "polygon"], corners)} /> : null}
        <Drawing of={place.of} metric={place.metric} onMove={(i, at) => put(["place", "of", "polygon"], polygon.map((each, other) => (other === i ? at : each)))} />
      </div>
    </>
  );
}

/** Nobody knows coordinates by heart: a place is taken from a device that stands there. `metric` null: any that says a place. */
export function WhereNow({ metric, profileId, words, onTake }) {
  const { queries } = useDesk();
  const [isAsking, setAsking] = useState(false);
  const [said, setSaid] = useState({ words: "", isBad: false });
  const box = useRef(null);
  useEffect(() => {
    if (isAsking) box.current.querySelector("input").focus();
  }, [isAsking]);
  const take = async (id) => {
    try {
      const { device } = await ask(queries.standing, { id });
      const at = standing(device.latest, metric);
      if (!at) return setSaid({ words: `${device.name} has not said yet where it is.`, isBad: true });
      onTake(at);
      setAsking(false);
      setSaid({ words: `Taken from ${device.name}: ${at.join(", ")}`, isBad: false });
    } catch (failure) {
      setSaid({ words: failure.message, isBad: true });
    }
  };
  return (
    <div className="clause where-now" ref={box}>
      {isAsking ? (
        <>
          <span>where</span>
          <DevicePick value={null} profileId={profileId} label="The device that is there now" onChange={take} />
          <span>is now</span>
          <Remove label="Write it instead" onClick={() => setAsking(false)} />
        </>
      ) : (
        <Offer onClick={() => (setAsking(true), setSaid({ words: "", isBad: false }))}>{words}</Offer>
      )}
      <span className={said.isBad ? "clause-problem" : "small muted"} role="status">
        {said.words}
      </span>
    </div>
  );
}

/** The corners, a line each. What is no corner stays as it was written, and is said. */
function Corners({ value, onChange }) {
  const [text, setText] = useState(() => textOf(value));
  const id = useId();
  const { problems } = read(text);
  useEffect(() => {
    if (JSON.stringify(read(text).corners) !== JSON.stringify(value)) setText(textOf(value));
  }, [value]);
  const change = (event) => {
    setText(event.target.value);
    onChange(read(event.target.value).corners);
  };
  return (
    <div className="corners">
      <label className="small muted" htmlFor={id}>
        Its corners, a line each: latitude, longitude
      </label>
      <textarea id={id} className="textarea input mono" rows={Math.min(Math.max(value.length + 1, 4), 12)} spellCheck={false} value={text} placeholder="52.52, 13.405" aria-invalid={problems.length > 0 || undefined} onChange={change} />
      {problems.map((words) => (
        <p className="clause-problem" role="alert" key={words}>
          {words}
        </p>
      ))}
    </div>
  );
}

/** Where the devices that are watched were last: [{name, at}]. */
function useWhereabouts(metric) {
  const { document, profiles, queries } = useDesk();
  const [found, setFound] = useState([]);
  const profileId = profiles.find((each) => each.key === document.scope?.profile)?.id ?? null;
  useEffect(() => {
    const controller = new AbortController();
    ask(queries.whereabouts, { profileId }, controller.signal)
      .then(({ devices }) => setFound(devices.items.map(({ name, latest }) => ({ name, at: positionOf(latest.find((each) => each.metric === metric)?.value) })).filter(({ at }) => at)))
      .catch(() => {});
    return () => controller.abort();
  }, [profileId, metric]);
  return found;
}

const distance = (metres) => (metres >= 1000 ? `${(metres / 1000).toLocaleString(undefined, { maximumSignificantDigits: 2 })} km` : `${Math.round(metres)} m`);
const spoken = (at) => at.map((part) => part.toFixed(5)).join(", ");
const BAR_PX = 90;

/** How long a stretch of the drawing is in the world. */
function Bar({ perPx, height }) {
  const { metres, px } = barOf(perPx, BAR_PX);
  const [x, y] = [8, height - 7];
  return (
    <g className="area-bar">
      <path d={`M${x} ${y - 4}v4h${px}v-4`} />
      <text x={x + px + 5} y={y + 1}>
        {distance(metres)}
      </text>
    </g>
  );
}

/** Dots with names; a name that would lie on another shows on hover only. */
function Dots({ devices, points, width }) {
  const beside = namesAt(devices.map(({ name }) => name), points, width);
  return points.map((point, i) => {
    if (!point) return null;
    const [{ name, at }, label] = [devices[i], beside[i]];
    return (
      <g key={name + i}>
        <circle className="area-device" cx={point[0]} cy={point[1]} r="4.5">
          <title>{`${name}: ${spoken(at)}`}</title>
        </circle>
        {label ? (
          <text className="area-name" x={label[0]} y={label[1]} textAnchor={label[2]}>
            {name}
          </text>
        ) : null}
      </g>
    );
  });
}

const counted = (count, one, many) => (count === 1 ? `1 ${one}` : `${count} ${many}`);

/** What of the devices is drawn. */
function dotWords(devices, far) {
  if (!devices.length) return "No device has said yet where it is.";
  const away = far ? `${counted(far, "device is", "devices are")} farther away than is drawn.` : "";
  return [far < devices.length ? "Dots: where the devices were last." : "", away].filter(Boolean).join(" ");
}

/** `onMove(i, place)`: a corner was dragged there. Who has no pointer writes the corners beside it. */
function Drawing({ of, metric, onMove }) {
  const devices = useWhereabouts(metric);
  const [drag, setDrag] = useState(null);
  const [over, setOver] = useState(null);
  const seen = drawn(of, devices.map(({ at }) => at), SIZE);
  if (!seen) return null;
  const [width, height] = SIZE;
  const whole = height + BAR_ROOM;
  const canMove = Boolean(of.polygon) && seen.corners.length === of.polygon.length;
  const corners = seen.corners.map((each, i) => (drag?.i === i ? drag.at : each));
  const within = (value, most) => Math.min(Math.max(value, 4), most - 4);
  const spotOf = (event) => {
    const svg = event.currentTarget.ownerSVGElement ?? event.currentTarget;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    return [within(x, width), within(y, whole)];
  };
  const handle = (i) => ({
    onPointerDown: (event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      setDrag({ i, at: seen.corners[i], isMoved: false });
    },
    onPointerMove: (event) => drag?.i === i && setDrag({ i, at: spotOf(event), isMoved: true }),
    onPointerUp: () => {
      if (drag?.isMoved) onMove(i, seen.where(drag.at));
      setDrag(null);
    },
    onPointerCancel: () => setDrag(null),
  });
  const look = (event) => setOver(seen.where(spotOf(event)));
  const far = seen.points.filter((each) => each === null).length;
  return (
    <figure>
      <svg viewBox={`0 0 ${width} ${whole}`} role="img" aria-label={`The area, about ${distance(seen.metres)} across, and where ${counted(devices.length, "device was", "devices were")} last.`} onPointerMove={look} onPointerDown={look} onPointerLeave={() => setOver(null)}>
        {seen.circle ? <circle className="area-shape" cx={seen.circle.at[0]} cy={seen.circle.at[1]} r={seen.circle.radius} /> : <polygon className="area-shape" points={corners.map((each) => each.join(",")).join(" ")} />}
        {corners.map(([x, y], i) => (
          <text className="area-corner" key={`name ${i}`} x={x} y={y} dy={y < height / 2 ? -8 : 15} textAnchor="middle">
            {i + 1}
          </text>
        ))}
        <Dots devices={devices} points={seen.points} width={width} />
        {canMove ? corners.map(([x, y], i) => <circle className="area-handle" key={`corner ${i}`} cx={x} cy={y} r="5" {...handle(i)} />) : null}
        <Bar perPx={seen.perPx} height={whole} />
        {over ? (
          <text className="area-over" x={width - 6} y={whole - 6} textAnchor="end" aria-hidden="true">
            {spoken(over)}
          </text>
        ) : null}
      </svg>
      <figcaption className="small muted">
        North is up. {canMove ? "Drag a corner to move it. " : ""}
        {dotWords(devices, far)}
      </figcaption>
    </figure>
  );
}
