/** Run again from here with another decision: from the nearest checkpoint at or before the moment. */
import { branchFrom } from "../../../view/branch.ts";
import { checkpoints, recording, shownEpoch } from "../../data/player.ts";
import { hrefOf } from "../../lib/router.ts";
import { Absence } from "../../parts/absence.tsx";

export const Branch = () => {
  const open = recording.value;
  if (open === undefined) return null;
  const branch = branchFrom(checkpoints.value, shownEpoch.value);
  if (branch === undefined)
    return (
      <Absence icon="branch" title="No checkpoint at or before this moment">
        {checkpoints.value.length === 0
          ? "This run left none on the disk."
          : `The first is of window ${checkpoints.value[0]?.epoch}; go there to branch.`}
      </Absence>
    );
  return (
    <div class="column tight">
      <p>
        The nearest checkpoint is of window <b class="num">{branch.checkpoint.epoch}</b>
        {branch.epochsBefore === 0 ? "" : `, ${branch.epochsBefore} before this moment`}. From it the run goes on bit for bit as
        it did, until another decision is taken.
      </p>
      <pre class="command-line mono">{branch.commandLine}</pre>
      <p class="soft small">
        It is seen here as it trains, and what <a href={hrefOf("control")}>Control</a> asks for takes effect at its next boundary.
      </p>
    </div>
  );
};
