/** Colour, when the terminal has it and nobody asked for none. */
import picocolors from "picocolors";

export type Colors = ReturnType<typeof picocolors.createColors>;

export interface ColorQuestion {
  readonly isTerminal: boolean;
  /** `--no-color`. */
  readonly refused: boolean;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** `NO_COLOR` (no-color.org) and `--no-color` win over `FORCE_COLOR`, which wins over the terminal. */
export const wantsColor = ({ isTerminal, refused, environment }: ColorQuestion): boolean => {
  if (refused || (environment["NO_COLOR"] ?? "") !== "") return false;
  const forced = environment["FORCE_COLOR"];
  if (forced !== undefined && forced !== "") return forced !== "0";
  return isTerminal && environment["TERM"] !== "dumb";
};

export const createColors = (enabled: boolean): Colors => picocolors.createColors(enabled);
