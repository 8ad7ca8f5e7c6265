/**
 * The page's one connection to the node: a snapshot, then changes in batches (server-sent events). The browser resumes by the last id; where it gives up,
 * the page tries again with growing pauses.
 */
import { signal } from "@preact/signals";
import type { ViewDelta, ViewSnapshot } from "../../contracts/view.ts";
import { unpackView } from "../../view/pack.ts";
import { after, nowMs } from "../lib/clock.ts";
import { takeChanges, takeSnapshot } from "./store.ts";

/** `none`: the server has recorded runs only. */
export type Standing = "connecting" | "live" | "lost" | "none";

export const standing = signal<Standing>("connecting");
export const lostSinceMs = signal(0);

const pauseMsMin = 500;
const pauseMsMax = 8000;

const dataOf = (event: MessageEvent<string>): unknown => JSON.parse(event.data);

const isSnapshot = (value: unknown): value is ViewSnapshot =>
  typeof value === "object" && value !== null && "state" in value && typeof value.state === "object";
const isDelta = (value: unknown): value is ViewDelta =>
  typeof value === "object" && value !== null && "changes" in value && Array.isArray(value.changes);

const lose = (): void => {
  if (standing.value === "lost" || standing.value === "none") return;
  standing.value = "lost";
  lostSinceMs.value = nowMs();
};

/** False where the server says that there are recorded runs only; where it says nothing, it may come back. */
const hasNode = async (): Promise<boolean> => {
  try {
    return (await fetch("/view/snapshot", { method: "HEAD", credentials: "omit" })).status !== 404;
  } catch {
    return true;
  }
};

/** Connects, and stays connected until the page goes. */
export const connect = (): void => {
  let pauseMs = pauseMsMin;
  const open = (): void => {
    const source = new EventSource("/view/stream");
    const arrived = (): void => {
      standing.value = "live";
      pauseMs = pauseMsMin;
    };
    source.addEventListener("snapshot", (event) => {
      const value = dataOf(event);
      if (!isSnapshot(value)) return;
      takeSnapshot(unpackView(value.state));
      arrived();
    });
    source.addEventListener("delta", (event) => {
      const value = dataOf(event);
      if (!isDelta(value)) return;
      takeChanges(value.changes);
      arrived();
    });
    source.addEventListener("open", () => {
      if (standing.value === "lost") standing.value = "connecting";
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) {
        lose();
        return;
      }
      void hasNode().then((known) => {
        if (!known) {
          standing.value = "none";
          return;
        }
        lose();
        after(pauseMs, open);
        pauseMs = Math.min(pauseMsMax, pauseMs * 2);
      });
    });
  };
  open();
};
