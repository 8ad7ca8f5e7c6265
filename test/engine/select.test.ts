import { describe, expect, it } from "vitest";
import { ServiceError } from "../../src/contracts/errors.ts";
import { createEngine, type Engine, type EngineName } from "../../src/engine/engine.ts";
import { type EngineFactory, selectEngine } from "../../src/engine/select.ts";

const options = { threads: 1 };

const failing =
  (...names: readonly EngineName[]): EngineFactory =>
  (name, given) => {
    if (names.includes(name)) throw new ServiceError(`${name} is not installed`);
    return createEngine(name, given);
  };

/** Works, but computes nonsense. */
const wrong: EngineFactory = async (name, given) => {
  const engine = await createEngine(name, given);
  const spoilt: Engine = {
    ...engine,
    load: async (compiled) => {
      const executable = await engine.load(compiled);
      return {
        inputs: executable.inputs,
        outputs: executable.outputs,
        memoryBytes: executable.memoryBytes,
        run: async (feeds) => {
          const outputs = await executable.run(feeds);
          for (const tensor of Object.values(outputs)) tensor.data.fill(1);
          return outputs;
        },
        dispose: () => executable.dispose(),
      };
    },
  };
  return spoilt;
};

describe("selectEngine", () => {
  it("auto takes the first that works and says why the others were not tried", async () => {
    const selection = await selectEngine("auto", options);
    expect(selection).toMatchObject({
      kind: "selected",
      engine: { name: "native" },
      trials: [
        { name: "native", kind: "works", version: expect.stringMatching(/^\d+\.\d+\.\d+/) },
        { name: "wasm", kind: "untried", reason: "native comes first and works" },
        { name: "cpu", kind: "untried", reason: "native comes first and works" },
      ],
    });
  });

  it("auto goes on past one that cannot be had, and keeps its reason", async () => {
    const selection = await selectEngine("auto", options, failing("native"));
    expect(selection).toMatchObject({
      kind: "selected",
      engine: { name: "wasm" },
      trials: [
        { name: "native", kind: "fails", reason: "native is not installed" },
        { name: "wasm", kind: "works" },
        { name: "cpu", kind: "untried" },
      ],
    });
  });

  it("a name is taken or nothing is: no silent substitute", async () => {
    expect(await selectEngine("cpu", options)).toMatchObject({ kind: "selected", engine: { name: "cpu" } });
    expect(await selectEngine("native", options, failing("native"))).toEqual({
      kind: "none",
      trials: [
        { name: "native", kind: "fails", reason: "native is not installed" },
        { name: "wasm", kind: "untried", reason: "the device setting asks for native" },
        { name: "cpu", kind: "untried", reason: "the device setting asks for native" },
      ],
    });
  });

  it("an engine that computes wrong numbers does not count as working", async () => {
    const selection = await selectEngine("native", options, wrong);
    expect(selection.kind).toBe("none");
    expect(selection.trials[0]).toMatchObject({ kind: "fails", reason: "trial program: expected 13, 0, found 1, 1" });
  });
});
