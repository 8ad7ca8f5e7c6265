/** A state as a coloured glyph, with its name beside it or for those who hear the page. */
import { Glyph } from "./glyph.tsx";

interface StateMarkProps {
  readonly state: string;
  readonly machine?: string;
  readonly bare?: boolean;
}

export const stateWords = (state: string): string => state.replaceAll("_", " ").toLowerCase();

export const StateMark = ({ state, machine = "seed", bare = false }: StateMarkProps) => (
  <span class="state">
    <svg class="state-dot" viewBox="0 0 16 16" aria-hidden="true">
      <Glyph state={state} machine={machine} />
    </svg>
    <span class={bare ? "unseen" : "state-name"}>{stateWords(state)}</span>
  </span>
);
