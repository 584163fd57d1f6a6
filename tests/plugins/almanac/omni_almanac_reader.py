"""The almanac's own process: reads a text that may be long, and finds the dates in it."""

import re

from omni.helpers import HelperChannel

DATE = re.compile(
    r"\b\d{1,2} (?:January|February|March|April|May|June|July|August|September|October|November|December)\b.*"
)


def run(channel: HelperChannel) -> None:
    """One request is one text; what comes of it are its dates, and at last how many they are."""
    for request in channel.requests():
        if not isinstance(request.value, str):
            request.fail("The almanac reads a text.", hint="As in: omni plugin run almanac.reader '\"6 May: all\"'")
            continue
        lines = request.value.splitlines()
        dates = 0
        for number, line in enumerate(lines, 1):
            if request.cancelled:
                break
            if date := DATE.search(line):
                dates += 1
                request.send(date[0])
            request.progress(number, len(lines), "lines")
        request.reply(dates)
