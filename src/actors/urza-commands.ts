/** Urza's part of the commands: blueprints, kernels and policies shown, blueprints submitted, kernels withdrawn, experience kept. */
import type { BlueprintIR } from "../contracts/assets.ts";
import type { KernelTags } from "../contracts/characterization.ts";
import type { BlueprintSubmission } from "../contracts/command-changes.ts";
import type { KernelSummary } from "../contracts/command-queries.ts";
import type { CommandReceipt, KasminaControlCommand, RefusalCode } from "../contracts/commands.ts";
import { ContractError, DataError, describeError, GraphError } from "../contracts/errors.ts";
import type { Clock } from "../contracts/ports.ts";
import type { AdmittedCommand } from "../contracts/subjects.ts";
import type { ExperienceStore } from "../store/experience-store.ts";
import { hashJson } from "../store/json.ts";
import type { KernelStatusStore } from "../store/kernel-status.ts";
import type { Library } from "../store/library.ts";

export interface LibraryDesk {
  /** With what was withdrawn. */
  readonly library: Library;
  readonly statuses: KernelStatusStore;
  readonly experiences: ExperienceStore;
  /** The catalogue's graph for two shapes. Throws GraphError where it has none. */
  readonly sketch: (submission: BlueprintSubmission) => BlueprintIR;
}

type Command<K extends KasminaControlCommand["kind"]> = Extract<KasminaControlCommand, { kind: K }>;

const policiesMax = 256;

const refuse = ({ requestId }: KasminaControlCommand, code: RefusalCode, reason: string): CommandReceipt => ({
  kind: "refused",
  requestId,
  code,
  reason,
});

const summaryOf = ({ kernelHash, tags, ...known }: KernelTags, { statuses }: LibraryDesk): KernelSummary => ({
  hash: kernelHash,
  status: statuses.find(kernelHash)?.status ?? "active",
  machine: known.machine,
  engine: known.engine,
  hostHash: known.hostHash,
  blueprint: known.blueprint,
  tags,
  ...(known.measured === undefined ? {} : { measured: known.measured }),
});

const findKernels = (desk: LibraryDesk, command: Command<"kernels">): CommandReceipt => {
  const { requestId, machine, blueprint: kind, tagsRequired, tagsPreferred, tagsExcluded, limit } = command;
  const preferred = ({ tags }: KernelTags): number => tagsPreferred.filter((tag) => tags.includes(tag)).length;
  const kernels = desk.library
    .findTags({ machine, kind, tags: tagsRequired })
    .filter(({ tags }) => !tagsExcluded.some((tag) => tags.includes(tag)))
    // A stable sort: among equals the newest stays first.
    .sort((a, b) => preferred(b) - preferred(a))
    .slice(0, limit)
    .map((each) => summaryOf(each, desk));
  return { kind: "kernels", requestId, kernels };
};

const showKernel = async (desk: LibraryDesk, command: Command<"kernel">): Promise<CommandReceipt> => {
  const { hash, requestId } = command;
  const { library, statuses } = desk;
  const [record, kernel] = [library.describe(hash), await library.get("kernel", hash)];
  if (record === undefined || kernel === undefined)
    return refuse(command, "unknown_asset", `the library has no kernel ${hash}; ask for the kernels`);
  const { key, programs } = kernel;
  const said = statuses.find(hash);
  return {
    kind: "kernel",
    requestId,
    kernel: {
      hash,
      status: said?.status ?? "active",
      ...(said === undefined ? {} : { statusReason: `${said.principal}: ${said.reason}` }),
      bytes: record.bytes,
      provenance: record.provenance,
      seedId: key.seedId,
      fromSite: key.fromSite,
      toSite: key.toSite,
      hostHash: key.hostHash,
      blueprintHash: kernel.blueprintHash,
      blueprint: key.request,
      engine: key.engine,
      engineVersion: key.engineVersion,
      parameters: kernel.parameters,
      flops: Object.fromEntries(Object.entries(programs).map(([name, { flops }]) => [name, flops])),
      characterized: library.findTags({ kernelHash: hash, tags: [] }).map((each) => summaryOf(each, desk)),
    },
  };
};

const showBlueprint = async ({ library }: LibraryDesk, command: Command<"blueprint">): Promise<CommandReceipt> => {
  const { hash, requestId } = command;
  const [record, blueprint] = [library.describe(hash), await library.get("blueprint", hash)];
  if (record === undefined || blueprint === undefined)
    return refuse(command, "unknown_asset", `the library has no blueprint ${hash}; submit it`);
  const { name, request, graph } = blueprint;
  const { bytes, provenance } = record;
  return { kind: "blueprint", requestId, blueprint: { hash, name, request, bytes, provenance, graph } };
};

const listPolicies = async ({ library }: LibraryDesk, { requestId }: Command<"policies">): Promise<CommandReceipt> => {
  const policies = [];
  for (const { hash, provenance } of library.list("policy", policiesMax)) {
    const policy = await library.get("policy", hash);
    const { createdAtMs, producer } = provenance;
    if (policy !== undefined) policies.push({ hash, name: policy.name, createdAtMs, producer });
  }
  return { kind: "policies", requestId, policies };
};

const submitBlueprint = async (
  { library, sketch }: LibraryDesk,
  command: Command<"submit_blueprint">,
  producer: string,
  nowMs: number,
): Promise<CommandReceipt> => {
  try {
    const asset = sketch(command.blueprint);
    const stored = await library.put({
      kind: "blueprint",
      asset,
      inputs: [],
      source: `command ${command.requestId}`.slice(0, 256),
      producer,
      createdAtMs: nowMs,
      commandHash: hashJson(command, "command"),
    });
    return { kind: "stored", requestId: command.requestId, asset: "blueprint", ...stored };
  } catch (error) {
    if (error instanceof GraphError || error instanceof ContractError) return refuse(command, "unfit", error.message);
    throw error;
  }
};

const setStatus = (
  { library, statuses }: LibraryDesk,
  command: Command<"kernel_status">,
  principal: string,
  nowMs: number,
): CommandReceipt => {
  const { hash, status, reason, requestId } = command;
  if (library.describe(hash)?.kind !== "kernel")
    return refuse(command, "unknown_asset", `the library has no kernel ${hash}; ask for the kernels`);
  statuses.put(hash, { status, reason, principal }, nowMs);
  const what = status === "withdrawn" ? "withdrawn: nobody takes it any more" : "active: it may be taken";
  return { kind: "done", requestId, detail: `${hash.slice(0, 12)} is ${what}` };
};

/** Answers what Gate and Warden let pass. Asked again, the same answer comes and nothing more happens. */
export const answerLibraryCommand = async (
  desk: LibraryDesk,
  { by, command }: AdmittedCommand,
  clock: Pick<Clock, "nowMs">,
): Promise<CommandReceipt> => {
  const producer = `${by.role}:${by.principal}`;
  const nowMs = clock.nowMs();
  try {
    switch (command.kind) {
      case "kernels":
        return findKernels(desk, command);
      case "kernel":
        return await showKernel(desk, command);
      case "blueprint":
        return await showBlueprint(desk, command);
      case "policies":
        return await listPolicies(desk, command);
      case "submit_blueprint":
        return await submitBlueprint(desk, command, producer, nowMs);
      case "kernel_status":
        return setStatus(desk, command, by.principal, nowMs);
      case "experience": {
        const { requestId, runId, experience } = command;
        const kept = desk.experiences.add({ requestId, runId, principal: by.principal, atMs: nowMs, experience });
        return { kind: "done", requestId, detail: `experience kept, ${kept} in all` };
      }
      default:
        return refuse(command, "invalid", `${command.kind} is not answered by the library`);
    }
  } catch (error) {
    // A file that is lost or damaged is told, and ends nobody.
    if (error instanceof DataError) return refuse(command, "unavailable", describeError(error));
    throw error;
  }
};
