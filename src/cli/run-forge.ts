/** Starts a forge for another node and ends it: `start` with a configuration whose roles are a forge's. */
import { join } from "node:path";
import type { EsperConfig } from "../contracts/config.ts";
import { type CliContext, type GlobalOptions, writeLines } from "./context.ts";
import { exitCodeInterrupted } from "./exit-codes.ts";

/** Works until it is interrupted; the second interrupt ends the process at once. Returns the exit code. */
export const runForgeHere = async (
  context: CliContext,
  config: EsperConfig,
  options: GlobalOptions & { readonly json?: boolean },
): Promise<number> => {
  const { clock, entropy } = context;
  const note = (text: string): void =>
    writeLines(context, [options.json === true ? JSON.stringify({ kind: "note", text }) : text]);
  const controller = new AbortController();
  const stopListening = context.onInterrupt(() => {
    if (controller.signal.aborted) return context.exitNow(exitCodeInterrupted);
    note("ending: what is at work goes back to the queue; press Ctrl-C again to end at once");
    controller.abort(new Error("interrupted"));
  });
  const log = context.openLog({
    file: join(config.services.dataDir, "logs", "node.log"),
    level: options.debug === true ? "debug" : config.logging.level,
  });
  try {
    const { runForge } = await import("../node/forge.ts");
    await runForge({ config, ports: { clock, entropy, log }, note, signal: controller.signal });
    return 0;
  } finally {
    stopListening();
    log.close();
  }
};
