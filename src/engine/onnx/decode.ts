/**
 * Reads the bytes of an ONNX model: protobuf first, then a schema of what we use, so that a damaged file is named and never trusted.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import { z } from "zod";
import { DataError, describeError } from "../../contracts/errors.ts";
import { modelType } from "./schema.ts";

const text = z.string().default("");
const whole = z.number().default(0);
const bytes = z.instanceof(Uint8Array);

const DecodedTensor = z.object({
  name: text,
  dims: z.array(z.number().int().min(0)).max(16).default([]),
  dataType: whole,
  rawData: bytes.optional(),
  floatData: z.array(z.number()).default([]),
  int32Data: z.array(z.number()).default([]),
  int64Data: z.array(z.number()).default([]),
  doubleData: z.array(z.number()).default([]),
  dataLocation: whole,
});
export type DecodedTensor = z.infer<typeof DecodedTensor>;

const DecodedAttribute = z.object({
  name: text,
  f: z.number().optional(),
  i: z.number().optional(),
  s: bytes.optional(),
  t: DecodedTensor.optional(),
  floats: z.array(z.number()).default([]),
  ints: z.array(z.number()).default([]),
  type: whole,
});
export type DecodedAttribute = z.infer<typeof DecodedAttribute>;

const DecodedNode = z.object({
  name: text,
  opType: text,
  domain: text,
  input: z.array(z.string()).default([]),
  output: z.array(z.string()).default([]),
  attribute: z.array(DecodedAttribute).default([]),
});
export type DecodedNode = z.infer<typeof DecodedNode>;

const DecodedValue = z.object({
  name: text,
  type: z
    .object({
      tensorType: z
        .object({
          elemType: whole,
          shape: z
            .object({
              dim: z.array(z.object({ dimValue: z.number().optional(), dimParam: z.string().optional() })).default([]),
            })
            .optional(),
        })
        .optional(),
    })
    .optional(),
});
export type DecodedValue = z.infer<typeof DecodedValue>;

const DecodedModel = z.object({
  opsetImport: z.array(z.object({ domain: text, version: whole })).default([]),
  producerName: text,
  metadataProps: z.array(z.object({ key: text, value: text })).default([]),
  graph: z.object({
    name: text,
    node: z.array(DecodedNode).max(200_000).default([]),
    initializer: z.array(DecodedTensor).default([]),
    input: z.array(DecodedValue).default([]),
    output: z.array(DecodedValue).default([]),
  }),
});
export type DecodedModel = z.infer<typeof DecodedModel>;

/** @throws DataError naming the file when the bytes are no ONNX model. */
export const decodeModel = (file: Uint8Array, name: string): DecodedModel => {
  let plain: unknown;
  try {
    plain = modelType.toObject(modelType.decode(file), { longs: Number });
  } catch (error) {
    throw new DataError(
      `ONNX file ${name}: expected a protobuf model, got: ${describeError(error)}; export it again`,
      { file: name },
      {
        cause: error,
      },
    );
  }
  const parsed = DecodedModel.safeParse(plain);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new DataError(
    `ONNX file ${name}, ${issue?.path.join(".") || "model"}: ${issue?.message ?? "not a model"}; export it again`,
    {
      file: name,
    },
  );
};
