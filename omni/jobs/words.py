"""What a job does, as a person reads it."""

from collections.abc import Mapping

from omni.jobs.job import JobInfo

_WORK = {  # kind -> in a word, and before what it is about
    "turn": ("answer", "an answer in"),
    "pull": ("download", "a download of"),
    "verify": ("check", "a check of"),
    "export": ("export", "an export of"),
    "helper": ("run", "a run of"),
    "build": ("build", "a build of the engine"),
    "quantise": ("quantisation", "a quantisation of"),
}


def work_words(job: JobInfo, titles: Mapping[str, str] = {}) -> str:
    """`a download of @omni/coder`, `an answer in "Greetings"`; `titles` are those of conversations, by their ids."""
    about = f'"{titles[job.about]}"' if titles.get(job.about) else job.about
    return f"{_WORK.get(job.kind, ('', job.kind))[1]} {about}"


def work_kind(job: JobInfo) -> str:
    """What it is in a word: `download`."""
    return _WORK.get(job.kind, (job.kind, ""))[0]
