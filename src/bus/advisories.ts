/**
 * Messages that no actor gave up, but the server did: handed over as often as allowed and never acknowledged, or terminated by a
 * process that died before it could tell. The server's advisories are kept in a stream and read here, the message is looked up by its
 * place, and a dead letter is told like any other.
 *
 * V1 An advisory is acknowledged after its letter was told.
 * V2 An advisory that cannot be read, or is of somebody else's consumer, is passed over.
 * V3 A message that was terminated and is gone was told by the actor that gave it up (D7 of durable-consumer.ts).
 */
import { z } from "zod";
import { describeError } from "../contracts/errors.ts";
import type { Clock, Log } from "../contracts/ports.ts";
import type { Subscription } from "./bus.ts";
import { consumeDurable, type DurableLimits, type Handled } from "./durable-consumer.ts";
import type { Link } from "./link.ts";
import type { Msg } from "./nats-client.ts";
import type { DeadLetter } from "./receiver.ts";
import { advisoryConsumer, consumerSpecs } from "./streams.ts";
import { decodeMessage, rawText } from "./wire.ts";

/** `io.nats.jetstream.advisory.v1.max_deliver` and `….terminated` (nats-io/jsm.go, schemas). */
const Advisory = z.object({
  type: z.string(),
  stream: z.string(),
  consumer: z.string(),
  stream_seq: z.int().min(0),
  deliveries: z.int().min(0),
  /** Servers before 2.10 leave it out. */
  reason: z.string().optional(),
});

export interface AdvisoryOptions {
  readonly link: Link;
  readonly limits: DurableLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** Rejects when the letter could not be told. */
  readonly tell: (letter: DeadLetter) => Promise<void>;
}

const requestMsMax = 5_000;

export const watchAdvisories = ({ link, limits, clock, log, tell }: AdvisoryOptions): Subscription => {
  const { connection, onReconnect } = link;

  /** What the stream still holds of it. */
  const lookUp = async (stream: string, seq: number): Promise<Uint8Array | undefined> => {
    const manager = await connection.jetstreamManager({ checkAPI: false, timeout: requestMsMax });
    try {
      return (await manager.streams.getMessage(stream, { seq })).data;
    } catch (error) {
      if (/no message found|not found/i.test(describeError(error))) return undefined;
      throw error;
    }
  };

  const handle = async (message: Msg): Promise<Handled> => {
    let advisory: z.infer<typeof Advisory>;
    try {
      advisory = Advisory.parse(message.json());
    } catch (error) {
      log.warn("an advisory could not be read", { reason: describeError(error) });
      return { kind: "done" }; // V2
    }
    const { stream, consumer, stream_seq: sequence, deliveries } = advisory;
    const spec = consumerSpecs.find((known) => known.durable === consumer && known.stream === stream);
    if (spec === undefined) return { kind: "done" }; // V2
    const why = advisory.reason === undefined ? "" : `: ${advisory.reason}`;
    const terminated = advisory.type.endsWith("terminated");
    const reason = terminated
      ? `given up after ${deliveries} deliveries${why}`
      : `handed over ${deliveries} times and never acknowledged${why}`;
    try {
      const data = await lookUp(stream, sequence);
      if (data === undefined && terminated) return { kind: "done" }; // V3
      const letter = {
        principal: spec.actor,
        subject: spec.subject,
        reason,
        place: { stream: spec.stream, sequence, deliveries },
      };
      const text = data === undefined ? {} : contentOf(spec.subject, data);
      await tell({ ...letter, ...text });
      return { kind: "done" }; // V1
    } catch (error) {
      return { kind: "failed", reason: describeError(error) };
    }
  };

  return consumeDurable({
    connection,
    stream: advisoryConsumer.stream,
    durable: advisoryConsumer.durable,
    limits,
    clock,
    log,
    onReconnect,
    handle,
    onGivenUp: async (_, reason) => log.error("a dead letter could not be told", { reason }),
  });
};

const contentOf = (
  subject: (typeof consumerSpecs)[number]["subject"],
  data: Uint8Array,
): Pick<DeadLetter, "envelope" | "raw"> => {
  const { envelope } = decodeMessage(subject, data, () => ({ id: "unknown", sentAtMs: 0, traceId: "0".repeat(32) }));
  return envelope === undefined ? { raw: rawText(data) } : { envelope };
};
