import { useEffect, useRef, type ReactNode } from "react";
import { state, type State } from "../state";

/** A window above the page: the browser keeps the focus in it and gives it back. */
export function Dialog({ name, title, children, wide }: { name: State["dialog"]; title: string; children: ReactNode; wide?: boolean }) {
  const open = state.use((now) => now.dialog === name);
  return open ? (
    <Modal title={title} close={() => state.set((now) => (now.dialog === name ? { dialog: "" } : {}))} wide={wide ?? false}>
      {children}
    </Modal>
  ) : null;
}

export function Modal({ title, close, children, wide }: { title: string; close: () => void; children: ReactNode; wide?: boolean }) {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current!;
    const before = document.activeElement as HTMLElement | null;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={element}
      className={wide ? "wide-dialog" : ""}
      aria-label={title}
      onCancel={(event) => (event.preventDefault(), close())}
      onClick={(event) => event.target === element.current && close()}
    >
      <div className="sheet">{children}</div>
    </dialog>
  );
}
