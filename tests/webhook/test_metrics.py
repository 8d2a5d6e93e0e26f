"""Metrics as text, and log lines: what others wrote reaches neither as markup or control characters."""

from __future__ import annotations

import json
import logging

from stripe_reports_source.webhook import metrics
from stripe_reports_source.webhook.json_log import JsonLines
from stripe_reports_source.webhook.metrics import Metrics


def test_a_label_cannot_end_its_line_or_its_quotes() -> None:
    counted = Metrics()
    counted.add(metrics.ROWS, 3, 'a"} 1\nb\\')
    lines = counted.text({}).splitlines()
    assert 'stripe_reports_webhook_rows_total{table="a\\"} 1\\nb\\\\"} 3' in lines


def test_a_log_record_is_a_line_without_control_characters() -> None:
    text = "\x1b[2J\x9b31m\u202ered\u2028\nsecond line"
    record = logging.makeLogRecord({"name": "stripe_reports_source.x", "msg": text, "levelname": "ERROR", "run": text})
    line = JsonLines().format(record)
    assert line.isprintable()
    assert json.loads(line)["run"] == text
