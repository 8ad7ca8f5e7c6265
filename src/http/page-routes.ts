/** The page, where it was built: files of one folder, served as they are. Without it, a few lines that say what else is here. */
import fastifyStatic from "@fastify/static";
import type { FastifyPluginAsync } from "fastify";
import type { HttpPorts } from "./ports.ts";

const withoutPage = [
  "An Esper node. The page is not built here: `npm run build` does it.",
  "",
  "GET /health        how the node does",
  "GET /openapi.json  everything that can be asked",
  "GET /docs          the same, to be read",
  "",
].join("\n");

/** Files whose names hold a hash of what is in them. */
const assetAgeSeconds = 31_536_000;

export const pageRoutes: FastifyPluginAsync<Pick<HttpPorts, "pageFolder">> = async (app, { pageFolder }) => {
  if (pageFolder === undefined) {
    app.get("/", (_request, reply) => reply.type("text/plain; charset=utf-8").send(withoutPage));
    return;
  }
  await app.register(fastifyStatic, {
    root: pageFolder,
    prefix: "/",
    wildcard: false,
    index: ["index.html"],
    dotfiles: "deny",
    cacheControl: false,
    setHeaders: (response, path) => {
      const hashed = /[\\/]assets[\\/]/.test(path);
      response.setHeader("cache-control", hashed ? `public, max-age=${assetAgeSeconds}, immutable` : "no-cache");
    },
  });
};
