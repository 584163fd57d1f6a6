import { createRoot } from "react-dom/client";
import { App } from "./app";
import { enter } from "./entry";
import "./styles/base.css";
import "./styles/frame.css";
import "./styles/chat.css";
import "./styles/markdown.css";
import "./styles/pages.css";
import "./styles/dialogs.css";

createRoot(document.getElementById("root")!).render(<App />);
void enter();
