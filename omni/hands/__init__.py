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

tool       what a tool is: a plan that can be judged, then done     tools      the tools themselves, toolset all of them
workplace  where tools work                                         changes    changes to files, shown first, taken back later
artifacts  what tools returned, whole                               personal   what a command of this person gets
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.hands.acts import ToolAct, Verdict
    from omni.hands.artifacts import LONGEST_RESULT, Artifacts, trimmed
    from omni.hands.attempts import WallAttempt, try_walls, walls_here
    from omni.hands.changes import ChangeLog, ChangeRecord, FileChange
    from omni.hands.consent import ActPart, ConsentJudge, Judgement, consent_record
    from omni.hands.located_paths import SKIPPED
    from omni.hands.opening import open_approved
    from omni.hands.personal import policy_here, scratch_folder
    from omni.hands.policy import SandboxPolicy, is_secret, policy_for, project_of, shell_command
    from omni.hands.rule_book import RuleBook
    from omni.hands.rules import ConsentRule, Scope, rule_of
    from omni.hands.sandbox import OutputChunk, SandboxLayers, ToolEnded, ToolSandbox
    from omni.hands.surgeon.edits import SymbolEdit, edited
    from omni.hands.surgeon.languages import language_of
    from omni.hands.surgeon.snippets import read_snippet
    from omni.hands.surgeon.symbols import outline
    from omni.hands.surgeon.syntax import problem_of
    from omni.hands.tool import HandTool, PersonQuestion, Progress, ToolPlan, ToolResult
    from omni.hands.tools.writing import changing, in_style_of
    from omni.hands.toolset import all_tools
    from omni.hands.workplace import Workplace

__getattr__, __dir__ = lazy(
    __name__,
    **{
        "surgeon.edits": "SymbolEdit edited",
        "surgeon.languages": "language_of",
        "surgeon.snippets": "read_snippet",
        "surgeon.symbols": "outline",
        "surgeon.syntax": "problem_of",
        "tools.writing": "changing in_style_of",
    },
    acts="ToolAct Verdict",
    artifacts="LONGEST_RESULT Artifacts trimmed",
    attempts="WallAttempt try_walls walls_here",
    changes="ChangeLog ChangeRecord FileChange",
    consent="ActPart ConsentJudge Judgement consent_record",
    located_paths="SKIPPED",
    opening="open_approved",
    personal="policy_here scratch_folder",
    policy="SandboxPolicy is_secret policy_for project_of shell_command",
    rule_book="RuleBook",
    rules="ConsentRule Scope rule_of",
    sandbox="OutputChunk SandboxLayers ToolEnded ToolSandbox",
    tool="HandTool PersonQuestion Progress ToolPlan ToolResult",
    toolset="all_tools",
    workplace="Workplace",
)
