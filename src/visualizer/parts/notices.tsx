/** Receipts of the last commands, read aloud as they come; they go after a while, and stay in Control. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Sent, sent } from "../data/commands.ts";
import { after } from "../lib/clock.ts";
import { bounded } from "../lib/format.ts";
import { Icon } from "./icon.tsx";

const shownMs = 9000;
const shownMax = 3;
const hidden = signal<ReadonlySet<string>>(new Set());

export const toneOf = (state: Sent["state"]): string =>
  state === "accepted" || state === "done"
    ? "good"
    : state === "sending"
      ? ""
      : state === "held" || state === "queued"
        ? "warn"
        : "bad";

const hide = (id: string): void => {
  const known = new Set(sent.value.map((each) => each.id));
  hidden.value = new Set([...hidden.value, id].filter((each) => known.has(each)));
};

const Notice = ({ entry }: { readonly entry: Sent }) => {
  useEffect(() => {
    if (entry.state === "sending") return;
    return after(shownMs, () => hide(entry.id));
  }, [entry.id, entry.state]);
  return (
    <div class={`notice ${toneOf(entry.state)}`}>
      <div class="grow wrap">
        <strong>{entry.about}</strong>: {entry.state}
        <div class="soft small">{bounded(entry.text, 300)}</div>
      </div>
      <button type="button" class="button plain tight" aria-label="Close the receipt" onClick={() => hide(entry.id)}>
        <Icon name="close" />
      </button>
    </div>
  );
};

export const Notices = () => (
  <div class="notices" role="status" aria-live="polite">
    {sent.value
      .filter(({ id }) => !hidden.value.has(id))
      .slice(0, shownMax)
      .map((entry) => (
        <Notice key={entry.id} entry={entry} />
      ))}
  </div>
);
