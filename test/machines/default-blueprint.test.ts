import { describe, expect, test } from "vitest";
import type { BlueprintConfig } from "../../src/contracts/blueprint-kinds.ts";
import { resolveGermination } from "../../src/machines/accept-command.ts";
import { acceptCommand, createRunState } from "../../src/machines/boundary.ts";
import { germinate } from "./driver.ts";
import { config, host, setup } from "./fixtures.ts";

const { blueprint: _, ...bare } = germinate;
const stateWith = (change: Partial<BlueprintConfig>) =>
  createRunState({ ...setup, config: { ...config, blueprint: { ...config.blueprint, ...change } } }, host);

describe("a germination that names no blueprint", () => {
  test("grows what the shapes ask for, as the configuration starts it", () => {
    expect(resolveGermination(stateWith({}), bare)).toMatchObject({
      blueprint: { kind: "dense", hiddenWidth: 12, initialization: "zero" },
    });
    expect(resolveGermination(stateWith({ kind: "low-rank", hiddenWidth: 3, initialization: "tiny" }), bare)).toMatchObject({
      blueprint: { kind: "low-rank", hiddenWidth: 3, initialization: "tiny" },
    });
  });

  test("is refused with its reason where the configured blueprint does not fit; so is one that names its own", () => {
    const convolution = { kind: "convolution", hiddenWidth: 4, initialization: "zero" } as const;
    for (const [state, command] of [
      [stateWith({ kind: "convolution" }), bare],
      [stateWith({}), { ...bare, blueprint: convolution }],
    ] as const) {
      expect(acceptCommand(state, command).receipt).toMatchObject({
        kind: "refused",
        code: "span",
        reason: expect.stringContaining("a convolution started as zero does not fit from h2 to"),
      });
    }
  });
});
