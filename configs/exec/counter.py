"""Counts from where it was: a record per second, as a source for exec-source."""

import json
import os
import time

number = json.loads(os.environ.get("TOCSIN_OFFSET", "0"))
while True:
    number += 1
    print(json.dumps({"key": "counter", "value": {"number": number}, "offset": number}), flush=True)
    time.sleep(1)
