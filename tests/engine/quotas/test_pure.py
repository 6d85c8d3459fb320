"""Buckets and shares: how much is left, and how one quota is split among processes that cannot wait for each other."""

from engine.quotas.bucket import Bucket
from engine.quotas.shares import share


def test_a_bucket_gives_what_it_holds_and_then_says_how_long_to_wait() -> None:
    bucket = Bucket(per_second=10, burst=20, at=0.0)
    assert bucket.take(20, at=0.0) == 0.0
    assert bucket.take(5, at=0.0) == 0.5
    assert bucket.take(5, at=0.5) == 0.0
    assert bucket.left(at=100.0) == 20


def test_more_than_a_bucket_holds_is_let_through_once_it_is_full_and_owed() -> None:
    bucket = Bucket(per_second=10, burst=20, at=0.0)
    assert bucket.take(50, at=0.0) == 0.0
    assert bucket.take(1, at=0.0) == 3.1
    assert bucket.take(50, at=4.0) == 1.0
    assert bucket.take(50, at=5.0) == 0.0


def test_a_bucket_that_is_made_smaller_keeps_no_more_than_it_holds() -> None:
    bucket = Bucket(per_second=10, burst=20, at=0.0)
    bucket.become(per_second=1, burst=2, at=0.0)
    assert bucket.left(at=0.0) == 2


def test_whoever_is_alone_or_far_from_the_limit_may_use_all_of_it() -> None:
    assert share(own=500, others=0, limit=100) == 1.0
    assert share(own=30, others=40, limit=100) == 1.0


def test_near_the_limit_each_gets_the_part_it_has_used() -> None:
    assert share(own=100, others=100, limit=100) == 0.5
    assert share(own=50, others=50, limit=100) == 0.5  # and stays there while both are slowed by it
    assert share(own=0.1, others=100, limit=100) == 0.05


def test_processes_that_split_a_quota_come_to_rest_at_it() -> None:
    """Both want more than there is; each round they use what they were given."""
    used = [100.0, 60.0]
    for _ in range(5):
        used = [100 * share(used[0], used[1], 100), 100 * share(used[1], used[0], 100)]
    assert sum(used) == 100.0
