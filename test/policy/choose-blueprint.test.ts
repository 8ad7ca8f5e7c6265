import { describe, expect, it } from "vitest";
import { BlueprintConfig, type BlueprintKind, bypassKinds } from "../../src/contracts/blueprint-kinds.ts";
import { blueprintCost, fits } from "../../src/contracts/blueprint-shapes.ts";
import type { HostSummary, SiteSummary } from "../../src/contracts/plan.ts";
import { defaultBlueprint, fitsSpan } from "../../src/contracts/trial.ts";
import { chooseBlueprint, chooseReplacement, type TagsOf } from "../../src/policy/choose-blueprint.ts";

const site = (name: string, inputShape: number[], shape: number[]): SiteSummary => ({
  site: name,
  kind: shape.length === 3 ? "conv2d" : "dense",
  inputWidth: inputShape.length === 3 ? inputShape[0]! : inputShape.at(-1)!,
  width: shape.length === 3 ? shape[0]! : shape.at(-1)!,
  inputShape,
  shape,
  slopeFlops: 100,
  legalTargets: [],
});

const hostOf = (...sites: SiteSummary[]): HostSummary => ({
  name: "h",
  hash: "0".repeat(64),
  parameters: 1,
  batchSize: 8,
  stepFlops: 3,
  forwardFlops: 1,
  sites,
});

const vectors = hostOf(site("h1", [16], [8]), site("h2", [8], [12]));
const images = hostOf(site("c1", [3, 8, 8], [4, 8, 8]), site("c2", [4, 8, 8], [6, 4, 4]), site("output", [6], [10]));
const tokens = hostOf(
  site("b1.attention.value", [4, 6], [4, 6]),
  site("b1.attention.projection", [4, 6], [4, 6]),
  site("b1.mlp.in", [4, 6], [4, 24]),
  site("b1.mlp.out", [4, 24], [4, 6]),
);

const configOf = (change: Partial<BlueprintConfig> = {}): BlueprintConfig => ({ ...BlueprintConfig.parse({}), ...change });
const known =
  (tags: Partial<Record<BlueprintKind, readonly string[]>>): TagsOf =>
  (kind) =>
    tags[kind];

const kindOf = (host: HostSummary, [fromSite, toSite]: readonly [string, string], change = {}, tagsOf?: TagsOf): string => {
  const choice = chooseBlueprint(host, { fromSite, toSite }, configOf(change), tagsOf);
  return "refused" in choice ? choice.refused : choice.request.kind;
};

describe("chooseBlueprint", () => {
  it("auto takes what the shapes ask for", () => {
    expect(kindOf(vectors, ["h1", "h2"])).toBe("dense");
    expect(kindOf(images, ["c1", "c2"])).toBe("convolution");
    expect(kindOf(images, ["c1", "output"])).toBe("dense");
    expect(kindOf(tokens, ["b1.attention.value", "b1.attention.projection"])).toBe("attention-head");
    expect(kindOf(tokens, ["b1.mlp.in", "b1.mlp.out"])).toBe("token-mlp");
    expect(chooseBlueprint(vectors, { fromSite: "h1", toSite: "h2" }, configOf())).toEqual({
      request: { kind: "dense", hiddenWidth: 12, initialization: "zero" },
    });
  });

  it("a kind asked for by name is grown where it fits, and refused with the shapes where it does not", () => {
    expect(kindOf(images, ["c1", "c2"], { kind: "residual" })).toBe("residual");
    expect(kindOf(vectors, ["h1", "h2"], { kind: "no-op" })).toBe("no-op");
    expect(kindOf(vectors, ["h1", "h2"], { kind: "convolution" })).toBe("no convolution joins h1 [16] to h2 [12]");
    expect(kindOf(images, ["c1", "c9"])).toBe("no blueprint joins c1 [3, 8, 8] to c9 [unknown]");
  });

  it("B1: a required tag must be known; not measured is not enough", () => {
    const wanted = { tagsRequired: ["stable"] };
    expect(kindOf(vectors, ["h1", "h2"], wanted)).toContain("dense was never measured and not known as stable");
    expect(kindOf(vectors, ["h1", "h2"], wanted, known({ dense: ["fast"], "low-rank": ["stable"] }))).toBe("low-rank");
    expect(kindOf(vectors, ["h1", "h2"], { ...wanted, kind: "dense" }, known({ dense: ["fast"] }))).toBe(
      "dense is not known as stable",
    );
  });

  it("an excluded tag rules out; a preferred one goes before what the shapes ask for", () => {
    const tags = known({ dense: ["heavy"], "low-rank": ["light", "fast"], widening: ["light"] });
    expect(kindOf(vectors, ["h1", "h2"], { tagsExcluded: ["heavy"] }, tags)).toBe("low-rank");
    expect(kindOf(vectors, ["h1", "h2"], { tagsPreferred: ["light"] }, tags)).toBe("low-rank");
    expect(kindOf(vectors, ["h1", "h2"], { tagsPreferred: ["light"], tagsExcluded: ["fast"] }, tags)).toBe("widening");
    expect(kindOf(vectors, ["h1", "h2"], { kind: "dense", tagsExcluded: ["heavy"] }, tags)).toBe("dense is heavy");
  });

  it("among the rest the cheapest wins, by the closed form", () => {
    const span = ["c1", "c2"] as const;
    const tags = known({ convolution: ["drifting"] });
    const [from, to] = [images.sites[0]!.inputShape, images.sites[1]!.shape];
    const rest = bypassKinds.filter((kind) => kind !== "convolution" && kind !== "no-op" && fits({ kind }, from, to));
    const flops = (kind: BlueprintKind) => blueprintCost({ kind, hiddenWidth: 6 }, from, to, 8)!.forwardFlops;
    const cheapest = rest.reduce((best, kind) => (flops(kind) < flops(best) ? kind : best));
    expect(rest.length).toBeGreaterThan(2);
    expect(kindOf(images, span, { tagsExcluded: ["drifting"] }, tags)).toBe(cheapest);
  });

  it("B2: auto never grows the control, whatever its tags", () => {
    expect(kindOf(vectors, ["h1", "h2"], { tagsRequired: ["stable"] }, known({ "no-op": ["stable"] }))).not.toBe("no-op");
  });

  it("started by TINY, only kinds that have such a start are taken", () => {
    const span = ["b1.attention.value", "b1.attention.projection"] as const;
    expect(kindOf(tokens, span, { initialization: "tiny" })).toBe("token-mlp");
    expect(kindOf(tokens, span, { initialization: "tiny", kind: "attention-head" })).toBe(
      "no attention-head started by TINY joins b1.attention.value [4, 6] to b1.attention.projection [4, 6]",
    );
  });

  it("without tags it chooses what a germination by hand grows by default", () => {
    for (const [host, fromSite, toSite] of [
      [vectors, "h1", "h2"],
      [images, "c1", "c2"],
      [images, "c2", "output"],
      [tokens, "b1.attention.value", "b1.attention.projection"],
      [tokens, "b1.mlp.in", "b1.mlp.out"],
    ] as const) {
      for (const initialization of ["zero", "tiny"] as const) {
        const config = configOf({ initialization });
        const span = { fromSite, toSite };
        expect(chooseBlueprint(host, span, config)).toEqual({ request: defaultBlueprint(host, span, config) });
      }
    }
  });
});

describe("chooseReplacement", () => {
  const tail = { parameters: 200, forwardFlops: 400 };
  const [h1, h2] = vectors.sites as [SiteSummary, SiteSummary];
  const host = hostOf({ ...h1, tail }, h2);
  const own = { fromSite: "h1", toSite: "h1" };
  const chosen = (change: Partial<BlueprintConfig> = {}, base: "trainable" | "frozen" = "trainable", tagsOf?: TagsOf) =>
    chooseReplacement(host, own, { base, blueprint: configOf(change) }, tagsOf);

  it("starts as He's whatever the configuration says of bypasses", () => {
    const wanted = { kind: "replacement", hiddenWidth: 8, initialization: "he" };
    expect(chosen()).toEqual(wanted);
    expect(chosen({ initialization: "tiny", hiddenWidth: 3 })).toEqual(wanted);
    expect(chosen({ kind: "replacement" })).toEqual(wanted);
  });

  it("is none where another kind is asked for, the base is frozen, tags rule it out, or the layer cannot be replaced", () => {
    expect(chosen({ kind: "dense" })).toBeUndefined();
    expect(chosen({}, "frozen")).toBeUndefined();
    expect(chosen({ tagsExcluded: ["heavy"] }, "trainable", known({ replacement: ["heavy"] }))).toBeUndefined();
    expect(chosen({ tagsRequired: ["stable"] })).toBeUndefined();
    const blueprint = { base: "trainable", blueprint: configOf() } as const;
    expect(chooseReplacement(host, { fromSite: "h2", toSite: "h2" }, blueprint)).toBeUndefined();
    expect(chooseReplacement(host, { fromSite: "h1", toSite: "h2" }, blueprint)).toBeUndefined();
  });

  it("fits one layer alone, and a layer that can be replaced is no span for a bypass by that", () => {
    const kind = "replacement";
    expect(fitsSpan(host, own, { kind, initialization: "zero" })).toBe(true);
    expect(fitsSpan(host, own, { kind, initialization: "tiny" })).toBe(false);
    expect(fitsSpan(host, own, { kind: "dense", initialization: "zero" })).toBe(false);
    const linear = hostOf({ ...h1, tail, legalTargets: ["h1"] }, h2);
    expect(fitsSpan(linear, own, { kind: "dense", initialization: "zero" })).toBe(true);
  });

  it("auto never takes one for a bypass, whatever its tags", () => {
    const linear = hostOf({ ...h1, tail, legalTargets: ["h1"] }, h2);
    expect(kindOf(linear, ["h1", "h1"], { tagsPreferred: ["fast"] }, known({ replacement: ["fast"] }))).toBe("dense");
  });
});
