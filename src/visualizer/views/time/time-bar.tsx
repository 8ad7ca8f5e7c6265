/** The bar under every view while a recorded run is open: where in it one is, play, step, and back to the node. */
import { useEffect } from "preact/hooks";
import {
  canGoLive,
  close,
  marked,
  place,
  playing,
  recording,
  seek,
  shownEpoch,
  speed,
  speeds,
  stepEpoch,
  togglePlay,
} from "../../data/player.ts";
import { clockTime } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";
import { Icon } from "../../parts/icon.tsx";

const useKeys = (): void => {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const { target } = event;
      const tag = target instanceof HTMLElement ? target.tagName : "";
      if (recording.value === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      if (["SELECT", "TEXTAREA"].includes(tag) || (target instanceof HTMLInputElement && target.type !== "range")) return;
      // A button or a link that has the focus takes the space itself.
      if (event.key === " " && tag !== "BUTTON" && tag !== "A") togglePlay();
      else if (event.key === ",") stepEpoch(-1);
      else if (event.key === ".") stepEpoch(1);
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
};

export const TimeBar = () => {
  useKeys();
  const open = recording.value;
  if (open === undefined) return null;
  return (
    <section class="time-bar" aria-label="Recorded run">
      <div class="row">
        <button type="button" class="button tight" aria-label="A window back" onClick={() => stepEpoch(-1)}>
          <Icon name="back" />
        </button>
        <button type="button" class="button tight" aria-label={playing.value ? "Pause" : "Play"} onClick={togglePlay}>
          <Icon name={playing.value ? "pause" : "play"} />
        </button>
        <button type="button" class="button tight" aria-label="A window on" onClick={() => stepEpoch(1)}>
          <Icon name="forward" />
        </button>
        <select
          class="input wide-only"
          aria-label="Windows a second"
          value={String(speed.value)}
          onChange={(event) => {
            speed.value = speeds.find((each) => String(each) === event.currentTarget.value) ?? 4;
          }}
        >
          {speeds.map((each) => (
            <option key={each} value={String(each)}>
              {each}/s
            </option>
          ))}
        </select>
      </div>
      <input
        class="scrub"
        type="range"
        min="0"
        max={open.length}
        value={place.value}
        aria-label="Moment"
        aria-valuetext={`window ${shownEpoch.value} of ${open.epochLast}`}
        onInput={(event) => seek(Number(event.currentTarget.value))}
      />
      <span class="num nowrap time-place">
        window <b>{shownEpoch.value}</b> of {open.epochLast}
        <span class="quiet wide-only"> · {clockTime(open.timeAt(place.value))}</span>
      </span>
      <div class="row">
        <button
          type="button"
          class="button tight wide-only"
          aria-pressed={marked.value !== undefined}
          title="Keep this moment to compare another one with it"
          onClick={() => (marked.value = marked.value === place.value ? undefined : place.value)}
        >
          {marked.value === undefined ? "Mark" : `Marked ${open.epochAt(marked.value)}`}
        </button>
        <a class="button tight wide-only" href={hrefOf("time")}>
          Compare
        </a>
        <button type="button" class="button tight" aria-label={canGoLive.value ? "Back to live" : "Close"} onClick={close}>
          {canGoLive.value ? (
            <>
              <span class="wide-only">Back to live</span>
              <span class="narrow-only">Live</span>
            </>
          ) : (
            "Close"
          )}
        </button>
      </div>
    </section>
  );
};
