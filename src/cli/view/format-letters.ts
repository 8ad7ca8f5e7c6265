/** Dead letters as tables. Pure. What a message says is shown without its control characters. */
import Table from "cli-table3";
import type { CommandReceipt } from "../../contracts/commands.ts";
import type { DeadLetter, DeadLetterAnswer } from "../../contracts/dead-letter.ts";
import { formatReceipt } from "./format-message.ts";

const style = { head: [], border: [], compact: true };

const visible = (text: string): string => text.replaceAll(/\p{Cc}+/gu, " ");

const time = (atMs: number): string => new Date(atMs).toISOString();

export const formatLetters = (letters: readonly DeadLetter[], kept: number): string[] => {
  if (letters.length === 0) return [kept === 0 ? "no dead letters" : `none of the ${kept} dead letters`];
  const table = new Table({ head: ["id", "state", "for", "subject", "died", "retries", "first", "last", "reason"], style });
  for (const letter of letters) {
    const { id, state, principal, subject, occurrences, retries, firstAtMs, lastAtMs, reason, stuck } = letter;
    const shown = stuck === undefined ? state : "stuck";
    const counts = [String(occurrences), String(retries)];
    table.push([String(id), shown, principal, subject, ...counts, time(firstAtMs), time(lastAtMs), visible(reason)]);
  }
  const more = kept > letters.length ? [`${kept} are kept; --after ${letters.at(-1)?.id} shows those that follow`] : [];
  return [...table.toString().split("\n"), ...more];
};

export const formatLetter = ({ letter, envelope, raw }: Extract<DeadLetterAnswer, { kind: "letter" }>): string[] => [
  `dead letter ${letter.id}, ${letter.state}, for ${letter.principal} on ${letter.subject}`,
  `message   ${visible(letter.messageId)}`,
  `reason    ${visible(letter.reason)}`,
  `died      ${letter.occurrences} times, sent again ${letter.retries} times`,
  `time      ${time(letter.firstAtMs)} to ${time(letter.lastAtMs)}`,
  ...(letter.stuck === undefined ? [] : [`stuck     ${visible(letter.stuck)}`]),
  ...(envelope === undefined ? [] : JSON.stringify(envelope, undefined, 2).split("\n")),
  ...(raw === undefined ? [] : [visible(raw)]),
];

export const formatLetterReceipt = (receipt: CommandReceipt, id: number): string =>
  `${id}: ${visible(receipt.kind === "done" ? receipt.detail : formatReceipt(receipt))}`;
