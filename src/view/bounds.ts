/** How much of each list the view keeps. What is past a bound is dropped from the oldest on. */
export const viewBounds = {
  runsMax: 16,
  seedsMax: 200_000,
  /** Rows of a run's series; at the bound every second row goes. */
  seriesRowsMax: 2048,
  stepsPerSeedMax: 64,
  alphasPerTrialMax: 256,
  decisionsMax: 500,
  escalationsMax: 128,
  checkpointsMax: 64,
  commandsMax: 500,
  alertsMax: 300,
  breakersMax: 256,
  supervisionMax: 300,
  deadLettersMax: 200,
  /** Characters of any one text that came from elsewhere. */
  textCharactersMax: 2000,
} as const;

/** Adds to the end and drops from the beginning what is too much. */
export const pushBounded = <T>(list: T[], item: T, max: number): void => {
  list.push(item);
  if (list.length > max) list.splice(0, list.length - max);
};

export const cutText = (text: string): string =>
  text.length <= viewBounds.textCharactersMax ? text : `${text.slice(0, viewBounds.textCharactersMax - 1)}…`;
