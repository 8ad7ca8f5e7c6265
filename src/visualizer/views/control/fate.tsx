/** A command's way after its receipt, in one line that goes on as more is told. */
import type { ViewCommand, ViewState } from "../../../contracts/view.ts";
import { type FateStep, fateOf } from "../../../view/fate.ts";
import { chosenRunId } from "../../data/store.ts";
import { bounded } from "../../lib/format.ts";
import { hrefOf } from "../../lib/router.ts";

const Effect = ({ step }: { readonly step: FateStep }) => {
  const { link } = step;
  const text = bounded(step.detail, 160);
  if (link === undefined) return <>{text}</>;
  return link.kind === "seed" ? (
    <a href={hrefOf("seeds", link.id)}>{text}</a>
  ) : (
    <a href={hrefOf("overview")} onClick={() => (chosenRunId.value = link.id)}>
      {text}
    </a>
  );
};

export const Fate = ({ command, state }: { readonly command: ViewCommand; readonly state: ViewState }) => {
  const steps = fateOf(command, state);
  const last = steps.at(-1);
  return (
    <div class="fate" data-request={command.requestId}>
      <ol class="row wraps">
        {steps.map((step, index) => (
          <li key={step.label} class="row">
            {index === 0 ? null : (
              <span class="quiet" aria-hidden="true">
                →
              </span>
            )}
            <span class={`chip ${step.tone}`}>{bounded(step.label, 40)}</span>
          </li>
        ))}
      </ol>
      {last === undefined ? null : (
        <div class="soft small wrap">
          <Effect step={last} />
          {command.code === null ? "" : ` (${command.code})`}
        </div>
      )}
    </div>
  );
};
