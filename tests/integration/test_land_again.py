"""Keys that a vendor failed at are asked for once more at the end of their batch, before they count as failures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from closingbell.hooks.answer import Answer
from closingbell.hooks.errors import BadAnswer, ServerError, VendorError
from closingbell.pipelines import base
from closingbell.pipelines.base import Run
from closingbell.warehouse import failures

AT = datetime(2025, 12, 5, 23, tzinfo=UTC)


@pytest.fixture
def land(database, landing) -> Callable[..., set[str]]:
    """land(key=[errors that come before its answer]): the keys that landed, each asked for once or twice."""
    run = Run(dag_id="d", run_id="r", partition_key="k", engine=database, landing=landing)

    def land(**before: list[VendorError]) -> set[str]:
        def fetch(key: str) -> Answer:
            if before[key]:
                raise before[key].pop(0)
            return Answer(
                vendor="v", endpoint="e", key=key, request={"method": "GET"}, body=b"{}", content_type=None,
                answered_at=AT, fetched_at=AT,
            )  # fmt: skip

        return set(base.land_each(run, "e", "v", list(before), fetch))

    return land


def down(key: str, retry_after: float | None = None) -> ServerError:
    return ServerError("v", "e", key, 503, "down", retry_after=retry_after)


@pytest.mark.parametrize(("asked", "seconds"), [(None, 60), (30, 60), (90, 90), (86400, 600)])
def test_a_key_that_the_vendor_failed_at_is_asked_again_when_it_said_within_ten_minutes(
    land, waited, database, asked, seconds
):
    assert land(a=[], b=[down("b", asked)], c=[down("c")]) == {"a", "b", "c"}
    assert waited == [seconds]
    assert failures.pending(database, "v", "e") == []


def test_a_key_that_fails_again_and_one_that_asking_does_not_help_are_failures(land, waited, database):
    bad = BadAnswer("v", "e", "c", 200, "a page")
    assert land(a=[], b=[down("b"), down("b")], c=[bad]) == {"a"}
    assert waited == [60]
    assert failures.pending(database, "v", "e") == ["b", "c"]


def test_a_batch_without_one_answer_is_left_to_the_tasks_retries_which_wait_as_long_as_was_asked(
    land, waited, database
):
    with pytest.raises(VendorError, match="none of 2 answers came") as raised:
        land(a=[down("a")], b=[down("b", 1800)])
    assert (waited, raised.value.retry_after) == ([], 1800)
    assert failures.pending(database, "v", "e") == ["a", "b"]
