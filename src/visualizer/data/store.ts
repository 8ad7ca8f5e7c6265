/**
 * What the page shows now. One state, either the node's or a recorded one; views read the slices that they draw and are drawn again when
 * one of those changes.
 *
 * V1 A view is drawn again at most once per batch, however many changes it holds.
 * V2 While a recorded moment is shown, the node's own state goes on being kept behind it, so that going back is at once.
 */
import { batch, computed, type Signal, signal } from "@preact/signals";
import type { ViewChange, ViewRun, ViewSlice, ViewState } from "../../contracts/view.ts";
import { applyChange } from "../../view/reduce.ts";

const sliceNames = [
  "header",
  "host",
  "series",
  "progress",
  "signals",
  "seeds",
  "decisions",
  "escalations",
  "checkpoints",
  "commands",
  "alerts",
  "actors",
  "breakers",
  "deadLetters",
  "clock",
] as const satisfies readonly ViewSlice[];

const versions = Object.fromEntries(sliceNames.map((name) => [name, signal(0)])) as Record<ViewSlice, Signal<number>>;

const live = signal<ViewState | undefined>(undefined);
const recorded = signal<ViewState | undefined>(undefined);
/** The run that a person chose to look at; otherwise the newest. */
export const chosenRunId = signal<string | undefined>(undefined);

/** Counts what the node told, also while a recorded moment is shown. */
const liveVersion = signal(0);
/** The node's own state, also behind a recorded moment; whoever calls it is drawn again with each batch. */
export const readLive = (): ViewState | undefined => {
  void liveVersion.value;
  const { value } = live;
  return value === undefined ? undefined : { ...value };
};

const shown = computed(() => recorded.value ?? live.value);
export const showsRecorded = computed(() => recorded.value !== undefined);
export const hasLive = computed(() => live.value !== undefined);

/**
 * The shown state; whoever calls it is drawn again when one of the slices changes. It is another object each time, so that what it is handed to
 * is drawn again too: the lists in it are changed in place.
 */
export const readState = (...slices: readonly ViewSlice[]): ViewState | undefined => {
  for (const slice of slices) void versions[slice].value;
  const { value } = shown;
  return value === undefined ? undefined : { ...value };
};

/** The shown run of the shown state. */
export const readRun = (...slices: readonly ViewSlice[]): ViewRun | undefined => {
  const state = readState("header", ...slices);
  if (state === undefined) return undefined;
  const wanted = chosenRunId.value ?? state.currentRunId;
  const run =
    state.runs.find((each) => each.runId === wanted) ??
    state.runs.find((each) => each.runId === state.currentRunId) ??
    state.runs.at(-1);
  return run === undefined ? undefined : { ...run };
};

/** Counts the changes of slices, for what is derived from them. */
export const versionOf = (...slices: readonly ViewSlice[]): number =>
  slices.reduce((sum, slice) => sum + versions[slice].value, 0);

const touch = (slices: Iterable<ViewSlice>): void => {
  for (const slice of slices) versions[slice].value += 1;
};

export const takeSnapshot = (state: ViewState): void =>
  batch(() => {
    live.value = state;
    touch(sliceNames);
  });

const apply = (state: ViewState, changes: readonly ViewChange[]): ReadonlySet<ViewSlice> => {
  const touched = new Set<ViewSlice>();
  for (const change of changes) {
    for (const slice of applyChange(state, change)) touched.add(slice);
  }
  return touched;
};

/** V1 */
export const takeChanges = (changes: readonly ViewChange[]): void => {
  const state = live.value;
  if (state === undefined) return;
  const touched = apply(state, changes);
  batch(() => {
    liveVersion.value += 1;
    if (recorded.value === undefined) touch(touched);
  });
};

/** Moves the recorded moment on. */
export const advanceRecorded = (changes: readonly ViewChange[]): void => {
  const state = recorded.value;
  if (state !== undefined) batch(() => touch(apply(state, changes)));
};

/** V2: shows a recorded moment, or with undefined the node again. */
export const showRecorded = (state: ViewState | undefined): void =>
  batch(() => {
    recorded.value = state;
    touch(sliceNames);
  });
