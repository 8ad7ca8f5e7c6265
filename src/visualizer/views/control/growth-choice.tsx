/** What to grow and where it ends, as a germination says it; what is left open, the node chooses. */
import type { BlueprintKind, BlueprintRequest } from "../../../contracts/blueprint-kinds.ts";
import { bounded } from "../../lib/format.ts";
import { Choice } from "../../parts/choice.tsx";

const kindWords: Readonly<Record<BlueprintKind, string>> = {
  dense: "dense: dense, ReLU, dense",
  "low-rank": "low-rank: two linear layers",
  widening: "widening: new units of the layer",
  convolution: "convolution: 1×1, 3×3, 1×1",
  "depthwise-separable": "depthwise-separable convolution",
  "squeeze-excite": "squeeze-excite: gated channels",
  normalization: "normalization: a normalised copy",
  residual: "residual: 3×3, 3×3, shortcut",
  "attention-head": "attention-head",
  "token-mlp": "token-mlp: dense, GELU, dense",
  "no-op": "no-op: adds nothing, the control",
  replacement: "replacement: a fresh layer in its place",
};
const kinds = Object.keys(kindWords) as readonly BlueprintKind[];
const widthless: ReadonlySet<string> = new Set(["normalization", "no-op", "replacement"]);
const starts = [
  ["zero", "zero: starts as nothing"],
  ["tiny", "tiny: TINY's optimal start"],
  ["he", "he: random throughout"],
] as const satisfies readonly (readonly [BlueprintRequest["initialization"], string])[];

export interface Growth {
  /** Empty: the node chooses. */
  readonly toSite: string;
  readonly kind: BlueprintKind | "";
  readonly width: string;
  readonly initialization: BlueprintRequest["initialization"];
}

export const openGrowth: Growth = { toSite: "", kind: "", width: "32", initialization: "zero" };

const widthMax = 8192;
const widthOf = ({ kind, width }: Growth): number | undefined => {
  if (widthless.has(kind)) return 1;
  const value = Number(width);
  return Number.isInteger(value) && value >= 1 && value <= widthMax ? value : undefined;
};

/** Why it cannot be asked for as it stands. */
export const growthProblem = (growth: Growth): string | undefined =>
  growth.kind !== "" && widthOf(growth) === undefined ? `expected a width from 1 to ${widthMax}` : undefined;

export const growthFields = (growth: Growth): { readonly toSite?: string; readonly blueprint?: BlueprintRequest } => {
  const { toSite, kind, initialization } = growth;
  const hiddenWidth = widthOf(growth);
  return {
    ...(toSite === "" ? {} : { toSite }),
    ...(kind === "" || hiddenWidth === undefined ? {} : { blueprint: { kind, hiddenWidth, initialization } }),
  };
};

interface GrowthChoiceProps {
  readonly growth: Growth;
  readonly targets: readonly string[];
  readonly onChange: (growth: Growth) => void;
}

export const GrowthChoice = ({ growth, targets, onChange }: GrowthChoiceProps) => {
  const problem = growthProblem(growth);
  return (
    <div class="form-grid">
      <Choice
        label="The bypass ends at"
        value={growth.toSite}
        options={[["", "the node chooses"], ...targets.map((site) => [site, bounded(site, 60)] as const)]}
        onChoose={(toSite) => onChange({ ...growth, toSite })}
      />
      <Choice
        label="Blueprint"
        value={growth.kind}
        options={[["", "the node chooses"], ...kinds.map((kind) => [kind, kindWords[kind]] as const)]}
        onChoose={(kind) => onChange({ ...growth, kind })}
      />
      {growth.kind === "" || widthless.has(growth.kind) ? null : (
        <label class="field">
          <span>Width</span>
          <input
            class="input num"
            inputMode="numeric"
            value={growth.width}
            aria-invalid={problem !== undefined}
            onInput={({ currentTarget }) => onChange({ ...growth, width: currentTarget.value.trim() })}
          />
        </label>
      )}
      {growth.kind === "" || growth.kind === "replacement" ? null : (
        <Choice
          label="Start"
          value={growth.initialization}
          options={starts}
          onChoose={(initialization) => onChange({ ...growth, initialization })}
        />
      )}
      {problem === undefined ? null : <p class="bad-text small">{problem}</p>}
    </div>
  );
};
