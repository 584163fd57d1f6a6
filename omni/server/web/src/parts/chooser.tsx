import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { composing } from "../keys";

export interface Choice {
  key: string;
  text: string;
  node: ReactNode;
  run: () => void;
  group?: string;
}

/** A field and a list below it: type to narrow it down, arrows to move, Enter to take. */
export function Chooser({
  label,
  placeholder,
  items,
  empty,
  detail,
  foot,
  onText,
}: {
  label: string;
  placeholder: string;
  items: Choice[];
  empty: ReactNode;
  detail?: (key: string) => ReactNode;
  foot?: ReactNode;
  onText?: (text: string) => void;
}) {
  const id = useId();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const found = items.filter((item) => words.every((word) => item.text.toLowerCase().includes(word))).slice(0, 100);
  const chosen = Math.min(at, Math.max(0, found.length - 1));
  useEffect(() => {
    list.current?.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }, [chosen, text]);
  let group = "";
  return (
    <div className="chooser">
      <input
        autoFocus
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={found[chosen] ? `${id}-${chosen}` : undefined}
        aria-label={placeholder}
        placeholder={placeholder}
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
          onText?.(event.target.value);
        }}
        onKeyDown={(event) => {
          if (composing(event.nativeEvent)) return;
          const moves: Record<string, number> = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, PageDown: chosen + 8, PageUp: chosen - 8 };
          const next = moves[event.key];
          if (next !== undefined) {
            event.preventDefault();
            setAt(Math.max(0, Math.min(found.length - 1, next)));
          } else if (event.key === "Enter") {
            event.preventDefault();
            found[chosen]?.run();
          }
        }}
      />
      <div className="choices" role="listbox" id={`${id}-list`} aria-label={label} ref={list} tabIndex={-1}>
        {found.map((item, index) => {
          const head = item.group && item.group !== group ? item.group : "";
          group = item.group ?? "";
          return (
            <div key={item.key} role="presentation">
              {head && <div className="day" role="presentation">{head}</div>}
              <div
                id={`${id}-${index}`}
                role="option"
                aria-selected={index === chosen}
                className="choice"
                onClick={item.run}
                onPointerMove={() => index !== chosen && setAt(index)}
              >
                {item.node}
              </div>
            </div>
          );
        })}
      </div>
      {!found.length && <p className="third empty">{empty}</p>}
      {detail && found[chosen] && detail(found[chosen].key)}
      {foot && <div className="foot">{foot}</div>}
    </div>
  );
}
