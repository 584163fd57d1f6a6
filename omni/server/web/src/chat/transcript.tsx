import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import type { Message } from "../types";
import { MessageView } from "./message";
import { Near } from "./near";
import { turns } from "./turns";

/** The active branch. What is far from view is plain text that is not laid out; it becomes whole when it comes near. */
export function Transcript({ id, messages, loading }: { id: string; messages: Message[]; loading: boolean }) {
  const scroller = useRef<HTMLDivElement>(null);
  const inner = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const [away, setAway] = useState(false);
  const [near] = useState(() => new Near());

  useLayoutEffect(() => {
    near.watch(scroller.current!);
    return () => near.end();
  }, [near]);

  // The end stays in view while it grows, unless the person has scrolled away from it.
  useEffect(() => {
    const frame = scroller.current!;
    const pin = () => {
      if (follow.current) frame.scrollTop = frame.scrollHeight;
    };
    const observer = new ResizeObserver(pin);
    observer.observe(inner.current!);
    observer.observe(frame);
    pin();
    return () => observer.disconnect();
  }, []);

  const scrolled = useCallback(() => {
    const frame = scroller.current!;
    const left = frame.scrollHeight - frame.scrollTop - frame.clientHeight;
    follow.current = left < 60;
    setAway(left > 400);
  }, []);

  const loaded = !loading;
  useEffect(() => {
    const wanted = sessionStorage.getItem("omni.goto");
    if (!loaded || !wanted) return;
    sessionStorage.removeItem("omni.goto");
    const element = document.getElementById(`m-${wanted}`);
    if (!element) return;
    follow.current = false;
    element.scrollIntoView({ block: "start" });
    requestAnimationFrame(() => element.scrollIntoView({ block: "start" }));
    element.focus({ preventScroll: true });
    element.classList.add("found");
  }, [loaded]);

  const asked = messages.length > 0 && messages.at(-1)!.state === "writing";
  useEffect(() => {
    if (asked) follow.current = true; // whoever asks wants to see the answer
    if (asked) scroller.current!.scrollTop = scroller.current!.scrollHeight;
  }, [asked]);

  const turn = turns.of(id);
  return (
    <div className="scroller" ref={scroller} onScroll={scrolled} tabIndex={0} role="region" aria-label="conversation">
      <div className="transcript" ref={inner}>
        {messages.map((message, index) => (
          <MessageView
            key={message.id === "asked" || message.id === "coming" ? `new ${index}` : message.id}
            message={message}
            near={near}
            turn={turn && message.state === "writing" && index === messages.length - 1 ? turn : undefined}
            last={index === messages.length - 1}
            conversation={id}
          />
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
