"""Agents: what a brain is told to be, what it may call, and the work that comes of it.

spec       an agent, and the file that says it          book     where agents are found
toolbox    the tools of one turn                        work     a task, as a job that any front end may watch

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.agents.book import AgentBook
    from omni.agents.spec import AgentSpec, read_agent
    from omni.agents.toolbox import Toolbox
    from omni.agents.work import begin_work

__getattr__, __dir__ = lazy(
    __name__,
    book="AgentBook",
    spec="AgentSpec read_agent",
    toolbox="Toolbox",
    work="begin_work",
)
