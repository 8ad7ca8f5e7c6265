/** What a request's headers say of its time and its trace. Pure. */

/** The trace that the request belongs to: `traceparent` of W3C Trace Context. Undefined where it names none. */
export const traceIdOf = (traceparent: string | string[] | undefined): string | undefined => {
  if (typeof traceparent !== "string") return undefined;
  const traceId = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-|$)/.exec(traceparent)?.[1];
  return traceId === undefined || /^0+$/.test(traceId) ? undefined : traceId;
};

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type ClientDeadline =
  | { readonly kind: "none" }
  | { readonly kind: "at"; readonly atMs: number }
  | { readonly kind: "unfit"; readonly detail: string };

const positive = (text: string): number | undefined =>
  /^\d{1,15}(\.\d{1,6})?$/.test(text) && Number(text) > 0 ? Number(text) : undefined;

/**
 * Until when the client waits: `Request-Timeout` in seconds, or `X-Deadline-Ms` in milliseconds since the Unix epoch, as commands over NATS
 * say it.
 */
export const deadlineOf = ({ "request-timeout": timeout, "x-deadline-ms": deadline }: Headers, nowMs: number): ClientDeadline => {
  if (timeout === undefined && deadline === undefined) return { kind: "none" };
  if (timeout !== undefined && deadline !== undefined)
    return { kind: "unfit", detail: "expected Request-Timeout or X-Deadline-Ms, got both" };
  const value = positive(String(timeout ?? deadline));
  if (value === undefined)
    return timeout === undefined
      ? { kind: "unfit", detail: "expected X-Deadline-Ms in milliseconds since the Unix epoch" }
      : { kind: "unfit", detail: "expected Request-Timeout in seconds, for example 2.5" };
  return { kind: "at", atMs: timeout === undefined ? value : nowMs + value * 1000 };
};
