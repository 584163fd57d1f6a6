import { cancelPull, forgetPull, pull as begin } from "../actions";
import { seconds, size } from "../format";
import type { Pull } from "../types";
import { Bar } from "./bar";

/** One download: how far, how fast, how long, and its end. */
export function PullLine({ pull }: { pull: Pull }) {
  const over = pull.state === "done" || pull.state === "cancelled" || pull.state === "failed";
  const facts = [];
  if (pull.state === "verifying") facts.push("checks its hash");
  if (pull.state === "starting") facts.push("asks where it lies");
  if (pull.total) facts.push(`${size(pull.done)} of ${size(pull.total)}`);
  else if (pull.done) facts.push(size(pull.done));
  if (pull.rate > 0) facts.push(`${size(pull.rate)}/s`);
  if (pull.left !== null) facts.push(`${seconds(pull.left)} left`);
  if (pull.what) facts.push(pull.what);
  return (
    <div className="pull" role="group" aria-label={`download of ${pull.name}`}>
      <span className="name">{pull.name}</span>
      {!over && pull.total ? <Bar share={pull.done / pull.total} label={`download of ${pull.name}`} tone="plain" /> : null}
      {pull.state === "done" && <span className="accent">is here</span>}
      {pull.state === "cancelled" && <span className="amber">cancelled; what came is kept</span>}
      {pull.state === "failed" && (
        <span className="red" role="alert">
          {pull.error?.message} <span className="second">{pull.error?.hint}</span>
        </span>
      )}
      {!over && <span className="second">{facts.join("   ")}</span>}
      <span className="space" />
      {over ? (
        <>
          {pull.state !== "done" && (
            <button type="button" className="quiet" onClick={() => void begin(pull.name)}>
              go on
            </button>
          )}
          <button type="button" className="quiet" onClick={() => void forgetPull(pull.name)}>
            hide
          </button>
        </>
      ) : (
        <button type="button" className="quiet" onClick={() => void cancelPull(pull.name)}>
          cancel
        </button>
      )}
    </div>
  );
}
