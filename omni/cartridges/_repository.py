"""Puts the list of brains together: manifests, the index and what is on the disk now. No database, no network here."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from omni.cartridges._adapters import AdapterFile, misfit
from omni.cartridges._instead import instead
from omni.cartridges._ranking import quality
from omni.cartridges.brains import FEATURES, USABLE, Base, Brain, licence_name
from omni.cartridges.gguf import GgufHeader, Kind
from omni.cartridges.index import BaseRecord, IndexEntry
from omni.cartridges.judging import Verdict, judge
from omni.cartridges.manifest import CartridgeBase, Facts, Feature, Makes, Manifest, PackageBase, parse_manifest
from omni.core.errors import OmniError

_MAKES: dict[Kind, Makes] = {"embedding": "vectors", "reranker": "ranks"}


class Repository:
    """All brains at one moment."""

    def __init__(
        self,
        manifests: Mapping[str, Manifest],
        bases: Mapping[str, BaseRecord],
        entries: Collection[IndexEntry],
        *,
        adapters: Mapping[str, AdapterFile] = {},
    ) -> None:
        self._manifests = dict(manifests)
        self._bases, self._entries = dict(bases), {entry.name: entry for entry in entries}
        self._by_hash = {record.base.sha256: record for record in self._bases.values() if record.base.sha256}
        self._adapters = adapters
        self._verdicts: dict[tuple[str, str | None], Verdict] = {}
        for entry in entries:
            if entry.manifest and entry.name not in self._manifests:
                try:
                    self._manifests[entry.name] = parse_manifest(entry.manifest, entry.name)
                except OmniError:  # written by another version of Omni: the brain works without it
                    continue

    def brains(self) -> list[Brain]:
        """Installed first, then what else is here, then what can be had; each group by name."""
        roles = {name for name, manifest in self._manifests.items() if isinstance(manifest.base, CartridgeBase)}
        plain = {name: self._from_manifest(self._manifests[name]) for name in self._manifests if name not in roles}
        for name, entry in self._entries.items():
            if name not in self._manifests:
                plain[name] = self._from_entry(entry)
        for name, entry in self._entries.items():
            if entry.adapter and name not in self._manifests:
                plain[name] = self._on_base_of(plain[name], plain)
        brains = dict(plain)
        for name in roles:
            brains[name] = self._role(self._manifests[name], plain)
        for name, brain in brains.items():
            if self._with_adapter(name) and brain.state in USABLE:
                brains[name] = self._adapted(brain)
        return sorted(brains.values(), key=_order)

    def judge_all(self) -> None:
        """Look at the files of all bases now; `brains` then touches no disk."""
        for record in self._bases.values():
            self._judge(record)
        for entry in self._entries.values():
            if entry.template and entry.base in self._bases:
                self._judge(self._own_record(entry))
        if self._adapters:
            self.brains()  # looks at what their bases have

    def _judge(self, record: BaseRecord) -> Verdict:
        key = record.base.id, record.base.template
        if key not in self._verdicts:
            self._verdicts[key] = judge(record)
        return self._verdicts[key]

    def _own_record(self, entry: IndexEntry) -> BaseRecord:
        """The base of an entry with what only this name of it has."""
        record = self._bases[entry.base]
        base = msgspec.structs.replace(
            record.base,
            template=entry.template or record.base.template,
            parameters=entry.parameters or record.base.parameters,
        )
        return msgspec.structs.replace(record, base=base)

    def record_of(self, manifest: Manifest) -> BaseRecord | None:
        """What of a manifest's base is here: its own pull, or any file with its hash."""
        entry = self._entries.get(manifest.name)
        if entry is not None and entry.base in self._bases:
            return self._bases[entry.base]
        sha256 = manifest.base.sha256 if isinstance(manifest.base, Facts) else None
        return self._by_hash.get(sha256) if sha256 else None

    def _from_manifest(self, manifest: Manifest) -> Brain:
        facts = manifest.base
        assert isinstance(facts, Facts)
        record = self.record_of(manifest)
        verdict = self._judge(record) if record else None
        if verdict is not None and record is not None and record.base.origin != "blob" and verdict.state not in USABLE:
            record = None  # another program's copy that is of no use: it can still be pulled
        brain = msgspec.structs.replace(
            _shipped(manifest),
            base_title=facts.title,
            size=facts.size or facts.about_bytes or 0,
            size_is_estimate=facts.size is None,
            context_max=facts.context,
            context=manifest.context,
            quantisation=facts.quantisation,
            starter=manifest.starter,
            origin="package index" if isinstance(facts, PackageBase) else "web",
            verified=""
            if facts.sha256
            else "not verified by us: size and hash are read from the hub and pinned at pull",
        )
        if record is None or verdict is None or verdict.state == "gone":
            return brain
        return msgspec.structs.replace(
            brain,
            state=verdict.state,
            reason=verdict.reason,
            command=f"omni pull {manifest.name}" if verdict.command == "omni pull" else verdict.command,
            base=_with_template(record.base, facts.template),
            origin=record.base.origin,
            size=record.base.size,
            size_is_estimate=False,
            context_max=record.base.header.context_length or facts.context,
            quantisation=record.base.header.quantisation or facts.quantisation,
            verified=verified_words(record),
            features=_features(manifest.features, record.base),
        )

    def _from_entry(self, entry: IndexEntry) -> Brain:
        if entry.base not in self._bases:
            return Brain(
                name=entry.name,
                state=entry.state if entry.base == "" else "gone",
                title=entry.title,
                reason=entry.reason,
                command=entry.command,
                origin=entry.origin,
                size=entry.size,
                licence=entry.licence,
            )
        record = self._own_record(entry)
        verdict, header = _of_another_engine(self._judge(record), entry, record.base.header), record.base.header
        return Brain(
            name=entry.name,
            state=verdict.state,
            title=entry.title or header.name,
            summary=_summary(header),
            base=record.base,
            base_title=_base_title(header),
            reason=verdict.reason,
            command=f"omni pull {entry.reference or entry.name}" if verdict.command == "omni pull" else verdict.command,
            origin=entry.origin,
            size=record.base.size,
            licence=licence_name(entry.licence or header.licence),
            context_max=header.context_length,
            prompt=entry.prompt,
            sampling=_sampling(record.base.parameters),
            quantisation=header.quantisation,
            verified=verified_words(record),
            features=_features((), record.base),
            makes=_MAKES.get(header.kind, "answers"),
        )

    def _role(self, manifest: Manifest, plain: Mapping[str, Brain]) -> Brain:
        """A brain that borrows its base."""
        wanted = manifest.base
        assert isinstance(wanted, CartridgeBase)
        host = self._host(wanted, plain)
        entry = self._entries.get(manifest.name)
        alone = host is None or host.state not in USABLE
        if entry is not None and entry.base in self._bases and (alone or entry.adapter):
            host = msgspec.structs.replace(self._from_entry(entry), name="")  # an export brought it with its own base
        brain = _shipped(manifest)
        if host is None:
            return msgspec.structs.replace(brain, state="gone", reason=f"its base {wanted.name} is not known here")
        return msgspec.structs.replace(
            brain,
            state=host.state,
            base=host.base,
            base_title=host.base_title,
            reason=host.reason,
            command=host.command,
            origin=host.origin,
            size=host.size,
            size_is_estimate=host.size_is_estimate,
            context_max=host.context_max,
            context=host.context,
            quantisation=host.quantisation,
            memory_class=brain.memory_class or host.memory_class,
            shares=host.name,
            verified=host.verified,
            features=host.features,
            tried=host.tried,
        )

    def _adapted(self, brain: Brain) -> Brain:
        """A brain with its adapter, or why it cannot have it."""
        file = self._adapters.get(brain.name, AdapterFile(problem="its adapter did not come with it"))
        architecture = brain.base.header.architecture if brain.base else ""
        problem = file.problem
        if not problem and file.architecture != architecture:
            problem = f"its adapter is made for {file.architecture!r}, and its base is {architecture!r}"
        if not problem and brain.base is not None:
            problem = misfit(file.shapes, Path(brain.base.path))
        if file.remote:
            return msgspec.structs.replace(brain, state="available", reason=problem, command=f"omni pull {brain.name}")
        if problem:
            return msgspec.structs.replace(brain, state="unloadable", reason=problem)
        return msgspec.structs.replace(brain, adapter=file.adapter)

    def _on_base_of(self, brain: Brain, plain: Mapping[str, Brain]) -> Brain:
        """A brain that is an adapter on the base of another one. One of Ollama's has its base with it."""
        if brain.base is None or brain.origin == "ollama":
            return brain
        hosts = [name for name, other in plain.items() if _same_base(other, brain) and not self._with_adapter(name)]
        return msgspec.structs.replace(brain, shares=min(hosts, default=""))

    def _with_adapter(self, name: str) -> bool:
        entry, manifest = self._entries.get(name), self._manifests.get(name)
        return manifest.adapter is not None if manifest is not None else entry is not None and bool(entry.adapter)

    def _host(self, wanted: CartridgeBase, plain: Mapping[str, Brain]) -> Brain | None:
        if wanted.name != "any":
            return plain.get(wanted.name)
        preferred = [plain[name] for name in wanted.prefer if name in plain]
        usable = [brain for name, brain in plain.items() if brain.state in USABLE and not self._with_adapter(name)]
        for brain in preferred:
            if brain.state in USABLE:
                return brain
        if usable:
            return max(usable, key=quality)
        return preferred[0] if preferred else None


def _same_base(one: Brain, other: Brain) -> bool:
    return one.base is not None and other.base is not None and one.base.id == other.base.id


def _shipped(manifest: Manifest) -> Brain:
    """A brain as its manifest tells of it, whatever its base is."""
    return Brain(
        name=manifest.name,
        state="available",
        title=manifest.title,
        summary=manifest.summary,
        good_for=manifest.good_for,
        manifest=manifest,
        prompt=manifest.prompt.strip(),
        sampling=manifest.sampling.chosen(),
        licence=manifest.licence,
        memory_class=manifest.memory_class,
        features=tuple(each for each in FEATURES if each in manifest.features),
        makes=manifest.makes,
        tried=manifest.tried,
    )


def _features(said: Collection[Feature], base: Base) -> tuple[Feature, ...]:
    """What a brain can whose file is here: the file says whether it sees and drafts ahead, its manifest the rest."""
    here = {each for each in said if each not in ("vision", "mtp")}
    here |= {"vision"} if base.projector is not None else set()
    here |= {"mtp"} if base.header.draft_layers else set()
    return tuple(each for each in FEATURES if each in here)


def _of_another_engine(verdict: Verdict, entry: IndexEntry, header: GgufHeader) -> Verdict:
    """Where a file has a form that is made for another engine: whose, and what brings one for this engine."""
    if not verdict.foreign:
        return verdict
    ollama = entry.origin == "ollama"
    reason = f"Ollama keeps it in a form of its own engine: {verdict.reason}" if ollama else verdict.reason
    return msgspec.structs.replace(verdict, reason=reason, command=instead(entry.name if ollama else "", header))


def verified_words(record: BaseRecord) -> str:
    """Whether and when the hash of a base was checked, for people."""
    if record.corrupt:
        return "its hash is wrong"
    if record.verified is not None:
        day = time.strftime("%Y-%m-%d", time.localtime(record.verified))
        return f"{record.verdict or 'sha256 checked'} on {day}"
    if record.base.sha256 and record.base.origin != "blob":
        return f"named by its hash in the store of {record.base.origin}; not checked by Omni"
    return "never checked"


def _sampling(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """As the manifest's own: lists, which JSON made of tuples, are tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()}


def _with_template(base: Base, template: str) -> Base:
    return msgspec.structs.replace(base, template=template) if template else base


def _base_title(header: GgufHeader) -> str:
    """The file's own name, with its size where that does not say it."""
    name = header.name or header.architecture
    return name if header.size_label.lower() in name.lower() else f"{name} {header.size_label}"


def _summary(header: GgufHeader) -> str:
    words = [header.size_label or _about(header.parameters), header.architecture, header.quantisation]
    return " ".join(word for word in words if word)


def _about(parameters: int) -> str:
    if parameters >= 10**9:
        return f"{parameters / 10**9:.1f}B"
    return f"{parameters / 10**6:.0f}M" if parameters else ""


def _order(brain: Brain) -> tuple[int, int, bool, str]:
    """What is here by the name; what can be pulled the small ones first, since somebody new begins with one of them, and those
    that answer nobody last."""
    if brain.state == "available":
        return 3 if brain.makes == "answers" else 4, brain.size, bool(brain.shares), brain.name
    rank = 2 if brain.state not in USABLE else 0 if brain.manifest or brain.origin in ("blob", "file") else 1
    return rank, 0, False, brain.name
