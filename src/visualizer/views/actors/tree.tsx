/** The supervision tree: who watches whom, how often each was started again, and how its queue stands. */
import type { ViewActor } from "../../../contracts/view.ts";
import { absent, bounded, duration, short } from "../../lib/format.ts";
import { own } from "../../lib/own.ts";

const tones: Readonly<Record<string, string>> = {
  up: "good",
  running: "good",
  active: "good",
  starting: "accent",
  restarting: "warn",
  waiting: "warn",
  stopping: "",
  stopped: "",
  failed: "bad",
  escalated: "bad",
};

const depthOf = (path: string): number => path.split("/").length - 1;

const meanMs = ({ processed, processingMsTotal }: ViewActor): number | null =>
  processed === null || processed === 0 || processingMsTotal === null ? null : processingMsTotal / processed;

const Mailbox = ({ actor: { mailboxDepth, mailboxDepthMax } }: { readonly actor: ViewActor }) =>
  mailboxDepth === null ? (
    <span class="quiet">–</span>
  ) : (
    <span class="mailbox" title={`${mailboxDepth} of at most ${short(mailboxDepthMax)}`}>
      {short(mailboxDepth)}
      {mailboxDepth === 0 || mailboxDepthMax === null || mailboxDepth * 100 < mailboxDepthMax ? null : (
        <span class="meter">
          <i style={{ width: `${Math.round(100 * Math.min(1, mailboxDepth / Math.max(1, mailboxDepthMax)))}%` }} />
        </span>
      )}
    </span>
  );

export const ActorTree = ({ actors }: { readonly actors: readonly ViewActor[] }) => (
  <table class="table">
    <thead>
      <tr>
        <th>Actor</th>
        <th>Status</th>
        <th class="right">Restarts</th>
        <th class="right">Mailbox</th>
        <th class="right">Handled</th>
        <th class="right">Mean, longest</th>
        <th class="right">Dead</th>
      </tr>
    </thead>
    <tbody>
      {actors.map((actor) => {
        const restarts = Math.max(0, actor.generation - 1);
        return (
          <tr key={actor.path}>
            <td class="nowrap actor-name">
              <span class="branch" style={{ paddingLeft: `${depthOf(actor.path) * 16}px` }} aria-hidden="true" />
              <b class={actor.kind === "supervisor" ? "" : "plain-weight"} title={bounded(actor.path, 200)}>
                {bounded(actor.id, 40)}
              </b>
              {actor.strategy === null ? null : <span class="quiet small"> {actor.strategy.replaceAll("_", " ")}</span>}
            </td>
            <td>
              <span class={`chip ${own(tones, actor.status) ?? ""}`}>{bounded(actor.status, 24)}</span>
            </td>
            <td class={restarts > 0 ? "right warn-text" : "right quiet"}>{restarts}</td>
            <td class="right">
              <Mailbox actor={actor} />
            </td>
            <td class="right">{short(actor.processed)}</td>
            <td class="right">
              {(actor.processed ?? 0) === 0 ? absent : `${duration(meanMs(actor))}, ${duration(actor.processingMsMax)}`}
            </td>
            <td class={(actor.deadLetters ?? 0) > 0 ? "right bad-text" : "right quiet"}>{short(actor.deadLetters)}</td>
          </tr>
        );
      })}
    </tbody>
  </table>
);
