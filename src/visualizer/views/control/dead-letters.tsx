/** Messages that no actor could handle: listed, shown with what is in them, sent again or dropped. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import type { DeadLetter, DeadLetterAnswer } from "../../../contracts/dead-letter.ts";
import type { CommandStanding, ViewState } from "../../../contracts/view.ts";
import { type Answered, fetchOffer, sent } from "../../data/commands.ts";
import { token } from "../../data/token.ts";
import { bounded, clockTime, plural } from "../../lib/format.ts";
import { Absence } from "../../parts/absence.tsx";
import { CommandButton } from "./command-button.tsx";
import type { Standings } from "./standings.ts";

type Listed = Extract<DeadLetterAnswer, { kind: "letters" }>;
type Shown = Extract<DeadLetterAnswer, { kind: "letter" }>;

const letters = signal<Answered<Listed> | undefined>(undefined);
const bodyLengthMax = 4000;

const lookAgain = async (): Promise<void> => {
  letters.value = await fetchOffer<Listed>("/dead-letters");
};

const standingFor = (letter: DeadLetter, action: "retry" | "drop", standing: CommandStanding | undefined) => {
  if (standing === undefined) return undefined;
  // The list knows of letters that the view's bounded memory does not.
  const legal = standing.legal || standing.reason === "no dead letter waits";
  if (action === "retry" && letter.stuck !== undefined)
    return { ...standing, legal: false, reason: `it cannot be sent again: ${letter.stuck}` };
  return { ...standing, legal, irreversible: action === "drop" };
};

const Message = ({ id }: { readonly id: number }) => {
  const [found, setFound] = useState<Answered<Shown> | undefined>(undefined);
  useEffect(() => {
    void fetchOffer<Shown>(`/dead-letters/${id}`).then(setFound);
  }, [id]);
  if (found === undefined) return <p class="soft small">Reading it …</p>;
  if (found.kind === "failed") return <p class="bad-text small wrap">{bounded(found.reason, 300)}</p>;
  const { envelope, raw } = found.value;
  const text = envelope === undefined ? (raw ?? "Its message is gone.") : JSON.stringify(envelope, undefined, 2);
  return <pre class="command-line mono letter-body">{bounded(text, bodyLengthMax)}</pre>;
};

const Letter = ({ letter, standing }: { readonly letter: DeadLetter; readonly standing: CommandStanding | undefined }) => {
  const [open, setOpen] = useState(false);
  const { id, subject, principal, reason, deliveries, occurrences, state, lastAtMs, stuck } = letter;
  return (
    <li class="waiting">
      <div class="grow">
        <div class="row wraps">
          <span class={`chip ${state === "waiting" ? "warn" : ""}`}>{state}</span>
          <b class="num">{id}</b>
          <code class="wrap">{bounded(subject, 80)}</code>
          <span class="quiet small">
            for {bounded(principal, 40)}, {clockTime(lastAtMs)}, {plural(deliveries, "delivery", "deliveries")}
            {occurrences > 1 ? `, died ${occurrences} times` : ""}
          </span>
        </div>
        <p class="soft small wrap">
          {bounded(reason, 300)}
          {stuck === undefined ? "" : ` It cannot be sent again: ${bounded(stuck, 200)}`}
        </p>
        {open ? <Message id={id} /> : null}
      </div>
      <div class="row wraps">
        <button type="button" class="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Hide" : "Show"}
          <span class="unseen"> dead letter {id}</span>
        </button>
        <CommandButton
          label="Send again"
          about={`Send dead letter ${id} again`}
          body={{ kind: "dead_letter", action: "retry", id }}
          standing={standingFor(letter, "retry", standing)}
        />
        <CommandButton
          label="Drop"
          about={`Drop dead letter ${id}`}
          body={{ kind: "dead_letter", action: "drop", id }}
          standing={standingFor(letter, "drop", standing)}
          asks
        />
      </div>
    </li>
  );
};

export const DeadLetterDesk = ({ state, standings }: { readonly state: ViewState; readonly standings: Standings }) => {
  const who = token.value;
  const told = state.deadLetters.map(({ messageId, state: now }) => `${messageId} ${now}`).join();
  const answered = sent.value.filter(({ kind, state: now }) => kind === "dead_letter" && now !== "sending").length;
  useEffect(() => {
    if (who === undefined) letters.value = undefined;
    else void lookAgain();
  }, [who, told, answered]);
  const known = letters.value;
  if (known === undefined) return <Absence title={who === undefined ? "Enter a token to see them" : "Asking the desk …"} />;
  if (known.kind === "failed")
    return (
      <Absence icon="off" title="They could not be listed">
        {bounded(known.reason, 200)}
      </Absence>
    );
  if (known.value.letters.length === 0) return <Absence title="No dead letter">Every message found who could handle it.</Absence>;
  return (
    <ul class="waitings">
      {known.value.letters.map((letter) => (
        <Letter key={letter.id} letter={letter} standing={standings.get("dead_letter")} />
      ))}
    </ul>
  );
};
