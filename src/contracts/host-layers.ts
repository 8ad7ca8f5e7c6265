/** The hidden layers of the hosts that ship, by name, as the configuration alone tells them: what a site may be called. */
import type { ModelConfig } from "./config-model.ts";

export interface NamedLayer {
  readonly name: string;
  /** Units or channels. */
  readonly width: number;
}

const resnetLayers = (width: number, blocks: readonly number[]): NamedLayer[] => {
  const stages = blocks.flatMap((count, stage) =>
    Array.from({ length: count }, (_, block) => {
      const filters = width * 2 ** stage;
      const parts = stage > 0 && block === 0 ? ["c1", "c2", "shortcut"] : ["c1", "c2"];
      return parts.map((part) => ({ name: `s${stage + 1}.b${block + 1}.${part}`, width: filters }));
    }).flat(),
  );
  return [{ name: "stem", width }, ...stages];
};

const transformerLayers = (layers: number, width: number, hiddenWidth: number): NamedLayer[] =>
  Array.from({ length: layers }, (_, i) => [
    { name: `b${i + 1}.attention.value`, width },
    { name: `b${i + 1}.attention.projection`, width },
    { name: `b${i + 1}.mlp.in`, width: hiddenWidth },
    { name: `b${i + 1}.mlp.out`, width },
  ]).flat();

/** In topological order, without the output. Undefined for a file: what is in it is known when it is imported. */
export const hiddenLayersOf = (model: ModelConfig): readonly NamedLayer[] | undefined => {
  switch (model.name) {
    case "mlp":
      return model.widths.map((width, i) => ({ name: `h${i + 1}`, width }));
    case "cnn":
      return model.channels.map((width, i) => ({ name: `c${i + 1}`, width }));
    case "resnet18":
      return resnetLayers(model.width, model.blocks);
    case "transformer":
      return transformerLayers(model.layers, model.width, model.hiddenWidth ?? 4 * model.width);
    case "file":
      return undefined;
  }
};

/** The layers that a site means: the one of that name, or all under a block's or stage's prefix such as `s2` or `b1.attention`. */
export const layersAt = <L extends { readonly name: string }>(layers: readonly L[], site: string): readonly L[] => {
  const named = layers.filter(({ name }) => name === site);
  return named.length > 0 ? named : layers.filter(({ name }) => name.startsWith(`${site}.`));
};

/** All prefixes that a site may be: `s2`, `s2.b1`, `b1`, `b1.mlp`. */
export const prefixesOf = (layers: readonly NamedLayer[]): readonly string[] => [
  ...new Set(
    layers.flatMap(({ name }) => {
      const parts = name.split(".");
      return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."));
    }),
  ),
];
