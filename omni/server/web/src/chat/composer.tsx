import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { size } from "../format";
import { problemOf } from "../api";
import { composing } from "../keys";
import { state, toast } from "../state";
import { fit } from "./fit";
import { turns } from "./turns";

const LONGEST = 256 << 10;
const LARGEST_IMAGE = 20 << 20;
const IMAGES = ["image/png", "image/jpeg", "image/gif", "image/bmp"];
const drafts = new Map<string, string>();

interface File_ {
  path: string;
  text: string;
  /** Of an image, in base64. */
  data?: string;
}

/** The bytes of a file in base64. */
function base64(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve((reader.result as string).split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export function Composer({ id }: { id: string }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(() => drafts.get(id) ?? "");
  const [files, setFiles] = useState<File_[]>([]);
  const running = turns.of(id);
  const waiting = turns.waiting(id);
  const usable = state.use((now) => !now.brainsRead || now.brains.some((brain) => brain.usable));

  useEffect(() => void drafts.set(id, text), [id, text]);
  useLayoutEffect(() => fit(field.current!, 0.4), [text]);
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus({ preventScroll: true });
  }, []);

  const send = () => {
    const asked = text;
    const attached = files;
    if (!asked.trim() && !attached.length) return;
    if (!usable) {
      toast("No brain is here yet.", "Fetch one first; the question stays where it is.", "bad");
      return;
    }
    setText("");
    setFiles([]);
    drafts.delete(id);
    turns.ask(asked, attached).catch((error: unknown) => {
      const problem = (error as { problem?: { message: string; hint: string } }).problem;
      if (!problem) {
        const other = problemOf(error);
        toast(other.message, other.hint, "bad");
      }
      drafts.set(state.get().open?.id ?? "", asked); // nothing that was typed is lost
      setText(asked);
      setFiles(attached);
    });
  };

  const add = async (chosen: Iterable<File>) => {
    for (const file of chosen) {
      const image = IMAGES.includes(file.type);
      const most = image ? LARGEST_IMAGE : LONGEST;
      if (file.size > most) {
        toast(`${file.name} has ${size(file.size)}; ${image ? "an image" : "a file"} in a question may have ${size(most)}.`, "", "bad");
        continue;
      }
      if (image) {
        const data = await base64(file);
        setFiles((had) => [...had.filter((one) => one.path !== file.name), { path: file.name, text: "", data }]);
        continue;
      }
      const content = await file.text();
      if (content.includes("\0") || content.includes("\uFFFD")) {
        toast(`${file.name} is neither text nor an image.`, "PNG, JPEG, GIF and BMP can be shown to brains that see.", "bad");
        continue;
      }
      setFiles((had) => [...had.filter((one) => one.path !== file.name), { path: file.name, text: content }]);
    }
  };

  const lastQuestion = () => {
    const messages = state.get().open?.messages ?? [];
    const last = [...messages].reverse().find((message) => message.role === "user");
    const buttons = last && document.getElementById(`m-${last.id}`)?.querySelectorAll<HTMLElement>(".actions button");
    [...(buttons ?? [])].find((button) => button.textContent === "edit")?.click();
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => (event.preventDefault(), send())}
      onDragOver={(event) => event.preventDefault()}
      onDrop={(event) => (event.preventDefault(), void add(event.dataTransfer.files))}
    >
      {waiting.length > 0 && (
        <ul className="waiting" aria-label="questions that wait">
          {waiting.map((wish, index) => (
            <li key={index} className="chip">
              <span className="third">waits</span> {wish.question?.text ?? wish.path}
              <button type="button" className="quiet" aria-label="do not ask this" onClick={() => turns.unqueue(id, wish)}>
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      {files.length > 0 && (
        <ul className="waiting" aria-label="files">
          {files.map((file) => (
            <li key={file.path} className="chip">
              {file.path} <span className="third">{size(file.data ? (file.data.length * 3) / 4 : file.text.length)}</span>
              <button type="button" className="quiet" aria-label={`leave ${file.path} out`} onClick={() => setFiles((had) => had.filter((one) => one !== file))}>
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <div className="field">
        <textarea
          id="composer"
          ref={field}
          rows={1}
          value={text}
          placeholder={usable ? "Ask" : "Fetch a brain first"}
          aria-label="your question"
          onChange={(event) => setText(event.target.value)}
          onPaste={(event) => {
            if (event.clipboardData.files.length) {
              event.preventDefault();
              void add(event.clipboardData.files);
            }
          }}
          onKeyDown={(event) => {
            if (composing(event.nativeEvent)) return;
            if (event.key === "Enter" && !event.shiftKey) {
              event.preventDefault();
              send();
            } else if (event.key === "ArrowUp" && !text && !running) {
              event.preventDefault();
              lastQuestion();
            }
          }}
        />
        <input
          ref={picker}
          type="file"
          multiple
          hidden
          aria-label="files"
          onChange={(event) => {
            void add(event.target.files ?? []);
            event.target.value = "";
          }}
        />
        <button type="button" className="quiet" title="Put a text file or an image into the question" onClick={() => picker.current?.click()}>
          file
        </button>
        {running && (
          <button type="button" className="care" onClick={() => void turns.stop(id)} title="Stop the answer (esc)">
            stop
          </button>
        )}
        <button type="submit" className="main" disabled={!text.trim() && !files.length}>
          {running ? "queue" : "send"}
        </button>
      </div>
    </form>
  );
}
