/** `esper openapi`: the document of the HTTP API. */
import { resolve } from "node:path";
import type { Command } from "commander";
import { apiVersion, openApiDocument } from "../../http/openapi.ts";
import { nodeFileSystem, saveDurably } from "../../store/file-system.ts";
import { type CommandScope, type GlobalOptions, writeLines } from "../context.ts";

interface OpenApiOptions extends GlobalOptions {
  readonly out?: string;
}

export const addOpenApi = (program: Command, { context }: CommandScope): void => {
  program
    .command("openapi")
    .description("The HTTP API as an OpenAPI 3.1 document. No node is needed.")
    .option("--out <file>", "write it here (default: standard output)")
    .addHelpText("after", "\nExamples:\n  esper openapi --out openapi.json\n  esper openapi | jq '.paths | keys'")
    .action(async (_: unknown, command: Command) => {
      const { out } = command.optsWithGlobals<OpenApiOptions>();
      const text = JSON.stringify(openApiDocument(apiVersion), undefined, 2);
      if (out === undefined) writeLines(context, [text]);
      else await saveDurably(nodeFileSystem, resolve(out), new TextEncoder().encode(`${text}\n`));
    });
};
