import { airGap } from "../actions";
import { state } from "../state";
import { Dialog } from "./dialog";

/** The state in the shell's words. */
export function doorWords(doors: ReturnType<typeof state.get>["doors"]): { text: string; detail: string; tone: string } {
  if (!doors) return { text: "doors unknown", detail: "nobody can verify them now", tone: "amber" };
  const home = /^(?:127\.|localhost|\[?::1)/;
  const outward = doors.open.filter((door) => door.purpose !== "serve" || !home.test(door.host));
  const first = outward[0];
  if (first) return { text: "doors open", detail: `${first.purpose} ${first.host}`.trim(), tone: "amber" };
  if (doors.air_gap && !doors.detail) return { text: "air gap", detail: "this page's door is shut as well", tone: "amber" };
  if (!doors.verified) return { text: "doors not enforced", detail: doors.detail, tone: "amber" };
  if (doors.air_gap) return { text: "air gap", detail: "verified", tone: "good" };
  const own = doors.open.map((door) => door.host).join(", ");
  if (own) return { text: "no door out", detail: `verified, listens on ${own}`, tone: "good" };
  return { text: "doors shut", detail: "verified", tone: "good" };
}

export function DoorsDialog() {
  const close = () => state.set({ dialog: "" });
  return (
    <Dialog name="doors" title="Open the doors again?">
      <h2>Open the doors again?</h2>
      <p>Omni may then use the network when you pull or install. Nothing opens by itself.</p>
      <div className="buttons">
        <button type="button" autoFocus onClick={close}>
          no
        </button>
        <button type="button" className="care" onClick={() => (close(), void airGap(false))}>
          open
        </button>
      </div>
    </Dialog>
  );
}
