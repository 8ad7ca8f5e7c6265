/**
 * Sends what makes no sense to a running node, and looks at each answer: a receipt, a typed refusal, or a problem. Anything else is a
 * failure, and so is none.
 */
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { readOperatorFile } from "../src/bus/operator-file.ts";
import { inboxPrefix } from "../src/bus/permissions.ts";
import { checkReply, failureCodes } from "../src/bus/wire.ts";
import { CommandReceipt } from "../src/contracts/commands.ts";
import { Envelope } from "../src/contracts/envelope.ts";
import type { PersonRole } from "../src/contracts/roles.ts";
import { type SubjectName, subjectNames, subjects } from "../src/contracts/subjects.ts";
import { Problem } from "../src/http/problem.ts";
import { brokenRequests, type HttpRequest, httpRequests, type NatsMessage, natsMessages } from "./fuzz-input.ts";
import { openWire, type Wire, type WireAnswer } from "./fuzz-wire.ts";

export const fuzzKinds = ["nats", "http", "anonymous", "broken"] as const;
/** `anonymous`: over HTTP without a token; `broken`: bytes that are no request. */
export type FuzzKind = (typeof fuzzKinds)[number];

export interface FuzzCount {
  readonly sent: number;
  /** What came back, in a word each. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Of answers that are untyped, or missing: how many, and the first few. */
  readonly failed: number;
  readonly failures: readonly string[];
}

export interface FuzzTarget {
  readonly dataDir: string;
  readonly url: string;
  readonly tokens: Readonly<Record<PersonRole, string>>;
}

export interface FuzzSender {
  send(kind: FuzzKind, seed: number, count: number): Promise<FuzzCount>;
  close(): void;
}

const failuresMax = 20;
const answerMsMax = 30_000;
const natsConnections = 4;
const httpConnections = 32;

const shown = (value: unknown): string => JSON.stringify(value).slice(0, 600);

/** `undefined`: as it should be. */
type Look = { readonly outcome: string; readonly failure?: string | undefined };

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const subjectOf = (wire: string): SubjectName | undefined =>
  subjectNames.find((name) => wire === name) ??
  subjectNames.find((name) => "vouched" in subjects[name] && wire.startsWith(`${name}.`));

const isRefusal = (value: unknown): boolean =>
  typeof value === "object" &&
  value !== null &&
  "kind" in value &&
  value.kind === "refused" &&
  "code" in value &&
  Object.keys(failureCodes).includes(String(value.code)) &&
  "reason" in value &&
  typeof value.reason === "string" &&
  value.reason !== "";

/** Over NATS: what the server denies, a failure with its code and its form, or an answer that fits the subject. */
const lookAtNats = ({ subject }: NatsMessage, answer: WireAnswer): Look => {
  switch (answer.kind) {
    case "silent":
      return { outcome: "not asked for" };
    case "denied":
      return { outcome: "denied by the server" };
    case "closed":
      // A head that is longer than it says, or more than the server takes.
      return /Maximum|Parser|Protocol/i.test(answer.reason)
        ? { outcome: "closed by the server" }
        : { outcome: "no answer", failure: answer.reason };
    case "message":
      return lookAtReply(subject, answer.head, answer.body);
  }
};

const lookAtReply = (wire: string, head: string, body: Buffer): Look => {
  const code = /^Nats-Service-Error-Code: *(\d+)/im.exec(head)?.[1];
  const text = body.toString();
  const value = parsed(text);
  if (code !== undefined) {
    const typed = code !== String(failureCodes.failed) && isRefusal(value);
    return { outcome: `refused ${code}`, failure: typed ? undefined : `${code}: ${text.slice(0, 300)}` };
  }
  const subject = subjectOf(wire);
  if (/^NATS\/1.0 503/.test(head)) {
    const none = subject === undefined;
    return { outcome: "no responder", failure: none ? undefined : `nobody answers ${wire}` };
  }
  if (subject === undefined)
    return { outcome: "service", failure: wire.startsWith("$SRV.") && value !== undefined ? undefined : text.slice(0, 300) };
  const wrapped = Envelope.safeParse(value);
  const reply = checkReply(subject, wrapped.success ? wrapped.data.payload : value);
  if (reply.kind === "unfit") return { outcome: "unfit", failure: reply.reason };
  const inner = CommandReceipt.safeParse(reply.value);
  if (!inner.success) return { outcome: "answered" };
  return { outcome: inner.data.kind === "refused" ? `refused ${inner.data.code}` : inner.data.kind };
};

const lookAtHttp = (method: string, status: number, type: string, text: string): Look => {
  const outcome = String(status);
  if (status < 200 || status === 500) return { outcome, failure: `${status} ${text.slice(0, 300)}` };
  if (status < 400 || method === "HEAD") return { outcome };
  const value = parsed(text);
  const schema = type.startsWith("application/problem+json") ? Problem : CommandReceipt;
  const fits = schema.safeParse(value).success;
  return { outcome, failure: fits ? undefined : `${status} ${type} ${text.slice(0, 300)}` };
};

/** Runs `work` over the items, so many at once, and counts what came of them. */
const overAll = async <T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, lane: number) => Promise<Look>,
): Promise<FuzzCount> => {
  const outcomes: Record<string, number> = {};
  const failures: string[] = [];
  let failed = 0;
  let next = 0;
  const lane = async (number: number): Promise<void> => {
    for (;;) {
      const item = items[next++];
      if (item === undefined) return;
      const { outcome, failure } = await work(item, number);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      if (failure === undefined) continue;
      failed += 1;
      if (failures.length < failuresMax) failures.push(`${failure} ← ${shown(item)}`);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, number) => lane(number)));
  return { sent: items.length, outcomes, failed, failures };
};

export const openFuzz = ({ dataDir, url, tokens }: FuzzTarget): FuzzSender => {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: httpConnections });
  const wires = new Map<string, Promise<Wire>>();

  const wireOf = (role: PersonRole, lane: number): Promise<Wire> => {
    const name = `${role}-${lane}`;
    const open = async (): Promise<Wire> => {
      const { url: natsUrl, user = "", password = "" } = await readOperatorFile(dataDir, role);
      return openWire({ url: natsUrl, user, password, inbox: `${inboxPrefix(role)}.f${lane}` }, answerMsMax);
    };
    const wire = wires.get(name) ?? open();
    wires.set(name, wire);
    return wire;
  };

  const overNats = async (messages: readonly NatsMessage[]): Promise<FuzzCount> =>
    overAll(messages, natsConnections, async (message, lane) =>
      lookAtNats(message, await (await wireOf(message.role, lane)).send(message)),
    );

  const ask = (asked: HttpRequest, again = true): Promise<Look> =>
    new Promise((resolve) => {
      const { role, authorization, method, path, headers, body } = asked;
      const bearer = authorization ?? (role === undefined ? undefined : `Bearer ${tokens[role]}`);
      const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
      const all = { host: "localhost", ...(bearer === undefined ? {} : { authorization: bearer }), ...headers, ...length };
      const fail = (error: Error): void => resolve({ outcome: "no answer", failure: error.message });
      const sent = request({ hostname, port, path, method, headers: all, agent, timeout: answerMsMax }, (response) => {
        // It has no end of its own.
        if (response.headers["content-type"]?.startsWith("text/event-stream") === true) {
          response.on("error", () => undefined);
          sent.destroy();
          return resolve({ outcome: "stream" });
        }
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", fail);
        response.on("end", () => {
          const type = response.headers["content-type"] ?? "";
          resolve(lookAtHttp(method, response.statusCode ?? 0, type, Buffer.concat(chunks).toString()));
        });
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer within ${answerMsMax} ms`)));
      sent.on("error", (error: NodeJS.ErrnoException) => {
        // The server ended an idle connection while the request was on its way: a client sends it again.
        if (again && sent.reusedSocket && error.code === "ECONNRESET") resolve(ask(asked, false));
        else fail(error);
      });
      sent.end(body);
    });

  /** The answer to bytes is an answer, or the end of the connection. */
  const throwAt = (bytes: string): Promise<Look> =>
    new Promise((resolve) => {
      const socket = connect({ host: hostname, port: Number(port) });
      const chunks: Buffer[] = [];
      socket.setTimeout(answerMsMax, () => socket.destroy(new Error(`no answer within ${answerMsMax} ms`)));
      socket.on("data", (chunk) => chunks.push(chunk));
      let failure: string | undefined;
      socket.on("error", (error: NodeJS.ErrnoException) => {
        if (error.code !== "ECONNRESET" && error.code !== "EPIPE") failure = error.message;
      });
      socket.on("close", () => {
        const text = Buffer.concat(chunks).toString();
        const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
        if (failure !== undefined) return resolve({ outcome: "no answer", failure });
        if (status === undefined) return resolve({ outcome: "closed", failure: text === "" ? undefined : text.slice(0, 300) });
        const [head = "", ...rest] = text.split("\r\n\r\n");
        const type = /^content-type: *(.*)$/im.exec(head)?.[1] ?? "";
        const length = Number(/^content-length: *(\d+)$/im.exec(head)?.[1] ?? Number.NaN);
        const body = rest.join("\r\n\r\n");
        // Of several answers the first is looked at.
        resolve(
          lookAtHttp("GET", Number(status), type, Number.isNaN(length) ? body : Buffer.from(body).toString("utf8", 0, length)),
        );
      });
      // What is not all there is not waited for: the asker ends.
      socket.end(bytes.replaceAll("{token}", tokens.admin));
    });

  return {
    send: async (kind, seed, count) => {
      switch (kind) {
        case "nats":
          return overNats(natsMessages(seed, count));
        case "http":
          return overAll(httpRequests(seed, count), httpConnections, (each) => ask(each));
        case "anonymous":
          return overAll(httpRequests(seed, count), httpConnections, (each) =>
            ask({ ...each, role: undefined, authorization: undefined }),
          );
        case "broken":
          return overAll(brokenRequests(seed, count), httpConnections, throwAt);
      }
    },
    close: () => {
      agent.destroy();
      for (const wire of wires.values()) void wire.then((each) => each.close());
    },
  };
};

export const addCounts = (counts: readonly FuzzCount[]): FuzzCount => {
  const outcomes: Record<string, number> = {};
  for (const count of counts)
    for (const [name, times] of Object.entries(count.outcomes)) outcomes[name] = (outcomes[name] ?? 0) + times;
  return {
    sent: counts.reduce((sum, { sent }) => sum + sent, 0),
    outcomes,
    failed: counts.reduce((sum, { failed }) => sum + failed, 0),
    failures: counts.flatMap(({ failures }) => failures).slice(0, failuresMax),
  };
};
