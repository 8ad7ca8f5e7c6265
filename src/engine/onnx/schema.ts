/**
 * The part of ONNX's protobuf schema that a model of ours uses, by the field numbers of onnx.proto (IR version 10).
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import protobuf from "protobufjs";

const field = (id: number, type: string) => ({ id, type });
const repeated = (id: number, type: string) => ({ id, type, rule: "repeated" });

const root = protobuf.Root.fromJSON({
  nested: {
    onnx: {
      nested: {
        AttributeProto: {
          fields: {
            name: field(1, "string"),
            f: field(2, "float"),
            i: field(3, "int64"),
            s: field(4, "bytes"),
            t: field(5, "TensorProto"),
            floats: repeated(7, "float"),
            ints: repeated(8, "int64"),
            strings: repeated(9, "bytes"),
            type: field(20, "int32"),
          },
        },
        ValueInfoProto: { fields: { name: field(1, "string"), type: field(2, "TypeProto") } },
        NodeProto: {
          fields: {
            input: repeated(1, "string"),
            output: repeated(2, "string"),
            name: field(3, "string"),
            opType: field(4, "string"),
            attribute: repeated(5, "AttributeProto"),
            domain: field(7, "string"),
          },
        },
        ModelProto: {
          fields: {
            irVersion: field(1, "int64"),
            producerName: field(2, "string"),
            docString: field(6, "string"),
            graph: field(7, "GraphProto"),
            opsetImport: repeated(8, "OperatorSetIdProto"),
            metadataProps: repeated(14, "StringStringEntryProto"),
          },
        },
        GraphProto: {
          fields: {
            node: repeated(1, "NodeProto"),
            name: field(2, "string"),
            initializer: repeated(5, "TensorProto"),
            input: repeated(11, "ValueInfoProto"),
            output: repeated(12, "ValueInfoProto"),
          },
        },
        TensorProto: {
          fields: {
            dims: repeated(1, "int64"),
            dataType: field(2, "int32"),
            floatData: repeated(4, "float"),
            int32Data: repeated(5, "int32"),
            int64Data: repeated(7, "int64"),
            name: field(8, "string"),
            rawData: field(9, "bytes"),
            doubleData: repeated(10, "double"),
            dataLocation: field(14, "int32"),
          },
        },
        StringStringEntryProto: { fields: { key: field(1, "string"), value: field(2, "string") } },
        TensorShapeProto: {
          fields: { dim: repeated(1, "Dimension") },
          nested: { Dimension: { fields: { dimValue: field(1, "int64"), dimParam: field(2, "string") } } },
        },
        TypeProto: {
          fields: { tensorType: field(1, "Tensor") },
          nested: { Tensor: { fields: { elemType: field(1, "int32"), shape: field(2, "TensorShapeProto") } } },
        },
        OperatorSetIdProto: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
      },
    },
  },
});

export const modelType = root.lookupType("onnx.ModelProto");

/** TensorProto.DataType. */
export const elementType = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

/** AttributeProto.AttributeType. */
const attributeType = { float: 1, int: 2, string: 3, ints: 7 } as const;

export interface Attribute {
  readonly name: string;
  readonly type: number;
  readonly f?: number;
  readonly i?: number;
  readonly s?: Uint8Array;
  readonly ints?: readonly number[];
}

export const attribute = {
  float: (name: string, f: number): Attribute => ({ name, f, type: attributeType.float }),
  int: (name: string, i: number): Attribute => ({ name, i, type: attributeType.int }),
  string: (name: string, s: string): Attribute => ({ name, s: new TextEncoder().encode(s), type: attributeType.string }),
  ints: (name: string, ints: readonly number[]): Attribute => ({ name, ints, type: attributeType.ints }),
};

export interface OnnxNode {
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly opType: string;
  readonly attribute: readonly Attribute[];
}

export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

export interface OnnxValueInfo {
  readonly name: string;
  readonly elemType: number;
  /** A text names a dimension that is open, such as the batch. */
  readonly shape: readonly (number | string)[];
}

export interface OnnxModel {
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** Texts by key that travel with the model. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const valueInfo = ({ name, elemType, shape }: OnnxValueInfo) => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: shape.map((dim) => (typeof dim === "string" ? { dimParam: dim } : { dimValue: dim })) },
    },
  },
});

/** The bytes of a ModelProto; equal models give equal bytes. */
export const encodeModel = (model: OnnxModel): Uint8Array =>
  modelType
    .encode({
      irVersion: 10,
      producerName: "esper",
      opsetImport: [{ domain: "", version: model.opset }],
      graph: {
        name: "program",
        node: model.nodes,
        initializer: model.initializers,
        input: model.inputs.map(valueInfo),
        output: model.outputs.map(valueInfo),
      },
      metadataProps: Object.entries(model.metadata ?? {}).map(([key, value]) => ({ key, value })),
    })
    .finish();
