import { useEffect, useState } from "react";
import { attempt, changeSetting, chooseBrain, go, pull, readBrains } from "../actions";
import { send, stream } from "../api";
import { seconds, size, speed, tokens } from "../format";
import { state, toast } from "../state";
import { Bar } from "../parts/bar";
import { Modal } from "../parts/dialog";
import { PullLine } from "../parts/pulls";
import { PageHead } from "./head";
import type { Brain } from "../types";

const PLACES: { place: Brain["place"]; title: string }[] = [
  { place: "here", title: "Installed" },
  { place: "found", title: "Found on this machine" },
  { place: "offered", title: "To fetch" },
];

type Verdict =
  | { type: "pull_verifying"; done: number; total: number }
  | { type: "verified"; brain: string; ok: boolean; detail: string }
  | { type: "error"; error: { message: string; hint: string } };

export function CartridgesPage() {
  const brains = state.use((now) => now.brains);
  const pulls = state.use((now) => now.pulls);
  const [text, setText] = useState("");
  const [other, setOther] = useState("");
  useEffect(() => void attempt(readBrains(true)), []);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = brains.filter((brain) => {
    const all = `${brain.name} ${brain.title} ${brain.summary} ${brain.good_for} ${brain.licence} ${brain.state} ${brain.origin}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const here = brains.filter((brain) => brain.usable);
  const bytes = here.filter((brain) => !brain.shares).reduce((sum, brain) => sum + brain.size, 0);
  return (
    <section className="page" aria-label="cartridges">
      <PageHead title="Cartridges" facts={`${here.length} to ask, ${size(bytes)}`} />
      <div className="tools wide-tools">
        <input type="search" placeholder="filter by name, use, licence or state" aria-label="filter" value={text} onChange={(event) => setText(event.target.value)} />
        <form
          onSubmit={(event) => {
            event.preventDefault();
            if (other.trim()) void pull(other.trim());
            setOther("");
          }}
        >
          <input placeholder="hf.co/OWNER/MODEL-GGUF:Q4_K_M" aria-label="the name of another brain to fetch" value={other} onChange={(event) => setOther(event.target.value)} />
          <button type="submit" disabled={!other.trim()}>
            fetch
          </button>
        </form>
      </div>
      {pulls.length > 0 && (
        <div className="panel" aria-label="downloads" role="group">
          {pulls.map((one) => (
            <PullLine key={one.name} pull={one} />
          ))}
        </div>
      )}
      {PLACES.map(({ place, title }) => {
        const rows = found.filter((brain) => brain.place === place);
        return rows.length ? (
          <div key={place}>
            <h2>{title}</h2>
            <ul className="cards">
              {rows.map((brain) => (
                <Card key={brain.name} brain={brain} />
              ))}
            </ul>
          </div>
        ) : null;
      })}
      {!found.length && brains.length > 0 && <p className="third">Nothing here has these words.</p>}
    </section>
  );
}

function stateWords(brain: Brain): [string, string] {
  if (brain.loaded) return ["loaded", "accent"];
  const words: Record<string, [string, string]> = {
    ready: ["ready", "accent"],
    installed: ["installed", "second"],
    available: [brain.kept ? `${size(brain.kept)} are here` : "to fetch", "third"],
    gone: ["file is gone", "amber"],
    unreadable: ["not readable", "amber"],
    unloadable: ["not loadable", "amber"],
    corrupt: ["hash differs", "red"],
  };
  return words[brain.state] ?? ["not for chat", "third"];
}

function Card({ brain }: { brain: Brain }) {
  const standard = state.use((now) => now.defaultBrain === brain.name);
  const pulling = state.use((now) => now.pulls.some((one) => one.name === brain.name && !["done", "failed", "cancelled"].includes(one.state)));
  const [asking, setAsking] = useState(false);
  const [check, setCheck] = useState<{ share: number } | null>(null);
  const [word, tone] = stateWords(brain);
  const fit = brain.fit;
  const facts = [
    brain.shares ? `shares the file of ${brain.shares}` : brain.size ? `${brain.size_is_estimate ? "≈ " : ""}${size(brain.size)}` : "",
    brain.quantisation,
    brain.context_max ? `context ${tokens(brain.context_max)}${fit?.context && fit.context < brain.context_max ? `, ${tokens(fit.context)} given` : ""}` : "",
    fit?.memory && fit.fits ? `needs ${size(fit.memory)} of memory` : "",
    fit?.speed ? `${fit.measured ? "" : "≈ "}${speed(fit.speed)}` : "",
    brain.licence || "licence unknown",
    brain.place === "found" ? `in ${brain.origin}` : "",
    brain.verified,
  ].filter(Boolean);

  const verify = async () => {
    setCheck({ share: 0 });
    const began = performance.now();
    await attempt(
      (async () => {
        for await (const event of stream<Verdict>("POST", "/brains/verify", { name: brain.name }, new AbortController().signal)) {
          if (event.type === "pull_verifying") setCheck({ share: event.done / Math.max(1, event.total) });
          else if (event.type === "error") toast(event.error.message, event.error.hint, "bad");
          else toast(`${brain.name}: ${event.ok ? "whole" : "not what it was"}, ${event.detail}`, `${seconds((performance.now() - began) / 1000)}`, event.ok ? "good" : "bad");
        }
      })(),
    );
    setCheck(null);
    void attempt(readBrains());
  };
  const remove = async () => {
    setAsking(false);
    const freed = await attempt(send<{ bytes: number }>("POST", "/brains/remove", { name: brain.name }));
    if (freed) toast(`${brain.name} is removed; ${size(freed.bytes)} are free again.`);
    void attempt(readBrains());
  };
  const unload = async () => {
    await attempt(send("POST", "/brains/unload", { name: brain.name }));
    void attempt(readBrains());
  };
  return (
    <li className="card">
      <div className="card-head">
        <h3>{brain.name}</h3>
        <span className="second">{brain.base_title}</span>
        <span className="space" />
        {standard && <span className="second">for new conversations</span>}
        <span className={tone}>{word}</span>
      </div>
      {(brain.summary || brain.good_for) && <p>{brain.summary || brain.good_for}</p>}
      <p className="facts second">
        {facts.map((fact) => (
          <span key={fact}>{fact} </span>
        ))}
      </p>
      {fit && !fit.fits && <p className="amber">{fit.why}</p>}
      {brain.reason && <p className="amber">{brain.reason}</p>}
      {brain.command && !brain.usable && brain.state !== "available" && (
        <p>
          <code>{brain.command}</code>
        </p>
      )}
      <div className="actions-row">
        {brain.usable && (
          <button type="button" className="main" onClick={() => (go("chat"), void chooseBrain(brain.name))}>
            chat
          </button>
        )}
        {brain.state === "available" && (
          <button type="button" disabled={pulling} onClick={() => void pull(brain.name)}>
            {pulling ? "on its way" : brain.kept ? "go on fetching" : "fetch"}
          </button>
        )}
        {brain.usable && !standard && (
          <button type="button" className="quiet" onClick={() => void changeSetting("chat.brain", brain.name).then(() => readBrains())}>
            use for new conversations
          </button>
        )}
        {brain.loaded && (
          <button type="button" className="quiet" onClick={() => void unload()}>
            unload
          </button>
        )}
        {brain.base && !brain.shares && brain.state !== "gone" && (
          <button type="button" className="quiet" disabled={check !== null} onClick={() => void verify()}>
            {check ? `checks ${Math.round(check.share * 100)} %` : "verify"}
          </button>
        )}
        {check && <Bar share={check.share} label="verification" tone="plain" />}
        {brain.state !== "available" && !brain.shares && (
          <button type="button" className="quiet harm" onClick={() => setAsking(true)}>
            remove
          </button>
        )}
      </div>
      {asking && (
        <Modal title={`Remove ${brain.name}?`} close={() => setAsking(false)}>
          <h2>Remove {brain.name}?</h2>
          <p>
            {brain.place === "found" ? "Omni forgets it; the file of the other program stays." : `Its file goes (${size(brain.size)}). It can be fetched again.`}
          </p>
          <div className="buttons">
            <button type="button" autoFocus onClick={() => setAsking(false)}>
              no
            </button>
            <button type="button" className="harm" onClick={() => void remove()}>
              remove
            </button>
          </div>
        </Modal>
      )}
    </li>
  );
}
