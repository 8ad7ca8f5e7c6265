/** The view and what is selected in it stand in the address, after the hash: #/seeds/seed%3Ah2. So back, reload and links work. */
import { signal } from "@preact/signals";

export const viewNames = ["overview", "seeds", "actors", "decisions", "time", "control"] as const;
export type ViewName = (typeof viewNames)[number];

export interface Route {
  readonly view: ViewName;
  /** What is selected in the view, if anything. */
  readonly target: string | undefined;
}

const isView = (text: string | undefined): text is ViewName => viewNames.some((name) => name === text);

/** An address that names nothing known is the overview. */
export const parseRoute = (hash: string): Route => {
  const [name, target] = hash.replace(/^#\/?/, "").split("/");
  if (!isView(name)) return { view: "overview", target: undefined };
  if (target === undefined || target === "") return { view: name, target: undefined };
  try {
    return { view: name, target: decodeURIComponent(target) };
  } catch {
    return { view: name, target: undefined };
  }
};

export const hrefOf = (view: ViewName, target?: string): string =>
  target === undefined ? `#/${view}` : `#/${view}/${encodeURIComponent(target)}`;

export const route = signal<Route>({ view: "overview", target: undefined });

export const goTo = (view: ViewName, target?: string): void => {
  location.hash = hrefOf(view, target);
};

export const followAddress = (): void => {
  const read = (): void => {
    route.value = parseRoute(location.hash);
  };
  addEventListener("hashchange", read);
  read();
};
