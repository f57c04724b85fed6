"""Reads or writes EPICS channels: `get PV …` or `put PV VALUE …`; one line of JSON for each channel read."""

import json
import sys

from caproto.sync.client import read, write

TIMEOUT = 5


def value_of(text):
    """What is meant by a word: a number, else a string."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def plain(values):
    """A value that JSON can carry; a single one stands for itself."""
    values = values.tolist() if hasattr(values, "tolist") else list(values)
    values = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    return values[0] if len(values) == 1 else values


action, words = sys.argv[1], sys.argv[2:]
if action == "put":
    for pv, value in zip(words[::2], words[1::2]):
        # With a notification, so that the record has been processed when this returns.
        write(pv, value_of(value), notify=True, timeout=TIMEOUT, repeater=False)
else:
    for pv in words:
        answer = read(pv, data_type="time", timeout=TIMEOUT, repeater=False)
        print(
            json.dumps(
                {
                    "value": plain(answer.data),
                    "severity": int(answer.metadata.severity),
                    "status": int(answer.metadata.status),
                }
            )
        )
