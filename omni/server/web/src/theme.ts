/** Colours from the same theme files that colour the shell. */

import type { Palette } from "./types";

export function applyTheme(theme: Palette): void {
  const root = document.documentElement;
  if (root.dataset["theme"] === theme.name) return;
  root.dataset["theme"] = theme.name;
  root.style.colorScheme = theme.dark ? "dark" : "light";
  for (const [name, colour] of Object.entries(theme.colours)) root.style.setProperty(`--${name}`, colour);
  root.style.setProperty("--bar", theme.high_contrast ? "var(--third)" : "var(--line)"); // as in the shell
  window.dispatchEvent(new Event("omni-theme"));
}

/** Choices of this browser alone. */
export const local = {
  read(name: string, fallback: string): string {
    try {
      return localStorage.getItem(`omni.${name}`) ?? fallback;
    } catch {
      return fallback;
    }
  },
  write(name: string, value: string): void {
    try {
      localStorage.setItem(`omni.${name}`, value);
    } catch {
      // a browser that keeps nothing forgets it
    }
  },
};
