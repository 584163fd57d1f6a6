import { turnDoors } from "../actions";
import { speed, tokens } from "../format";
import { currentBrain, state } from "../state";
import { doorWords } from "./doors";
import { Bar } from "./bar";

/** What is always in view: the doors, the brain, the context, the speed. */
export function StatusLine() {
  const doors = state.use((now) => now.doors);
  const brain = state.use(currentBrain);
  const base = state.use((now) => now.brains.find((one) => one.name === currentBrain(now))?.base_title ?? "");
  const meter = state.use((now) => (now.open ? now.meters[now.open.id] : undefined));
  const given = state.use((now) => now.brains.find((one) => one.name === currentBrain(now))?.fit?.context ?? 0);
  const allocated = meter ? meter.allocated || given : 0;
  const words = doorWords(doors);
  return (
    <footer className="status" aria-label="status">
      <button
        type="button"
        className={`doors ${words.tone}`}
        onClick={turnDoors}
        aria-pressed={doors?.air_gap ?? false}
        title={doors?.air_gap ? "Air gap is on: every door stays shut. Press to open them again." : "Press to shut every door at once (ctrl+shift+x)."}
      >
        <span>{words.text}</span> <span className="second hide-narrow">{words.detail}</span>
      </button>
      <button type="button" className="brain" onClick={() => state.set({ dialog: "brains" })} title="Choose the brain that answers (b)">
        <b>{brain || "no brain"}</b> <span className="second hide-narrow">{base}</span>
      </button>
      {meter && (
        <span className="context" title="context used of what is allocated">
          {allocated > 0 && <Bar share={meter.used / allocated} label="context used" />}
          {tokens(meter.used)}
          {allocated > 0 && ` of ${tokens(allocated)}`}
        </span>
      )}
      {meter && meter.speed > 0 && <span className="hide-narrow">{speed(meter.speed)}</span>}
      <span className="space" />
      <button type="button" className="quiet hide-narrow" onClick={() => state.set({ dialog: "palette" })}>
        <kbd>ctrl+k</kbd> everything
      </button>
      <button type="button" className="quiet hide-narrow" onClick={() => state.set({ dialog: "help" })}>
        <kbd>?</kbd> keys
      </button>
    </footer>
  );
}
