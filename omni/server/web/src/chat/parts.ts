import type { ContextPart, FilePart, ImagePart, Message, Part, ReasoningPart, TextPart } from "../types";

/** The words of a message. */
export const textOf = (message: Message): string =>
  message.parts.filter((part): part is TextPart => part.type === "text").map((part) => part.text).join("");

const thoughts = (message: Message): ReasoningPart[] =>
  message.parts.filter((part): part is ReasoningPart => part.type === "reasoning");

/** What was thought for it. */
export const reasoningOf = (message: Message): string => thoughts(message).map((part) => part.text).join("");

/** How long that took, in seconds. */
export const thinkingOf = (message: Message): number => thoughts(message).reduce((sum, part) => sum + part.seconds, 0);

/** The files and images that went along with it, and what was looked up for it. */
export const attachmentsOf = (message: Message): (FilePart | ImagePart | ContextPart)[] =>
  message.parts.filter(
    (part): part is FilePart | ImagePart | ContextPart =>
      part.type === "file" || part.type === "image" || part.type === "context",
  );

/** A message that holds these words and files. */
export const partsOf = (text: string, files: Part[] = []): Part[] => [...files, { type: "text", text }];
