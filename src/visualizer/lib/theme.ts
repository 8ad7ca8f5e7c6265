/** Light, dark, or as the system says; kept in this browser. `palette` hands the computed colours to what draws on a canvas. */
import { computed, effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const key = "esper.theme";

const stored = (): Theme => {
  try {
    const value = localStorage.getItem(key);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system";
  }
};

export const theme = signal<Theme>(stored());
const systemIsDark = signal(matchMedia("(prefers-color-scheme: dark)").matches);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
  systemIsDark.value = event.matches;
});

export const isDark = computed(() => (theme.value === "system" ? systemIsDark.value : theme.value === "dark"));

effect(() => {
  const root = document.documentElement;
  if (theme.value === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = theme.value;
  try {
    if (theme.value === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, theme.value);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
});

const variables = [
  "ground",
  "surface",
  "raised",
  "hover",
  "line",
  "line-strong",
  "ink",
  "ink-2",
  "ink-3",
  "accent",
  "good",
  "warn",
  "bad",
  "series-1",
  "series-2",
  "series-3",
] as const;
export type Palette = Readonly<Record<(typeof variables)[number], string>>;

/** The tokens as computed now. Reads `isDark`, so that whoever draws with it draws again when the theme changes. */
export const palette = computed((): Palette => {
  void isDark.value;
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(variables.map((name) => [name, style.getPropertyValue(`--${name}`).trim()])) as Palette;
});
