/**
 * What is known of a stream that is found gone: how far its consumers had come when they were last looked at. Pure but for its memory.
 *
 * S1 Every consumer of a stream had all that was stored before the beginning of a look that found none of its messages waiting.
 * S2 What was never looked at is not known: nothing is said of it.
 */
import { type SubjectName, subjectNames } from "../contracts/subjects.ts";
import type { ConsumerLook } from "./kept-streams.ts";
import { type StreamName, streamOf } from "./streams.ts";

export interface StreamLoss {
  readonly stream: StreamName;
  readonly subjects: readonly SubjectName[];
  /** What was stored before is handled (S1); milliseconds since the Unix epoch. Absent when no look ever found that (S2). */
  readonly handledBeforeMs?: number;
  /** Consumers for which messages waited at the last look. */
  readonly waiting: readonly ConsumerLook[];
}

export interface LossMemory {
  /** @param startMs when the look began */
  note(looks: readonly ConsumerLook[], startMs: number): void;
  /** What there is to say of a stream that is gone; from now on nothing of it is known. */
  take(stream: StreamName): StreamLoss;
}

export const createLossMemory = (): LossMemory => {
  const handled = new Map<StreamName, number>();
  const waiting = new Map<StreamName, readonly ConsumerLook[]>();
  return {
    note: (looks, startMs) => {
      const byStream = new Map<StreamName, ConsumerLook[]>();
      for (const look of looks) {
        const stream = streamOf(look.subject as SubjectName);
        if (stream !== undefined) byStream.set(stream, [...(byStream.get(stream) ?? []), look]);
      }
      for (const [stream, all] of byStream) {
        const behind = all.filter((each) => each.waiting > 0);
        waiting.set(stream, behind);
        if (behind.length === 0) handled.set(stream, startMs); // S1
      }
    },
    take: (stream) => {
      const handledBeforeMs = handled.get(stream);
      const loss: StreamLoss = {
        stream,
        subjects: subjectNames.filter((subject) => streamOf(subject) === stream),
        ...(handledBeforeMs === undefined ? {} : { handledBeforeMs }),
        waiting: waiting.get(stream) ?? [],
      };
      handled.delete(stream);
      waiting.delete(stream);
      return loss;
    },
  };
};
