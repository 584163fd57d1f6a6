"""Brains of random numbers that have a layer which drafts (multi-token prediction), of the families that have one: as GLM 4 lays it
out, and as Qwen 3.5 does, whose other layers keep a state. Theirs takes what comes next for what was just said, which is often so
in the first and hardly ever in the second."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.small_brain import FEED, HEADS, KV_HEADS, LAYERS, WIDTH, write_brain

Shapes = dict[str, tuple[int, ...]]
_HEAD = WIDTH // HEADS
_KEYS = _HEAD * KV_HEADS
_NEXT: Shapes = {
    "nextn.eh_proj.weight": (2 * WIDTH, WIDTH),
    "nextn.enorm.weight": (WIDTH,),
    "nextn.hnorm.weight": (WIDTH,),
}
_NORMS: Shapes = {"attn_norm.weight": (WIDTH,), "post_attention_norm.weight": (WIDTH,)}


def _dense(suffix: str, width: int, experts: tuple[int, ...] = ()) -> Shapes:
    return {
        f"ffn_gate{suffix}.weight": (WIDTH, width, *experts),
        f"ffn_up{suffix}.weight": (WIDTH, width, *experts),
        f"ffn_down{suffix}.weight": (width, WIDTH, *experts),
    }


def _attention(queries: int) -> Shapes:
    return {
        "attn_q.weight": (WIDTH, queries),
        "attn_k.weight": (WIDTH, _KEYS),
        "attn_v.weight": (WIDTH, _KEYS),
        "attn_output.weight": (WIDTH, WIDTH),
    }


def write_glm(starter: Path, target: Path) -> Path:
    """A mixture of experts in the layer that drafts; the others are dense."""
    common = _NORMS | _attention(WIDTH)
    drafting = common | _NEXT | _dense("_exps", WIDTH, (2,)) | _dense("_shexp", WIDTH)
    drafting |= {"ffn_gate_inp.weight": (WIDTH, 2), "exp_probs_b.bias": (2,)}
    numbers = {
        "block_count": LAYERS + 1, "nextn_predict_layers": 1, "leading_dense_block_count": LAYERS, "expert_count": 2,
        "expert_used_count": 1, "expert_shared_count": 1, "expert_feed_forward_length": WIDTH,
    }  # fmt: skip
    return write_brain(starter, target, "glm4moe", numbers, [*([common | _dense("", FEED)] * LAYERS), drafting])


def write_qwen(starter: Path, target: Path) -> Path:
    """A layer that keeps a state, one that attends, and the one that drafts."""
    common = _NORMS | _dense("", FEED)
    attending = common | _attention(2 * WIDTH) | {"attn_q_norm.weight": (_HEAD,), "attn_k_norm.weight": (_HEAD,)}
    keeping: Shapes = common | {
        "attn_qkv.weight": (WIDTH, 2 * WIDTH), "attn_gate.weight": (WIDTH, WIDTH), "ssm_conv1d.weight": (4, 2 * WIDTH),
        "ssm_dt.bias": (4,), "ssm_a": (4,), "ssm_beta.weight": (WIDTH, 4), "ssm_alpha.weight": (WIDTH, 4),
        "ssm_norm.weight": (16,), "ssm_out.weight": (WIDTH, WIDTH),
    }  # fmt: skip
    numbers = {
        "block_count": 3, "nextn_predict_layers": 1, "full_attention_interval": 2, "attention.key_length": _HEAD,
        "attention.value_length": _HEAD, "ssm.conv_kernel": 4, "ssm.state_size": 16, "ssm.group_count": 2,
        "ssm.time_step_rank": 4, "ssm.inner_size": WIDTH,
    }  # fmt: skip
    layers = [keeping, attending, attending | _NEXT]
    return write_brain(starter, target, "qwen35", numbers, layers, sections=(3, 3, 2, 0))


FAMILIES: Mapping[str, Callable[[Path, Path], Path]] = {"glm4moe": write_glm, "qwen35": write_qwen}
