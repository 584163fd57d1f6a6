import { useEffect, useRef, useState } from "react";

export interface Item {
  name: string;
  run: () => void;
  harm?: boolean;
}

/** A button that unfolds a few actions. */
export function Menu({ label, items, text = "⋯" }: { label: string; items: Item[]; text?: string }) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const used = useRef(false);
  used.current ||= open;
  useEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const outside = (event: Event) => !root.current?.contains(event.target as Node) && setOpen(false);
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  const move = (step: number) => {
    const all = [...root.current!.querySelectorAll<HTMLElement>("[role=menuitem]")];
    all[(all.indexOf(document.activeElement as HTMLElement) + step + all.length) % all.length]?.focus();
  };
  const close = () => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>("button")?.focus();
  };
  return (
    <div
      className="menu"
      ref={root}
      data-used={used.current || undefined}
      onKeyDown={(event) => {
        if (!open) return;
        if (event.key === "ArrowDown") move(1);
        else if (event.key === "ArrowUp") move(-1);
        else if (event.key === "Escape") close();
        else if (event.key === "Tab") setOpen(false);
        else return;
        if (event.key !== "Tab") event.preventDefault();
      }}
    >
      <button type="button" className="quiet" aria-haspopup="menu" aria-expanded={open} aria-label={label} onClick={() => setOpen(!open)}>
        {text}
      </button>
      {open && (
        <div role="menu" aria-label={label}>
          {items.map((item) => (
            <button
              key={item.name}
              type="button"
              role="menuitem"
              tabIndex={-1}
              className={item.harm ? "harm" : ""}
              onClick={() => {
                close();
                item.run();
              }}
            >
              {item.name}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
