/** `esper visualize`: the page of a running node, or the same page over recorded runs. */
import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { readOperatorFile } from "../../bus/operator-file.ts";
import { ViewConfig } from "../../contracts/config-view.ts";
import { DataError, InputError } from "../../contracts/errors.ts";
import { RunId } from "../../contracts/ids.ts";
import { builtPage } from "../../http/open.ts";
import { openRecordedServer } from "../../http/recorded-server.ts";
import type { RecordedRuns } from "../../http/view-ports.ts";
import { drawings } from "../../machines/drawing/index.ts";
import { recordedFile, recordedIn } from "../../node/recorded-runs.ts";
import { nodeFileSystem } from "../../store/file-system.ts";
import { type CliContext, type CommandScope, type GlobalOptions, writeLines } from "../context.ts";
import { openPage } from "../open-page.ts";

interface VisualizeOptions extends GlobalOptions {
  readonly run?: string;
  readonly events?: string;
  readonly open?: boolean;
  readonly port?: number;
}

const parsePort = (text: string): number => {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port > 65_535) throw new InvalidArgumentError("expected a port from 0 to 65535");
  return port;
};

/** Of the node that works in the data directory, answers, and has the run if one is named; undefined where there is none. */
const nodeAddress = async (dataDir: string, run: string | undefined): Promise<string | undefined> => {
  const http = await readOperatorFile(dataDir).then(
    (connection) => connection.http,
    () => undefined,
  );
  if (http === undefined) return undefined;
  const path = run === undefined ? "/view/runs" : `/view/runs/${encodeURIComponent(run)}/checkpoints`;
  const answers = await fetch(`${http}${path}`, { signal: AbortSignal.timeout(3_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
  return answers ? http : undefined;
};

const show = async (context: CliContext, url: string, told: string, open: boolean | undefined): Promise<void> => {
  writeLines(context, [`${told}: ${url}`]);
  const failed = open === true ? await openPage(url) : undefined;
  if (failed !== undefined) context.stderr.write(`the browser could not be opened (${failed}); open the address yourself\n`);
};

const recordedFor = async (context: CliContext, dataDir: string, { run, events }: VisualizeOptions): Promise<RecordedRuns> => {
  const given = { fileSystem: nodeFileSystem, clock: context.clock, config: ViewConfig.parse({}) };
  if (events !== undefined) {
    if ((await nodeFileSystem.stat(events))?.kind !== "file")
      throw new DataError(`expected an event log at ${resolve(events)}, there is no such file`, { file: events });
    return recordedFile(events, given);
  }
  const recorded = recordedIn(dataDir, given, () => []);
  const runs = await recorded.list();
  if (run !== undefined && !runs.some(({ runId }) => runId === run))
    throw new InputError(
      `expected a run that is recorded under ${resolve(dataDir)}, got ${run}; recorded: ${
        runs
          .slice(0, 5)
          .map(({ runId }) => runId)
          .join(", ") || "none"
      }`,
    );
  if (runs.length === 0)
    throw new InputError(
      `expected a running node or recorded runs under ${resolve(dataDir)}, found neither; start one with \`esper train\`, or name --data-dir or --events`,
    );
  return recorded;
};

/** Serves until Ctrl-C. */
const serve = async (context: CliContext, dataDir: string, options: VisualizeOptions): Promise<void> => {
  const recorded = await recordedFor(context, dataDir, options);
  const [first] = await recorded.list();
  const runId = options.run ?? first?.runId ?? "";
  const ending = new AbortController();
  const view = {
    config: ViewConfig.parse({}),
    streamsMax: 1,
    clock: context.clock,
    signal: ending.signal,
    recorded,
    machines: drawings,
  };
  const server = await openRecordedServer({ port: options.port ?? 0, view, pageFolder: await builtPage() });
  const interrupted = new Promise<void>((done) => {
    const stop = context.onInterrupt(() => {
      stop();
      done();
    });
  });
  try {
    await show(context, `${server.url}/#/time/${encodeURIComponent(runId)}`, `recorded run ${runId}`, options.open);
    context.stderr.write("Ctrl-C ends it\n");
    await interrupted;
  } finally {
    ending.abort();
    await server.close();
  }
};

export const addVisualize = (program: Command, { context }: CommandScope): void => {
  program
    .command("visualize")
    .argument("[run]", "a run of the data directory: the page opens it, of the node that works there if there is one")
    .description("The page of a running node; or, without a node or with --events, the same page over recorded runs.")
    .option("--events <file>", "an event log (events.jsonl), wherever it lies")
    .option("--open", "open it in the browser")
    .option("--port <n>", "port for recorded runs (default: a free one)", parsePort)
    .addHelpText(
      "after",
      "\nExamples:\n  esper visualize --open\n  esper visualize r-20260101T120000-1a2b-grown\n  esper visualize --events .esper/runs/r-20260101T120000-1a2b-grown/events.jsonl --port 8771",
    )
    .action(async (run: string | undefined, _: unknown, command: Command) => {
      const options: VisualizeOptions = {
        ...command.optsWithGlobals<GlobalOptions>(),
        ...(run === undefined ? {} : { run }),
      };
      const dataDir = options.dataDir ?? ".esper";
      if (run !== undefined && options.events !== undefined)
        throw new InputError("expected a run or --events, got both; name one of them");
      if (run !== undefined && !RunId.safeParse(run).success)
        throw new InputError(`expected the id of a run, got ${run.slice(0, 200)}`);
      const node = options.events === undefined ? await nodeAddress(dataDir, run) : undefined;
      if (node === undefined) await serve(context, dataDir, options);
      else if (run === undefined) await show(context, node, "the node's page", options.open);
      else await show(context, `${node}/#/time/${encodeURIComponent(run)}`, `run ${run} on the node's page`, options.open);
    });
};
