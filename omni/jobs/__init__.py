"""Long work that belongs to nobody who looks at it: a turn, a pull, an export, a verification.

    job       work that runs, and what it has told        offering  the socket on which a process offers its jobs
    registry  the jobs of this process                    remote    the jobs of the others
    words     what a job does, for people

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.jobs.job import Job, JobInfo, Question
    from omni.jobs.registry import Jobs
    from omni.jobs.remote import RemoteJob
    from omni.jobs.words import work_words

_PLACES = {
    "Job": "job",
    "JobInfo": "job",
    "Jobs": "registry",
    "Question": "job",
    "RemoteJob": "remote",
    "work_words": "words",
}

__all__ = ["Job", "JobInfo", "Jobs", "Question", "RemoteJob", "work_words"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
