/** What every exporter takes, and the checks that all of them make first. */
import { GraphError } from "../contracts/errors.ts";
import type { Host, Tensor } from "../contracts/graph.ts";
import { formatShape } from "../graph/shapes.ts";
import type { Lineage } from "./lineage.ts";

export interface ExportRequest {
  readonly host: Host;
  readonly parameters: Readonly<Record<string, Tensor>>;
  readonly lineage: Lineage;
}

/** @throws GraphError when a seed is still in trial, or a parameter is missing or of another shape. */
export const checkExport = ({ host, parameters }: ExportRequest): void => {
  const trial = host.graph.inputs.find(({ name }) => name !== "x");
  if (trial !== undefined) {
    throw new GraphError(
      `export of ${host.name}: expected a host whose seeds are folded in, got one with the input ${trial.name}; export when no trial is going on`,
      { path: trial.name },
    );
  }
  for (const { name, shape } of host.graph.parameters) {
    const found = parameters[name]?.shape;
    if (found === undefined || formatShape(found) !== formatShape(shape)) {
      throw new GraphError(
        `export of ${host.name}: expected the parameter ${name} of shape ${formatShape(shape)}, got ${found === undefined ? "none" : formatShape(found)}; pass all parameters of this host`,
        { path: name },
      );
    }
  }
};

/** The parameters of the host and nothing else. */
export const ownParameters = ({ host, parameters }: ExportRequest): Record<string, Tensor> =>
  Object.fromEntries(host.graph.parameters.map(({ name }) => [name, parameters[name]!]));
