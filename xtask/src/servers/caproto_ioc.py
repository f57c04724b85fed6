"""An IOC that is not EPICS Base's: `NAME VALUE …`, each a number with a minor alarm over 80 and a major one over 90."""

import sys

from caproto import ChannelDouble
from caproto.asyncio.server import run

LIMITS = {"upper_warning_limit": 80.0, "upper_alarm_limit": 90.0}

words = sys.argv[1:]
run(
    {name: ChannelDouble(value=float(value), **LIMITS) for name, value in zip(words[::2], words[1::2])},
    interfaces=["127.0.0.1"],
)
