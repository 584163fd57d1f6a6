import { useEffect, useState } from "react";
import { changeSetting, chooseBrain, exportConversation, go, turnDoors } from "../actions";
import { get } from "../api";
import { turns } from "../chat/turns";
import { newChat } from "../keys";
import { state } from "../state";
import type { SearchHit } from "../types";
import { Chooser, type Choice } from "./chooser";
import { Dialog } from "./dialog";

export function Palette() {
  return (
    <Dialog name="palette" title="Everything" wide>
      <Everything />
    </Dialog>
  );
}

function Everything() {
  const now = state.use((all) => all);
  const [text, setText] = useState("");
  const [hits, setHits] = useState<SearchHit[]>([]);
  useEffect(() => {
    if (text.trim().length < 3) return setHits([]);
    let wanted = true;
    const wait = setTimeout(() => {
      get<{ hits: SearchHit[] }>(`/search?text=${encodeURIComponent(text)}`).then((found) => wanted && setHits(found.hits), () => undefined);
    }, 150);
    return () => {
      wanted = false;
      clearTimeout(wait);
    };
  }, [text]);
  const close = () => state.set({ dialog: "" });
  const choice = (group: string, name: string, key: string, run: () => void, more = ""): Choice => ({
    key: `${group}:${name}:${more}`,
    group,
    text: `${group} ${name} ${more}`,
    node: (
      <>
        <span className="name">{name}</span>
        <span className="second">{more}</span>
        <span className="third right">{key && <kbd>{key}</kbd>}</span>
      </>
    ),
    run: () => {
      close();
      run();
    },
  });
  const open = now.open;
  const items = [
    choice("do", "new conversation", "n", newChat),
    choice("do", "choose a brain", "b", () => setTimeout(() => state.set({ dialog: "brains" }))),
    choice("do", now.doors?.air_gap ? "open the doors again" : "air gap: shut every door", "ctrl+shift+x", () => setTimeout(turnDoors)),
    ...(open && turns.of(open.id) ? [choice("do", "stop the answer", "esc", () => void turns.stop(open.id))] : []),
    ...(open?.messages.length
      ? [
          choice("do", "sum the conversation up", "", () => void turns.begin(open.id, { path: "compact", body: {} }).catch(() => undefined), "later prompts begin with it"),
          choice("do", "export as Markdown", "", () => exportConversation(open.id, "markdown")),
          choice("do", "export as JSON", "", () => exportConversation(open.id, "json")),
        ]
      : []),
    choice("go", "Chat", "1", () => go("chat", open?.id ?? "")),
    choice("go", "Cartridges", "2", () => go("cartridges")),
    choice("go", "System", "3", () => go("system")),
    choice("go", "Settings", "4", () => go("settings")),
    ...now.plugins.pages.map((one) => choice("go", one.title, "", () => location.assign(one.address), one.plugin)),
    choice("go", "keys", "?", () => setTimeout(() => state.set({ dialog: "help" }))),
    ...now.brains.filter((brain) => brain.usable).map((brain) => choice("brain", brain.name, "", () => void chooseBrain(brain.name), brain.base_title)),
    ...now.themes.map((theme) => choice("theme", theme.title, "", () => void changeSetting("ui.theme", theme.name))),
    ...now.conversations.map((one) => ({
      ...choice("conversation", one.title || "New conversation", "", () => go("chat", one.id)),
      key: one.id,
    })),
    ...hits
      .filter((hit) => hit.message)
      .map((hit) => ({
        ...choice("found", hit.title, "", () => (state.set({ wanted: { conversation: hit.conversation, message: hit.message! } }), go("chat", hit.conversation)), hit.snippet),
        key: `hit ${hit.message}`,
        text: text,
      })),
  ];
  return <Chooser label="everything" placeholder="what shall it be?" items={items} empty="Nothing is called that." onText={setText} />;
}
