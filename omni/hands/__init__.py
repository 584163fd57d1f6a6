"""What brains may do on this machine, and the walls around it. Importing this costs nothing.

acts            what somebody wants to do                 consent         whether it is allowed, asked about or denied
rules           what is allowed, asked and denied         rule_book       where rules lie
shell_grammar   what a line for bash says                 shell_commands  what it really does
shell_programs  what is known of programs                 located_paths   where paths lead, and which hold keys
opening         opening what was approved

policy    what a command may read, write and take          sandbox   running a command behind these walls, as a front end does it
inside    the process that puts the walls up               host      the process that starts those, for all front ends of a home
mounts    what a command sees of the file system           walls     what it may ask of the kernel, and how much it may take
attempts  every wall tried from inside
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hands.acts import ToolAct, Verdict
    from omni.hands.attempts import WallAttempt, try_walls, walls_here
    from omni.hands.consent import ActPart, ConsentJudge, Judgement, consent_record
    from omni.hands.opening import open_approved
    from omni.hands.policy import SandboxPolicy, policy_for, project_of
    from omni.hands.rule_book import RuleBook
    from omni.hands.rules import ConsentRule, Scope, rule_of
    from omni.hands.sandbox import OutputChunk, SandboxLayers, ToolEnded, ToolSandbox

__getattr__, __dir__ = lazy(
    __name__,
    acts="ToolAct Verdict",
    attempts="WallAttempt try_walls walls_here",
    consent="ActPart ConsentJudge Judgement consent_record",
    opening="open_approved",
    policy="SandboxPolicy policy_for project_of",
    rule_book="RuleBook",
    rules="ConsentRule Scope rule_of",
    sandbox="OutputChunk SandboxLayers ToolEnded ToolSandbox",
)
