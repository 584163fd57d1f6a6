/**
 * The last gate before anything a brain wrote becomes part of the page. What our own renderers write as HTML is made node by
 * node, from a list of what there may be; a browser never parses it. Whatever stands in it beside that is nowhere or is text.
 */

const TAGS = new Set([
  "a", "blockquote", "br", "button", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p",
  "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
]);
const EMPTY = new Set(["br", "hr"]);
const ANY = /^/;
const ATTRIBUTES: Record<string, RegExp> = {
  href: /^(?:https?:|mailto:)/i,
  style: /^text-align:(?:left|right|center)$/,
  start: /^\d+$/,
  type: /^button$/,
  tabindex: /^0$/,
  role: /^group$/,
  class: ANY,
  "aria-label": ANY,
  "data-act": ANY,
  "data-display": ANY,
  "data-lang": ANY,
  "data-tex": ANY,
};
const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', "#x27": "'" };

export function nodesOf(html: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  let at = null as Element | null;
  for (const part of html.split(/(<[^>]*>)/)) {
    const [, end, name = "", attributes = ""] = /^<(\/?)([a-z][a-z0-9]*)([^>]*)>$/.exec(part) ?? [];
    if (end === undefined) {
      if (part) (at ?? fragment).append(plain(part));
    } else if (end) {
      if (at?.localName === name) at = at.parentElement;
    } else if (TAGS.has(name)) {
      const link = name === "a" ? at?.closest("a") : null;
      if (link) at = link.parentElement; // one in another, which a picture in a link makes, ends it
      const element = document.createElement(name);
      for (const [, key = "", value = ""] of attributes.matchAll(/([a-z-]+)="([^"]*)"/g)) {
        const text = plain(value);
        if (Object.hasOwn(ATTRIBUTES, key) && ATTRIBUTES[key]!.test(text)) element.setAttribute(key, text);
      }
      const address = element.getAttribute("href");
      if (address !== null) {
        element.setAttribute("rel", "noopener noreferrer");
        element.setAttribute("target", "_blank");
        element.setAttribute("title", address);
      }
      (at ?? fragment).append(element);
      if (!EMPTY.has(name)) at = element;
    }
  }
  return fragment;
}

function plain(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#x27);/g, (_, name: string) => ENTITIES[name]!);
}
