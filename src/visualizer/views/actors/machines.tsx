/** The statechart of every machine in the program, to be read and to be taken along. */
import { useEffect } from "preact/hooks";
import type { MachineDrawing } from "../../../machines/drawing/index.ts";
import { askForDrawings, drawings, type Forms } from "../../data/machines.ts";
import { after } from "../../lib/clock.ts";
import { goTo } from "../../lib/router.ts";
import { isDark } from "../../lib/theme.ts";
import { Absence } from "../../parts/absence.tsx";
import { Card } from "../../parts/card.tsx";
import { Icon } from "../../parts/icon.tsx";
import { MachineView } from "../../parts/machine-view.tsx";

interface Export {
  readonly label: string;
  readonly ending: string;
  readonly type: string;
  readonly write: (forms: Forms, drawing: MachineDrawing) => string;
}

const exports: readonly Export[] = [
  {
    label: "SVG",
    ending: "svg",
    type: "image/svg+xml",
    write: ({ toSvg }, { description, layout }) => toSvg(description, layout, { theme: isDark.value ? "dark" : "light" }),
  },
  { label: "Mermaid", ending: "mmd", type: "text/plain", write: ({ toMermaid }, { description }) => toMermaid(description) },
  {
    label: "SCXML",
    ending: "scxml",
    type: "application/scxml+xml",
    write: ({ toScxml }, { description }) => toScxml(description),
  },
  {
    label: "Stately",
    ending: "json",
    type: "application/json",
    write: ({ toStately }, { description }) => JSON.stringify(toStately(description), null, 2),
  },
];

/** Hands a text to the person as a file. */
const save = (name: string, type: string, text: string): void => {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  after(10_000, () => URL.revokeObjectURL(address));
};

export const Machines = ({ name }: { readonly name: string }) => {
  useEffect(() => void askForDrawings(), []);
  const known = drawings.value;
  if (known.kind === "failed")
    return (
      <Absence icon="off" title="The statecharts could not be read" tall>
        {known.reason}
      </Absence>
    );
  if (known.kind !== "known") return <Absence icon="time" title="Reading the statecharts …" tall />;
  const drawing = known.machines.find(({ description }) => description.name === name) ?? known.machines[0];
  if (drawing === undefined) return <Absence title="This program has no statecharts" />;
  const { description } = drawing;
  return (
    <Card
      title={`Statechart: ${description.name}`}
      end={exports.map(({ label, ending, type, write }) => (
        <button
          key={label}
          type="button"
          class="button tight"
          title={`Save as ${label}`}
          onClick={() => save(`esper-${description.name}.${ending}`, type, write(known.forms, drawing))}
        >
          <Icon name="download" /> {label}
        </button>
      ))}
      class="machine-card"
      flush
    >
      <div class="machine-choice row wraps">
        <fieldset class="segments" aria-label="Machine">
          {known.machines.map(({ description: each }) => (
            <button
              key={each.name}
              type="button"
              aria-pressed={each.name === description.name}
              onClick={() => goTo("actors", each.name)}
            >
              {each.name}
            </button>
          ))}
        </fieldset>
        <p class="soft small">{description.description}</p>
      </div>
      <MachineView name={description.name} full />
    </Card>
  );
};
