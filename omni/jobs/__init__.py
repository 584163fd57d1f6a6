"""Long work that belongs to nobody who looks at it: a turn, a pull, an export, a verification.

job       work that runs, and what it has told        offering  the socket on which a process offers its jobs
registry  the jobs of this process                    remote    the jobs of the others
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.jobs.job import Job, JobInfo, Question
    from omni.jobs.registry import Jobs
    from omni.jobs.remote import RemoteJob

__getattr__, __dir__ = lazy(__name__, job="Job JobInfo Question", registry="Jobs", remote="RemoteJob")
