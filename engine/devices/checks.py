"""What may describe a device or a profile: labels and metrics, checked before they are stored."""

import math
from collections.abc import Mapping, Sequence

from engine.devices import errors
from engine.devices.model import Metric, MetricType


def checked_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """``labels`` as they are stored; raises LabelsMalformed."""
    pairs = dict(labels)
    if len(pairs) > 20 or not all(
        isinstance(v, str) and 1 <= len(k) <= 40 and len(v) <= 120 and "\0" not in k + v for k, v in pairs.items()
    ):
        raise errors.LabelsMalformed
    return pairs


def checked_metrics(metrics: Sequence[Metric]) -> list[dict[str, object]]:
    """``metrics`` as they are stored; raises MetricsMalformed, which names the first that is wrong."""
    if len(metrics) > 200 or len({m.key for m in metrics}) != len(metrics):
        raise errors.MetricsMalformed
    return [_checked_metric(m) for m in metrics]


def _checked_metric(metric: Metric) -> dict[str, object]:
    bounds = [b for b in (metric.min, metric.max) if b is not None]
    texts = [metric.key, metric.label, metric.unit or ""]
    if (
        not 1 <= len(metric.key) <= 64
        or any(len(t) > 120 or "\0" in t for t in texts)
        or any(not math.isfinite(b) for b in bounds)
        or (bounds and metric.type is not MetricType.NUMBER)
        or (len(bounds) == 2 and bounds[0] >= bounds[1])
    ):
        raise errors.MetricsMalformed(f"The metric {metric.key!r} is not well described.", metric=metric.key)
    stated = {"label": metric.label or None, "unit": metric.unit, "min": metric.min, "max": metric.max}
    return {"key": metric.key, "type": str(metric.type), **{k: v for k, v in stated.items() if v is not None}}
