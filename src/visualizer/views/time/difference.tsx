/** What is different between the marked moment and the shown one. */
import { useMemo } from "preact/hooks";
import type { Cell, ViewEdge } from "../../../contracts/view.ts";
import { diffStates, type RunDifference } from "../../../view/diff.ts";
import { marked, place, recording } from "../../data/player.ts";
import { bounded, fixed, percent, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";
import { hrefOf } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";
import { StateMark } from "../../parts/state-mark.tsx";

const rowsShownMax = 60;

interface FigureForm {
  readonly label: string;
  readonly form: (value: Cell) => string;
}

const figures: Readonly<Record<string, FigureForm>> = {
  epoch: { label: "Window", form: short },
  hostStep: { label: "Steps of the host", form: short },
  flops: { label: "FLOPs used", form: short },
  parameters: { label: "Parameters", form: short },
  rollbacks: { label: "Rollbacks", form: short },
  trainLoss: { label: "Loss, training", form: (value) => fixed(value, 4) },
  validationLoss: { label: "Loss, validation", form: (value) => fixed(value, 4) },
  validationAccuracy: { label: "Accuracy, validation", form: (value) => percent(value, 2) },
  stepsPerSecond: { label: "Steps a second", form: short },
  testAccuracy: { label: "Accuracy, test", form: (value) => percent(value, 2) },
};

const Figures = ({ difference }: { readonly difference: RunDifference }) => (
  <>
    {difference.figures.map(({ name, before, after }) => {
      const { label, form } = own(figures, name) ?? { label: name, form: short };
      return (
        <tr key={name}>
          <td>{label}</td>
          <td class="right">{form(before)}</td>
          <td class="right">{form(after)}</td>
        </tr>
      );
    })}
  </>
);

const Seeds = ({ difference }: { readonly difference: RunDifference }) => (
  <>
    {difference.seeds.slice(0, rowsShownMax).map((seed) => (
      <tr key={seed.seedId}>
        <td class="wrap">
          <a href={hrefOf("seeds", seed.seedId)}>{bounded(seed.seedId, 60)}</a>
          <span class="quiet small num">{seed.steps > 1 ? ` ${seed.steps} steps` : ""}</span>
        </td>
        <td class="right">
          <StateMark state={seed.before} />
        </td>
        <td class="right">
          <StateMark state={seed.after} />
        </td>
      </tr>
    ))}
  </>
);

const Layers = ({ difference }: { readonly difference: RunDifference }) => (
  <>
    {difference.layers.slice(0, rowsShownMax).map((layer) => (
      <tr key={layer.site}>
        <td class="wrap">Severity at {bounded(layer.site, 60)}</td>
        <td class="right">{fixed(layer.severityBefore, 2)}</td>
        <td class="right">{fixed(layer.severityAfter, 2)}</td>
      </tr>
    ))}
  </>
);

const edgeWords = ({ kind, from, to }: ViewEdge): string => `${kind} from ${bounded(from, 40)} to ${bounded(to, 40)}`;

const Edges = ({ difference }: { readonly difference: RunDifference }) => (
  <>
    {[
      ...difference.edgesAdded.map((edge) => ({ edge, added: true })),
      ...difference.edgesRemoved.map((edge) => ({ edge, added: false })),
    ]
      .slice(0, rowsShownMax)
      .map(({ edge, added }) => (
        <tr key={`${edge.kind} ${edge.from} ${edge.to} ${edge.seedId} ${added}`}>
          <td class="wrap">{edgeWords(edge)}</td>
          <td class="right">{added ? "–" : "there"}</td>
          <td class="right">{added ? "there" : "–"}</td>
        </tr>
      ))}
  </>
);

export const Difference = () => {
  const open = recording.value;
  const from = marked.value;
  const to = place.value;
  const difference = useMemo(
    () => (open === undefined || from === undefined ? undefined : diffStates(open.stateAt(from), open.stateAt(to), open.runId)),
    [open, from, to],
  );
  if (open === undefined || from === undefined)
    return <Absence title="No moment is marked">Mark one, then go to another: what differs between them stands here.</Absence>;
  if (difference === undefined) return <Absence title="The run had not begun at one of the moments" />;
  return (
    <table class="table">
      <thead>
        <tr>
          <th>What</th>
          <th class="right">Window {difference.epochBefore}</th>
          <th class="right">Window {difference.epochAfter}</th>
        </tr>
      </thead>
      <tbody>
        <Figures difference={difference} />
        <tr>
          <td>Decisions</td>
          <td class="right">–</td>
          <td class="right">{difference.decisions >= 0 ? `${difference.decisions} more` : `${-difference.decisions} fewer`}</td>
        </tr>
        <Seeds difference={difference} />
        <Edges difference={difference} />
        <Layers difference={difference} />
      </tbody>
    </table>
  );
};
