import { COMPOSER_KEYS, KEYS, type Key } from "../keys";
import { state } from "../state";
import { Dialog } from "./dialog";

export function HelpDialog() {
  return (
    <Dialog name="help" title="Keys">
      <h2>Keys</h2>
      <Keys of={KEYS} />
      <h3>While writing</h3>
      <Keys of={COMPOSER_KEYS} />
      <p className="third">Letters work while no text field has the focus; Settings switches them off.</p>
      <div className="buttons">
        <button type="button" autoFocus onClick={() => state.set({ dialog: "" })}>
          close
        </button>
      </div>
    </Dialog>
  );
}

function Keys({ of }: { of: Key[] }) {
  return (
    <dl className="keys">
      {of.map((key) => (
        <div key={key.keys + key.does}>
          <dt>
            <kbd>{key.keys}</kbd>
          </dt>
          <dd>{key.does}</dd>
        </div>
      ))}
    </dl>
  );
}
