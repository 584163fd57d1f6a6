import { useDeferredValue, useEffect, useState } from "react";
import { attempt, readConversations, remove, rename, exportConversation } from "../actions";
import { get } from "../api";
import { day, size } from "../format";
import { newChat } from "../keys";
import { state, type Page } from "../state";
import type { Conversation, SearchHit } from "../types";
import { Bar } from "./bar";
import { Modal } from "./dialog";
import { Menu } from "./menu";

const PAGES: { page: Page; title: string; key: string }[] = [
  { page: "chat", title: "Chat", key: "1" },
  { page: "cartridges", title: "Cartridges", key: "2" },
  { page: "system", title: "System", key: "3" },
  { page: "settings", title: "Settings", key: "4" },
];

export function Rail() {
  const page = state.use((now) => now.page);
  const open = state.use((now) => now.open?.id ?? "");
  const plugins = state.use((now) => now.plugins.pages);
  return (
    <nav className="rail" aria-label="Omni">
      <div className="brand">
        <span className="logo">omni</span>
        <button type="button" className="quiet close-drawer" onClick={() => state.set({ drawer: false })}>
          close
        </button>
      </div>
      <ul className="pages">
        {PAGES.map((one) => (
          <li key={one.page}>
            <a
              href={`#/${one.page}${one.page === "chat" && open ? `/${open}` : ""}`}
              aria-current={page === one.page ? "page" : undefined}
              onClick={() => state.set({ drawer: false })}
            >
              {one.title} <kbd aria-hidden="true">{one.key}</kbd>
            </a>
          </li>
        ))}
        {plugins.map((one) => (
          <li key={one.address}>
            <a href={one.address} title={`a page of the plug-in ${one.plugin}`}>
              {one.title}
            </a>
          </li>
        ))}
      </ul>
      <Conversations />
      <Meters />
    </nav>
  );
}

function Conversations() {
  const [text, setText] = useState("");
  const wanted = useDeferredValue(text.trim());
  return (
    <div className="conversations">
      <div className="tools">
        <input
          id="search"
          type="search"
          placeholder="search"
          aria-label="search the conversations"
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => event.key === "Escape" && text && (event.preventDefault(), setText(""))}
        />
        <button type="button" onClick={() => (setText(""), newChat())} title="A new conversation (n)">
          new
        </button>
      </div>
      {wanted ? <Hits text={wanted} /> : <List />}
    </div>
  );
}

function List() {
  const conversations = state.use((now) => now.conversations);
  const more = state.use((now) => now.more);
  const open = state.use((now) => now.open?.id);
  let before = "";
  if (!conversations.length) return <p className="third empty">Conversations stand here, the same as in the shell.</p>;
  return (
    <ul className="list" aria-label="conversations">
      {conversations.map((one) => {
        const name = day(one.updated);
        const head = name !== before ? name : "";
        before = name;
        return (
          <li key={one.id}>
            {head && <h2 className="day">{head}</h2>}
            <Row conversation={one} current={one.id === open} />
          </li>
        );
      })}
      {more && (
        <li>
          <button type="button" className="quiet more" onClick={() => void attempt(readConversations(conversations.length))}>
            older ones
          </button>
        </li>
      )}
    </ul>
  );
}

function Row({ conversation, current }: { conversation: Conversation; current: boolean }) {
  const [asking, setAsking] = useState<"" | "rename" | "remove">("");
  const title = conversation.title || "New conversation";
  return (
    <div className={`row ${current ? "current" : ""}`}>
      <a
        href={`#/chat/${conversation.id}`}
        aria-current={current ? "true" : undefined}
        title={title}
        onClick={() => state.set({ drawer: false })}
      >
        {title}
      </a>
      <Menu
        label={`more for ${title}`}
        items={[
          { name: "rename", run: () => setAsking("rename") },
          { name: "export as Markdown", run: () => exportConversation(conversation.id, "markdown") },
          { name: "export as JSON", run: () => exportConversation(conversation.id, "json") },
          { name: "remove", run: () => setAsking("remove"), harm: true },
        ]}
      />
      {asking === "rename" && <Rename conversation={conversation} close={() => setAsking("")} />}
      {asking === "remove" && (
        <Modal title="Remove this conversation?" close={() => setAsking("")}>
          <h2>Remove this conversation?</h2>
          <p>“{title}” goes with all its branches, also from the shell. This cannot be undone.</p>
          <div className="buttons">
            <button type="button" autoFocus onClick={() => setAsking("")}>
              no
            </button>
            <button type="button" className="harm" onClick={() => (setAsking(""), void remove(conversation.id))}>
              remove
            </button>
          </div>
        </Modal>
      )}
    </div>
  );
}

function Rename({ conversation, close }: { conversation: Conversation; close: () => void }) {
  const [title, setTitle] = useState(conversation.title);
  return (
    <Modal title="Rename" close={close}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          close();
          void rename(conversation.id, title);
        }}
      >
        <h2>Rename</h2>
        <input autoFocus aria-label="title" maxLength={200} value={title} onChange={(event) => setTitle(event.target.value)} />
        <div className="buttons">
          <button type="button" onClick={close}>
            cancel
          </button>
          <button type="submit" className="main">
            rename
          </button>
        </div>
      </form>
    </Modal>
  );
}

function Hits({ text }: { text: string }) {
  const [hits, setHits] = useState<SearchHit[] | null>(null);
  useEffect(() => {
    let wanted = true;
    const wait = setTimeout(() => {
      void attempt(get<{ hits: SearchHit[] }>(`/search?text=${encodeURIComponent(text)}`)).then((found) => {
        if (wanted) setHits(found?.hits ?? []);
      });
    }, 120);
    return () => {
      wanted = false;
      clearTimeout(wait);
    };
  }, [text]);
  if (hits === null) return null;
  return (
    <>
      <p className="third empty" role="status">
        {hits.length ? `${hits.length} ${hits.length === 1 ? "place" : "places"}` : `“${text}” stands nowhere.`}
      </p>
      <ul className="list" aria-label="found">
        {hits.map((hit, index) => (
          <li key={index}>
            <a
              className="hit"
              href={`#/chat/${hit.conversation}`}
              onClick={() => {
                state.set({ drawer: false, wanted: hit.message ? { conversation: hit.conversation, message: hit.message } : null });
              }}
            >
              <b>{hit.title || "New conversation"}</b>
              <span className="second">
                <Marked hit={hit} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function Marked({ hit }: { hit: SearchHit }) {
  const parts = [];
  let at = 0;
  for (const [start, end] of hit.marks) {
    parts.push(hit.snippet.slice(at, start), <mark key={start}>{hit.snippet.slice(start, end)}</mark>);
    at = end;
  }
  return (
    <>
      {parts}
      {hit.snippet.slice(at)}
    </>
  );
}

function Meters() {
  const reading = state.use((now) => now.reading);
  if (!reading) return <div className="meters" />;
  return (
    <div className="meters" aria-label="machine" role="group">
      <div>
        <span>CPU</span>
        <Bar share={reading.cpu / 100} label="processor" tone="plain" />
        <span>{reading.cpu} %</span>
      </div>
      <div>
        <span>RAM</span>
        <Bar share={reading.memory_used / reading.memory_total} label="memory" />
        <span>{size(reading.memory_used)}</span>
      </div>
      {reading.vram.map((card, index) =>
        card.used !== null && card.total ? (
          <div key={index} title={card.name}>
            <span>VRAM</span>
            <Bar share={card.used / card.total} label={`memory of ${card.name}`} />
            <span>{size(card.used)}</span>
          </div>
        ) : null,
      )}
    </div>
  );
}
