/**
 * `GET /artifacts/{hash}`: an asset of the library as the bytes that its hash is of, whole or by range.
 *
 * F1 What is sent was checked against its hash and its signature; what is damaged is not sent.
 * F2 As many are held at once as the configuration lets, until they are sent; who reads too slowly is cut off.
 * F3 The hash is the entity tag: what has it never changes.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import type { HttpConfig } from "../contracts/config-http.ts";
import { ContentHash } from "../contracts/ids.ts";
import { rolesOf } from "./access.ts";
import type { ArtifactSource } from "./ports.ts";
import { sendProblem } from "./problem.ts";
import { namesTag, rangeOf } from "./range.ts";

/** A hash says what is in it for good; who may read it depends on who asks. */
const caching = "private, max-age=31536000, immutable";

export interface ArtifactOptions {
  readonly artifacts: ArtifactSource;
  readonly config: Pick<HttpConfig, "artifactReadsMax" | "requestTimeoutMs">;
}

const ifRange = ({ headers }: FastifyRequest): string | undefined => {
  const value = headers["if-range"];
  return typeof value === "string" ? value : undefined;
};

/** The bytes, or the part of them that was asked for. */
const sendBytes = (request: FastifyRequest, reply: FastifyReply, bytes: Uint8Array, tag: string): FastifyReply => {
  const { range: asked } = request.headers;
  const condition = ifRange(request);
  const range = rangeOf(condition === undefined || condition === tag ? asked : undefined, bytes.length);
  if (range.kind === "unsatisfiable")
    return sendProblem(
      reply.header("content-range", `bytes */${bytes.length}`),
      416,
      `expected a range within ${bytes.length} bytes`,
    );
  reply
    .header("etag", tag)
    .header("cache-control", caching)
    .header("accept-ranges", "bytes")
    .type("application/json; charset=utf-8");
  if (range.kind === "whole") return reply.send(bytes);
  const { first, last } = range;
  return reply
    .code(206)
    .header("content-range", `bytes ${first}-${last}/${bytes.length}`)
    .send(bytes.subarray(first, last + 1));
};

export const artifactPlugin: FastifyPluginAsync<ArtifactOptions> = async (app, { artifacts, config }) => {
  let held = 0;
  app.get<{ Params: { hash: string } }>(
    "/artifacts/:hash",
    { config: { roles: rolesOf("query.observed") } },
    async (request, reply) => {
      const { hash } = request.params;
      if (!ContentHash.safeParse(hash).success) return sendProblem(reply, 400, "expected 64 hexadecimal digits of a SHA-256");
      const unknown = () => sendProblem(reply, 404, `there is no artifact ${hash}`);
      if (!artifacts.has(hash)) return unknown();
      const tag = `"${hash}"`; // F3
      if (namesTag(request.headers["if-none-match"], tag))
        return reply.code(304).header("etag", tag).header("cache-control", caching).send();
      // F2
      if (held >= config.artifactReadsMax)
        return sendProblem(reply.header("retry-after", 1), 503, `${held} artifacts are being sent; try again in a moment`);
      held += 1;
      reply.raw.once("close", () => {
        held -= 1;
      });
      reply.raw.setTimeout(config.requestTimeoutMs, () => reply.raw.destroy());
      const bytes = await artifacts.read(hash); // F1
      return bytes === undefined ? unknown() : sendBytes(request, reply, bytes, tag);
    },
  );
};
