/**
 * Who may say and hear what, as the NATS server enforces it: allow-lists generated from the subject table. Pure.
 *
 * P1 A principal publishes only the subjects whose `publishers` name it; a vouched one under its own name alone.
 * P2 It subscribes only the subjects whose `listeners` name it; an actor hears a durable subject through its own consumer alone.
 * P3 Nobody hears the inbox of another principal.
 * P4 An answer may go to the reply subject of a message that was received, once, and nowhere else.
 * P5 Of JetStream an actor reaches its own consumers; streams and consumers are made by the supervisor alone.
 * P6 The supervisor, who keeps the dead letters, may put a message of any durable subject there again, as its sender sent it.
 * P7 A forge on another machine has the rights of the work it takes over and no others: the consumers of the actors whose part it takes,
 *    its own name as sender, its own inbox. It hears no event and no command.
 */
import { type ActorName, type Principal, remoteLogins, type SubjectName, subjectNames, subjects } from "../contracts/subjects.ts";
import { advisoryConsumer, consumerSpecs, consumesDurably, isActor, streamNames, streamOf } from "./streams.ts";
import { wireListens, wirePublishes } from "./vouched.ts";

export interface SubjectRule {
  readonly allow: readonly string[];
  readonly deny: readonly string[];
}

export interface Permissions {
  readonly publish: SubjectRule;
  readonly subscribe: SubjectRule;
  /** Answers allowed for each message received, and for how long. */
  readonly responses: { readonly max: number; readonly expiresSeconds: number };
}

/** Every principal's replies arrive under a prefix of its own. */
export const inboxPrefix = (principal: Principal): string => `_INBOX.${principal}`;

export const mayPublish = (principal: Principal, subject: SubjectName): boolean =>
  (subjects[subject].publishers as readonly Principal[]).includes(principal);

export const mayListen = (principal: Principal, subject: SubjectName): boolean =>
  (subjects[subject].listeners as readonly Principal[]).includes(principal);

/** The $SRV verbs of the NATS services framework (ADR-32 of the NATS architecture repository). */
const verbs = ["PING", "INFO", "STATS"] as const;

const responses = { max: 1, expiresSeconds: 600 } as const;

/** P6 */
export const mayResend = (principal: Principal, subject: SubjectName): boolean =>
  principal === "supervisor" && streamOf(subject) !== undefined;

const consumerCalls = ({ stream, durable }: { readonly stream: string; readonly durable: string }): string[] => [
  `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`,
  `$JS.ACK.${stream}.${durable}.>`, // P5
];

const consumerApi = (principal: Principal): string[] =>
  consumerSpecs.filter(({ actor }) => actor === principal).flatMap(consumerCalls);

/** Where an actor's service is asked about itself. */
const answersFor = (actor: ActorName): string[] =>
  verbs.flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.${actor}`, `$SRV.${verb}.${actor}.*`]);

/** The actors whose part a login on another machine takes. */
const partsOf = (principal: Principal): readonly ActorName[] | undefined =>
  principal in remoteLogins ? remoteLogins[principal as keyof typeof remoteLogins] : undefined;

const adminApi = (): string[] => [
  "$JS.API.INFO",
  ...consumerCalls(advisoryConsumer),
  ...subjectNames.filter((subject) => mayResend("supervisor", subject)),
  ...streamNames.flatMap((stream) => [
    ...["CREATE", "UPDATE", "INFO"].map((verb) => `$JS.API.STREAM.${verb}.${stream}`),
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.DURABLE.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.LIST.${stream}`,
  ]),
];

/**
 * @param principals everybody with a user on the server: the inboxes of the others are closed to this one
 */
export const permissionsOf = (principal: Principal, principals: readonly Principal[]): Permissions => {
  const publishes = subjectNames
    .filter((subject) => mayPublish(principal, subject))
    .flatMap((subject) => wirePublishes(subject, principal)); // P1
  const listens = subjectNames
    .filter((subject) => mayListen(principal, subject) && !(consumesDurably(principal) && streamOf(subject)))
    .flatMap(wireListens); // P2
  const parts = partsOf(principal);
  if (parts !== undefined)
    return {
      publish: { allow: [...publishes, ...parts.flatMap(consumerApi)], deny: [] },
      subscribe: { allow: [`${inboxPrefix(principal)}.>`, ...parts.flatMap(answersFor)], deny: [] },
      responses,
    }; // P7
  if (!isActor(principal))
    return {
      publish: { allow: [...publishes, ...verbs.flatMap((verb) => [`$SRV.${verb}`, `$SRV.${verb}.>`])], deny: [] },
      // A person's own client picks inboxes of its own, so all are open but those that belong to somebody. P3
      subscribe: {
        allow: [...listens, "_INBOX.>"],
        deny: principals.filter((other) => other !== principal).map((other) => `${inboxPrefix(other)}.>`),
      },
      responses,
    };
  const admin = principal === "supervisor";
  return {
    publish: { allow: [...publishes, ...consumerApi(principal), ...(admin ? adminApi() : [])], deny: [] },
    subscribe: {
      allow: [
        ...listens,
        `${inboxPrefix(principal)}.>`, // P3
        ...answersFor(principal),
      ],
      deny: [],
    },
    responses, // P4
  };
};
