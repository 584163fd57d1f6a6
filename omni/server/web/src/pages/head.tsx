import type { ReactNode } from "react";
import { state } from "../state";

export function PageHead({ title, facts }: { title: string; facts?: ReactNode }) {
  return (
    <header className="head">
      <button type="button" className="quiet drawer-button" aria-label="menu" onClick={() => state.set({ drawer: true })}>
        ≡
      </button>
      <h1>{title}</h1>
      {facts && <span className="second">{facts}</span>}
    </header>
  );
}
