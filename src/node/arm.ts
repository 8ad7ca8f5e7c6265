/** One arm of a node: its session, its supervised run, its end. */
import { rememberRun } from "../actors/controller.ts";
import { startKasmina } from "../actors/kasmina.ts";
import type { RunContext, SavedRun } from "../actors/run-context.ts";
import { startTolaria } from "../actors/tolaria.ts";
import { runTopology } from "../actors/topology.ts";
import { sessionSpecOf } from "../config/session-spec.ts";
import { CheckpointState } from "../contracts/checkpoint.ts";
import type { KasminaControlCommand } from "../contracts/commands.ts";
import { type ArmName, type EsperConfig, ServicesConfig } from "../contracts/config.ts";
import type { DatasetBuffers } from "../contracts/dataset.ts";
import { describeError, InputError, ServiceError } from "../contracts/errors.ts";
import { SeedTransition } from "../contracts/lifecycle.ts";
import type { SessionSpec } from "../contracts/plan.ts";
import { configuredPolicy, type PolicyInForce } from "../contracts/policy.ts";
import { type Clock, delay } from "../contracts/ports.ts";
import { SeedStateTable } from "../contracts/seed-state.ts";
import { hostFor } from "../graph/hosts/index.ts";
import { acceptCommand } from "../machines/accept-command.ts";
import { type KasminaRunState, reviveRun, seedPlaces } from "../machines/kasmina-state.ts";
import { wholeStanding } from "../machines/run-budget.ts";
import { type CountedRollbacks, startRun } from "../machines/run-machine.ts";
import { calibration } from "../policy/calibration.ts";
import type { PolicyState } from "../policy/decide.ts";
import { buildReportArm, type ToldRun } from "../policy/report.ts";
import { hashJson } from "../store/json.ts";
import { Deferred } from "../supervision/deferred.ts";
import type { ImportedHost, TrainingLane } from "../workers/lane.ts";
import { SessionState } from "../workers/session-state.ts";
import { createFirstBoundary, type FirstAsked } from "./first-commands.ts";
import { orderTermsOf } from "./forge-identity.ts";
import { machineName } from "./machine.ts";
import { relabelRun } from "./resume.ts";
import { createRunWatch } from "./run-watch.ts";
import type { Services } from "./services.ts";
import type { Stores } from "./stores.ts";

export interface ArmOptions {
  readonly runId: string;
  readonly arm: ArmName;
  readonly config: EsperConfig;
  readonly engine: { readonly name: SessionSpec["engine"]; readonly version: string };
  readonly dataset: DatasetBuffers;
  /** The host and its weights when the configuration names a file. */
  readonly imported?: ImportedHost;
  readonly lane: TrainingLane;
  readonly services: Services;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
  /** Checkpoint folder, or a run's folder of checkpoints. */
  readonly resume?: string;
  /** What is asked for at the first boundary. */
  readonly asked?: FirstAsked;
}

type End = Parameters<RunContext["finished"]>[0];

const boundaryRetryMs = 250;
const boundaryAttemptsMax = 40;
const askAgainMs = 200;
const settleMsMax = 10_000;
/** Of a run that was told to end: the step under way, its boundary, its checkpoint, and the test data if it had come to them. */
const endMsMax = 600_000;

/** Runs the arm to its end; a training thread that dies is replaced and the run resumed from its last checkpoint. */
export const runArm = async (options: ArmOptions): Promise<ToldRun> => {
  const { asked, ...rest } = options;
  let { runId, resume } = options;
  for (let lost = 0; ; lost += 1) {
    // A checkpoint of this arm holds what was asked for at its first boundary.
    const anew = asked === undefined || resume !== options.resume ? {} : { asked };
    const end = await runOnce({ ...rest, runId, ...(resume === undefined ? {} : { resume }), ...anew });
    if (end.outcome !== "lost") return reportOf(options, runId);
    if (lost >= options.config.services.lanesLostMax)
      throw new ServiceError(`${end.reason}; it was replaced ${lost} times already (services.lanesLostMax)`);
    const checkpoints = await options.stores.checkpoints.list(runId);
    resume = checkpoints.at(-1)?.path ?? resume;
    options.note(`${end.reason}; ${resume === undefined ? "starting the arm again" : `resuming from ${resume}`}`);
    runId = `${options.runId}-${lost + 2}`;
  }
};

const runOnce = async (options: ArmOptions): Promise<End> => {
  const { runId, arm, config, services, stores, lane, signal, imported } = options;
  const spec = sessionSpec(options);
  const saved = options.resume === undefined ? undefined : await loadCheckpoint(options, options.resume);
  const finished = new Deferred<End>();
  const { layers } = imported?.host ?? hostFor(config.model, options.dataset);
  const sites = layers.flatMap(({ name, kind }) => (kind === "output" ? [] : [name]));
  const seedIds = seedPlaces(sites, config.morphogenetic).map(({ seedId }) => seedId);

  const first =
    options.asked === undefined
      ? undefined
      : createFirstBoundary(options.asked, {
          runId,
          connect: () => services.actorPorts.connect("supervisor"),
          clock: options.clock,
          timeoutMs: config.services.requestTimeoutMs,
          signal,
          note: options.note,
        });
  const run: RunContext = {
    runId,
    arm,
    growth: arm === "grown" && config.morphogenetic.enabled,
    spec,
    ...(imported === undefined ? {} : { imported }),
    dataset: options.dataset,
    lane,
    table: new SeedStateTable(seedIds.length),
    seedIds,
    interrupt: signal,
    boundaryTimeoutMs: config.services.boundaryTimeoutMs,
    boundaryRetryMs,
    boundaryAttemptsMax,
    checkpointEveryEpochs: config.checkpoint.everyEpochs,
    ...(saved === undefined ? {} : { resume: saved }),
    saveCheckpoint: (epoch, elapsedMs, session) =>
      saveCheckpoint(options, epoch, elapsedMs, session, run.machine.context, saved?.hash),
    finished: (end) => finished.resolve(end),
    ...(first === undefined ? {} : { first }),
    opened: false,
    elapsedBeforeMs: 0,
    machine: startRun({ rollbacksMax: config.governor.rollbacksMax }, saved?.rollbacks),
    goodHostStep: saved?.session.state.learner.hostStep ?? 0,
    toldEpoch: saved?.epoch ?? 0,
    test: undefined,
  };

  const failed = new Deferred<never>();
  const over = new AbortController();
  const interrupt = (): void => {
    run.table.stopRequested = true;
    delay(options.clock, endMsMax, over.signal).then(
      () =>
        failed.reject(
          new ServiceError(`expected ${runId} to end within ${endMsMax} ms of being told to, it did not; see the log`),
        ),
      () => undefined,
    );
  };
  signal.addEventListener("abort", interrupt, { once: true });
  if (signal.aborted) interrupt();

  const decides = { morphogenetic: config.morphogenetic, validationBatches: validationBatchesOf(options.dataset, config) };
  rememberRun(services.runPolicies, runId, decides);

  const group = `run:${runId}`;
  const watch = createRunWatch({ group, failuresMax: config.services.restartsMax, window: () => run.toldEpoch });
  const unwatch = services.supervisor.onEvent((event) => {
    const stuck = watch(event);
    if (stuck !== undefined) failed.reject(new ServiceError(`${runId} was given up: ${stuck}`));
    if (event.kind === "escalated" && event.supervisor.endsWith(services.supervisor.tree().id))
      failed.reject(new ServiceError(`the node gave up: ${event.reason}`));
  });
  try {
    await services.supervisor.addChild(
      runTopology(
        runId,
        {
          kasmina: () =>
            startKasmina(services.actorPorts, run, {
              runs: stores.runs,
              morphogenetic: config.morphogenetic,
              orders: { terms: orderTermsOf(config), mint: (claims) => stores.capabilities.mint(claims) },
              machine: machineName(),
              setup: {
                config: config.morphogenetic,
                policy: policyInForce(config),
                epochSteps: config.optimization.epochSteps,
                validationBatches: validationBatchesOf(options.dataset, config),
                kernel: {
                  engine: options.engine.name,
                  engineVersion: options.engine.version,
                  optimizer: config.optimization.optimizer,
                  batchSize: config.dataset.batchSize,
                },
                askAgainMs,
              },
            }),
          tolaria: () => startTolaria(services.actorPorts, run),
        },
        config.services,
      ),
    );
    const end = await Promise.race([finished.promise, failed.promise]);
    if (end.outcome !== "lost") await settle(options);
    const { outcome: kind, reason } = end;
    stores.runs.finishRun(runId, { kind: kind === "lost" ? "failed" : kind, reason }, []);
    stores.runs.prune(options.clock.nowMs());
    return end;
  } catch (error) {
    const reason = describeError(error);
    try {
      stores.runs.finishRun(runId, { kind: "failed", reason }, []);
    } catch (cause) {
      options.note(`the end of ${runId} could not be stored: ${describeError(cause)}`);
    }
    throw error;
  } finally {
    unwatch();
    over.abort();
    signal.removeEventListener("abort", interrupt);
    run.table.stopRequested = true;
    // A node that gave up is stopping its children itself.
    await services.supervisor
      .removeChild(group)
      .catch((error: unknown) => options.note(`${group} was not removed: ${describeError(error)}`));
  }
};

/** Waits until the event log has what the database says has happened. */
const settle = async ({ runId, stores, clock, note }: ArmOptions): Promise<void> => {
  const untilMs = clock.monotonicMs() + settleMsMax;
  const complete = (): boolean =>
    stores.runs.pendingOutbox(1).length === 0 &&
    stores.events.written(runId, "system.events.seed") >= stores.runs.transitions(runId).length &&
    stores.events.finished(runId);
  while (!complete()) {
    if (clock.monotonicMs() > untilMs) {
      note(`the event log of ${runId} is not complete after ${settleMsMax} ms; the report may miss its last events`);
      return;
    }
    await delay(clock, 20);
  }
};

const reportOf = async ({ stores, config }: ArmOptions, runId: string): Promise<ToldRun> => {
  const file = stores.paths.eventLog(runId);
  const told = buildReportArm(await stores.events.read(runId), file);
  if (told === undefined)
    throw new ServiceError(
      `expected the event log ${file} to tell of the run's start, found nothing; see the log in ${config.services.dataDir}`,
      { file },
    );
  return told;
};

export const validationBatchesOf = (dataset: DatasetBuffers, config: EsperConfig): number =>
  Math.ceil(dataset.validation.count / config.dataset.batchSize);

/** The policy that the configuration makes, under its hash. */
const policyInForce = (config: EsperConfig): PolicyInForce => {
  const policy = configuredPolicy(config.morphogenetic, calibration);
  return { hash: hashJson(policy, "policy"), sinceEpoch: 0, policy };
};

const sessionSpec = ({ runId, arm, config, engine, dataset }: ArmOptions): SessionSpec =>
  sessionSpecOf({ runId, config, dataset, engine: engine.name, damaged: arm !== "healthy" });

const saveCheckpoint = async (
  { runId, arm, config, stores, services }: ArmOptions,
  epoch: number,
  elapsedMs: number,
  session: SavedRun["session"],
  { place, rollbacksHere, rollbacks }: CountedRollbacks,
  resumedFrom: string | undefined,
): Promise<string> => {
  const boundary = stores.runs.loadRun(runId)?.snapshots ?? null;
  const policy = services.policies.get(runId);
  const state: CheckpointState = {
    version: 1,
    runId,
    arm,
    epoch,
    elapsedMs,
    rollbacks: { place, rollbacksHere, rollbacks },
    // What is the node's own is no part of a run: a checkpoint that is handed on holds no address and no login.
    config: { ...config, services: ServicesConfig.parse({}) },
    session: session.state,
    boundary: boundary === null ? null : withWaiting(boundary as KasminaRunState, stores.runs.pendingCommands(runId)),
    ...(policy === undefined ? {} : { policy }),
    transitions: [...stores.runs.transitions(runId)],
  };
  const inputs = [...(resumedFrom === undefined ? [] : [resumedFrom]), ...session.state.kernelHashes];
  const entry = await stores.checkpoints.save({ runId, epoch, tensors: session.tensors, state, inputs });
  await stores.checkpoints.prune(runId, config.checkpoint.keep);
  return entry.path;
};

/** The state of the last boundary with the commands that were accepted since: they wait for the next one, also after a resume. */
const withWaiting = (state: KasminaRunState, commands: readonly KasminaControlCommand[]): KasminaRunState =>
  commands.reduce((before, command) => acceptCommand(before, command).state, state);

/** A checkpoint becomes the start of a run of its own: same seeds, same plan, and a log that tells the transitions again. */
const loadCheckpoint = async (
  { runId, arm, stores, services, clock }: ArmOptions,
  path: string,
): Promise<SavedRun & { readonly hash: string }> => {
  const { state, tensors, hash } = await stores.checkpoints.load(path, CheckpointState);
  if (state.arm !== arm)
    throw new InputError(`expected a checkpoint of the arm ${arm}, got one of ${state.arm}: ${path}`, { file: path });
  const relabel = (value: unknown): unknown => relabelRun(value, state.runId, runId);
  const session = SessionState.parse(relabel(state.session));
  if (session.tested)
    throw new InputError(
      `run ${state.runId} is complete and has read its test data; resume one of its earlier checkpoints instead of ${path}`,
      { file: path },
    );
  const transitions = SeedTransition.array().parse(relabel(state.transitions));
  const boundary = relabel(state.boundary) as KasminaRunState | null;
  // A run that was stopped or paused goes on where it was.
  const revived = boundary === null ? null : reviveRun(boundary);
  stores.runs.createRun({ runId, arm, nowMs: clock.nowMs() });
  stores.runs.rewindRun({
    runId,
    epoch: state.epoch,
    snapshots: revived,
    transitions,
    ...(revived === null ? {} : { budget: wholeStanding(revived) }),
  });
  if (state.policy !== undefined) services.policies.set(runId, relabel(state.policy) as PolicyState);
  stores.runs.enqueue([
    ...transitions.map((payload) => ({ subject: "system.events.seed", payload })),
    // The new log tells what was kept with forecast and gain, as the old one did.
    ...(boundary?.kept ?? []).map((payload) => ({ subject: "innovation.field_reports", payload })),
  ]);
  const { epoch, elapsedMs, rollbacks } = state;
  return { hash, epoch, elapsedMs, rollbacks, session: { tensors, state: session } };
};
