import { useSyncExternalStore } from "react";
import { exportConversation, go, pull } from "../actions";
import { many, size } from "../format";
import { state } from "../state";
import { Menu } from "../parts/menu";
import { PullLine } from "../parts/pulls";
import { Composer } from "./composer";
import { Transcript } from "./transcript";
import { turns } from "./turns";

export function ChatPage() {
  const open = state.use((now) => now.open);
  useSyncExternalStore(turns.subscribe, turns.snapshot);
  return (
    <section className="page chat" aria-label="chat">
      <Head />
      {open?.problem ? (
        <div className="nothing" role="alert">
          <p>{open.problem.message}</p>
          <p className="second">{open.problem.hint}</p>
          <button type="button" onClick={() => go("chat")}>
            a new conversation
          </button>
        </div>
      ) : open ? (
        <Transcript key={open.id} id={open.id} messages={open.messages} loading={open.conversation === null} />
      ) : (
        <Welcome />
      )}
      <Composer key={`composer ${open?.id ?? ""}`} id={open?.id ?? ""} />
    </section>
  );
}

function Head() {
  const conversation = state.use((now) => now.open?.conversation ?? null);
  const title = conversation ? conversation.title || "New conversation" : "New conversation";
  return (
    <header className="head">
      <button type="button" className="quiet drawer-button" aria-label="menu" onClick={() => state.set({ drawer: true })}>
        ≡
      </button>
      <h1 title={title}>{title}</h1>
      {conversation?.project && <span className="second hide-narrow">{conversation.project.split("/").at(-1)}</span>}
      {conversation && conversation.turns > 0 && <span className="second hide-narrow">{many(conversation.turns, "turn")}</span>}
      <span className="space" />
      {conversation && conversation.turns > 0 && (
        <Menu
          label="export"
          text="export"
          items={[
            { name: "Markdown", run: () => exportConversation(conversation.id, "markdown") },
            { name: "JSON, with all branches", run: () => exportConversation(conversation.id, "json") },
          ]}
        />
      )}
    </header>
  );
}

/** An empty page teaches: what it is for, and how it begins. */
function Welcome() {
  const read = state.use((now) => now.brainsRead);
  const brains = state.use((now) => now.brains);
  const pulls = state.use((now) => now.pulls);
  const usable = brains.some((brain) => brain.usable);
  const starter = brains.find((brain) => brain.name === "@omni/smollm2") ?? brains.find((brain) => brain.state === "available");
  if (!read) return <div className="nothing" aria-busy="true" />;
  if (!usable) {
    return (
      <div className="nothing">
        <h2>No brain is here yet.</h2>
        <p className="second">A brain answers on this machine, without a network. The smallest is here in a minute.</p>
        {pulls.map((one) => (
          <PullLine key={one.name} pull={one} />
        ))}
        {starter && !pulls.some((one) => one.name === starter.name) && (
          <button type="button" className="main" onClick={() => void pull(starter.name)}>
            fetch {starter.name} ({size(starter.size)})
          </button>
        )}
        <p>
          <a href="#/cartridges">all cartridges</a>
        </p>
      </div>
    );
  }
  return (
    <div className="nothing">
      <h2>Ask something.</h2>
      <p className="second">The answer is made on this machine, and nothing leaves it.</p>
      <dl className="keys">
        <div>
          <dt>
            <kbd>enter</kbd>
          </dt>
          <dd>send</dd>
        </div>
        <div>
          <dt>
            <kbd>b</kbd>
          </dt>
          <dd>choose the brain that answers</dd>
        </div>
        <div>
          <dt>
            <kbd>ctrl+k</kbd>
          </dt>
          <dd>everything else</dd>
        </div>
      </dl>
    </div>
  );
}
