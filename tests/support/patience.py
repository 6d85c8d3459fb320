"""How long tests wait for what must happen: a machine that does other things as well may stand still for seconds."""

PATIENCE_S = 60.0

TOLD_S = 15.0
"""For what is to happen because somebody is told of it. Whoever is not told looks again of their own accord, but only
after `RECHECK_S` = 30. That it takes less than two seconds is measured where nothing else runs (infra.bench.cut).
"""
