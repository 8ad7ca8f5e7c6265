/** A node that works for another: it joins that node's bus, takes tasks from its queues, and keeps nothing of its own. */
import type { ActorPorts } from "../actors/shell.ts";
import { forgeTopology } from "../actors/topology.ts";
import { type JoinedBus, joinBus } from "../bus/join.ts";
import type { EsperConfig } from "../contracts/config.ts";
import type { ForgeRole } from "../contracts/config-roles.ts";
import { describeError, InputError, ServiceError } from "../contracts/errors.ts";
import { engineNames } from "../engine/engine.ts";
import { selectEngine } from "../engine/select.ts";
import { createRandom } from "../graph/random.ts";
import type { ForgeIdentity } from "../policy/task-fit.ts";
import { guardForgeLane } from "../resilience/guard-lanes.ts";
import { createResilience } from "../resilience/resilience.ts";
import { Deferred } from "../supervision/deferred.ts";
import type { Exit, RunningChild } from "../supervision/spec.ts";
import { Supervisor } from "../supervision/supervisor.ts";
import { createForgeLane } from "../workers/piscina-lanes.ts";
import type { NodePorts } from "./api.ts";
import { forgeIdentityOf, nodeDescriptionOf } from "./forge-identity.ts";
import { forgeStarters } from "./forge-starters.ts";
import { machineName } from "./machine.ts";

export interface RunForgeOptions {
  readonly config: EsperConfig;
  readonly ports: NodePorts;
  /** A line of plain text for the person. */
  readonly note: (text: string) => void;
  /** Aborted once to end cleanly; what is at work goes back to the queue. */
  readonly signal: AbortSignal;
}

type Engines = ForgeIdentity["engines"];

/** Every engine that works here, or the one that the device setting asks for. */
const workingEngines = async ({ device, threads }: EsperConfig): Promise<Engines> => {
  const found: Engines[number][] = [];
  for (const name of engineNames) {
    if (device !== "auto" && device !== name) continue;
    const selection = await selectEngine(name, { threads });
    if (selection.kind === "none") continue;
    found.push({ name, version: selection.engine.version });
    await selection.engine.dispose();
  }
  if (found.length === 0)
    throw new ServiceError(`expected an engine for device ${device}, none works; run esper doctor`, { path: "device" });
  return found;
};

/** Works until the signal is aborted. @throws ServiceError when no bus can be joined, or the node had to give up */
export const runForge = async ({ config, ports, note, signal }: RunForgeOptions): Promise<void> => {
  const { clock, entropy, log } = ports;
  const { services } = config;
  const { nats, forge: terms } = services;
  if (nats.mode !== "external")
    throw new InputError(
      "expected a forge to be told whose bus it joins, services.nats starts a server of its own; set services.nats.mode to external, and connection to that node's forge.json",
      { path: "services.nats.mode" },
    );
  const resilience = createResilience({
    breaker: services.breaker,
    retry: services.retry,
    clock,
    uniform: createRandom(Buffer.from(entropy.token(6)).readUIntBE(0, 6)).fork("retries").uniform,
  });
  const engines = await workingEngines(config);
  note(`engines: ${engines.map(({ name, version }) => `${name} ${version}`).join(", ")}`);
  const lane = guardForgeLane(createForgeLane(), resilience.breakers.get("lane.forge"));
  const gaveUp = new Deferred<never>();
  gaveUp.promise.catch(() => undefined);
  let joined: JoinedBus | undefined;

  const startBus = async (): Promise<RunningChild> => {
    const bus = await joinBus({
      config: nats,
      payloadBytesMax: services.payloadBytesMax,
      mailboxMessagesMax: services.mailboxMessagesMax,
      requestTimeoutMs: services.requestTimeoutMs,
      joinMsMax: terms.joinMs,
      work: { ackWaitMs: terms.ackWaitMs, deliveriesMax: terms.deliveriesMax },
      description: nodeDescriptionOf(config),
      signal,
      clock,
      entropy,
      log: log.child({ actor: "oona" }),
    });
    joined = bus;
    note(`joined ${bus.url} as ${services.nodeName}`);
    const exited = new Deferred<Exit>();
    void bus.exited.then((reason) => {
      if (reason !== "stopped") note(`${reason}; joining again`);
      exited.resolve(reason === "stopped" ? { kind: "shutdown" } : { kind: "crash", error: new ServiceError(reason) });
    });
    return { exited: exited.promise, stop: () => bus.stop() };
  };

  const actorPorts: ActorPorts = {
    connect: async (name) => {
      if (joined === undefined) throw new ServiceError("no bus is joined yet");
      return joined.connect(name);
    },
    clock,
    log,
    mailboxMessagesMax: services.mailboxMessagesMax,
    resilience,
    onDeadLetter: (actor, subject, reason) => log.warn("not handled", { actor, subject, reason }),
  };
  const parts = { roles: config.roles, forge: lane, identity: forgeIdentityOf(config, engines), machine: machineName() };
  const supervisor = new Supervisor(
    forgeTopology({ oona: startBus, ...forgeStarters(actorPorts, parts) }, services, terms.joinMs),
    { clock },
  );
  supervisor.onEvent((event) => {
    log.info("supervision", { ...event });
    if (event.kind === "escalated" && event.supervisor.endsWith(supervisor.tree().id))
      gaveUp.reject(new ServiceError(`the forge gave up: ${event.reason}`));
  });

  const told = new Deferred<void>();
  const interrupted = (): void => told.resolve();
  signal.addEventListener("abort", interrupted, { once: true });
  if (signal.aborted) interrupted();
  try {
    const [first] = engines;
    if (first !== undefined)
      void lane.warm(first.name as (typeof engineNames)[number]).catch((error: unknown) => {
        log.warn("the forge could not be warmed", { error: describeError(error) });
      });
    const up = supervisor.start();
    up.catch(() => undefined);
    await Promise.race([up, told.promise]);
    if (!signal.aborted) note(`ready: ${config.roles.map((role) => goals[role as ForgeRole]).join(" and ")}`);
    await Promise.race([told.promise, gaveUp.promise]);
  } finally {
    signal.removeEventListener("abort", interrupted);
    await supervisor.stop("the forge ends").catch((error: unknown) => log.error("stopping failed", { error }));
    await lane.destroy();
  }
};

const goals: Readonly<Record<ForgeRole, string>> = { tezzeret: "compiles kernels", urabrask: "measures them" };
