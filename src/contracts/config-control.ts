/** What the Gate and the Warden hold commands to. */
import { z } from "zod";
import { governedKinds, personRoles, roles } from "./roles.ts";

const perMinute = (commands: number, role: string) =>
  z
    .int()
    .min(1)
    .max(1_000_000)
    .default(commands)
    .describe(
      `Commands of one login as ${role} in a minute that begins with the first; a repeated \`requestId\` is not counted.`,
    );

const ApprovalRule = z.strictObject({
  commands: z.array(z.enum(governedKinds)).min(1).max(governedKinds.length).describe("What is held back."),
  from: z.array(z.enum(roles)).min(1).max(roles.length).describe("Whose commands; `controller` stands for Tamiyo and Emrakul."),
  by: z.array(z.enum(personRoles)).min(1).max(personRoles.length).describe("Who may approve; never the one who asked."),
});
export type ApprovalRule = z.infer<typeof ApprovalRule>;

export const ControlConfig = z.strictObject({
  commandsPerMinuteMax: z
    .strictObject({
      admin: perMinute(100, "admin"),
      operator: perMinute(50, "operator"),
      developer: perMinute(30, "developer"),
      observer: perMinute(20, "observer"),
      anonymous: perMinute(5, "anonymous"),
    })
    .prefault({}),
  commandBytesMax: z.int().min(1024).max(1_048_576).default(65_536).describe("Largest command."),
  approvals: z
    .strictObject({
      rules: z.array(ApprovalRule).max(64).default([]).describe("What needs whose approval; the first rule that fits counts."),
      waitingMax: z.int().min(1).max(1024).default(64).describe("Commands that wait for approval; one more is refused."),
      expiryMs: z.int().min(1).default(3_600_000).describe("How long a command waits for approval."),
    })
    .prefault({}),
  learning: z
    .strictObject({
      changesPerDayMax: z.int().min(0).max(1000).default(3).describe("Changes of the policy in any 24 hours."),
      cooldownMs: z.int().min(0).default(3_600_000).describe("Least time between two of them."),
    })
    .prefault({})
    .describe("Whoever learns asks before it promotes a policy."),
  runsWaitingMax: z
    .int()
    .min(1)
    .max(1000)
    .default(16)
    .describe("Runs that wait for their turn on a node that stays; one more is refused."),
  loginsMax: z.int().min(16).max(1_000_000).default(10_000).describe("Logins whose commands are counted at once."),
});
export type ControlConfig = z.infer<typeof ControlConfig>;
