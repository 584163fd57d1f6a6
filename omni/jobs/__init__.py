"""Long work that belongs to nobody who looks at it: a turn, a pull, an export, a verification.

job       work that runs, and what it has told        offering  the socket on which a process offers its jobs
registry  the jobs of this process                    remote    the jobs of the others
words     what a job does, for people
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.jobs.job import Job, JobInfo, Question
    from omni.jobs.registry import Jobs
    from omni.jobs.remote import RemoteJob
    from omni.jobs.words import work_kind, work_words

__getattr__, __dir__ = lazy(
    __name__, job="Job JobInfo Question", registry="Jobs", remote="RemoteJob", words="work_kind work_words"
)
