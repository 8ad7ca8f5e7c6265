/** What the page sees of a node that is up: its state, the tree of its actors, and the runs in its data directory. */
import { join } from "node:path";
import type { ViewConfig } from "../contracts/config-view.ts";
import type { Clock, Entropy, Log } from "../contracts/ports.ts";
import { commandRules } from "../contracts/roles.ts";
import type { ViewActor, ViewChange, ViewState } from "../contracts/view.ts";
import { createViewFeed, type ViewFeed } from "../http/view-feed.ts";
import type { LiveView, ViewPorts } from "../http/view-ports.ts";
import { drawings } from "../machines/drawing/index.ts";
import type { Breakers } from "../resilience/breakers.ts";
import { nodeFileSystem } from "../store/file-system.ts";
import type { SupervisorTree } from "../supervision/spec.ts";
import { ViewHub } from "../view/hub.ts";
import { ViewReader } from "../view/read-event.ts";
import { emptyView } from "../view/reduce.ts";
import { recordedIn, replayLog } from "./recorded-runs.ts";

const actorsMax = 1_000;
const runPrefix = "run:";

/** The tree from its root, supervisors before their children. */
export const actorsOf = (tree: SupervisorTree): readonly ViewActor[] => {
  const none = { mailboxDepth: null, mailboxDepthMax: null, processed: null, deadLetters: null };
  const unmeasured = { ...none, processingMsTotal: null, processingMsMax: null };
  const below = ({ children }: SupervisorTree): readonly ViewActor[] =>
    children.flatMap(({ id, path, kind, status, generation, stats, nested }) => [
      { path, id, kind, strategy: nested?.strategy ?? null, status, generation, ...(stats ?? unmeasured) },
      ...(nested === null ? [] : below(nested)),
    ]);
  const { id, path, strategy, phase } = tree;
  const root: ViewActor = { path, id, kind: "supervisor", strategy, status: phase, generation: 1, ...unmeasured };
  return [root, ...below(tree)].slice(0, actorsMax);
};

/** Runs whose actors are up. */
export const runsIn = ({ children }: SupervisorTree): readonly string[] =>
  children.flatMap(({ id, status }) => (id.startsWith(runPrefix) && status === "up" ? [id.slice(runPrefix.length)] : []));

const breakersOf = (breakers: Breakers): ViewChange => ({
  k: "breakers",
  breakers: breakers.stats().map(({ name, state, calls, failed, rejected, latency }) => {
    return { name, state, calls, failed, rejected, p99Ms: latency?.p99Ms ?? null };
  }),
});

export const liveState = (): ViewState => ({
  ...emptyView("live"),
  commandRoles: Object.fromEntries(Object.entries(commandRules).map(([kind, { roles }]) => [kind, roles])),
});

export interface LiveViewOptions {
  readonly dataDir: string;
  readonly config: ViewConfig;
  readonly streamsMax: number;
  readonly clock: Clock;
  readonly log: Log;
  readonly entropy: Entropy;
  readonly tree: () => SupervisorTree;
  readonly breakers: Breakers;
}

export interface LiveNodeView extends Omit<ViewPorts, "signal" | "live"> {
  readonly live: LiveView & {
    readonly feed: ViewFeed;
    /** Runs whose actors are up. */
    readonly runs: () => readonly string[];
  };
}

/** Made once for a node: a server that is started again goes on with it. */
export const createLiveView = ({
  dataDir,
  config,
  streamsMax,
  clock,
  log,
  entropy,
  tree,
  breakers,
}: LiveViewOptions): LiveNodeView => {
  const look = (): readonly ViewChange[] => [{ k: "actors", actors: actorsOf(tree()) }, breakersOf(breakers)];
  const hub = new ViewHub({ clock, config, instance: entropy.token(8), state: liveState(), look });
  const runs = (): readonly string[] => runsIn(tree());
  const logOf = (runId: string): string => join(dataDir, "runs", runId, "events.jsonl");
  return {
    config,
    streamsMax,
    clock,
    machines: drawings,
    recorded: recordedIn(dataDir, { fileSystem: nodeFileSystem, clock, config }, runs),
    live: {
      hub,
      runs,
      feed: createViewFeed({
        hub,
        reader: new ViewReader(),
        log,
        replay: (runId, from, reader) => replayLog(nodeFileSystem, clock, logOf(runId), from, reader),
      }),
    },
  };
};
