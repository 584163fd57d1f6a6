/** Make a field as high as its text, up to a share of the window: `field-sizing` is not known to every browser. */
export function fit(area: HTMLTextAreaElement, share: number): void {
  area.style.height = "auto";
  const border = area.offsetHeight - area.clientHeight;
  area.style.height = `${Math.min(area.scrollHeight + border, window.innerHeight * share)}px`;
}
