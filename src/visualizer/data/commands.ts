/** Sends a command to the Gate, as anybody would, and keeps the receipts that this page got. */
import { signal } from "@preact/signals";
import { nowMs } from "../lib/clock.ts";
import { claims, token } from "./token.ts";

export interface Sent {
  readonly id: string;
  readonly kind: string;
  readonly about: string;
  readonly atMs: number;
  readonly state: "sending" | "accepted" | "done" | "held" | "queued" | "refused" | "failed";
  readonly text: string;
  /** Of a run that waits for its turn: what its id begins with. */
  readonly runName?: string | undefined;
}

const sentMax = 100;
export const sent = signal<readonly Sent[]>([]);

const note = (entry: Sent): void => {
  const rest = sent.value.filter(({ id }) => id !== entry.id);
  sent.value = [entry, ...rest].slice(0, sentMax);
};

const textIn = (value: unknown, ...names: readonly string[]): string | undefined => {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [name, text] of Object.entries(value)) if (names.includes(name) && typeof text === "string") return text;
  return undefined;
};

const stateOf = (kind: string | undefined): Sent["state"] =>
  kind === "accepted" || kind === "held" || kind === "queued" || kind === "refused"
    ? kind
    : kind === undefined
      ? "failed"
      : "done";

const wordsOf = (answer: unknown, status: number): string => {
  const code = textIn(answer, "code");
  const text = textIn(answer, "detail", "reason", "message", "title");
  if (text !== undefined) return code === undefined ? text : `${text} (${code})`;
  return status === 401 ? "the token was not accepted" : `the server answered with ${status}`;
};

export type CommandBody = Readonly<Record<string, unknown>> & { readonly kind: string };

/** Posts a command; its receipt, or why there is none, is in what is returned and in `sent`. */
export const send = async (body: CommandBody, about: string): Promise<Sent> => {
  const id = `page-${crypto.randomUUID()}`;
  const entry = { id, kind: body.kind, about, atMs: nowMs() };
  note({ ...entry, state: "sending", text: "sent to the Gate" });
  const finish = (state: Sent["state"], text: string, runName?: string): Sent => {
    const done: Sent = { ...entry, state, text, runName };
    note(done);
    return done;
  };
  const bearer = token.value;
  if (bearer === undefined || claims.value === undefined)
    return finish("refused", "enter a token first (esper token --role operator)");
  try {
    const response = await fetch("/commands", {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${bearer}` },
      body: JSON.stringify({ ...body, requestId: id }),
      credentials: "omit",
      redirect: "error",
    });
    const answer: unknown = await response.json().catch(() => undefined);
    return finish(stateOf(textIn(answer, "kind")), wordsOf(answer, response.status), textIn(answer, "runName"));
  } catch (error) {
    return finish("failed", `the node could not be reached: ${error instanceof Error ? error.message : String(error)}`);
  }
};

export type Answered<T> = { readonly kind: "known"; readonly value: T } | { readonly kind: "failed"; readonly reason: string };

const failed = (reason: string): { readonly kind: "failed"; readonly reason: string } => ({ kind: "failed", reason });

const askWith = async <T>(path: string, request: RequestInit): Promise<Answered<T>> => {
  const bearer = token.value;
  if (bearer === undefined) return failed("enter a token first (esper token --role operator)");
  try {
    const headers = { ...request.headers, authorization: `Bearer ${bearer}` };
    const response = await fetch(path, { ...request, headers, credentials: "omit", redirect: "error" });
    const answer: unknown = await response.json().catch(() => undefined);
    if (!response.ok || answer === undefined) return failed(wordsOf(answer, response.status));
    return { kind: "known", value: answer as T };
  } catch (error) {
    return failed(`the node could not be reached: ${error instanceof Error ? error.message : String(error)}`);
  }
};

/** A question that changes nothing, through the Gate as well; it is not kept among the receipts. */
export const inquire = <T>(body: CommandBody): Promise<Answered<T>> =>
  askWith<T>("/commands", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...body, requestId: `page-${crypto.randomUUID()}` }),
  });

/** What the node offers at one of its own paths, to who holds the token. */
export const fetchOffer = <T>(path: string): Promise<Answered<T>> => askWith<T>(path, {});
