/** The supervised services of a node: the root supervisor with its children, and the door through which runs are added. */

import { startDeadLetters } from "../actors/dead-letters.ts";
import { type PruneMemory, startEmrakul } from "../actors/emrakul.ts";
import { startGate } from "../actors/gate.ts";
import { startHttp } from "../actors/http.ts";
import { createNissaMemory, startNissa } from "../actors/nissa.ts";
import { createRecentIds } from "../actors/recent-ids.ts";
import type { ActorPorts } from "../actors/shell.ts";
import { type StewardPorts, startSteward } from "../actors/steward.ts";
import { type PolicyMemory, type RunPolicy, type SignalMemory, startTamiyo } from "../actors/tamiyo.ts";
import { nodeTopology } from "../actors/topology.ts";
import { startUrza } from "../actors/urza.ts";
import { startWarden } from "../actors/warden.ts";
import type { Bus } from "../bus/bus.ts";
import { type Oona, startOona } from "../bus/create.ts";
import { tellHttpAddress } from "../bus/operator-file.ts";
import type { EsperConfig } from "../contracts/config.ts";
import type { Envelope } from "../contracts/envelope.ts";
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { SessionSpec } from "../contracts/plan.ts";
import type { Clock, Entropy, Log } from "../contracts/ports.ts";
import type { SupervisionEvent as PublishedEvent } from "../contracts/subjects.ts";
import { openHttp } from "../http/open.ts";
import { startViewFeed } from "../http/view-feed.ts";
import { guardConnect } from "../resilience/guard-connect.ts";
import type { Resilience } from "../resilience/resilience.ts";
import { withoutWithdrawn } from "../store/kernel-status.ts";
import { Deferred } from "../supervision/deferred.ts";
import type { SupervisionEvent } from "../supervision/events.ts";
import type { Exit, RunningChild } from "../supervision/spec.ts";
import { Supervisor } from "../supervision/supervisor.ts";
import type { ViewHub } from "../view/hub.ts";
import type { ForgeLane } from "../workers/lane.ts";
import { createLetterTeller, toldOfConsumer } from "./dead-letters.ts";
import { forgeIdentityOf, nodeDescriptionOf } from "./forge-identity.ts";
import { forgeStarters } from "./forge-starters.ts";
import { healthOf } from "./health.ts";
import { createLiveView } from "./live-view.ts";
import { createLostStreams } from "./lost-streams.ts";
import { machineName } from "./machine.ts";
import { createOfferedConfigs } from "./offered-configs.ts";
import { performanceOf } from "./performance.ts";
import { sketchBlueprint } from "./sketch-blueprint.ts";
import type { Stores } from "./stores.ts";

export interface ServicesOptions {
  readonly config: EsperConfig;
  readonly dataDir: string;
  readonly clock: Clock;
  readonly entropy: Entropy;
  readonly log: Log;
  readonly stores: Stores;
  /** Undefined where forges on other machines do all the work. */
  readonly forge: ForgeLane | undefined;
  readonly resilience: Resilience;
  /** The engine that kernels are compiled for. */
  readonly engine: SessionSpec["engine"];
  readonly engineVersion: string;
  readonly watch: (envelope: Envelope) => void;
  /** Batches in one pass over the validation samples. */
  readonly validationBatches: number;
  /** Takes runs, and the word to end. */
  readonly steward: StewardPorts;
}

export interface Services {
  readonly supervisor: Supervisor;
  readonly actorPorts: ActorPorts;
  /** The bus as it is now; another one after Oona was restarted. */
  readonly oona: () => Oona;
  /** Where HTTP is served; undefined where it is not. */
  readonly httpUrl: () => string | undefined;
  /** What its pages are told. */
  readonly hub: ViewHub;
  /** What Tamiyo remembers of each run. */
  readonly policies: PolicyMemory;
  /** What decides in each run. */
  readonly runPolicies: Map<string, RunPolicy>;
  /** Tells people of something about the node. */
  announce(event: PublishedEvent): void;
  stop(): Promise<void>;
}

export const startServices = async (options: ServicesOptions): Promise<Services> => {
  const { config, dataDir, clock, entropy, log, stores, forge, resilience, engine, watch, validationBatches } = options;
  const machine = machineName();
  const { services } = config;
  const identity = forgeIdentityOf(config, [{ name: engine, version: options.engineVersion }]);
  let oona: Oona | undefined;
  let announcer: Bus | undefined;
  const policies: PolicyMemory = new Map();
  const prunings: PruneMemory = new Map();
  const heard = createRecentIds();
  const heardOfPrunings = createRecentIds();
  const signals: SignalMemory = new Map();
  const runPolicies = new Map<string, RunPolicy>();
  const learnedAt = new Map<string, number>();
  const seen = createNissaMemory();
  // Not awaited: the first kernel is not asked for before some windows are over, and a forge that cannot be warmed tells so itself.
  void forge?.warm(engine).then(
    (warmed) => log.debug("the forge is warm", { outcome: warmed.kind }),
    (error: unknown) => log.warn("the forge could not be warmed", { error: describeError(error) }),
  );

  const current = (): Oona => {
    if (oona === undefined) throw new ServiceError("the bus is down; its supervisor is restarting it");
    return oona;
  };

  const announce = (event: PublishedEvent): void => {
    log.info("supervision", event);
    announcer
      ?.publish("system.events.supervision", event)
      .catch((error: unknown) => log.warn("an event could not be published", { error: describeError(error) }));
  };

  const reachServer = guardConnect(resilience.breakers.get("nats"));
  const actorPorts: ActorPorts = {
    connect: async (name) => {
      const bus = current();
      return bus.mode === "external" ? reachServer(() => bus.connect(name)) : bus.connect(name);
    },
    clock,
    log,
    mailboxMessagesMax: services.mailboxMessagesMax,
    resilience,
    onDeadLetter: (actor, subject, reason) => announce({ kind: "dead_letter", child: actor, detail: `${subject}: ${reason}` }),
  };

  const view = createLiveView({
    dataDir,
    config: services.http.view,
    streamsMax: services.http.streamsMax,
    clock,
    log: log.child({ actor: "http" }),
    entropy,
    tree: () => supervisor.tree(),
    breakers: resilience.breakers,
  });
  const artifacts = {
    has: (hash: string) => stores.library.describe(hash) !== undefined,
    read: (hash: string) => stores.library.bytes(hash),
  };
  let http: { readonly url: string; readonly port: number } | undefined;
  const startServer = (): Promise<RunningChild> =>
    startHttp(actorPorts, async (scope) => {
      await startViewFeed(scope.bus, view.live.feed, view.live.runs());
      const door = await openHttp({
        ...scope,
        artifacts,
        view: { ...view, signal: scope.signal },
        configs: createOfferedConfigs(config),
        config: services.http,
        entropy,
        dataDir,
        portBefore: http?.port,
      });
      http = door;
      await tellHttpAddress(dataDir, door.url);
      return door;
    });

  const letters = createLetterTeller({
    bus: () => announcer,
    clock,
    log,
    letterBytesMax: services.deadLetters.letterBytesMax,
  });

  /** What was lost before there is a bus to tell it on. */
  let lostAtStart: PublishedEvent[] | undefined;
  const onStreamGone = createLostStreams({
    runs: stores.runs,
    clock,
    log,
    announce: (event) => {
      if (lostAtStart === undefined) announce(event);
      else lostAtStart.push(event);
    },
  });

  const startBus = async (): Promise<RunningChild> => {
    const lost: PublishedEvent[] = [];
    lostAtStart = lost;
    const open = (): Promise<Oona> =>
      startOona({
        config: services.nats,
        dataDir,
        payloadBytesMax: services.payloadBytesMax,
        mailboxMessagesMax: services.mailboxMessagesMax,
        requestTimeoutMs: services.requestTimeoutMs,
        clock,
        entropy,
        log: log.child({ actor: "oona" }),
        onDeadLetter: (letter) => letters.tell(letter),
        onConsumer: (event) => announce(toldOfConsumer(event)),
        onStreamGone,
        health: services.delivery,
        durable: { work: { ackWaitMs: services.forge.ackWaitMs, deliveriesMax: services.forge.deliveriesMax } },
        description: nodeDescriptionOf(config),
      });
    const started = services.nats.mode === "external" ? await reachServer(open) : await open();
    if (started.mode === "external") await expectNoOtherNode(started);
    oona = started;
    const own = await started.connect("supervisor").catch(async (error: unknown) => {
      await started.stop();
      throw error;
    });
    announcer = own;
    lostAtStart = undefined;
    for (const event of lost) announce(event);
    const exited = new Deferred<Exit>();
    void started.exited.then((reason) =>
      exited.resolve(reason === "stopped" ? { kind: "shutdown" } : { kind: "crash", error: new ServiceError(reason) }),
    );
    return {
      exited: exited.promise,
      stop: async () => {
        // A bus that was killed may still be closing when the next one has taken its place.
        if (announcer === own) announcer = undefined;
        await own.close();
        await started.stop();
        exited.resolve({ kind: "shutdown" });
      },
    };
  };

  const supervisor = new Supervisor(
    nodeTopology(
      {
        oona: startBus,
        urza: () =>
          startUrza(
            actorPorts,
            withoutWithdrawn(stores.library, stores.kernelStatuses),
            {
              read: (token) => stores.capabilities.read(token),
              clockSkewMs: services.forge.clockSkewMs,
            },
            {
              library: stores.library,
              statuses: stores.kernelStatuses,
              experiences: stores.experiences,
              sketch: sketchBlueprint,
            },
          ),
        nissa: () =>
          startNissa(actorPorts, {
            sink: stores.events,
            watch: (envelope) => {
              if (services.http.enabled) view.live.feed.tell(envelope);
              watch(envelope);
            },
            performance: () => performanceOf(supervisor.tree(), resilience.breakers, clock),
            health: () => healthOf(supervisor.tree(), clock),
            memory: seen,
            decisions: stores.decisions,
          }),
        ...forgeStarters(actorPorts, { roles: config.roles, forge, identity, machine }),
        gate: () =>
          startGate(actorPorts, {
            runs: stores.runs,
            windows: stores.windows,
            control: config.control,
            requestTimeoutMs: services.requestTimeoutMs,
          }),
        warden: () =>
          startWarden(actorPorts, {
            store: stores.warden,
            control: config.control,
            rememberedMs: services.idempotencyMs,
            learnedAt,
          }),
        tamiyo: () =>
          startTamiyo(actorPorts, {
            morphogenetic: config.morphogenetic,
            validationBatches,
            policyOf: (runId) => runPolicies.get(runId),
            memory: policies,
            heard,
            signals,
            machine,
          }),
        emrakul: () =>
          startEmrakul(actorPorts, {
            morphogenetic: config.morphogenetic,
            morphogeneticOf: (runId) => runPolicies.get(runId)?.morphogenetic,
            memory: prunings,
            heard: heardOfPrunings,
          }),
        letters: () => startDeadLetters(actorPorts, stores.deadLetters),
        steward: () => startSteward(actorPorts, options.steward),
        http: services.http.enabled ? startServer : undefined,
      },
      services,
    ),
    { clock },
  );
  const offBreakers = resilience.breakers.onChange((event) => {
    log.warn("breaker", event);
    announcer
      ?.publish("system.events.breaker", event)
      .catch((error: unknown) => log.warn("an event could not be published", { error: describeError(error) }));
  });
  supervisor.onEvent((event) => {
    const told = toldOf(event);
    if (told !== undefined) announce(told);
  });
  await supervisor.start();
  const stop = (): Promise<void> => {
    offBreakers();
    return supervisor.stop("the node ends").finally(() => view.live.hub.close());
  };
  const { hub } = view.live;
  return { supervisor, actorPorts, oona: current, httpUrl: () => http?.url, hub, policies, runPolicies, announce, stop };
};

const probeTimeoutMs = 1_000;

/** Subjects name no node yet, so that two nodes on one server would answer each other's questions. */
const expectNoOtherNode = async (started: Oona): Promise<void> => {
  const probe = await started.connect("tezzeret");
  const answer = await probe.request("library.kernel.find", { keyHash: "0".repeat(64) }, { timeoutMs: probeTimeoutMs });
  await probe.close();
  if (answer.kind !== "reply") return;
  await started.stop();
  throw new ServiceError(
    `expected the NATS server at ${started.url} to serve this node alone, another Esper node answers on it; end that one or use another server`,
    {
      path: "services.nats.url",
    },
  );
};

/** The part of supervision that people and logs want to hear of. */
const toldOf = (event: SupervisionEvent): PublishedEvent | undefined => {
  switch (event.kind) {
    case "childStarted":
      return { kind: "started", child: event.id, detail: `generation ${event.generation}, ${Math.round(event.startMs)} ms` };
    case "childStartFailed":
      return { kind: "exited", child: event.id, detail: `could not start: ${event.reason}` };
    case "childExited":
      return { kind: event.exit === "crash" ? "exited" : "stopped", child: event.id, detail: event.reason };
    case "restarting":
      return { kind: "restarting", child: event.id, detail: `in ${event.delayMs} ms: ${event.starts.join(", ")}` };
    case "escalated":
      return { kind: "escalated", child: event.supervisor, detail: event.reason };
    case "shutdownOverrun":
      return { kind: "shutdown_overrun", child: event.id, detail: `${event.action} after ${event.waitedMs} ms` };
    default:
      return undefined;
  }
};
