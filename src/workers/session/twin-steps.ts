/**
 * What a second lane does for a contest: the twin's steps, with the host's own program compiled here.
 *
 * S1 A step is bit-equal to the same step in the training lane: same program, engine, threads, data, optimizer and schedule.
 * S2 It ends where the training lane would: after the last step, or after the one that the governor calls an anomaly.
 */
import type { SessionSpec } from "../../contracts/plan.ts";
import type { Engine, Executable } from "../../engine/engine.ts";
import { hostHash } from "../../graph/hash.ts";
import { initialGovernor, observeLoss } from "../../growth/governor.ts";
import { hostLearner, type LearnerSources } from "./host-learner.ts";
import type { StepResult } from "./learner.ts";
import { hostStep } from "./programs.ts";
import type { TwinSteps, TwinTask } from "./twin-lane.ts";

/** Keeps the program of the last host: the contests of a run are about one host until it grows. */
export class TwinStepper {
  readonly #sources: LearnerSources;
  readonly #engine: Engine;
  #loaded: { readonly hash: string; readonly executable: Executable } | undefined;

  constructor(sources: LearnerSources, engine: Engine) {
    this.#sources = sources;
    this.#engine = engine;
  }

  /** Takes the tensors over. `goesOn` is asked before every step. */
  async take({ host, tensors, state, steps }: TwinTask, goesOn: () => boolean): Promise<TwinSteps> {
    const learner = hostLearner(this.#sources, await this.#program(host), tensors, state);
    const { governor: config }: SessionSpec = this.#sources.spec;
    const results: StepResult[] = [];
    let governor = initialGovernor;
    while (results.length < steps && goesOn()) {
      const result = await learner.step();
      results.push(result);
      const [next, anomaly] = observeLoss(governor, result.loss, results.length, config);
      if (anomaly !== undefined) break; // S2
      governor = next;
    }
    return { tensors: learner.tensors, state: learner.state, results };
  }

  async dispose(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    await loaded?.executable.dispose();
  }

  async #program(host: TwinTask["host"]): Promise<Executable> {
    const hash = hostHash(host);
    if (this.#loaded?.hash === hash) return this.#loaded.executable;
    await this.dispose();
    const executable = await this.#engine.load(await this.#engine.compile(hostStep(host, this.#sources.spec)));
    this.#loaded = { hash, executable };
    return executable;
  }
}
