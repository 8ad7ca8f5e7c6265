/**
 * Which blueprint to grow over a span: what fits it and has the tags, then what its shapes ask for, then what is cheapest; or a fresh layer in
 * the place of one. Pure.
 *
 * B1 A tag that is required and not known to be there rules a kind out: what was not measured never passes.
 * B2 The control that adds nothing is grown by name only.
 */
import type { BlueprintConfig, BlueprintKind, BlueprintRequest } from "../contracts/blueprint-kinds.ts";
import { bypassKinds } from "../contracts/blueprint-kinds.ts";
import { blueprintCost, hasTiny } from "../contracts/blueprint-shapes.ts";
import type { MorphogeneticConfig } from "../contracts/config.ts";
import type { HostSummary } from "../contracts/plan.ts";
import { findSite, fitsSpan, hiddenWidthOf, naturalKinds, type SiteSpan } from "../contracts/trial.ts";

/** Tags of a kind on the machine at hand; undefined while it was never measured there. */
export type TagsOf = (kind: BlueprintKind) => readonly string[] | undefined;

export const noTags: TagsOf = () => undefined;

export type BlueprintChoice = { readonly request: BlueprintRequest } | { readonly refused: string };

/** What the tags have against a kind. */
const tagObjection = (
  kind: BlueprintKind,
  { tagsRequired, tagsExcluded }: BlueprintConfig,
  tagsOf: TagsOf,
): string | undefined => {
  const tags = tagsOf(kind);
  const missing = tagsRequired.filter((tag) => !tags?.includes(tag)); // B1
  if (missing.length > 0)
    return `${kind} ${tags === undefined ? "was never measured and" : "is"} not known as ${missing.join(", ")}`;
  const excluded = tagsExcluded.filter((tag) => tags?.includes(tag));
  return excluded.length > 0 ? `${kind} is ${excluded.join(", ")}` : undefined;
};

const shapesOf = (host: HostSummary, span: SiteSpan): string => {
  const [from, to] = [findSite(host, span.fromSite)?.inputShape, findSite(host, span.toSite)?.shape];
  return `${span.fromSite} [${from?.join(", ") ?? "unknown"}] to ${span.toSite} [${to?.join(", ") ?? "unknown"}]`;
};

/**
 * A fresh layer in the place of one. Undefined where none can stand there, its kind's tags rule it out, or the configuration asks for another
 * kind or for a base that stays as it is.
 */
export const chooseReplacement = (
  host: HostSummary,
  span: SiteSpan,
  { base, blueprint: config }: Pick<MorphogeneticConfig, "base" | "blueprint">,
  tagsOf: TagsOf = noTags,
): BlueprintRequest | undefined => {
  const kind = "replacement";
  const isAsked = (config.kind === "auto" || config.kind === kind) && base !== "frozen";
  if (!isAsked || !fitsSpan(host, span, { kind, initialization: "he" })) return undefined;
  if (tagObjection(kind, config, tagsOf) !== undefined) return undefined;
  return { kind, hiddenWidth: hiddenWidthOf(host, span.fromSite, span.toSite, "auto"), initialization: "he" };
};

export const chooseBlueprint = (
  host: HostSummary,
  span: SiteSpan,
  config: BlueprintConfig,
  tagsOf: TagsOf = noTags,
): BlueprintChoice => {
  const { initialization } = config;
  const hiddenWidth = hiddenWidthOf(host, span.fromSite, span.toSite, config.hiddenWidth);
  const wanted = config.kind === "auto" ? bypassKinds.filter((kind) => kind !== "no-op") : [config.kind]; // B2
  const fitting = wanted.filter((kind) => fitsSpan(host, span, { kind, initialization }));
  if (fitting.length === 0) {
    const start = wanted.some(hasTiny) || initialization !== "tiny" ? "" : " started by TINY";
    return { refused: `no ${config.kind === "auto" ? "blueprint" : config.kind}${start} joins ${shapesOf(host, span)}` };
  }
  const objections = fitting.map((kind) => tagObjection(kind, config, tagsOf));
  const allowed = fitting.filter((_, i) => objections[i] === undefined);
  if (allowed.length === 0) return { refused: objections.filter((each) => each !== undefined).join("; ") };
  const natural = naturalKinds(host, span);
  const preferred = (kind: BlueprintKind): number => config.tagsPreferred.filter((tag) => tagsOf(kind)?.includes(tag)).length;
  const place = (kind: BlueprintKind): number => (natural.includes(kind) ? natural.indexOf(kind) : natural.length);
  const [from, to] = [findSite(host, span.fromSite)!, findSite(host, span.toSite)!];
  const flops = (kind: BlueprintKind): number =>
    blueprintCost({ kind, hiddenWidth }, from.inputShape, to.shape, host.batchSize)?.forwardFlops ?? Number.POSITIVE_INFINITY;
  const [kind] = allowed.toSorted((a, b) => preferred(b) - preferred(a) || place(a) - place(b) || flops(a) - flops(b));
  return { request: { kind: kind!, hiddenWidth, initialization } };
};
