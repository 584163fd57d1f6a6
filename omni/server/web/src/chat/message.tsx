import { memo, useEffect, useLayoutEffect, useRef, useState } from "react";
import { switchBranch } from "../actions";
import { PREFIX } from "../api";
import { clock, count, many, seconds, size, speed } from "../format";
import { composing } from "../keys";
import { toast } from "../state";
import { enhance } from "../markdown/enhance";
import { LiveMarkdown } from "../markdown/live";
import { render } from "../markdown/render";
import type { ContextPart, FilePart, ImagePart, Message } from "../types";
import { fit } from "./fit";
import type { Near, Part } from "./near";
import { attachmentsOf, reasoningOf, textOf, thinkingOf } from "./parts";
import { ASKED, turns, type Turn } from "./turns";

interface Props {
  message: Message;
  near: Near;
  turn: Turn | undefined;
  last: boolean;
  conversation: string;
}

export const MessageView = memo(function MessageView({ message, near, turn, last, conversation }: Props) {
  const [editing, setEditing] = useState(false);
  const person = message.role === "user";
  const who = person ? "you" : message.role === "summary" ? "summary" : message.brain || "…";
  return (
      <article
        id={`m-${message.id}`}
        className={`message ${message.role}`}
        tabIndex={-1}
        style={{ containIntrinsicSize: `auto ${height(message)}px` }}
        aria-label={`${who}, ${clock(message.time)}`}
      >
        {message.left_out > 0 && (
          <p className="left-out" role="note">
            {count(message.left_out)} tokens above are no longer sent to the brain
          </p>
        )}
        <div className="meta">
          <b className="who">{who}</b>
          <span>{clock(message.time)}</span>
          {turn ? <Step turn={turn} /> : <Facts message={message} />}
          {person && !editing && <Actions message={message} conversation={conversation} edit={() => setEditing(true)} />}
        </div>
        {editing ? (
          <Editor message={message} conversation={conversation} close={() => setEditing(false)} />
        ) : turn ? (
          <Live turn={turn} />
        ) : (
          <Body message={message} near={near} last={last} conversation={conversation} />
        )}
        {!turn && !person && <Actions message={message} conversation={conversation} edit={() => setEditing(true)} />}
      </article>
  );
});

/** About how many pixels high it will be: exact where it was shown before, because browsers remember that. */
export function height(message: Message): number {
  const text = textOf(message);
  return 70 + (Math.ceil(text.length / 90) + text.split("\n").length) * 21;
}

/** The share of an answer, drafted ahead, that is worth a word. */
const LEAST_DRAFTED = 0.05;

function Facts({ message }: { message: Message }) {
  const usage = message.usage;
  const rate = usage && usage.completion_seconds > 0 ? usage.completion_tokens / usage.completion_seconds : 0;
  const drafted = usage && usage.completion_tokens > 0 ? usage.accepted_tokens / usage.completion_tokens : 0;
  return (
    <>
      {message.seconds > 0 && <span>{seconds(message.seconds)}</span>}
      {usage && usage.completion_tokens > 0 && <span className="hide-narrow">{many(usage.completion_tokens, "token")}</span>}
      {rate > 0 && <span className="hide-narrow">{speed(rate)}</span>}
      {drafted >= LEAST_DRAFTED && <span className="hide-narrow">{Math.round(drafted * 100)} % drafted</span>}
      {message.state === "writing" && <span className="accent">writing</span>}
    </>
  );
}

function Step({ turn }: { turn: Turn }) {
  useFrames(turn);
  return (
    <span className="accent">
      {turn.step}
      {turn.speed > 0 && <span className="second hide-narrow"> · {speed(turn.speed)}</span>}
    </span>
  );
}

/** A file as a chip, an image as itself once the server has it. */
function Attachment({ file, source, stored }: { file: FilePart | ImagePart | ContextPart; source: string; stored: boolean }) {
  if (file.type === "image" && stored) {
    // Its place is kept before it is there, so that nothing below it moves.
    return <img className="shown" loading="lazy" src={source} alt={file.path || "an image"} width={file.width} height={file.height} />;
  }
  return (
    <span className="chip">
      {file.type === "context" ? file.source : file.path}{" "}
      <span className="third">{file.type === "image" ? `${file.width} × ${file.height}` : size(file.bytes)}</span>
    </span>
  );
}

function Body({ message, near, last, conversation }: { message: Message; near: Near; last: boolean; conversation: string }) {
  return (
    <>
      {attachmentsOf(message).map((file, number) => (
        <Attachment key={number} file={file} source={`${PREFIX}/conversations/${conversation}/messages/${message.id}/contents/${number}`} stored={message.id !== ASKED} />
      ))}
      {reasoningOf(message) && <Reasoning text={reasoningOf(message)} time={thinkingOf(message)} />}
      {message.role === "user" ? (
        <div className="plain">{textOf(message)}</div>
      ) : (
        <Markdown text={textOf(message)} near={near} last={last} />
      )}
      <End message={message} />
    </>
  );
}

/** How an answer ended when it is not whole. */
function End({ message }: { message: Message }) {
  const words: Record<string, string> = {
    cancelled: "stopped",
    interrupted: "interrupted: Omni ended in the middle of it",
    failed: message.reason || "failed",
  };
  const text = message.reason === "length" ? "cut: the longest answer was reached" : words[message.state];
  return text ? <p className={`end ${message.state === "failed" ? "red" : "amber"}`}>{text}</p> : null;
}

/** Plain text until it comes near the view. It is exchanged without React, because many are in a frame of scrolling. */
function Markdown({ text, near, last }: { text: string; near: Near; last: boolean }) {
  const root = useRef<HTMLDivElement>(null);
  const part = useRef<Part>({ whole: last, show: () => undefined });
  useLayoutEffect(() => {
    const element = root.current!;
    const { current } = part;
    current.show = () => {
      element.className = current.whole ? "markdown" : "plain";
      element.replaceChildren(current.whole ? render(text) : text);
      if (current.whole) enhance(element);
    };
    current.show();
    return near.follow(element.closest(".chunk")!, current);
  }, [text, near]);
  return <div ref={root} />;
}

/** The words that come now: nothing but the last block is made again. */
function Live({ turn }: { turn: Turn }) {
  const root = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const live = new LiveMarkdown(root.current!);
    live.update(turn.text);
    return turn.subscribe(() => live.update(turn.text));
  }, [turn]);
  return (
    <>
      <LiveReasoning turn={turn} />
      <div className="markdown live" ref={root} aria-busy="true" />
    </>
  );
}

function LiveReasoning({ turn }: { turn: Turn }) {
  useFrames(turn);
  if (!turn.reasoning) return null;
  const time = turn.thought || (performance.now() - turn.thinkingSince) / 1000;
  return <Reasoning text={turn.reasoning} time={turn.thinkingSince ? time : 0} going={!turn.thought} />;
}

function Reasoning({ text, time, going }: { text: string; time: number; going?: boolean }) {
  return (
    <details className="reasoning">
      <summary>
        {going ? "thinks" : "thought"} {time > 0 && `for ${seconds(time)}`}
      </summary>
      <div className="plain">{text}</div>
    </details>
  );
}

/** Drawn again while the turn moves, at most ten times a second. */
function useFrames(turn: Turn): void {
  const [, draw] = useState(0);
  useEffect(() => {
    let waiting: ReturnType<typeof setTimeout> | undefined;
    let before = 0;
    const now = () => {
      waiting = undefined;
      before = performance.now();
      draw((count) => count + 1);
    };
    const end = turn.subscribe(() => {
      const wait = before + 100 - performance.now();
      if (wait <= 0) now();
      else waiting ??= setTimeout(now, wait);
    });
    return () => {
      end();
      clearTimeout(waiting);
    };
  }, [turn]);
}

function Actions({ message, conversation, edit }: { message: Message; conversation: string; edit: () => void }) {
  const at = message.siblings.indexOf(message.id);
  const writing = message.state === "writing";
  const begin = (wish: Parameters<typeof turns.begin>[1]) => void turns.begin(conversation, wish).catch(() => undefined);
  const again = () => begin({ path: "regenerate", body: { answer: message.id }, answer: { replaces: message.id } });
  const goOn = () => begin({ path: "resume", body: { answer: message.id }, answer: { resumes: message.id } });
  const step = (by: number) => void switchBranch(conversation, message.siblings[at + by]!);
  const unfinished = ["cancelled", "interrupted", "failed"].includes(message.state) || message.reason === "length";
  return (
    <div className="actions" role="group" aria-label="this message">
      {message.siblings.length > 1 && (
        <span className="branches">
          <button type="button" className="quiet" disabled={at <= 0} aria-label="the branch before" onClick={() => step(-1)}>
            ‹
          </button>
          <span>
            {at + 1}/{message.siblings.length}
          </span>
          <button type="button" className="quiet" disabled={at >= message.siblings.length - 1} aria-label="the next branch" onClick={() => step(1)}>
            ›
          </button>
        </span>
      )}
      {textOf(message) && (
        <button type="button" className="quiet" onClick={() => void copy(textOf(message))}>
          copy
        </button>
      )}
      {message.role === "user" && !writing && (
        <button type="button" className="quiet" onClick={edit}>
          edit
        </button>
      )}
      {message.role === "assistant" && !writing && (
        <button type="button" className="quiet" onClick={again}>
          retry
        </button>
      )}
      {message.role === "assistant" && unfinished && (message.parts.length > 0) && (
        <button type="button" className="quiet accent" onClick={goOn}>
          go on
        </button>
      )}
    </div>
  );
}

function Editor({ message, conversation, close }: { message: Message; conversation: string; close: () => void }) {
  const [text, setText] = useState(textOf(message));
  const field = useRef<HTMLTextAreaElement>(null);
  useLayoutEffect(() => fit(field.current!, 0.5), [text]);
  const send = () => {
    if (!text.trim()) return;
    close();
    const question = { text, replaces: message.id, files: attachmentsOf(message).filter((file) => file.type !== "context") };
    void turns.begin(conversation, { path: "edit", body: { message: message.id, text }, question }).catch(() => undefined);
  };
  return (
    <form className="editor" onSubmit={(event) => (event.preventDefault(), send())}>
      <textarea
        ref={field}
        autoFocus
        aria-label="edit the question"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (composing(event.nativeEvent)) return;
          if (event.key === "Escape") {
            event.preventDefault();
            event.stopPropagation();
            close();
          } else if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            send();
          }
        }}
      />
      <div className="buttons">
        <span className="third">What was asked before stays, as a branch beside it.</span>
        <button type="button" onClick={close}>
          cancel
        </button>
        <button type="submit" className="main">
          ask anew
        </button>
      </div>
    </form>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser did not allow copying.", "Select the text and copy it yourself.", "bad");
  }
}
