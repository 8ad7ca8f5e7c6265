/**
 * A run's events with those of the node between them, read from both logs side by side.
 *
 * T1 Of the node's log no more is read than up to the time of the run's event, and one event of it waits: how long the log is, and what it
 *    tells of later, costs nothing.
 * T2 Events of the node come in the order of their log. One that is older than the one before it comes with that one.
 * T3 Who goes on after a pause is told what the node's log gained meanwhile.
 */
import type { Envelope } from "../contracts/envelope.ts";
import type { Clock } from "../contracts/ports.ts";
import type { ViewChange } from "../contracts/view.ts";
import type { FileSystem } from "../store/file-system.ts";
import { isOfNode, RecordedReader } from "../view/recorded-reader.ts";
import { type Line, linesFrom, takingTurns } from "./log-lines.ts";

/** The node's events one after the other. */
class NodeEvents {
  readonly #open: (from: number) => AsyncGenerator<Line>;
  readonly #clock: Clock;
  #lines: AsyncGenerator<Line> | undefined;
  /** Where the next line begins. */
  #place = 0;
  #ahead: Envelope | undefined;

  constructor(fileSystem: FileSystem, clock: Clock, file: string) {
    this.#open = (from) => linesFrom(fileSystem, file, from);
    this.#clock = clock;
    this.goOn();
  }

  /** T3 */
  goOn(): void {
    this.#lines ??= this.#open(this.#place);
  }

  /** T1 */
  async *upTo(sentAtMs: number): AsyncGenerator<Envelope> {
    const turn = takingTurns(this.#clock);
    for (;;) {
      this.#ahead ??= await this.#next(turn);
      if (this.#ahead === undefined || this.#ahead.sentAtMs > sentAtMs) return;
      const due = this.#ahead;
      this.#ahead = undefined;
      yield due;
    }
  }

  /** Whether nothing is due, as far as is known without the disk. */
  quietUntil(sentAtMs: number): boolean {
    return this.#ahead === undefined ? this.#lines === undefined : this.#ahead.sentAtMs > sentAtMs;
  }

  async #next(turn: () => Promise<void> | undefined): Promise<Envelope | undefined> {
    while (this.#lines !== undefined) {
      const { done, value } = await this.#lines.next();
      if (done === true) {
        this.#lines = undefined;
        return undefined;
      }
      this.#place = value.end;
      if (value.envelope !== undefined && isOfNode(value.envelope)) return value.envelope;
      await turn();
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.#lines?.return(undefined);
    this.#lines = undefined;
    this.#ahead = undefined;
  }
}

export class Story {
  readonly #reader = new RecordedReader();
  readonly #clock: Clock;
  readonly #node: NodeEvents | undefined;
  #began = false;

  /** Without events of the node nothing is known of it. */
  constructor(clock: Clock, node: NodeEvents | undefined) {
    this.#clock = clock;
    this.#node = node;
  }

  async read(event: Envelope): Promise<readonly ViewChange[]> {
    const node = this.#node;
    if (node === undefined || (this.#began && node.quietUntil(event.sentAtMs))) return this.#reader.read(event);
    const changes: ViewChange[] = [];
    const turn = takingTurns(this.#clock);
    for await (const each of node.upTo(event.sentAtMs)) {
      if (this.#began) changes.push(...this.#reader.read(each));
      else this.#reader.before(each);
      await turn();
    }
    if (!this.#began) changes.push(...this.#reader.begin());
    this.#began = true;
    return [...changes, ...this.#reader.read(event)];
  }

  goOn(): void {
    this.#node?.goOn();
  }

  close(): Promise<void> {
    return this.#node?.close() ?? Promise.resolve();
  }
}

/** A story from its beginning. `nodeLog`: the node's own log, if there is one. */
export const openStory = async (fileSystem: FileSystem, clock: Clock, nodeLog: string | undefined): Promise<Story> => {
  const known = nodeLog !== undefined && (await fileSystem.stat(nodeLog))?.kind === "file";
  return new Story(clock, known ? new NodeEvents(fileSystem, clock, nodeLog) : undefined);
};
