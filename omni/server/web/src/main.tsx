import { createRoot } from "react-dom/client";
import { App } from "./app";
import { copy } from "./chat/message";
import { enter } from "./entry";
import { redraw } from "./markdown/enhance";
import { local } from "./theme";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/chat.css";
import "./styles/markdown.css";
import "./styles/pages.css";
import "./styles/dialogs.css";

createRoot(document.getElementById("root")!).render(<App />);
document.documentElement.dataset["font"] = local.read("font", "mono");
window.addEventListener("omni-theme", redraw);
document.addEventListener("click", (event) => {
  const button = (event.target as Element).closest?.("[data-act=copy]");
  const code = button?.closest(".code")?.querySelector("code");
  if (code) void copy(code.textContent ?? "");
});
void enter();
