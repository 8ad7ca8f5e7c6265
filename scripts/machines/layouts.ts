/** The file of layouts: every machine of the program with its description, in the order of its catalogue. */
import { everyMachine } from "../../src/cli/every-machine.ts";
import { describeMachine } from "../../src/machines/catalogue.ts";
import type { MachineDrawing } from "../../src/machines/drawing/layout.ts";
import { layOut } from "./layout.ts";

/** Two files of equal machines are equal byte for byte. */
export const layoutsText = async (): Promise<string> => {
  const drawings: Record<string, MachineDrawing> = {};
  for (const [name, machine] of Object.entries(everyMachine)) {
    const description = describeMachine(name, machine);
    drawings[name] = { description, layout: await layOut(description) };
  }
  return `${JSON.stringify(drawings, null, 1)}\n`;
};
