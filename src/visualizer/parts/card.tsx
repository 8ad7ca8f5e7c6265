/** A titled surface. `flush` lets the content touch the edges, `scrolls` lets it scroll inside. */
import type { ComponentChildren } from "preact";

interface CardProps {
  readonly title: string;
  readonly note?: ComponentChildren;
  readonly end?: ComponentChildren;
  readonly flush?: boolean;
  readonly scrolls?: boolean;
  readonly class?: string;
  readonly children: ComponentChildren;
}

export const Card = ({ title, note, end, flush = false, scrolls = false, class: name = "", children }: CardProps) => (
  <section class={`card ${name}`} aria-label={title}>
    <header>
      <h2>{title}</h2>
      {note === undefined ? null : <span class="quiet small clip">{note}</span>}
      {end === undefined ? null : <div class="row end">{end}</div>}
    </header>
    <div class={`body${flush ? " flush" : ""}${scrolls ? " scrolls" : ""}`}>{children}</div>
  </section>
);
