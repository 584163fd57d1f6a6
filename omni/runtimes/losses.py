"""A device that was lost in the middle of an answer, and when it may be used again.

Nobody can tell from here whether a driver crashed once, a card was taken out, or one is about to die. So the device rests: for
some hours, and longer each time that it is lost again soon after it came back. A machine that was started anew has its drivers
loaded anew, which ends the first rest.
"""

import time
from pathlib import Path

import msgspec

FIRST_REST = 6 * 3600.0  # seconds, after a first loss
LONGER = 4.0  # times as long, each time that it is lost again
LONGEST_REST = 30 * 86400.0
FORGOTTEN = 7 * 86400.0  # seconds after a rest: what is lost later than that counts as lost for the first time


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A time, in seconds since 1970, and which start of the machine it is in ("" where the system does not tell)."""

    now: float
    boot: str = ""

    @classmethod
    def here(cls) -> "Moment":
        """Now, on this machine."""
        try:
            boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        except OSError:
            boot = ""
        return cls(now=time.time(), boot=boot)


class DeviceLoss(msgspec.Struct, frozen=True, kw_only=True):
    """When a device was lost, at which start of the machine, how many times in a row, and what was seen of it."""

    at: float
    boot: str = ""
    times: int = 1
    words: str = ""

    @property
    def rest_words(self) -> str:
        """How long it rests, as the end of a sentence about its engine."""
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.until))
        sooner = " or the next start of the machine" if self.times <= 1 and self.boot else ""
        often = f", {self.times} times in a row" if self.times > 1 else ""
        return f"{self.words}{often}; its device rests until {until}{sooner}, or `omni engine try`"

    @property
    def until(self) -> float:
        """When its rest is over, in seconds since 1970."""
        rest = FIRST_REST * LONGER ** min(max(self.times - 1, 0), 10)
        return self.at + min(rest, LONGEST_REST)

    def holds(self, moment: Moment) -> bool:
        """Whether the device still rests. A clock that was set back before the loss ends it."""
        if self.times <= 1 and self.boot and moment.boot and self.boot != moment.boot:
            return False
        return self.at <= moment.now < self.until


def lost(words: str, moment: Moment, before: DeviceLoss | None = None) -> DeviceLoss:
    """A loss now, after the one `before` where there was one; that one itself where it still rests: several front ends tell of one
    crash."""
    if before is not None and before.holds(moment):
        return before
    again = before is not None and before.at <= moment.now < before.until + FORGOTTEN
    times = before.times + 1 if before is not None and again else 1
    return DeviceLoss(at=moment.now, boot=moment.boot, times=times, words=words)
