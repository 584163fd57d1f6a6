"""Doubles of llama.cpp's tools, which print what the real ones of llama-cpp-python 0.3.36 print and write what a test gave them.

The real ones are used where `OMNI_TEST_LLAMA_TOOLS` names their folder.
"""

import os
import sys
from pathlib import Path

from omni.core.paths import Home
from omni.runtimes import Runtimes
from omni.runtimes.registry import pinned, write
from omni.runtimes.runtime import Runtime

NAMES = ("quantize", "imatrix", "perplexity")

QUANTIZE = """
import pathlib, shutil, sys
words = sys.argv[1:]
note(words)
if "--dry-run" in words:
    size = {"Q8_0": "0.30", "Q5_K_M": "0.20", "Q4_K_M": "0.10"}[words[-1]]
    print("llama_model_quantize_impl: model size  =     1.00 MiB (16.00 BPW)")
    print(f"llama_model_quantize_impl: quant size  =     {size} MiB (6.17 BPW)")
else:
    source, target, kind, threads = words[-4:]
    for number in (1, 2):
        print(f"[   {number}/   2] blk.0.attn_k.weight - [   576,    192,      1,      1], type =    f16, converting to q5_0 .. size =     0.21 MiB ->     0.07 MiB")
    shutil.copyfile(here / "small.gguf", target)
"""
IMATRIX = """
import pathlib, sys
words = sys.argv[1:]
note(words)
print("0.00.605.184 I compute_imatrix: computing over 2 chunks, n_ctx=256, batch_size=2048, n_seq=8")
pathlib.Path(words[words.index("-o") + 1]).write_bytes(b"weights")
"""
PERPLEXITY = """
import pathlib, sys
words = sys.argv[1:]
note(words)
base = pathlib.Path(words[words.index("--kl-divergence-base") + 1])
if "--kl-divergence" in words:
    assert base.read_bytes() == b"likelihoods"
    print((here / "divergence.txt").read_text())
elif len(pathlib.Path(words[words.index("-f") + 1]).read_text()) < 100:
    print("0.02.072.312 E perplexity: you need at least 1024 tokens to evaluate perplexity with a context of 512")
    print("0.02.072.314 E perplexity: the data file you provided tokenizes to only 73 tokens")
    sys.exit(1)
else:
    print("0.02.809.652 I perplexity: calculating perplexity over 4 chunks, n_ctx=512, batch_size=2048, n_seq=4")
    print("[1]44.9913,[2]56.9488,[3]63.7079,[4]52.9676,")
    print("0.50.296.628 I Final estimate: PPL = 52.9676 +/- 5.06139")
    base.write_bytes(b"likelihoods")
"""
DIVERGENCE = """chunk             PPL               ln(PPL(Q)/PPL(base))          KL Divergence              Δp RMS            Same top p
   1      47.2607 ±    9.4141       0.04921 ±    0.02616       0.05922 ±    0.00360     4.552 ±  0.565 %    89.020 ±  1.962 %

====== Perplexity statistics ======
Mean PPL(Q)                   :  56.177222 ±   5.470831
Mean PPL(base)                :  52.967607 ±   5.061388
Cor(ln(PPL(Q)), ln(PPL(base))):  99.28%
Mean ln(PPL(Q)/PPL(base))     :   0.058831 ±   0.011745
Mean PPL(Q)/PPL(base)         :   1.060596 ±   0.012457

====== KL divergence statistics ======
Mean    KLD:   0.055583 ±   0.001583
Maximum KLD:   0.520490
99.9%   KLD:   0.476619
99.0%   KLD:   0.289992
Median  KLD:   0.044538

====== Token probability statistics ======
Mean    Δp: -0.304 ± 0.138 %
99.0%   Δp: 10.779%
RMS Δp    :  4.418 ± 0.354 %
Same top p: 83.627 ± 1.159 %
"""
_HEAD = """#!{python}
import pathlib, sys
here = pathlib.Path({here!r})
def note(words):
    sys.stdout.flush()
    (pathlib.Path.cwd() / "calls").open("a").write({name!r} + " " + " ".join(words) + "\\n")
"""


class ToolDoubles:
    """An engine `built` whose tools are doubles; `calls` are those of a work folder."""

    def __init__(self, home: Home, small: bytes) -> None:
        self._home = home
        with Runtimes(home).adding("built") as folder:
            self.folder = home.engines / "built"
            bodies = dict(zip(NAMES, (QUANTIZE, IMATRIX, PERPLEXITY), strict=True))
            for name, body in bodies.items():
                self.put(folder, name, body)
            (folder / "small.gguf").write_bytes(small)
            (folder / "divergence.txt").write_text(DIVERGENCE)
            write(
                folder,
                Runtime(
                    name="built",
                    kind="llama_server",
                    version="0.3.36",
                    sha256="0" * 64,
                    binary="llama-quantize",
                    tools={name: f"llama-{name}" for name in NAMES},
                    files=pinned(folder, [folder / f"llama-{name}" for name in NAMES]),
                ),
            )

    def put(self, folder: Path, name: str, body: str) -> None:
        """Write one tool."""
        path = folder / f"llama-{name}"
        path.write_text(_HEAD.format(python=sys.executable, here=str(self.folder), name=name) + body)
        path.chmod(0o700)

    def calls(self) -> list[str]:
        """What was called, in order, of all quantisations that are not over."""
        return [
            line
            for path in sorted((self._home.cartridges / "pulls").glob("quantise-*/calls"))
            for line in path.read_text().splitlines()
        ]


def real_tools(home: Home) -> Runtime | None:
    """An engine `real` over the tools of the folder that OMNI_TEST_LLAMA_TOOLS names, where it does."""
    given = os.environ.get("OMNI_TEST_LLAMA_TOOLS")
    if not given:
        return None
    tools = {name: str(Path(given).absolute() / f"llama-{name}") for name in NAMES}
    with Runtimes(home).adding("real") as folder:
        binary = str(Path(given).absolute() / "llama-server")
        write(folder, Runtime(name="real", kind="llama_server", sha256="1" * 64, binary=binary, tools=tools))
    return Runtimes(home).get("real")
