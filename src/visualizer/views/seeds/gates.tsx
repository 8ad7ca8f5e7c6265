/** What a gate measured, against what it asked for. */
import type { GateReading } from "../../../contracts/view.ts";
import { bounded, measured } from "../../lib/format.ts";

const sides: Readonly<Record<GateReading["side"], string>> = { min: "≥", max: "≤", equal: "=" };

/** `flopsLeft` → `flops left` */
const spaced = (name: string): string =>
  bounded(name, 60)
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase();

const Verdict = ({ passed }: Pick<GateReading, "passed">) =>
  passed === null ? (
    <span class="quiet">–</span>
  ) : passed ? (
    <span class="good-text">
      ✓<span class="unseen"> passed</span>
    </span>
  ) : (
    <span class="bad-text">
      ✗<span class="unseen"> not passed</span>
    </span>
  );

export const Gates = ({ gates }: { readonly gates: readonly GateReading[] }) => (
  <table class="table gates">
    <thead>
      <tr>
        <th>Measured</th>
        <th class="right">Value</th>
        <th class="right">Asked for</th>
        <th>
          <span class="unseen">Passed</span>
        </th>
      </tr>
    </thead>
    <tbody>
      {gates.map((gate) => (
        <tr key={gate.name}>
          <td class="wrap">{spaced(gate.name)}</td>
          <td class="right wrap">{measured(gate.value)}</td>
          <td class="right">
            {gate.threshold === null ? <span class="quiet">–</span> : `${sides[gate.side]} ${measured(gate.threshold)}`}
          </td>
          <td>
            <Verdict passed={gate.passed} />
          </td>
        </tr>
      ))}
    </tbody>
  </table>
);
