/** Starts a node with a configuration, shows it, and ends it: what `start` and `train` share. */
import { join } from "node:path";
import type { EsperConfig } from "../contracts/config.ts";
import { describeError, EsperError } from "../contracts/errors.ts";
import type { RunNodeOptions } from "../node/api.ts";
import type { CliContext, GlobalOptions } from "./context.ts";
import { exitCodeInterrupted } from "./exit-codes.ts";
import { openPage } from "./open-page.ts";
import { createColors, wantsColor } from "./view/colors.ts";
import { createJsonView, createTerminalView, type View } from "./view/terminal.ts";

export interface RunRequest {
  readonly config: EsperConfig;
  readonly options: GlobalOptions & { readonly json?: boolean };
  readonly resume?: string | undefined;
  /** What was asked for in words: a checkpoint must not hold something else. */
  readonly asked?: RunNodeOptions["asked"];
  readonly reportFile?: string | undefined;
  /** The node waits for further runs after its arms. */
  readonly stay?: boolean;
  /** The node's page is opened in the browser. */
  readonly open?: boolean | undefined;
}

const createView = (context: CliContext, { config, options }: RunRequest): View => {
  if (options.json) return createJsonView(context.stdout);
  const refused = options.color === false;
  const colored = wantsColor({ isTerminal: context.stdout.isTTY === true, refused, environment: context.environment });
  const { stdout: stream, clock } = context;
  const verbose = options.verbose === true || options.debug === true;
  return createTerminalView({
    stream,
    clock,
    colors: createColors(colored),
    morphogenetic: config.morphogenetic,
    task: config.dataset.task,
    verbose,
  });
};

const openNode = (url: string | undefined, view: View): void => {
  if (url === undefined) return;
  void openPage(url).then((failed) => {
    if (failed !== undefined) view.note(`the browser could not be opened (${failed}); open ${url} yourself`);
  });
};

const reportPath = (context: CliContext, config: EsperConfig): string => {
  const stamp = new Date(context.clock.nowMs()).toISOString().replaceAll(/[:.]/g, "-");
  return join(config.services.dataDir, "reports", `${stamp}.json`);
};

/**
 * Runs all arms and returns the exit code. The first interrupt ends the run cleanly: its checkpoint, log and report are
 * written; the second one ends the process at once.
 */
export const runArms = async (context: CliContext, request: RunRequest): Promise<number> => {
  const { config, options, resume, asked = [] } = request;
  const reportFile = request.reportFile ?? reportPath(context, config);
  const view = createView(context, request);
  const controller = new AbortController();
  const stopListening = context.onInterrupt(() => {
    if (controller.signal.aborted) {
      view.close();
      context.exitNow(exitCodeInterrupted);
      return;
    }
    view.note("ending cleanly: the last window is finished and saved; press Ctrl-C again to end at once");
    controller.abort(new Error("nothing was trained"));
  });
  const log = context.openLog({
    file: join(config.services.dataDir, "logs", "node.log"),
    level: options.debug ? "debug" : config.logging.level,
  });
  try {
    const runNode = await context.loadRunNode();
    const { clock, entropy } = context;
    const result = await runNode({
      config,
      ports: { clock, entropy, log },
      view,
      signal: controller.signal,
      reportFile,
      onUp: ({ httpUrl }) => openNode(request.open === true ? httpUrl() : undefined, view),
      ...(request.stay === true ? { stay: true, onReport: (report, file) => view.report(report, file) } : {}),
      ...(resume === undefined ? {} : { resume, asked }),
    });
    // Those of a node that stays were shown when they were made.
    if (request.stay !== true) view.finish(result.report, reportFile);
    return controller.signal.aborted ? exitCodeInterrupted : result.exitCode;
  } catch (error) {
    // What an interrupted start could not finish is no failure of its own; a bug still is.
    const expected = error === controller.signal.reason || error instanceof EsperError;
    if (!controller.signal.aborted || !expected) throw error;
    view.close();
    view.note(`interrupted: ${describeError(error)}`);
    return exitCodeInterrupted;
  } finally {
    view.close();
    stopListening();
    log.close();
  }
};
