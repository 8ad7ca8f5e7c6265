/** The catalogue of blueprints by name, what a request for one says, and how the configuration steers the choice. */
import { z } from "zod";
import { shown } from "./shown.ts";

/** Kinds that add to what a host says: they join the shapes at the two ends of a span. */
export const bypassKinds = [
  /** Dense → ReLU → dense; from an image it flattens, or convolves and pools, first. */
  "dense",
  /** Two dense layers, or two 1×1 convolutions, without activation and bias (Hu et al., 2022). */
  "low-rank",
  /** New units of one layer: reads its input and adds to the next layer's pre-activation, whose bias it shares (Chen et al., 2016). */
  "widening",
  /** 1×1 → 3×3 → 1×1, strided where the span is. */
  "convolution",
  /** Depthwise 3×3 → pointwise (Howard et al., 2017); as many channels as the least multiple of the input's that holds the width. */
  "depthwise-separable",
  /** Channels gated by their global averages (Hu et al., 2018). */
  "squeeze-excite",
  /** A normalised copy, scaled and shifted per channel. */
  "normalization",
  /** 3×3 → 3×3 beside a 1×1 shortcut (He et al., 2016). */
  "residual",
  /** One causal attention head over tokens (Vaswani et al., 2017). */
  "attention-head",
  /** Dense → GELU → dense for each token. */
  "token-mlp",
  /** Adds nothing, whatever it learns: the control. */
  "no-op",
] as const;
export type BypassKind = (typeof bypassKinds)[number];

export const blueprintKinds = [
  ...bypassKinds,
  /** A fresh layer of one layer's own form takes its place; it starts as He's, whatever is asked. It adds no parameters. */
  "replacement",
] as const;
export const BlueprintKind = z.enum(blueprintKinds);
export type BlueprintKind = z.infer<typeof BlueprintKind>;

/** Kinds whose shapes the span alone decides. */
const widthless: ReadonlySet<BlueprintKind> = new Set(["normalization", "no-op", "replacement"]);
export const hasWidth = (kind: BlueprintKind): boolean => !widthless.has(kind);

/** How a blueprint's parameters start. */
export const BlueprintInitialization = z.enum([
  /** He, and zero in the last operation: it starts as nothing. */
  "zero",
  /** The optimal first and last weights of TINY (Verbockhaven et al., 2024), from the moments of a batch. */
  "tiny",
  /** He throughout: it starts as noise that alpha holds back. */
  "he",
]);
export type BlueprintInitialization = z.infer<typeof BlueprintInitialization>;

export const BlueprintRequest = z.strictObject({
  kind: BlueprintKind,
  /** Units, channels, rank or head width, by kind; without meaning where the kind has none. */
  hiddenWidth: z.int().min(1).max(8192),
  initialization: BlueprintInitialization.default("zero"),
});
export type BlueprintRequest = z.infer<typeof BlueprintRequest>;

const tags = z
  .array(shown("event log, decisions", z.string().min(1).max(64)))
  .max(32)
  .default([]);

export const BlueprintConfig = z.strictObject({
  kind: z
    .union([z.literal("auto"), BlueprintKind])
    .default("auto")
    .describe(
      "Which blueprint to grow; `auto` takes the cheapest bypass that fits the span's shapes and the tags, and a replacement where a layer's weights are far too large.",
    ),
  hiddenWidth: z
    .union([z.literal("auto"), z.int().min(1).max(8192)])
    .default("auto")
    .describe("Width of the bypass; `auto` is the widest layer of its span."),
  initialization: BlueprintInitialization.default("zero").describe(
    "`zero`: the last operation starts at zero; `tiny`: the optimal start of TINY; `he`: all of it random, as a replacement always is.",
  ),
  tinyBatches: z.int().min(1).max(1024).default(16).describe("Training batches whose moments TINY's start is computed from."),
  tagsRequired: tags.describe("Tags that Urabrask must have given a kernel of this kind on this machine."),
  tagsPreferred: tags.describe("Tags that decide between kinds of equal fit."),
  tagsExcluded: tags.describe("Tags that rule a kind out."),
});
export type BlueprintConfig = z.infer<typeof BlueprintConfig>;
