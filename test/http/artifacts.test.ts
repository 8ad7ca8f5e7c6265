/** Artifacts by their hash: whole, in parts, cached, bounded. */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { rangeOf } from "../../src/http/range.ts";
import { until } from "../bus/support.ts";
import { type Door, openDoor } from "./support.ts";

const bytes = new TextEncoder().encode(JSON.stringify({ text: "0123456789".repeat(30) }));
const hash = createHash("sha256").update(bytes).digest("hex");
const path = `/artifacts/${hash}`;
const damaged = "d".repeat(64);

let door: Door;
afterEach(() => door.close());

const open = async (
  over: { readonly read?: () => Promise<Uint8Array>; readonly artifactReadsMax?: number } = {},
): Promise<void> => {
  door = await openDoor({
    config: { artifactReadsMax: over.artifactReadsMax ?? 4 },
    ports: {
      artifacts: {
        has: (asked) => asked === hash || asked === damaged,
        read: async (asked) => {
          if (asked === damaged) throw new Error("the file is damaged: /secret/place");
          return over.read?.() ?? bytes;
        },
      },
    },
  });
};
const get = (headers: Record<string, string> = {}, url = path) => door.ask("observer", "GET", url, undefined, headers);

it("F3 is sent whole with its hash as the tag, and never again to who has it", async () => {
  await open();
  const answer = await get();
  expect([answer.statusCode, answer.headers.etag, answer.headers["cache-control"], answer.headers["accept-ranges"]]).toEqual([
    200,
    `"${hash}"`,
    "private, max-age=31536000, immutable",
    "bytes",
  ]);
  expect(createHash("sha256").update(answer.rawPayload).digest("hex")).toBe(hash);
  for (const tag of [`"${hash}"`, `W/"${hash}"`, `"x", "${hash}"`, "*"]) {
    const again = await get({ "if-none-match": tag });
    expect([again.statusCode, again.body], tag).toEqual([304, ""]);
  }
  expect((await get({ "if-none-match": '"other"' })).statusCode).toBe(200);
});

describe("by range", () => {
  it.each([
    ["bytes=0-9", 0, 9],
    ["bytes=300-", 300, bytes.length - 1],
    ["bytes=-5", bytes.length - 5, bytes.length - 1],
    [`bytes=${bytes.length - 1}-${bytes.length + 99}`, bytes.length - 1, bytes.length - 1],
    [`bytes=-${bytes.length + 99}`, 0, bytes.length - 1],
  ])("%s is 206", async (range, first, last) => {
    await open();
    const answer = await get({ range });
    expect([answer.statusCode, answer.headers["content-range"]]).toEqual([206, `bytes ${first}-${last}/${bytes.length}`]);
    expect(Buffer.compare(answer.rawPayload, Buffer.from(bytes.subarray(first, last + 1)))).toBe(0);
  });

  it.each([`bytes=${bytes.length}-`, "bytes=-0", "bytes=999999-1000000"])("%s is 416 and says the size", async (range) => {
    await open();
    const answer = await get({ range });
    expect([answer.statusCode, answer.headers["content-range"]]).toEqual([416, `bytes */${bytes.length}`]);
  });

  it.each(["bytes=0-1,5-6", "lines=0-1", "bytes=5-1", "bytes=-", "bytes=a-b", "0-5"])("%s is left aside", async (range) => {
    await open();
    expect((await get({ range })).statusCode).toBe(200);
  });

  it("If-Range with another tag gives all of it", async () => {
    await open();
    expect((await get({ range: "bytes=0-9", "if-range": `"${hash}"` })).statusCode).toBe(206);
    expect((await get({ range: "bytes=0-9", "if-range": '"other"' })).statusCode).toBe(200);
  });

  it("a part always lies within the whole", async () => {
    await open();
    fc.assert(
      fc.property(fc.stringMatching(/^bytes=\d{0,4}-\d{0,4}$/), fc.nat(2000), (header, size) => {
        const range = rangeOf(header, size);
        if (range.kind === "part") expect(0 <= range.first && range.first <= range.last && range.last < size).toBe(true);
      }),
      { numRuns: 2000, seed: 3 },
    );
  });
});

it("who may: everybody who says who it is", async () => {
  await open();
  for (const role of ["admin", "operator", "developer", "observer"] as const)
    expect((await door.ask(role, "GET", path)).statusCode, role).toBe(200);
  expect((await door.ask(undefined, "GET", path)).statusCode).toBe(401);
  expect((await door.ask("anonymous", "GET", path)).statusCode).toBe(403);
});

it("what is no hash is 400, what is not there 404", async () => {
  await open();
  expect((await get({}, "/artifacts/..%2f..%2fetc%2fpasswd")).statusCode).toBe(400);
  expect((await get({}, `/artifacts/${"0".repeat(64)}`)).statusCode).toBe(404);
});

it("F1 what is damaged is not sent, and its place is not told", async () => {
  await open();
  const answer = await get({}, `/artifacts/${damaged}`);
  expect(answer.statusCode).toBe(500);
  expect(answer.body).not.toContain("secret");
});

it("F2 one more at once than may be is told to come again; then there is room", async () => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  let reads = 0;
  await open({
    artifactReadsMax: 2,
    read: () => {
      reads += 1;
      return released.then(() => bytes);
    },
  });
  const first = [get(), get()];
  await until(() => reads === 2, "two are read");
  const third = await get();
  expect([third.statusCode, third.headers["retry-after"]]).toEqual([503, "1"]);
  release();
  expect((await Promise.all(first)).map(({ statusCode }) => statusCode)).toEqual([200, 200]);
  expect((await get()).statusCode).toBe(200);
});
