/** A submitted recipe as the catalogue's graph for its two shapes. */
import type { BlueprintIR } from "../contracts/assets.ts";
import type { BlueprintSubmission } from "../contracts/command-changes.ts";
import { buildBlueprint } from "../graph/blueprints/index.ts";

/** Throws GraphError where no blueprint of that kind joins the shapes. */
export const sketchBlueprint = ({ name, request, from, to }: BlueprintSubmission): BlueprintIR => ({
  schemaVersion: 1,
  name,
  request,
  graph: buildBlueprint(request, from, to),
});
