/** Runs a host for inference: one compiled program for a size of batch, kept until the host changes. */
import type { Host, Tensor } from "../contracts/graph.ts";
import type { Engine, Executable } from "../engine/engine.ts";
import { inference } from "../graph/programs.ts";
import { sizeOf } from "../graph/shapes.ts";

const batchMax = 256;

export class Predictor {
  readonly #engine: Engine;
  #loaded: { readonly host: Host; readonly batch: number; readonly executable: Executable } | undefined;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Logits of all samples, [count · rows, classes]. The last batch is filled up with zeros that do not count. */
  async logits(
    host: Host,
    parameters: Readonly<Record<string, Tensor>>,
    samples: { readonly count: number; readonly data: Float32Array | Int32Array },
  ): Promise<Float32Array> {
    const { count, data } = samples;
    const { batch, executable } = await this.#load(host, Math.min(count, batchMax));
    const { shape: whole, dtype } = host.graph.inputs[0]!;
    const shape = [batch, ...whole.slice(1)];
    const size = sizeOf(whole.slice(1));
    const width = host.rows * host.classes;
    const result = new Float32Array(count * width);
    const given: Record<string, Tensor> = { ...parameters };
    for (let start = 0; start < count; start += batch) {
      const part = data.subarray(start * size, (start + batch) * size);
      const x = dtype === "float32" ? new Float32Array(batch * size) : new Int32Array(batch * size);
      x.set(part);
      given["x"] = { dtype, shape, data: x };
      const feeds = Object.fromEntries(executable.inputs.map(({ name }) => [name, given[name]!]));
      const { logits } = await executable.run(feeds);
      const used = Math.min(batch, count - start) * width;
      result.set((logits!.data as Float32Array).subarray(0, used), start * width);
    }
    return result;
  }

  async dispose(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    await loaded?.executable.dispose();
  }

  async #load(host: Host, batch: number): Promise<{ readonly batch: number; readonly executable: Executable }> {
    const known = this.#loaded;
    if (known?.host === host && known.batch === batch) return known;
    await this.dispose();
    const executable = await this.#engine.load(await this.#engine.compile(inference({ host, batch })));
    this.#loaded = { host, batch, executable };
    return this.#loaded;
  }
}
