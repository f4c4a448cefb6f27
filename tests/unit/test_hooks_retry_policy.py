"""What a task does after each refusal of a vendor."""

from __future__ import annotations

from datetime import timedelta

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction

from closingbell.connections import ConnectionMissing
from closingbell.hooks import errors
from closingbell.orchestration.retry import VendorRetryPolicy


def _decide(error: BaseException, try_number: int = 1):
    return VendorRetryPolicy().evaluate(error, try_number, 2)


def _error(kind: type[errors.VendorError], retry_after: float | None = None) -> errors.VendorError:
    return kind("polygon", "grouped_daily", "2025-11-28", 400, "because", retry_after=retry_after)


@pytest.mark.parametrize("kind", [errors.RateLimited, errors.ServerError])
def test_busy_and_broken_vendors_are_asked_again_exponentially(kind):
    delays = [_decide(_error(kind), number).retry_delay for number in (1, 2, 3)]
    assert delays == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]


def test_retry_after_is_honoured_however_long():
    assert _decide(_error(errors.RateLimited, 7200)).retry_delay == timedelta(hours=2)
    assert _decide(_error(errors.RateLimited, 5)).retry_delay == timedelta(minutes=1)


def test_secs_throttle_page_waits_ten_minutes():
    decision = _decide(_error(errors.ThrottlePage, 600))
    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(minutes=10))


@pytest.mark.parametrize("kind", [errors.AuthFailed, errors.NotFound, errors.BadAnswer])
def test_what_does_not_mend_fails_at_once_with_the_reason(kind):
    decision = _decide(_error(kind))
    assert decision.action is RetryAction.FAIL
    assert decision.reason == "polygon grouped_daily 2025-11-28 (HTTP 400): because"


def test_a_missing_connection_fails_at_once():
    assert _decide(ConnectionMissing("no connection 'polygon'")).action is RetryAction.FAIL


def test_other_failures_take_the_tasks_own_retries():
    assert _decide(RuntimeError("disk")).action is RetryAction.DEFAULT


def test_the_provider_is_of_airflows_schema_and_its_classes_exist():
    import json
    from importlib import import_module
    from pathlib import Path

    import airflow
    import jsonschema

    from closingbell.orchestration.provider_info import get_provider_info

    described = get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(described, schema)
    for one in described["connection-types"]:
        module, _, name = one["hook-class-name"].rpartition(".")
        hook = getattr(import_module(module), name)
        assert hook.conn_type == one["connection-type"]
        assert hook.hook_name == one["hook-name"]
