/** The page's few pictures: strokes on a grid of 16 by 16. */
const shapes = {
  overview: "M2 13h12M4 13V8M8 13V3M12 13V6",
  seeds: "M2 2h5v5H2zM9 2h5v5H9zM2 9h5v5H2zM9 9h5v5H9z",
  actors: "M6 2h4v3H6zM1.5 11h4v3h-4zM10.5 11h4v3h-4zM8 5v3M3.5 11V8h9v3",
  decisions: "M4 2v12M4 4h7l2 2-2 2H4M4 10h5",
  time: "M8 2a6 6 0 1 1-5.2 3M2.5 2v3.2h3.2M8 5v3.2l2.2 1.5",
  control: "M2 4h6M12 4h2M10 2.5v3M2 8h2M8 8h6M6 6.5v3M2 12h7M13 12h1M11 10.5v3",
  alert: "M8 2 1.5 13.5h13ZM8 6.5v3.2M8 11.6v.1",
  key: "M10.5 2a3.5 3.5 0 1 1-3.2 4.9L2 12.2V14h2.5v-2h2v-2l1.3-1.3",
  sun: "M8 5a3 3 0 1 1 0 6 3 3 0 0 1 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1.1 1.1M11.9 11.9 13 13M3 13l1.1-1.1M11.9 4.1 13 3",
  moon: "M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7Z",
  system: "M2 3h12v8H2zM6 14h4M8 11v3",
  help: "M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13M6.2 6.2a1.9 1.9 0 1 1 2.6 1.9c-.6.3-.8.6-.8 1.4M8 11.6v.1",
  close: "M4 4l8 8M12 4l-8 8",
  empty: "M2.5 9 4 3h8l1.5 6v4h-11ZM2.5 9H6l.8 1.5h2.4L10 9h3.5",
  off: "M2 2l12 12M5 11a4 4 0 0 1 2-1.5M9.5 9.7c.6.3 1 .7 1.5 1.3M2.5 8A8 8 0 0 1 5 6.2M8.5 5.4c2 .1 3.6 1 5 2.6M8 13.4v.1",
  play: "M4.5 2.5v11l9-5.5Z",
  pause: "M5 3v10M11 3v10",
  back: "M12.5 2.5v11L6 8ZM3.5 3v10",
  forward: "M3.5 2.5v11L10 8ZM12.5 3v10",
  branch: "M4 2v12M4 10c5 0 8-1.5 8-5M12 5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3",
  download: "M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11",
} as const;
export type IconName = keyof typeof shapes;

export const Icon = ({ name }: { readonly name: IconName }) => (
  <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
    <path d={shapes[name]} />
  </svg>
);
