/** A session's state to and from the form of a checkpoint. Tensors are copied: a snapshot does not move with the session. */
import { isDeepStrictEqual } from "node:util";
import { ContractError } from "../../contracts/errors.ts";
import type { Tensor } from "../../contracts/graph.ts";
import type { SessionSpec } from "../../contracts/plan.ts";
import type { SessionSnapshot } from "../session-state.ts";
import { SessionState } from "../session-state.ts";
import type { TensorMap } from "./learner.ts";

const groupNames = ["host", "good", "kernel", "grown", "twin"] as const;
type GroupName = (typeof groupNames)[number];

export type TensorGroups = Readonly<Record<GroupName, TensorMap | undefined>>;

export const encodeSnapshot = (state: SessionState, groups: TensorGroups): SessionSnapshot => {
  const tensors: Record<string, Tensor> = {};
  for (const group of groupNames) {
    for (const [name, { dtype, shape, data }] of groups[group] ?? []) {
      tensors[`${group}/${name}`] = { dtype, shape: [...shape], data: data.slice() };
    }
  }
  return { state: structuredClone(state), tensors };
};

/** What a run may change between two of its sessions: how often it tells of its progress, and its threads. */
const comparable = ({ progressHz: _, threads: __, ...spec }: SessionSpec): object => spec;

/** @throws ContractError when the snapshot is damaged or belongs to another spec. */
export const decodeSnapshot = (
  snapshot: SessionSnapshot,
  spec: SessionSpec,
): { readonly state: SessionState; readonly groups: Readonly<Record<GroupName, TensorMap>> } => {
  const parsed = SessionState.safeParse(snapshot.state);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ContractError(
      `snapshot ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not a session's state"}; take an earlier checkpoint`,
    );
  }
  const state = parsed.data;
  if (!isDeepStrictEqual(comparable(state.spec), comparable(spec))) {
    const field = Object.entries(spec).find(([name, value]) => !isDeepStrictEqual(value, Reflect.get(state.spec, name)))?.[0];
    throw new ContractError(
      `snapshot: expected one of a session with the same spec, found another ${field ?? "spec"}; resume with the config that the checkpoint was written with`,
    );
  }
  const groups = Object.fromEntries(groupNames.map((group) => [group, new Map<string, Tensor>()])) as Record<
    GroupName,
    Map<string, Tensor>
  >;
  for (const [path, { dtype, shape, data }] of Object.entries(snapshot.tensors)) {
    const slash = path.indexOf("/");
    const group = groups[path.slice(0, slash) as GroupName];
    if (group === undefined) throw new ContractError(`snapshot: expected tensors of ${groupNames.join(", ")}, found ${path}`);
    group.set(path.slice(slash + 1), { dtype, shape: [...shape], data: data.slice() });
  }
  for (const { name, shape } of state.host.graph.parameters) {
    const found = groups.host.get(name)?.shape;
    if (found?.join() !== shape.join()) {
      throw new ContractError(
        `snapshot host/${name}: expected [${shape.join(", ")}], found [${found?.join(", ") ?? "nothing"}]; take an earlier checkpoint`,
      );
    }
  }
  return { state, groups };
};
