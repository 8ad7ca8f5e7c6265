/** What the keyboard does. */
import { signal } from "@preact/signals";
import { Dialog } from "../parts/dialog.tsx";

export const helpIsOpen = signal(false);

const rows: readonly (readonly [readonly string[], string])[] = [
  [["1", "2", "3", "4", "5", "6"], "Overview, Seeds, Actors, Decisions, Time, Control"],
  [["?"], "These keys"],
  [["t"], "Theme: as the system, light, dark"],
  [["←", "↑", "↓", "→"], "In the grid and the table of seeds: move"],
  [["PgUp", "PgDn", "Home", "End"], "In the grid: further"],
  [["Enter"], "Open the seed"],
  [["+", "-", "0"], "In the grid: nearer, further, all of it"],
  [["Esc"], "Close what is open"],
  [["Space"], "In a recorded run: play and pause"],
  [[",", "."], "In a recorded run: a window back, a window on"],
];

export const Help = () => (
  <Dialog title="Keyboard" open={helpIsOpen.value} onClose={() => (helpIsOpen.value = false)}>
    <dl class="pairs keys">
      {rows.map(([keys, what]) => (
        <div key={what} class="contents">
          <dt class="row">
            {keys.map((key) => (
              <kbd key={key}>{key}</kbd>
            ))}
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
    <div class="actions">
      <button type="button" class="button" onClick={() => (helpIsOpen.value = false)}>
        Close
      </button>
    </div>
  </Dialog>
);
