/**
 * The training thread's end of the way to a second lane: a port for tasks and results, and shared words for what cannot wait.
 *
 * P1 A port that closes answers what is under way with nothing: a dead lane keeps nobody waiting.
 */
import type { MessagePort } from "node:worker_threads";
import type { Tensor } from "../../contracts/graph.ts";
import { cancelTwin, resumeTwin, twinIsClosed } from "../twin-control.ts";
import { copyTensors, type TensorMap } from "./learner.ts";
import type { TwinLane, TwinSteps } from "./twin-lane.ts";

/** Memory that can be handed over instead of copied. */
export const buffersOf = (tensors: TensorMap): ArrayBuffer[] => [
  ...new Set(Array.from(tensors.values(), ({ data }: Tensor) => data.buffer).filter((buffer) => buffer instanceof ArrayBuffer)),
];

export const twinLaneOver = (port: MessagePort, control: SharedArrayBuffer): TwinLane => {
  let gone = false;
  let answer: (steps: TwinSteps | undefined) => void = () => undefined;
  port.on("message", (steps: TwinSteps) => answer(steps));
  port.on("close", () => {
    gone = true;
    answer(undefined); // P1
  });
  port.unref();
  return {
    start: ({ tensors, ...task }) => {
      if (gone || twinIsClosed(control)) return undefined;
      const done = new Promise<TwinSteps | undefined>((resolve) => {
        answer = resolve;
      });
      resumeTwin(control);
      const copies = copyTensors(tensors);
      port.postMessage({ ...task, tensors: copies }, buffersOf(copies));
      return {
        done,
        cancel: async () => {
          cancelTwin(control);
          await done;
        },
      };
    },
  };
};
