/** Whether the node is ready, read off the tree of its actors. */
import { Health } from "../contracts/observed.ts";
import type { Clock } from "../contracts/ports.ts";
import type { SupervisorTree } from "../supervision/spec.ts";

const actorsMax = 1000;
const reasonsMax = 64;
const textMax = 1000;

type Actor = Health["actors"][number];

const actorsOf = (tree: SupervisorTree): readonly Actor[] =>
  tree.children.flatMap(({ path, status, generation, nested }) => [
    { actor: path.slice(0, textMax), status, generation },
    ...(nested === null ? [] : actorsOf(nested)),
  ]);

/** An actor that is over for good, as a run's Tolaria at its end, is not missed. */
const isMissing = ({ status }: Actor): boolean => status !== "up" && status !== "finished";

const unsettled = (tree: SupervisorTree): string[] => [
  ...(tree.phase === "running" ? [] : [`${tree.path} is ${tree.phase}`]),
  ...tree.children.flatMap(({ nested }) => (nested === null ? [] : unsettled(nested))),
];

export const healthOf = (tree: SupervisorTree, clock: Clock): Health => {
  const actors = actorsOf(tree);
  const reasons = [...unsettled(tree), ...actors.filter(isMissing).map(({ actor, status }) => `${actor} is ${status}`)];
  return Health.parse({
    atMs: clock.nowMs(),
    live: true,
    ready: reasons.length === 0,
    reasons: reasons.slice(0, reasonsMax).map((reason) => reason.slice(0, textMax)),
    actors: actors.slice(0, actorsMax),
  });
};
