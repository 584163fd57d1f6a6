import { dropToast, state } from "../state";

export function Toasts() {
  const toasts = state.use((now) => now.toasts);
  return (
    <div className="toasts" role="region" aria-label="messages">
      {toasts.map((one) => (
        <div key={one.id} className={`toast ${one.kind}`} role={one.kind === "bad" ? "alert" : "status"}>
          <div>
            {one.text}
            {one.hint && <div className="second">{one.hint}</div>}
          </div>
          <button type="button" className="quiet" aria-label="close this message" onClick={() => dropToast(one.id)}>
            ×
          </button>
        </div>
      ))}
    </div>
  );
}
