/** Opens recorded runs and moves through them: scrub, step by window, play. What is shown is put in the place of the node's state. */
import { batch, computed, signal } from "@preact/signals";
import type { RecordedCheckpoints, RecordedChunk, RecordedRun } from "../../contracts/view.ts";
import { standing } from "./connection.ts";
import { Recording } from "./recording.ts";
import { advanceRecorded, showRecorded } from "./store.ts";

export type Opening =
  | { readonly kind: "none" }
  | { readonly kind: "loading"; readonly runId: string; readonly events: number; readonly total: number | null }
  | { readonly kind: "open"; readonly runId: string }
  | { readonly kind: "failed"; readonly runId: string; readonly reason: string };

export const opening = signal<Opening>({ kind: "none" });
export const recording = signal<Recording | undefined>(undefined);
/** Events applied of the shown moment. */
export const place = signal(0);
export const playing = signal(false);
/** Windows a second. */
export const speeds = [1, 4, 16, 64] as const;
export const speed = signal<(typeof speeds)[number]>(4);
export const shownEpoch = computed(() => recording.value?.epochAt(place.value) ?? 0);
/** A second moment to compare with. */
export const marked = signal<number | undefined>(undefined);
export const checkpoints = signal<RecordedCheckpoints["checkpoints"]>([]);

const ask = async <T>(path: string): Promise<T> => {
  const response = await fetch(path, { credentials: "omit" });
  if (!response.ok) throw new Error(`the server answered ${path} with ${response.status}`);
  return (await response.json()) as T;
};

export const listRuns = async (): Promise<readonly RecordedRun[]> => {
  const answer = await ask<{ readonly runs: readonly RecordedRun[] }>("/view/runs");
  return answer.runs;
};

/** Those of a run that are on the disk; none where they cannot be listed. */
export const checkpointsOf = (runId: string): Promise<RecordedCheckpoints["checkpoints"]> =>
  ask<RecordedCheckpoints>(`${pathOf(runId)}/checkpoints`).then(
    (answer) => answer.checkpoints,
    () => [],
  );

const pathOf = (runId: string): string => `/view/runs/${encodeURIComponent(runId)}`;

export const seek = (to: number): void => {
  const open = recording.value;
  if (open === undefined) return;
  const wanted = Math.min(Math.max(0, to), open.length);
  const from = place.value;
  batch(() => {
    place.value = wanted;
    // A short way on is walked; everything else is looked up.
    if (wanted > from && wanted - from < 512) advanceRecorded(open.between(from, wanted));
    else if (wanted !== from) showRecorded(open.stateAt(wanted));
  });
};

export const stepEpoch = (by: number): void => {
  const open = recording.value;
  if (open === undefined) return;
  playing.value = false;
  seek(open.placeOfEpoch(Math.max(-1, shownEpoch.value + by)));
};

/** Counts loads: one that was asked for later takes the place of one that is under way. */
let loads = 0;

export const close = (): void => {
  loads += 1;
  batch(() => {
    playing.value = false;
    recording.value = undefined;
    marked.value = undefined;
    checkpoints.value = [];
    place.value = 0;
    opening.value = { kind: "none" };
    showRecorded(undefined);
  });
};

/** Loads a run's log chunk by chunk and shows its end. */
export const openRun = async (runId: string): Promise<void> => {
  close();
  loads += 1;
  const load = loads;
  opening.value = { kind: "loading", runId, events: 0, total: null };
  const loaded = new Recording(runId);
  try {
    let from: number | null = 0;
    while (from !== null) {
      const chunk: RecordedChunk = await ask<RecordedChunk>(`${pathOf(runId)}/events?from=${from}`);
      if (load !== loads) return;
      loaded.add(chunk);
      opening.value = { kind: "loading", runId, events: loaded.length, total: chunk.total };
      from = chunk.next;
    }
  } catch (error) {
    if (load !== loads) return;
    opening.value = { kind: "failed", runId, reason: error instanceof Error ? error.message : String(error) };
    return;
  }
  batch(() => {
    recording.value = loaded;
    place.value = loaded.length;
    opening.value = { kind: "open", runId };
    showRecorded(loaded.stateAt(loaded.length));
  });
  const found = await checkpointsOf(runId);
  if (load === loads) checkpoints.value = found;
};

let lastFrameMs = 0;
let owed = 0;

const playFrame = (now: number): void => {
  const open = recording.value;
  if (!playing.value || open === undefined) return;
  owed += ((now - lastFrameMs) / 1000) * speed.value;
  lastFrameMs = now;
  const windows = Math.floor(owed);
  if (windows > 0) {
    owed -= windows;
    seek(open.placeOfEpoch(shownEpoch.value + windows));
  }
  if (place.value >= open.length) playing.value = false;
  else requestAnimationFrame(playFrame);
};

export const togglePlay = (): void => {
  const open = recording.value;
  if (open === undefined) return;
  if (playing.value) {
    playing.value = false;
    return;
  }
  if (place.value >= open.length) seek(0);
  playing.value = true;
  owed = 0;
  requestAnimationFrame((now) => {
    lastFrameMs = now;
    playFrame(now);
  });
};

/** Whether there is a node to go back to. */
export const canGoLive = computed(() => standing.value === "live" || standing.value === "connecting");
