"""What a job does, as a person reads it."""

from collections.abc import Mapping

from omni.jobs.job import JobInfo

_WORK = {
    "turn": "an answer in",
    "pull": "a download of",
    "verify": "a check of",
    "export": "an export of",
    "helper": "a run of",
}


def work_words(job: JobInfo, titles: Mapping[str, str] = {}) -> str:
    """`a download of @omni/coder`, `an answer in "Greetings"`; `titles` are those of conversations, by their ids."""
    about = f'"{titles[job.about]}"' if titles.get(job.about) else job.about
    return f"{_WORK.get(job.kind, job.kind)} {about}"
