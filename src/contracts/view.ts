/** What the page shows, and what is sent to it: types alone. */
export type * from "./view-state.ts";
export type * from "./view-wire.ts";
