/**
 * A command as a button. One that is not legal now stays visible and says why when it is pointed at or pressed; one that cannot be undone
 * asks first.
 */
import { signal } from "@preact/signals";
import { useId, useState } from "preact/hooks";
import type { CommandStanding } from "../../../contracts/view.ts";
import { type CommandBody, send } from "../../data/commands.ts";
import { token } from "../../data/token.ts";
import { bounded } from "../../lib/format.ts";
import { Dialog } from "../../parts/dialog.tsx";

interface Asked {
  readonly body: CommandBody;
  readonly about: string;
  readonly warning: string;
}

const asked = signal<Asked | undefined>(undefined);
const reasonLengthMax = 500;

/** Kinds whose command carries a reason. */
const withoutReason = new Set(["pause", "resume"]);

/** The one confirmation of the page. */
export const Confirmation = () => {
  const [reason, setReason] = useState("");
  const { value } = asked;
  const close = (): void => {
    asked.value = undefined;
    setReason("");
  };
  return (
    <Dialog title={value === undefined ? "Confirm" : `${value.about}?`} open={value !== undefined} onClose={close}>
      <p class="wrap">{value?.warning}</p>
      {value === undefined || withoutReason.has(value.body.kind) ? null : (
        <label class="field">
          <span>Reason, for the ledger</span>
          <input
            class="input"
            maxLength={reasonLengthMax}
            value={reason}
            onInput={(event) => setReason(event.currentTarget.value)}
          />
        </label>
      )}
      <div class="actions">
        <button type="button" class="button" onClick={close}>
          Leave it
        </button>
        <button
          type="button"
          class="button danger"
          onClick={() => {
            if (value === undefined) return;
            const given = reason.trim();
            void send(given === "" ? value.body : { ...value.body, reason: given }, value.about);
            close();
          }}
        >
          {value?.about}
        </button>
      </div>
    </Dialog>
  );
};

const warnings: Readonly<Record<string, string>> = {
  cull: "The seed's kernel is thrown away and its site is under embargo for a while. The run goes on as if the seed had never been.",
  rollback: "Host, optimizer, random state and data go back to the last good snapshot. What was trained since then is lost.",
  stop: "The run ends after this window. A checkpoint is written; `esper train --resume` goes on from it.",
  resolve: "The jury is overruled for good.",
  veto: "The command does not happen. It can be asked for again.",
  germinate: "A trial begins at the next boundary and uses up budget.",
  shutdown:
    "The run that is going on is stopped with a checkpoint, what waits is dropped, and the node ends. This page then shows the last that it knew.",
  dead_letter: "The message is given up for good: nobody will handle it.",
};

interface CommandButtonProps {
  readonly label: string;
  /** What it does, as a sentence's subject: shown in the receipt. */
  readonly about?: string;
  readonly body: CommandBody;
  readonly standing: CommandStanding | undefined;
  readonly primary?: boolean;
  /** Asks first, also where another command would undo it. */
  readonly asks?: boolean;
}

export const whyNot = (standing: CommandStanding | undefined): string | undefined => {
  if (token.value === undefined) return "read-only: enter an operator's token in Control (esper token --role operator)";
  if (standing === undefined) return "the node does not tell whether this is allowed";
  return standing.legal ? undefined : standing.reason;
};

export const CommandButton = ({ label, about = label, body, standing, primary = false, asks = false }: CommandButtonProps) => {
  const id = useId();
  const [told, setTold] = useState(false);
  const reason = whyNot(standing);
  const irreversible = standing?.irreversible === true || asks;
  const press = (): void => {
    if (reason !== undefined) {
      setTold(true);
      return;
    }
    setTold(false);
    if (irreversible) asked.value = { body, about, warning: warnings[body.kind] ?? "This cannot be undone by another command." };
    else void send(body, about);
  };
  return (
    <span class="command">
      <button
        type="button"
        class={`button${primary && reason === undefined ? " primary" : ""}${irreversible && reason === undefined && !primary ? " danger" : ""}`}
        data-command={body.kind}
        aria-disabled={reason !== undefined}
        aria-describedby={reason === undefined ? undefined : id}
        title={reason === undefined ? undefined : bounded(reason, 200)}
        onClick={press}
      >
        {label}
      </button>
      {reason === undefined ? null : (
        <span id={id} class={told ? "why small" : "unseen"} role={told ? "status" : undefined}>
          {bounded(reason, 200)}
        </span>
      )}
    </span>
  );
};
