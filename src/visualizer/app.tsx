/** The frame around every view: navigation, run and connection, theme, help, and what the keyboard does. */
import { effect, signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { standing } from "./data/connection.ts";
import { chosenRunId, hasLive, readRun, readState, showsRecorded } from "./data/store.ts";
import { claims } from "./data/token.ts";
import icon from "./icon.svg";
import { bounded } from "./lib/format.ts";
import { goTo, hrefOf, route, type ViewName, viewNames } from "./lib/router.ts";
import { type Theme, theme } from "./lib/theme.ts";
import { Absence } from "./parts/absence.tsx";
import { Icon, type IconName } from "./parts/icon.tsx";
import { Notices } from "./parts/notices.tsx";
import { Actors } from "./views/actors/actors.tsx";
import { Confirmation } from "./views/control/command-button.tsx";
import { Control } from "./views/control/control.tsx";
import { Germination } from "./views/control/germination.tsx";
import { Decisions } from "./views/decisions/decisions.tsx";
import { Help, helpIsOpen } from "./views/help.tsx";
import { Overview } from "./views/overview/overview.tsx";
import { Seeds } from "./views/seeds/seeds.tsx";
import { Time } from "./views/time/time.tsx";
import { TimeBar } from "./views/time/time-bar.tsx";

const titles: Readonly<Record<ViewName, string>> = {
  overview: "Overview",
  seeds: "Seeds",
  actors: "Actors",
  decisions: "Decisions",
  time: "Time",
  control: "Control",
};

const bodies: Readonly<Record<ViewName, () => preact.JSX.Element>> = {
  overview: Overview,
  seeds: Seeds,
  actors: Actors,
  decisions: Decisions,
  time: Time,
  control: Control,
};

const waitingCount = (): number => {
  const state = readState("commands", "escalations");
  if (state === undefined || state.source === "recorded") return 0;
  const open = state.runs.reduce((sum, run) => sum + run.escalations.filter(({ settled }) => settled === null).length, 0);
  return open + state.commands.filter((command) => command.state === "held").length;
};

const Navigation = () => {
  const waiting = waitingCount();
  return (
    <nav class="nav" aria-label="Views">
      <div class="brand">
        <img src={icon} width="22" height="22" alt="" />
        Esper
      </div>
      <ul>
        {viewNames.map((name, index) => (
          <li key={name}>
            <a
              href={hrefOf(name)}
              aria-current={route.value.view === name ? "page" : undefined}
              title={`${titles[name]} (${index + 1})`}
            >
              <Icon name={name} />
              <span>{titles[name]}</span>
              {name === "decisions" && waiting > 0 ? (
                <span class="chip warn count">
                  {waiting}
                  <span class="unseen"> waiting</span>
                </span>
              ) : null}
            </a>
          </li>
        ))}
      </ul>
      <div class="foot row">
        <button type="button" class="button plain tight" onClick={() => (helpIsOpen.value = true)}>
          <Icon name="help" /> Keys <kbd>?</kbd>
        </button>
      </div>
    </nav>
  );
};

const nextTheme: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const themeIcons: Readonly<Record<Theme, IconName>> = { system: "system", light: "sun", dark: "moon" };
const themeWords: Readonly<Record<Theme, string>> = { system: "as the system", light: "light", dark: "dark" };

const ThemeSwitch = () => (
  <button
    type="button"
    class="button plain"
    aria-label={`Theme: ${themeWords[theme.value]}; change to ${themeWords[nextTheme[theme.value]]}`}
    title={`Theme: ${themeWords[theme.value]}`}
    onClick={() => (theme.value = nextTheme[theme.value])}
  >
    <Icon name={themeIcons[theme.value]} />
  </button>
);

const Connection = () => {
  if (showsRecorded.value) return <span class="chip accent">recorded</span>;
  switch (standing.value) {
    case "live":
      return (
        <span class="chip good" title="Changes arrive as they happen.">
          <i class="dot" /> live
        </span>
      );
    case "connecting":
      return <span class="chip pulse">connecting</span>;
    case "none":
      return <span class="chip">no node</span>;
    case "lost":
      return <span class="chip bad">disconnected</span>;
  }
};

const RunChoice = () => {
  const state = readState("header");
  const run = readRun();
  if (state === undefined || run === undefined) return <span class="grow" />;
  return (
    <div class="row grow">
      {state.runs.length > 1 ? (
        <select
          class="input run-choice"
          aria-label="Run"
          value={run.runId}
          onChange={(event) => {
            const { value } = event.currentTarget;
            chosenRunId.value = value === state.currentRunId ? undefined : value;
          }}
        >
          {state.runs.map(({ runId }) => (
            <option key={runId} value={runId}>
              {bounded(runId, 60)}
            </option>
          ))}
        </select>
      ) : (
        <span class="mono clip wrap" title={bounded(run.runId)}>
          {bounded(run.runId, 60)}
        </span>
      )}
      {run.paused ? <span class="chip warn">paused</span> : null}
      {run.holds.adaptationPaused ? <span class="chip warn wide-only">growth paused</span> : null}
      {run.outcome === "running" ? null : <span class={`chip ${run.outcome === "failed" ? "bad" : ""}`}>{run.outcome}</span>}
    </div>
  );
};

const Head = () => (
  <header class="head">
    <h1 class="head-title">{titles[route.value.view]}</h1>
    <RunChoice />
    <Connection />
    <a class={`chip wide-only ${claims.value === undefined ? "" : "accent"}`} href={hrefOf("control")}>
      {claims.value === undefined ? "read-only" : claims.value.role}
    </a>
    <ThemeSwitch />
  </header>
);

const typing = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName));

const useShortcuts = (): void => {
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
      const view = viewNames[Number(event.key) - 1];
      if (view !== undefined) goTo(view);
      else if (event.key === "?") helpIsOpen.value = true;
      else if (event.key === "t") theme.value = nextTheme[theme.value];
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
};

/** Before the first state there is nothing to draw; the reason differs. */
const Nothing = () => {
  if (standing.value === "lost")
    return (
      <Absence icon="off" title="The node does not answer" tall>
        It may have ended. The page tries again by itself; <code>esper start --config …</code> starts one.
      </Absence>
    );
  if (standing.value === "none")
    return (
      <Absence icon="time" title="Recorded runs only" tall>
        There is no node behind this page. <a href={hrefOf("time")}>Time</a> opens a recorded run.
      </Absence>
    );
  return (
    <Absence icon="time" title="Reading the node's state …" tall>
      This takes a moment.
    </Absence>
  );
};

export const announcement = signal("");
effect(() => {
  if (standing.value === "lost") announcement.value = "The connection to the node is lost.";
  else if (standing.value === "live" && announcement.peek() !== "") announcement.value = "Connected to the node.";
});

export const App = () => {
  useShortcuts();
  const { view } = route.value;
  const Body = bodies[view];
  const ready = hasLive.value || showsRecorded.value || view === "time";
  return (
    <div class="frame">
      <button type="button" class="skip" onClick={() => document.getElementById("main")?.focus()}>
        To the content
      </button>
      <Navigation />
      <Head />
      <main class={`main view-${view}`} id="main" tabIndex={-1}>
        {standing.value === "lost" && hasLive.value && !showsRecorded.value ? (
          <div class="banner bad lost" role="alert">
            <Icon name="off" /> Disconnected: this is the last that was known. The page connects again by itself.
          </div>
        ) : null}
        {ready ? <Body /> : <Nothing />}
      </main>
      <TimeBar />
      <Notices />
      <Help />
      <Confirmation />
      <Germination />
      <div class="unseen" aria-live="polite">
        {announcement.value}
      </div>
    </div>
  );
};
