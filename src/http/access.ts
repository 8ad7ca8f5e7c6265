/** Who may ask what, of the routes that are no commands: as the subject table says it of the same question over NATS. */
import { type CommandKind, commandRules, type PersonRole, personRoles } from "../contracts/roles.ts";
import { type SubjectName, subjects } from "../contracts/subjects.ts";

export const rolesOf = (subject: SubjectName): readonly PersonRole[] => {
  const publishers: readonly string[] = subjects[subject].publishers;
  return personRoles.filter((role) => publishers.includes(role));
};

/** Who may send a command may see what there is to choose from for it. */
export const rolesOfCommand = (kind: CommandKind): readonly PersonRole[] =>
  personRoles.filter((role) => commandRules[kind].roles.includes(role));
