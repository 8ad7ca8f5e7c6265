/**
 * The routes that are commands: which command each is, and where its fields come from. Who may use one stands in the table of roles, and
 * nowhere else: the Gate says so, over NATS and here.
 */
import { z } from "zod";
import { KasminaControlCommand } from "../contracts/commands.ts";
import type { CommandKind } from "../contracts/roles.ts";

export interface CommandRoute {
  readonly method: "GET" | "POST";
  /** With `{id}`, as OpenAPI writes it. */
  readonly path: string;
  readonly kind: CommandKind;
  readonly about: string;
  /** What `{id}` stands for. `seed`: a seed, or a layer, which stands for its first seed. */
  readonly id?: { readonly field: string; readonly of: "seed" | "layer" | "hash" };
}

const seed = { field: "seedId", of: "seed" } as const;
const layer = { field: "site", of: "layer" } as const;
const hash = { field: "hash", of: "hash" } as const;

export const commandRoutes: readonly CommandRoute[] = [
  { method: "GET", path: "/status", kind: "status", about: "The run and its seeds." },
  { method: "POST", path: "/blueprints", kind: "submit_blueprint", about: "Stores a blueprint; its id is its hash." },
  { method: "GET", path: "/blueprints/{id}", kind: "blueprint", id: hash, about: "A blueprint by its hash." },
  { method: "GET", path: "/kernels", kind: "kernels", about: "Kernels by their tags, machine and blueprint." },
  {
    method: "GET",
    path: "/kernels/{id}",
    kind: "kernel",
    id: hash,
    about: "A kernel by its hash, with what it was measured to be.",
  },
  {
    method: "POST",
    path: "/kernels/{id}/status",
    kind: "kernel_status",
    id: hash,
    about: "Withdraws a kernel, or reinstates it.",
  },
  { method: "POST", path: "/step", kind: "step", about: "Has Tamiyo decide now, and act on it." },
  { method: "POST", path: "/analyze", kind: "analyze", about: "What Tamiyo makes of the last signal, without acting." },
  { method: "GET", path: "/policy/status", kind: "policy", about: "What decides in the run, and what will." },
  { method: "GET", path: "/policy/version", kind: "policy", about: "The policy in force; its version is its hash." },
  { method: "GET", path: "/policies", kind: "policies", about: "Policies that are stored." },
  { method: "POST", path: "/policy/load", kind: "policy_load", about: "Puts a policy in force at the next window." },
  { method: "POST", path: "/policy/update", kind: "policy_update", about: "Changes values of the policy." },
  { method: "GET", path: "/decisions/history", kind: "decisions", about: "What was decided, and why; the newest first." },
  { method: "POST", path: "/training/experience", kind: "experience", about: "Stores what an agent saw, did and got." },
  { method: "GET", path: "/seeds", kind: "seeds", about: "The seeds of the run, a page at a time." },
  { method: "GET", path: "/seeds/{id}/status", kind: "seed", id: seed, about: "A seed with its trial and its history." },
  { method: "POST", path: "/seeds/{id}/germinate", kind: "germinate", id: seed, about: "Starts a trial at a seed." },
  { method: "POST", path: "/seeds/{id}/transition", kind: "transition", id: seed, about: "Asks a seed for a state." },
  { method: "GET", path: "/layers", kind: "layers", about: "The layers as the last signal saw them." },
  { method: "GET", path: "/layers/{id}/stats", kind: "layer", id: layer, about: "A layer with its signal and its seeds." },
  {
    method: "POST",
    path: "/layers/{id}/load_kernel",
    kind: "load_kernel",
    id: layer,
    about: "Makes a kernel resident for a layer.",
  },
  { method: "POST", path: "/layers/{id}/unload_kernel", kind: "unload_kernel", id: layer, about: "Takes it out again." },
  { method: "GET", path: "/escalations", kind: "escalations", about: "Juries that are split and wait for an answer." },
  { method: "POST", path: "/escalations/{id}/resolve", kind: "resolve", id: seed, about: "Answers the escalation of a seed." },
  {
    method: "GET",
    path: "/approvals",
    kind: "approvals",
    about: "Commands that wait for approval, and how others were decided.",
  },
  { method: "GET", path: "/governance", kind: "governance", about: "How often learning may still change the policy." },
  { method: "GET", path: "/budget", kind: "budget", about: "What trials may use, have used, and hold back." },
];

/** Any command as it is, with its `kind`. */
export const anyCommandPath = "/commands";

type CommandSchema = (typeof KasminaControlCommand.options)[number];

const schemas: ReadonlyMap<string, CommandSchema> = new Map(
  KasminaControlCommand.options.map((option) => [option.shape.kind.value, option]),
);

export const schemaOf = (kind: CommandKind): CommandSchema => {
  const schema = schemas.get(kind);
  if (schema === undefined) throw new Error(`expected a schema of the command ${kind}`);
  return schema;
};

/** The JSON schema of a command's fields, by name. */
export const fieldSchemasOf = (kind: CommandKind): Readonly<Record<string, z.core.JSONSchema.BaseSchema>> => {
  const { properties = {} } = z.toJSONSchema(schemaOf(kind), { io: "input", unrepresentable: "any" });
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, schema]) => (typeof schema === "object" ? [[name, schema]] : [])),
  );
};
