/** The last gate before anything a brain wrote becomes part of the page. */

import DOMPurify from "dompurify";

const LINKS = /^(?:https?:|mailto:)/i;
const REACHES_OUT = /url\s*\(|@import|expression\s*\(|image-set|\\/i;

const purifier = DOMPurify(window);

purifier.addHook("uponSanitizeAttribute", (_node, data) => {
  if (data.attrName === "style" && REACHES_OUT.test(data.attrValue)) data.keepAttr = false;
});

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  const href = node.getAttribute("href") ?? "";
  if (!LINKS.test(href)) {
    node.removeAttribute("href");
    return;
  }
  node.setAttribute("rel", "noopener noreferrer");
  node.setAttribute("target", "_blank");
  node.setAttribute("title", href);
});

/** HTML of the Markdown renderer. No images, forms, frames or vector graphics: Markdown makes none here. */
export function cleanHtml(html: string): DocumentFragment {
  return purifier.sanitize(html, {
    ALLOWED_TAGS: [
      "a", "blockquote", "br", "button", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "input",
      "li", "ol", "p", "pre", "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul",
    ],
    ALLOWED_ATTR: [
      "href", "class", "start", "data-lang", "data-tex", "data-display", "data-act", "style", "type", "checked",
      "disabled", "aria-label", "tabindex", "role", "title",
    ],
    ALLOW_DATA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });
}

/** What KaTeX makes of a formula: spans with sizes, and MathML for those who listen. */
export function cleanMath(html: string): DocumentFragment {
  return purifier.sanitize(html, {
    USE_PROFILES: { html: true, mathMl: true, svg: true },
    ADD_TAGS: ["semantics", "annotation"],
    FORBID_TAGS: ["a", "img", "image", "use", "style", "form", "input", "button", "foreignObject"],
    RETURN_DOM_FRAGMENT: true,
  });
}

/** Highlighted code: nothing but spans with a class. */
export function cleanCode(html: string): DocumentFragment {
  return purifier.sanitize(html, { ALLOWED_TAGS: ["span"], ALLOWED_ATTR: ["class"], RETURN_DOM_FRAGMENT: true });
}
