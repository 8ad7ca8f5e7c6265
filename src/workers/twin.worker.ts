/**
 * Entry of a second training lane's thread: takes the twins' steps of the sessions that have a seat here.
 *
 * W1 A seat is left when its port closes, after the step that is under way.
 * W2 What goes wrong in a step closes the port: the training lane takes the steps itself, and the seat's task tells the reason.
 */
import { SeedStateTable } from "../contracts/seed-state.ts";
import { sharedEngine } from "./session/engines.ts";
import type { TwinTask } from "./session/twin-lane.ts";
import { buffersOf } from "./session/twin-port.ts";
import { TwinStepper } from "./session/twin-steps.ts";
import { twinGoesOn } from "./twin-control.ts";
import type { TaskReply, TwinThreadTask } from "./wire.ts";
import { answer } from "./wire.ts";

const serve = async ({ spec, dataset, seeds, table, control, port }: TwinThreadTask & { kind: "serve" }): Promise<void> => {
  const shared = new SeedStateTable(seeds, table);
  const stepper = sharedEngine(spec.engine, spec.threads).then((engine) => new TwinStepper({ spec, dataset }, engine));
  const take = async (task: TwinTask): Promise<void> => {
    const steps = await (await stepper).take(task, () => twinGoesOn(control) && !shared.stopRequested);
    port.postMessage(steps, buffersOf(steps.tensors));
  };
  let work: Promise<unknown> = stepper;
  const guard = (): void => {
    work.catch(() => port.close()); // W2
  };
  guard();
  port.on("message", (task: TwinTask) => {
    work = work.then(() => take(task));
    guard();
  });
  // Before anything is awaited, so that no port closes unheard.
  await new Promise<void>((resolve) => port.once("close", resolve));
  await work.finally(async () => (await stepper).dispose()); // W1
};

export default (task: TwinThreadTask): Promise<TaskReply<unknown>> =>
  answer(async () => {
    if (task.kind === "serve") return serve(task);
    await sharedEngine(task.engine, task.threads);
    return undefined;
  });
