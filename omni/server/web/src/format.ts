/** Sizes, times and counts in the words that the shell uses. */

export function size(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  for (const [unit, factor] of [["kB", 1e3], ["MB", 1e6], ["GB", 1e9], ["TB", 1e12]] as const) {
    if (bytes < factor * 1000 || unit === "TB") {
      const value = bytes / factor;
      return `${value < 10 && unit !== "kB" ? value.toFixed(1) : Math.round(value)} ${unit}`;
    }
  }
  return "";
}

/** 812, 3.9k, 16k */
export function tokens(count: number): string {
  if (count < 1000) return String(count);
  const thousands = count / (count % 1024 === 0 ? 1024 : 1000);
  return `${thousands < 10 && !Number.isInteger(thousands) ? thousands.toFixed(1) : Math.round(thousands)}k`;
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 90) return `${Math.round(value)} s`;
  if (value < 5400) return `${Math.round(value / 60)} min`;
  return `${Math.round(value / 3600)} h`;
}

export function speed(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} tok/s`;
}

export function clock(time: number): string {
  return new Date(time * 1000).toTimeString().slice(0, 5); // a hundred times quicker than what knows the habits of all countries
}

/** The day of a conversation in the list. */
export function day(time: number, now = Date.now()): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const ago = Math.ceil((midnight - time * 1000) / 86_400_000);
  if (ago <= 0) return "Today";
  if (ago === 1) return "Yesterday";
  if (ago < 7) return "This week";
  if (ago < 31) return "This month";
  return "Earlier";
}

export function many(value: number, one: string): string {
  return `${count(value)} ${one}${value === 1 ? "" : "s"}`;
}
