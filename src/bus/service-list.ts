/**
 * The capability registry: who on this bus offers what, as the services framework tells it. Nothing is kept anywhere: whoever answers is
 * there, whoever does not is not.
 */
import { z } from "zod";
import { describeError, ServiceError } from "../contracts/errors.ts";
import type { PersonRole } from "../contracts/roles.ts";
import { type BusPorts, openAs } from "./create.ts";
import { publicUrl, RequestStrategy } from "./nats-client.ts";
import { readOperatorFile } from "./operator-file.ts";

const Text = z.string().max(2_000_000);

/** `io.nats.micro.v1.info_response` (ADR-32 of the NATS architecture repository). */
const Info = z.object({
  name: z.string().max(256),
  id: z.string().max(256),
  version: z.string().max(64),
  metadata: z.record(z.string(), Text).nullish(),
  endpoints: z
    .array(z.object({ subject: z.string().max(256), metadata: z.record(z.string(), Text).nullish() }))
    .max(1_000)
    .nullish(),
});

const Task = z.object({ subject: z.string().max(256), about: Text, payload: Text });

export const offerKinds = ["request", "task"] as const;

/** One thing that a service can be asked for. */
export interface Offer {
  /** A request is answered; a task is taken from a queue. */
  readonly kind: (typeof offerKinds)[number];
  readonly subject: string;
  readonly about: string;
  /** JSON Schema; undefined where the service had no room for it. */
  readonly payload?: unknown;
  readonly reply?: unknown;
}

export interface ListedService {
  readonly node: string;
  /** The actor. */
  readonly service: string;
  /** Of this one instance. */
  readonly id: string;
  readonly version: string;
  readonly tags: readonly string[];
  /** 1 (cheap) to 5; undefined where the service tells none. */
  readonly costTier?: number;
  readonly offers: readonly Offer[];
}

const schemaOf = (text: string | undefined): unknown => {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
};

const tasksOf = (text: string | undefined): readonly Offer[] => {
  const parsed = z.array(Task).max(64).safeParse(schemaOf(text));
  const tasks = parsed.success ? parsed.data : [];
  return tasks.map(({ subject, about, payload }) => ({ kind: "task", subject, about, payload: schemaOf(payload) }));
};

const listed = ({ name, id, version, metadata, endpoints }: z.infer<typeof Info>): ListedService => {
  const { node = "", tags = "", costTier = "", tasks } = metadata ?? {};
  const requests = (endpoints ?? []).map(({ subject, metadata: told }): Offer => {
    const [payload, reply] = [schemaOf(told?.["payload"]), schemaOf(told?.["reply"])];
    return {
      kind: "request",
      subject,
      about: told?.["about"] ?? "",
      ...(payload === undefined ? {} : { payload }),
      ...(reply === undefined ? {} : { reply }),
    };
  });
  return {
    node,
    service: name,
    id,
    version,
    tags: tags.split(",").filter((tag) => tag !== ""),
    ...(/^[1-5]$/.test(costTier) ? { costTier: Number(costTier) } : {}),
    offers: [...tasksOf(tasks), ...requests],
  };
};

const servicesMax = 1_000;

/**
 * Everybody who answers within the time, by node and name.
 * @param path a node's data directory, or a connection file
 * @throws ServiceError when no node runs there
 */
export const listServices = async (
  path: string,
  ports: BusPorts,
  { waitMs, role = "operator" }: { readonly waitMs: number; readonly role?: PersonRole },
): Promise<readonly ListedService[]> => {
  const { url, user, password } = await readOperatorFile(path, role);
  const credential = { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) };
  const connection = await openAs({ ...ports, url, principal: role, credential, reconnectMsMax: 1 });
  try {
    const answers = await connection.requestMany("$SRV.INFO", "", {
      strategy: RequestStrategy.Timer,
      maxWait: waitMs,
      maxMessages: servicesMax,
    });
    const found: ListedService[] = [];
    for await (const answer of answers) {
      if (answer instanceof Error) throw answer;
      const parsed = Info.safeParse(answer.json());
      if (parsed.success) found.push(listed(parsed.data));
      else ports.log.warn("a service tells of itself in an unknown form", { reason: parsed.error.message });
    }
    return found.sort((a, b) => `${a.node} ${a.service} ${a.id}`.localeCompare(`${b.node} ${b.service} ${b.id}`));
  } catch (error) {
    throw new ServiceError(
      `expected services to answer at ${publicUrl(url)}: ${describeError(error)}. Is a node running there?`,
      {},
    );
  } finally {
    await connection.close();
  }
};
