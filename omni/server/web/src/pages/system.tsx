import { useEffect, useState } from "react";
import { attempt } from "../actions";
import { get, send } from "../api";
import { clock, size, speed } from "../format";
import { history, state } from "../state";
import { doorWords } from "../parts/doors";
import { PageHead } from "./head";
import type { Running, System, Vram, Work } from "../types";

const LENGTH = 90;

export function SystemPage() {
  const [system, setSystem] = useState<System | null>(null);
  const reading = state.use((now) => now.reading);
  useEffect(() => {
    let wanted = true;
    const read = async () => {
      const found = await get<System>("/system").catch(() => null); // the banner says that nobody answers
      if (found && wanted) setSystem(found);
    };
    void read();
    const every = setInterval(() => void read(), 4000);
    return () => {
      wanted = false;
      clearInterval(every);
    };
  }, []);
  const doors = state.use((now) => now.doors);
  const words = doorWords(doors);
  return (
    <section className="page" aria-label="system">
      <PageHead title="System" facts="everything that runs, and what it costs" />
      {reading && (
        <div className="graphs">
          <Graph title="Processor" figure={`${reading.cpu} %`} of={`of ${reading.cores} cores`} values={history.cpu} top={100} />
          <Graph title="Memory" figure={size(reading.memory_used)} of={`of ${size(reading.memory_total)}`} values={history.memory} top={reading.memory_total} person />
          {reading.vram.map((card, index) => (
            <Graph key={index} title={card.name} figure={cardFigure(card)} of={cardOf(card)} values={card.used === null ? [] : [card.used]} top={card.total || 1} person />
          ))}
          <Graph title="Answering" figure={reading.speed ? speed(reading.speed) : "idle"} of={reading.speed ? "in this server's pages" : "nobody is answering"} values={history.speed} top={Math.max(1, ...history.speed)} />
        </div>
      )}
      <h2>Doors</h2>
      <p>
        <span className={words.tone === "good" ? "accent" : "amber"}>{words.text}</span> <span className="second">{words.detail}</span>
      </p>
      {doors && doors.open.length > 0 && (
        <ul className="plain-list">
          {doors.open.map((door, index) => (
            <li key={index}>
              {door.purpose} <span className="second">{door.host}</span> <span className="third">{size(door.bytes)} since {clock(door.since)}</span>
            </li>
          ))}
        </ul>
      )}
      {reading?.doubt && <p className="amber">{reading.doubt}</p>}
      <h2>Processes</h2>
      {system ? <Processes of={system.processes} /> : <p className="third">Asking the keeper …</p>}
      {system && system.work.length > 0 && <WorkList of={system.work} />}
      {system && (system.engines.length > 1 || system.engines.some((engine) => engine.tried.length > 0)) && <Engines of={system.engines} />}
      {system && <Machine system={system} />}
    </section>
  );
}

/** What of a graphics processor's memory is taken, where anybody tells. */
function cardFigure(card: Vram) {
  return card.shared ? "in RAM" : card.used === null ? "not told" : size(card.used);
}

function cardOf(card: Vram) {
  return card.shared ? "it has none of its own" : card.total ? `of ${size(card.total)}` : "";
}

function Graph({ title, figure, of, values, top, person }: { title: string; figure: string; of: string; values: number[]; top: number; person?: boolean }) {
  const width = 200;
  const step = width / (LENGTH - 1);
  const from = LENGTH - values.length;
  const points = values.map((value, index) => `${((from + index) * step).toFixed(1)},${(40 - (value / top) * 38).toFixed(1)}`);
  return (
    <div className="graph panel">
      <div className="second">{title}</div>
      <div>
        <b>{figure}</b> <span className="second">{of}</span>
      </div>
      <svg viewBox={`0 0 ${width} 40`} preserveAspectRatio="none" aria-hidden="true" className={person ? "person" : "accent"}>
        {points.length > 1 && <path d={`M${from * step},40 L${points.join(" L")} L${width},40 Z`} />}
      </svg>
    </div>
  );
}

function Processes({ of }: { of: Running[] }) {
  const order = ["client", "keeper", "starter", "airlock", "installer", "worker", "helper"];
  const rows = [...of].sort((a, b) => order.indexOf(a.process.kind) - order.indexOf(b.process.kind) || a.process.since - b.process.since);
  return (
    <div className="wide" tabIndex={0} role="group" aria-label="processes">
      <table>
        <thead>
          <tr>
            <th scope="col">process</th>
            <th scope="col" className="right">
              memory
            </th>
            <th scope="col">network</th>
            <th scope="col">since</th>
            <th scope="col">
              <span className="unseen">actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ process, memory, vram, brains }) => (
            <tr key={`${process.name} ${process.pid}`}>
              <td>
                {process.kind === "client" ? process.name : process.kind} <span className="second">{brains.slice(0, 2).join(", ") || process.detail}</span>{" "}
                <span className="third">{[process.placed, vram === null ? "" : `${size(vram)} of VRAM`].filter(Boolean).join(", ")}</span>
              </td>
              <td className="right">{memory ? size(memory) : ""}</td>
              <Network process={process} />
              <td className="second">{clock(process.since)}</td>
              <td>
                {(process.kind === "worker" || process.kind === "helper") && (
                  <button type="button" className="quiet" onClick={() => void attempt(send("POST", "/system/stop", { name: process.name }))}>
                    end
                  </button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The builds of engines and what trials of them came to here. */
function Engines({ of }: { of: System["engines"] }) {
  return (
    <>
      <h2>Engines</h2>
      <ul className="plain-list">
        {of.map((engine) => (
          <li key={engine.name}>
            {engine.name} <span className="second">{[engine.version, ...engine.features].join(" ")}</span>{" "}
            <span className="amber">{engine.reason}</span>
            {engine.tried.map(({ trial, what, used, words, rests }) => (
              <div key={what}>
                <span className="second">{what}</span>{" "}
                {trial.speeds && !rests ? `reads ${speed(trial.speeds.prompt)}, writes ${speed(trial.speeds.answer)}` : <span className="amber">{words}</span>}{" "}
                {used && <span className="accent">used</span>}
              </div>
            ))}
          </li>
        ))}
      </ul>
    </>
  );
}

/** What goes on, whoever began it: it can be stopped, and what came of it is kept. */
function WorkList({ of }: { of: Work[] }) {
  return (
    <>
      <h2>Work</h2>
      <ul className="plain-list">
        {of.map((work) => (
          <li key={work.id}>
            {work.words} <span className="third">since {clock(work.began)}</span> <span className="amber">{work.asks && `asks: ${work.asks}`}</span>{" "}
            <button type="button" className="quiet" onClick={() => void attempt(send("POST", "/system/stop", { name: work.id }))}>
              stop
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Whether a process could reach the network, in the shell's words. */
function Network({ process }: { process: Running["process"] }) {
  if (process.kind === "airlock") return <td className="amber">the only door</td>;
  if (process.confined === "none") return <td className="second">unused, not confined</td>;
  const words = process.confined.includes("none") ? process.confined : `none, by ${process.confined}`;
  return <td className="accent">{words}</td>;
}

function Machine({ system }: { system: System }) {
  const { machine } = system;
  const rows: [string, string, string][] = [
    ["Processor", `${machine.cpu.name}, ${machine.cpu.usable} cores`, machine.bandwidth ? `${(machine.bandwidth / 1e9).toFixed(0)} GB/s measured` : ""],
    ["Memory", size(machine.memory.total), machine.memory.limit ? `a limit of ${size(machine.memory.limit)} holds here` : "no limit set"],
    ...(machine.gpus.length
      ? machine.gpus.map((gpu): [string, string, string] => ["Graphics", `${gpu.name}${gpu.memory ? `, ${size(gpu.memory)}` : ""}`, gpu.note])
      : [["Graphics", "none found", "brains run on the processor"] as [string, string, string]]),
    ["Disk", `${size(machine.disk.free)} free`, machine.disk.path],
    ["Omni", system.version, system.home],
  ];
  return (
    <>
      <h2>Machine</h2>
      <dl className="facts-list">
        {rows.map(([name, fact, more], index) => (
          <div key={index}>
            <dt>{name}</dt>
            <dd>
              {fact} <span className="third">{more}</span>
            </dd>
          </div>
        ))}
      </dl>
    </>
  );
}
