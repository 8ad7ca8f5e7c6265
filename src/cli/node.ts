/** What a command starts a node with; loaded only then. */
export { runNode } from "../node/node.ts";
