/**
 * Diagrams. Mermaid makes a picture of the text; the picture is shown as an image, in which a browser runs no script and
 * loads nothing. Before that, what could make Mermaid itself reach out while it measures is taken from the text.
 */

let loading: Promise<typeof import("mermaid").default> | undefined;
let themed = "";
let number = 0;
let line: Promise<unknown> = Promise.resolve();

const LONGEST = 20_000;

/** A diagram without orders to the page: no settings, no links, no markup, no addresses. */
export function tame(text: string): string {
  return text
    .replace(/^\s*---[\s\S]*?\n---[ \t]*(?:\n|$)/, "")
    .replace(/%%\{[\s\S]*?(?:\}%%|$)/g, "")
    .split("\n")
    .filter((row) => !/^\s*(?:click|callback|link|links|href|properties|details|accDescr.*http)\b/i.test(row))
    .join("\n")
    .replace(/@\{[^}]*\b(?:img|icon)\b[^}]*\}/gi, "")
    .replace(/<(?!br\s*\/?>)(?=[a-z/!?])/gi, "‹")
    .replace(/&(?=#|[a-z])/gi, "＆")
    .replace(/url\s*\(/gi, "url ")
    .replace(/image(?:-set)?\s*\(/gi, "image ")
    .replace(/@import|expression\s*\(|javascript:|\\[0-9a-f]{1,6}/gi, "")
    .replace(/\$\$/g, "$");
}

export async function drawDiagram(block: HTMLElement, source: string): Promise<void> {
  if (source.length > LONGEST) return;
  loading ??= import("mermaid").then((found) => found.default);
  const mermaid = await loading;
  line = line.then(
    () => draw(mermaid, block, source),
    () => draw(mermaid, block, source),
  );
  await line;
}

async function draw(mermaid: typeof import("mermaid").default, block: HTMLElement, source: string): Promise<void> {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const look = `${colour("background")}${colour("text")}${colour("accent")}`;
  if (look !== themed) {
    themed = look;
    mermaid.initialize({
      startOnLoad: false,
      securityLevel: "strict",
      look: "classic",
      layout: "dagre", // the other one is not built in
      htmlLabels: true,
      flowchart: { htmlLabels: true, useMaxWidth: false },
      maxTextSize: LONGEST,
      maxEdges: 300,
      suppressErrorRendering: true,
      fontFamily: "ui-sans-serif, system-ui, sans-serif",
      theme: "base",
      themeVariables: {
        darkMode: style.colorScheme === "dark",
        background: colour("panel"),
        primaryColor: colour("raised"),
        primaryTextColor: colour("text"),
        primaryBorderColor: colour("accent"),
        lineColor: colour("second"),
        secondaryColor: colour("panel"),
        tertiaryColor: colour("background"),
        textColor: colour("text"),
        fontSize: "14px",
        edgeLabelBackground: colour("panel"),
        noteBkgColor: colour("raised"),
        noteTextColor: colour("text"),
        noteBorderColor: colour("amber"),
        pieSectionTextColor: colour("background"),
        pieTitleTextColor: colour("text"),
        pieLegendTextColor: colour("text"),
        pieStrokeColor: colour("background"),
        pieOuterStrokeColor: colour("line"),
        pieOpacity: "1",
        ...shades(["accent", "person", "amber", "red", "second", "third"].map(colour), colour("background")),
      },
    });
  }
  const id = `diagram-${++number}`;
  try {
    const { svg } = await mermaid.render(id, tame(source));
    if (!block.isConnected) return;
    await show(block, svg, source);
  } catch (error) {
    block.dataset["problem"] = "1";
    const note = document.createElement("div");
    note.className = "note";
    note.textContent = `This diagram cannot be drawn: ${String(error instanceof Error ? error.message : error).split("\n")[0]!.replace(/[:\s]+$/, "")}`;
    block.querySelector(".note")?.remove();
    block.append(note);
  } finally {
    document.getElementById(id)?.remove();
    document.getElementById(`d${id}`)?.remove();
  }
}

/** The colours of slices, branches and sections, with their words in the colour of the page behind. */
function shades(colours: string[], words: string): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: 12 }, (_, at) => colours[at % colours.length]!).flatMap((colour, at) => [
      [`pie${at + 1}`, colour],
      [`cScale${at}`, colour],
      [`cScaleLabel${at}`, words],
      [`cScalePeer${at}`, colour],
      [`git${at}`, colour],
    ]),
  );
}

async function show(block: HTMLElement, svg: string, source: string): Promise<void> {
  const picture = whole(svg);
  const image = document.createElement("img");
  const address = URL.createObjectURL(new Blob([picture.text], { type: "image/svg+xml" }));
  image.alt = `diagram: ${source.trim().slice(0, 400)}`;
  image.className = "diagram";
  image.width = picture.width;
  image.height = picture.height;
  const loaded = new Promise<void>((resolve, reject) => {
    image.onload = () => resolve();
    image.onerror = () => reject(new Error("the picture is not well-formed"));
  });
  image.src = address;
  try {
    await loaded;
  } finally {
    URL.revokeObjectURL(address);
  }
  block.querySelector(".diagram")?.remove();
  block.querySelector(".note")?.remove();
  block.classList.add("drawn");
  block.append(image);
}

/** As a document of its own, with a size: an image has no page around it that could give it one. */
function whole(svg: string): { text: string; width: number; height: number } {
  const root = new DOMParser().parseFromString(svg, "text/html").querySelector("svg");
  if (!root) throw new Error("there is no picture");
  for (const unwanted of root.querySelectorAll("script, image, img, iframe, link, a[href]")) unwanted.remove();
  const [, , wide = "300", high = "150"] = (root.getAttribute("viewBox") ?? "").split(/[\s,]+/);
  const width = Math.ceil(Number(wide)) || 300;
  const height = Math.ceil(Number(high)) || 150;
  root.setAttribute("width", String(width));
  root.setAttribute("height", String(height));
  root.style.maxWidth = "";
  return { text: new XMLSerializer().serializeToString(root), width, height };
}
