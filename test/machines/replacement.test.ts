/** A replacement as a command: over one layer, counted as no parameters, and trained before it is blended in. */
import { describe, expect, test } from "vitest";
import type { KernelMeasurement } from "../../src/contracts/measure.ts";
import type { HostSummary } from "../../src/contracts/plan.ts";
import { resolveGermination } from "../../src/machines/accept-command.ts";
import { acceptCommand, createRunState } from "../../src/machines/boundary.ts";
import { drive, germinate, works } from "./driver.ts";
import { config, host, kernelHash, setup } from "./fixtures.ts";

const replaceable: HostSummary = {
  ...host,
  sites: host.sites.map((each) => (each.kind === "output" ? each : { ...each, tail: { parameters: 300, forwardFlops: 600 } })),
};
const blueprint = { kind: "replacement", hiddenWidth: 1, initialization: "zero" } as const;
const { toSite: _, ...untargeted } = { ...germinate, blueprint };

describe("a germination that replaces a layer", () => {
  test("without a target it is of the site itself, is legal there and adds no parameters", () => {
    const state = createRunState(setup, replaceable);
    expect(resolveGermination(state, untargeted)).toMatchObject({
      span: { fromSite: "h2", toSite: "h2" },
      blueprint,
      cost: { parameters: 0 },
    });
    expect(acceptCommand(state, untargeted).receipt).toMatchObject({ kind: "accepted" });
    const configured = createRunState(
      { ...setup, config: { ...config, blueprint: { ...config.blueprint, kind: "replacement" } } },
      replaceable,
    );
    const { blueprint: __, ...bare } = untargeted;
    expect(resolveGermination(configured, bare)).toMatchObject({ span: { toSite: "h2" }, blueprint: { kind: "replacement" } });
  });

  test("over two layers, or of a layer that cannot be replaced, it is refused; so is a bypass over that one layer", () => {
    const refused = (on: HostSummary, command: typeof germinate) =>
      expect(acceptCommand(createRunState(setup, on), command).receipt).toMatchObject({ kind: "refused", code: "span" });
    refused(replaceable, { ...untargeted, toSite: "h3" });
    refused(host, untargeted);
    refused(replaceable, { ...germinate, toSite: "h2" });
  });

  test("it adds no parameters, and yet trains before it is blended in: three times as long as a bypass", () => {
    const loaded: KernelMeasurement = {
      kind: "loaded",
      kernelHash,
      parameters: 0,
      staticProblems: [],
      dryRun: { shapesMatch: true, finite: true, latencyMs: 1 },
      loadMs: 1,
      cached: false,
    };
    const { plans, state } = drive(12, {
      hosts: { 1: replaceable },
      commands: { 2: [untargeted] },
      windows: { 4: { change: { kernel: loaded } } },
    });
    const alone = plans.map(({ work }) => work).filter(({ kind }) => kind === "train_kernel");
    expect(alone).toHaveLength(3);
    expect(alone.reduce((sum, work) => sum + ("steps" in work ? work.steps : 0), 0)).toBe(3 * config.training.steps);
    expect(works(plans)).toContain("graft");
    expect(state.parametersAdded).toBe(0);
  });
});
