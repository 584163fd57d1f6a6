import { useEffect } from "react";
import { ChatPage } from "./chat/page";
import { listen } from "./keys";
import { CartridgesPage } from "./pages/cartridges";
import { SettingsPage } from "./pages/settings";
import { SystemPage } from "./pages/system";
import { BrainsDialog } from "./parts/brains";
import { DoorsDialog } from "./parts/doors";
import { HelpDialog } from "./parts/help";
import { Palette } from "./parts/palette";
import { Rail } from "./parts/rail";
import { StatusLine } from "./parts/status";
import { Toasts } from "./parts/toasts";
import { state } from "./state";
import type { Problem } from "./types";

export function App() {
  const entry = state.use((now) => now.entry);
  const drawer = state.use((now) => now.drawer);
  const connected = state.use((now) => now.connected);
  useEffect(listen, []);
  if (entry.state === "refused" && entry.problem) return <Refused problem={entry.problem} />;
  if (entry.state === "asking") return <main className="door" aria-busy="true" aria-label="Omni" />;
  return (
    <div className="frame" data-drawer={drawer || undefined} data-lost={!connected || undefined}>
      <a className="skip" href="#main" onClick={(event) => (event.preventDefault(), document.getElementById("main")?.focus())}>
        to the page
      </a>
      <Rail />
      {drawer && <div className="shade" onClick={() => state.set({ drawer: false })} />}
      <main id="main" tabIndex={-1}>
        <Lost />
        <CurrentPage />
      </main>
      <StatusLine />
      <Palette />
      <BrainsDialog />
      <HelpDialog />
      <DoorsDialog />
      <Toasts />
      <Said />
    </div>
  );
}

function CurrentPage() {
  switch (state.use((now) => now.page)) {
    case "chat":
      return <ChatPage />;
    case "cartridges":
      return <CartridgesPage />;
    case "system":
      return <SystemPage />;
    case "settings":
      return <SettingsPage />;
  }
}

function Lost() {
  const connected = state.use((now) => now.connected);
  const gap = state.use((now) => now.doors?.air_gap);
  if (connected) return null;
  return gap ? (
    <div className="banner" role="alert">
      Air gap: every door is shut, this page's own as well. <code>omni airgap off</code> in a terminal, or F12 in the shell,
      opens them again; then this page goes on by itself.
    </div>
  ) : (
    <div className="banner" role="alert">
      Omni does not answer. Is <code>omni web</code> still running? This page goes on by itself.
    </div>
  );
}

function Refused({ problem }: { problem: Problem }) {
  return (
    <main className="door" role="alert">
      <h1>omni</h1>
      <p>{problem.message}</p>
      {problem.hint && <p className="second">{problem.hint}</p>}
    </main>
  );
}

function Said() {
  const said = state.use((now) => now.said);
  return (
    <div className="unseen" role="status" aria-live="polite">
      {said}
    </div>
  );
}
