/** What every command begins with. */
import { z } from "zod";
import { RequestId, RunId } from "./ids.ts";

export const base = { requestId: RequestId, runId: RunId.optional() };
export const reason = z.string().max(500).default("asked by the operator");
