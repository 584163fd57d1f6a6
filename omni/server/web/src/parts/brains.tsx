import { useEffect, useState } from "react";
import { chooseBrain, go } from "../actions";
import { get } from "../api";
import { seconds, size, speed, tokens } from "../format";
import { currentBrain, state } from "../state";
import type { Brain, Reread } from "../types";
import { Dialog } from "./dialog";
import { Chooser } from "./chooser";

/** The brain of the next answer, exchanged in mid-conversation. */
export function BrainsDialog() {
  return (
    <Dialog name="brains" title="Choose a brain" wide>
      <Choose />
    </Dialog>
  );
}

function Choose() {
  const brains = state.use((now) => now.brains);
  const current = state.use(currentBrain);
  const id = state.use((now) => (now.open?.messages.length ? now.open.id : ""));
  const close = () => state.set({ dialog: "" });
  const usable = brains.filter((brain) => brain.usable);
  return (
    <Chooser
      label="brains"
      placeholder="which brain answers next?"
      empty={
        <>
          No brain like this is here. <a href="#/cartridges" onClick={close}>Cartridges</a> fetches one.
        </>
      }
      items={usable.map((brain) => ({
        key: brain.name,
        text: `${brain.name} ${brain.base_title} ${brain.good_for} ${brain.summary}`,
        node: <Line brain={brain} current={brain.name === current} />,
        run: () => (close(), void chooseBrain(brain.name)),
      }))}
      detail={(key) => <Cost id={id} brain={usable.find((one) => one.name === key)} current={current} />}
      foot={
        <button type="button" className="quiet" onClick={() => (close(), go("cartridges"))}>
          all cartridges
        </button>
      }
    />
  );
}

function Line({ brain, current }: { brain: Brain; current: boolean }) {
  return (
    <>
      <span className="name">
        {brain.name} {current && <span className="accent">answers now</span>}
      </span>
      <span className="second">{brain.base_title}</span>
      <span className="second right">{brain.fit?.speed ? `${brain.fit.measured ? "" : "≈ "}${speed(brain.fit.speed)}` : ""}</span>
      <span className="third hide-narrow">{brain.loaded ? "loaded" : size(brain.size)}</span>
    </>
  );
}

/** What a change costs before the first word comes. */
function Cost({ id, brain, current }: { id: string; brain: Brain | undefined; current: string }) {
  const [cost, setCost] = useState<{ name: string; cost: Reread } | null>(null);
  useEffect(() => {
    if (!id || !brain || brain.name === current) return;
    let wanted = true;
    const wait = setTimeout(() => {
      get<Reread>(`/conversations/${id}/reread?brain=${encodeURIComponent(brain.name)}`).then(
        (found) => wanted && setCost({ name: brain.name, cost: found }),
        () => undefined,
      );
    }, 100);
    return () => {
      wanted = false;
      clearTimeout(wait);
    };
  }, [id, brain, current]);
  if (!brain) return null;
  const words = [brain.summary || brain.good_for];
  if (brain.name !== current) {
    const found = cost?.name === brain.name ? cost.cost : null;
    if (found && found.tokens > 0) {
      words.push(`reads about ${tokens(found.tokens)} tokens again${found.seconds === null ? "" : `, ≈ ${seconds(found.seconds)}`}`);
    }
    if (found ? !found.loaded : !brain.loaded) words.push(`is loaded first (${size(found?.load ?? brain.size)})`);
  }
  return <p className="detail second">{words.filter(Boolean).join(" · ")}</p>;
}
