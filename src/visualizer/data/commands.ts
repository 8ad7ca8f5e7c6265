/** Sends a command to the Gate, as anybody would, and keeps the receipts that this page got. */
import { signal } from "@preact/signals";
import { nowMs } from "../lib/clock.ts";
import { claims, token } from "./token.ts";

export interface Sent {
  readonly id: string;
  readonly kind: string;
  readonly about: string;
  readonly atMs: number;
  readonly state: "sending" | "accepted" | "done" | "held" | "refused" | "failed";
  readonly text: string;
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
  kind === "accepted" || kind === "held" || kind === "refused" ? kind : kind === undefined ? "failed" : "done";

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
  const finish = (state: Sent["state"], text: string): Sent => {
    const done: Sent = { ...entry, state, text };
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
    return finish(stateOf(textIn(answer, "kind")), wordsOf(answer, response.status));
  } catch (error) {
    return finish("failed", `the node could not be reached: ${error instanceof Error ? error.message : String(error)}`);
  }
};
