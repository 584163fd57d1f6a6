import { memo, useCallback, useEffect, useRef, useState } from "react";
import { switchBranch } from "../actions";
import { state } from "../state";
import type { Message } from "../types";
import { height, MessageView } from "./message";
import { Near } from "./near";
import { turns, type Turn } from "./turns";

// Whether the browser itself keeps what is read in its place when what stands above gets another height. Safari does not.
const HOLDS = CSS.supports("overflow-anchor", "auto");
const LENGTH = 10; // more are laid out and painted far from view, of fewer there are too many to watch in every frame

function chunks(messages: Message[]): Message[][] {
  return Array.from({ length: Math.ceil(messages.length / LENGTH) }, (_, at) => messages.slice(at * LENGTH, (at + 1) * LENGTH));
}

interface Part {
  messages: Message[];
  near: Near;
  turn: Turn | undefined;
  last: boolean;
  conversation: string;
}

/** A few messages that are laid out together, or not at all. */
const Chunk = memo(
  function Chunk({ messages, near, turn, last, conversation }: Part) {
    const end = messages.length - 1;
    return (
      <div className="chunk" style={last ? undefined : { containIntrinsicSize: `auto ${messages.reduce((sum, message) => sum + height(message), 0)}px` }}>
        {messages.map((message, index) => (
          <MessageView
            key={message.id === "asked" || message.id === "coming" ? `new ${index}` : message.id}
            message={message}
            near={near}
            turn={last && index === end && message.state === "writing" ? turn : undefined}
            last={last && index === end}
            conversation={conversation}
          />
        ))}
      </div>
    );
  },
  (had, now) =>
    had.last === now.last &&
    (!now.last || had.turn === now.turn) &&
    had.messages.length === now.messages.length &&
    had.messages.every((message, index) => message === now.messages[index]),
);

/** The first message in view, and how far below the beginning it is. */
interface Held {
  element: Element;
  place: number;
}

function placeOf(element: Element, frame: HTMLElement): number {
  return element.getBoundingClientRect().top - frame.getBoundingClientRect().top + frame.scrollTop;
}

/** From the top downwards: a chunk that was not laid out yet has no messages to be found. */
function hold(frame: HTMLElement, element: Element | null = null): Held | null {
  const { left, top, bottom } = frame.getBoundingClientRect();
  for (let y = top + 4; !element && y < bottom; y += 40) element = document.elementFromPoint(left + 60, y)?.closest(".message") ?? null;
  return element && { element, place: placeOf(element, frame) };
}

/** The active branch. What is far from view is plain text that is not laid out; it becomes whole when it comes near. */
export function Transcript({ id, messages, loading }: { id: string; messages: Message[]; loading: boolean }) {
  const scroller = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const before = useRef(0);
  const held = useRef<Held | null>(null);
  const [away, setAway] = useState(false);
  const [near] = useState(() => new Near());

  useEffect(() => () => near.end(), [near]);

  // The end stays in view while it grows, unless the person has scrolled away from it.
  useEffect(() => {
    const frame = scroller.current!;
    const pin = () => {
      near.look(frame, inner.current!, true);
      if (follow.current) frame.scrollTop = frame.scrollHeight;
      else if (held.current?.element.isConnected) {
        const moved = placeOf(held.current.element, frame) - held.current.place;
        held.current.place += moved;
        if (moved) frame.scrollTop += moved;
      } else return;
      before.current = frame.scrollTop;
    };
    const observer = new ResizeObserver(pin);
    observer.observe(inner.current!);
    observer.observe(frame);
    pin();
    return () => observer.disconnect();
  }, []);

  const scrolled = useCallback(() => {
    const frame = scroller.current!;
    const top = frame.scrollTop;
    const up = top < before.current;
    near.look(frame, inner.current!, !up);
    before.current = top;
    const left = frame.scrollHeight - top - frame.clientHeight;
    // Only going up leaves the end. It may be far away just because a diagram was drawn since the last frame.
    if (left < 60) follow.current = true;
    else if (up) follow.current = false;
    if (!HOLDS) held.current = follow.current ? null : hold(frame);
    setAway(left > 400 && !follow.current);
  }, [near]);

  const loaded = !loading;
  const wanted = state.use((now) => (now.wanted?.conversation === id ? now.wanted.message : ""));
  const switched = useRef("");
  useEffect(() => {
    if (!loaded || !wanted) return;
    const element = document.getElementById(`m-${wanted}`);
    if (!element && switched.current !== wanted) {
      switched.current = wanted; // it stands on another branch
      void switchBranch(id, wanted);
      return;
    }
    state.set({ wanted: null });
    switched.current = "";
    if (!element) return;
    follow.current = false;
    for (const old of inner.current!.querySelectorAll(".found")) old.classList.remove("found");
    element.scrollIntoView({ block: "start" });
    if (!HOLDS) held.current = hold(scroller.current!, element);
    requestAnimationFrame(() => element.scrollIntoView({ block: "start" }));
    element.focus({ preventScroll: true });
    element.classList.add("found");
  }, [loaded, wanted, id, messages]);

  const asked = messages.length > 0 && messages.at(-1)!.state === "writing";
  useEffect(() => {
    if (asked) follow.current = true; // whoever asks wants to see the answer
    if (asked) scroller.current!.scrollTop = scroller.current!.scrollHeight;
  }, [asked]);

  const turn = turns.of(id);
  return (
    <div className="scroller" ref={scroller} onScroll={scrolled} tabIndex={0} role="region" aria-label="conversation">
      <div className="transcript" ref={inner}>
        {chunks(messages).map((chunk, index, all) => (
          <Chunk key={index} messages={chunk} near={near} turn={turn} last={index === all.length - 1} conversation={id} />
        ))}
      </div>
      {away && (
        <button
          type="button"
          className="to-end"
          onClick={() => {
            follow.current = true;
            scroller.current!.scrollTop = scroller.current!.scrollHeight;
          }}
        >
          ↓ to the end
        </button>
      )}
    </div>
  );
}
