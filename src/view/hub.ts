/**
 * Holds the state of the view for all pages that look on, and hands each the changes in batches. It knows no socket: a page is a sink
 * that says how much of what it was sent is still waiting.
 *
 * H1 A batch leaves at most `deltasHz` times a second, holds what is new in its order, merged where it may be, and is written once for all.
 * H2 A page with more than `clientBytesMax` bytes waiting is sent nothing. When it has taken them it gets what it missed, merged into one
 *    batch, or the whole state where that is no longer known. Nothing is kept for a single page.
 * H3 What is kept for pages that come back, and what waits for the next batch, are bounded (`ringItemsMax` each); whoever missed more gets the whole state.
 * H4 A page that applied what it was sent stands where the hub stands.
 * H5 While no page looks on, nothing is written and nothing is asked of the actors.
 * H6 The whole state is written once for all pages that get it at the same place; its text is dropped when the state changes.
 */
import type { ViewConfig } from "../contracts/config-view.ts";
import type { Cancel, Clock } from "../contracts/ports.ts";
import type { ViewChange, ViewSnapshot, ViewState } from "../contracts/view.ts";
import { ChangeQueue, coalesce } from "./coalesce.ts";
import { packView } from "./pack.ts";
import { applyChange } from "./reduce.ts";

/** A page, as the hub sees it. */
export interface ViewSink {
  /** Bytes that were sent and not taken. */
  waitingBytes(): number;
  send(event: "snapshot" | "delta", id: string, data: string): void;
  /** Says that the stream lives. */
  beat(): void;
}

export interface HubOptions {
  readonly clock: Clock;
  readonly config: Pick<ViewConfig, "deltasHz" | "heartbeatMs" | "clientBytesMax" | "ringItemsMax" | "actorsHz">;
  /** Another one at each start, so that ids of a hub that is gone are known as such. */
  readonly instance: string;
  readonly state: ViewState;
  /** Looks at the actors: the tree and the breakers as changes. */
  readonly look?: () => readonly ViewChange[];
}

interface Batch {
  readonly changes: readonly ViewChange[];
  readonly items: number;
}

interface Client {
  readonly sink: ViewSink;
  /** Last batch that it was sent. */
  sequence: number;
  beatAtMs: number;
}

/** How much a change holds: most hold one thing. */
const itemsIn = (change: ViewChange): number => {
  switch (change.k) {
    case "signals":
      return 1 + Object.keys(change.signals).length;
    case "host":
      return 1 + change.host.layers.length + change.seeds.length;
    case "actors":
      return 1 + change.actors.length;
    case "breakers":
      return 1 + change.breakers.length;
    default:
      return 1;
  }
};

export class ViewHub {
  readonly #options: HubOptions;
  readonly #queue = new ChangeQueue();
  readonly #clients = new Set<Client>();
  /** The last batches; the newest has the number `#sequence`. H3 */
  readonly #ring: Batch[] = [];
  #ringItems = 0;
  #sequence = 0;
  /** H6 */
  #text: string | undefined;
  #tick: Cancel | undefined;
  #looked: Cancel | undefined;
  #closed = false;

  constructor(options: HubOptions) {
    this.#options = options;
  }

  get state(): ViewState {
    return this.#options.state;
  }

  get pages(): number {
    return this.#clients.size;
  }

  /** Changes that are kept beside the state: for pages that come back, and for the next batch. H3 */
  get kept(): { readonly ring: number; readonly queue: number } {
    return { ring: this.#ringItems, queue: this.#queue.size };
  }

  /** Applies changes, and tells the pages of them in the next batch. */
  take(changes: Iterable<ViewChange>): void {
    this.#text = undefined; // H6
    for (const change of changes) {
      applyChange(this.#options.state, change);
      this.#queue.push(change);
      // More came at once than is kept: it is no news any more, and who waits gets the whole state. H3
      if (this.#queue.size > this.#options.config.ringItemsMax) this.#forget();
    }
    this.#schedule();
  }

  /** The whole state, as a page gets it that comes now. H1: with it, nothing of what waits for the next batch is new. */
  snapshot(cause: ViewSnapshot["cause"] = "new"): { readonly id: string; readonly data: string } {
    this.#flush();
    this.#text ??= JSON.stringify(packView(this.#options.state));
    return { id: this.#id(), data: `{"state":${this.#text},"cause":${JSON.stringify(cause)}}` };
  }

  /** A page looks on from now; with the id of the last event that it got it goes on from there where that is known. */
  attach(sink: ViewSink, lastEventId?: string): Cancel {
    this.#flush();
    const known = lastEventId === undefined ? undefined : this.#sequenceOf(lastEventId);
    const client: Client = { sink, sequence: this.#sequence, beatAtMs: this.#options.clock.monotonicMs() };
    this.#clients.add(client);
    if (known !== undefined && this.#holds(known)) {
      client.sequence = known;
      this.#catchUp(client);
    } else this.#sendAll(client, lastEventId === undefined ? "new" : "gap");
    this.#look();
    this.#schedule();
    return () => {
      this.#clients.delete(client);
    };
  }

  close(): void {
    this.#closed = true;
    this.#tick?.();
    this.#looked?.();
    this.#clients.clear();
  }

  #id(): string {
    return `${this.#options.instance}:${this.#sequence}`;
  }

  #sequenceOf(id: string): number | undefined {
    const [instance, sequence] = id.split(":");
    const number = Number(sequence);
    return instance === this.#options.instance && Number.isInteger(number) && number >= 0 && number <= this.#sequence
      ? number
      : undefined;
  }

  /** All batches after this one are kept. */
  #holds(sequence: number): boolean {
    return this.#sequence - sequence <= this.#ring.length;
  }

  #forget(): void {
    this.#queue.take();
    this.#ring.length = 0;
    this.#ringItems = 0;
    this.#sequence += 1;
  }

  /** What waits becomes a batch. H1, H3 */
  #flush(): void {
    const changes = this.#queue.take();
    if (changes.length === 0) return;
    const items = changes.reduce((sum, change) => sum + itemsIn(change), 0);
    this.#sequence += 1;
    this.#ring.push({ changes, items });
    this.#ringItems += items;
    while (this.#ringItems > this.#options.config.ringItemsMax) this.#ringItems -= this.#ring.shift()?.items ?? 0;
  }

  #schedule(): void {
    if (this.#tick !== undefined || this.#closed || this.#clients.size === 0) return;
    this.#tick = this.#options.clock.schedule(1000 / this.#options.config.deltasHz, () => {
      this.#tick = undefined;
      this.deliver();
      this.#schedule();
    });
  }

  /** Sends what waits now: at a tick, or before the last word. */
  deliver(): void {
    this.#flush();
    /** Most pages are at the same place: what they get is written once. */
    const written = new Map<number, string>();
    for (const client of this.#clients) {
      if (client.sequence === this.#sequence) this.#beat(client);
      else if (client.sink.waitingBytes() > this.#options.config.clientBytesMax)
        continue; // H2
      else if (this.#holds(client.sequence)) this.#catchUp(client, written);
      else this.#sendAll(client, "slow");
    }
  }

  #beat(client: Client): void {
    const nowMs = this.#options.clock.monotonicMs();
    if (nowMs - client.beatAtMs < this.#options.config.heartbeatMs) return;
    client.beatAtMs = nowMs;
    client.sink.beat();
  }

  #catchUp(client: Client, written = new Map<number, string>()): void {
    const missed = this.#sequence - client.sequence;
    if (missed === 0) return;
    let data = written.get(client.sequence);
    if (data === undefined) {
      const batches = this.#ring.slice(this.#ring.length - missed);
      const [only] = batches;
      const changes = missed === 1 && only !== undefined ? only.changes : coalesce(batches.flatMap((batch) => batch.changes));
      data = JSON.stringify({ changes });
      written.set(client.sequence, data);
    }
    this.#sent(client);
    client.sink.send("delta", this.#id(), data);
  }

  #sendAll(client: Client, cause: ViewSnapshot["cause"]): void {
    const { id, data } = this.snapshot(cause);
    this.#sent(client);
    client.sink.send("snapshot", id, data);
  }

  #sent(client: Client): void {
    client.sequence = this.#sequence;
    client.beatAtMs = this.#options.clock.monotonicMs();
  }

  /** H5 */
  #look(): void {
    const { look, clock, config } = this.#options;
    if (look === undefined || this.#looked !== undefined || this.#closed || this.#clients.size === 0) return;
    this.#looked = clock.schedule(1000 / config.actorsHz, () => {
      this.#looked = undefined;
      this.#look();
    });
    this.take(look());
  }
}
