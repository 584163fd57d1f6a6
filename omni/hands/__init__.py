"""What brains may do on this machine, and the walls around it. Importing this costs nothing.

policy    what a command may read, write and take          sandbox   running a command behind these walls, as a front end does it
inside    the process that puts the walls up               host      the process that starts those, for all front ends of a home
mounts    what a command sees of the file system           walls     what it may ask of the kernel, and how much it may take
attempts  every wall tried from inside
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hands.attempts import WallAttempt, try_walls, walls_here
    from omni.hands.policy import SandboxPolicy, policy_for
    from omni.hands.sandbox import OutputChunk, SandboxLayers, ToolEnded, ToolSandbox

__getattr__, __dir__ = lazy(
    __name__,
    attempts="WallAttempt try_walls walls_here",
    policy="SandboxPolicy policy_for",
    sandbox="OutputChunk SandboxLayers ToolEnded ToolSandbox",
)
