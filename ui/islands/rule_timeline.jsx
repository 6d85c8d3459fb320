// When a rule fired that has no number to draw: a line for each device, its firings marked.
import { useDesk } from "./rule_desk.js";
import { metricsRead } from "./rule_model.js";
import { Pick } from "./rule_pieces.jsx";
import { Pointed, usePointing } from "./rule_point.jsx";
import { ends, rowsOf, timeScale, times } from "./rule_time.js";

const W = 1000;
const H = 26;

export function Timeline({ device, devices, setDevice, episodes, result, span, setSpan }) {
  const { document } = useDesk();
  const { rows, left } = rowsOf(episodes, device);
  const canKeep = device && metricsRead(document).length > 0;
  if (!episodes.length && !canKeep) return null;
  const scale = timeScale(episodes, result, W);
  const point = (id) => (next) => {
    setDevice(id);
    setSpan(next, id);
  };
  return (
    <figure className="marked timeline">
      <figcaption className="small muted">{episodes.length ? "When it would have fired, device by device:" : "Nothing to mark in this time."}</figcaption>
      <ul>
        {rows.map((row) => (
          <Row key={row.device.id} {...row} scale={scale} span={canKeep && row.device.id === device?.id ? span : null} setSpan={canKeep ? point(row.device.id) : null} />
        ))}
      </ul>
      <p className="timeline-foot small muted">{ends(scale.first, result.to).join(" to ")}</p>
      {left ? <p className="small muted">{left === 1 ? "1 more device" : `${left} more devices`} below.</p> : null}
      {canKeep ? (
        <>
          {devices.length > 1 ? (
            <div className="row bench-row small">
              <span>A time of</span>
              <Pick label="Device of that time" value={device.id} options={devices.map((each) => [each.id, each.name])} onChange={setDevice} />
            </div>
          ) : null}
          <Pointed device={device} span={span} setSpan={setSpan} result={result} />
        </>
      ) : null}
    </figure>
  );
}

/** The lines alone, with nothing to point at. */
export function Rows({ rows, left, result }) {
  const scale = timeScale(rows.flatMap((each) => each.episodes), result, W);
  return (
    <div className="marked timeline">
      <ul>
        {rows.map((row) => (
          <Row key={row.device.id} {...row} scale={scale} />
        ))}
      </ul>
      <p className="timeline-foot small muted">{ends(scale.first, result.to).join(" to ")}</p>
      {left ? <p className="small muted">{left === 1 ? "1 more device" : `${left} more devices`}.</p> : null}
    </div>
  );
}

function Row({ device, episodes, scale, span, setSpan }) {
  const [point, half] = usePointing(scale, setSpan ?? (() => {}));
  const { x } = scale;
  const end = (each) => (each.clearedAt ? x(Date.parse(each.clearedAt)) : W);
  return (
    <li>
      <span className="timeline-name small">{device.name}</span>
      <div className={setSpan ? "timeline-bar marked-pointed" : "timeline-bar"} role="img" aria-label={`${device.name}: it would ${episodes.length ? `have fired ${times(episodes.length)}` : "not have fired"}.`}>
        <svg viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true" {...(setSpan ? point : {})}>
          <rect className="marked-ground" x="0" y="0" width={W} height={H} />
          {episodes.map((each) => {
            const from = Math.max(0, x(Date.parse(each.raisedAt)));
            return <rect key={each.raisedAt} className="timeline-mark" x={Math.min(from, W - 6)} y="0" width={Math.max(6, end(each) - from)} height={H} />;
          })}
          {span ? <rect className="marked-span" x={x(span.from)} y="0" width={Math.max(3, x(span.to) - x(span.from))} height={H} /> : null}
          {half === null ? null : <line className="marked-half" x1={x(half)} x2={x(half)} y1="0" y2={H} />}
        </svg>
      </div>
      <span className="timeline-count small num">{episodes.length}</span>
    </li>
  );
}
