/**
 * Loads tensorflow.js and switches its backend.
 *
 * The library has one current backend for the whole thread, so:
 *   B1  Work runs in turns: `withBackend` queues, and the current backend does not change during a turn.
 *   B2  A backend is started once and stays until the thread ends; it holds no tensors between turns.
 */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { describeError, ServiceError } from "../../contracts/errors.ts";

/** The ES modules of the library lack file extensions, which Node wants; its CommonJS build works everywhere. */
const require = createRequire(import.meta.url);

export type TensorflowLibrary = typeof import("@tensorflow/tfjs");
type WasmBackend = typeof import("@tensorflow/tfjs-backend-wasm");
export type TensorflowBackend = "wasm" | "cpu";

let library: TensorflowLibrary | undefined;
let wasmReady = false;
let lastTurn: Promise<unknown> = Promise.resolve();

const loadLibrary = (backend: TensorflowBackend): TensorflowLibrary => {
  library ??= require("@tensorflow/tfjs") as TensorflowLibrary;
  // Production mode only drops warnings, such as the advice to install another package.
  library.enableProdMode();
  if (backend === "wasm" && !wasmReady) {
    const wasm = require("@tensorflow/tfjs-backend-wasm") as WasmBackend;
    wasm.setWasmPaths(`${dirname(require.resolve("@tensorflow/tfjs-backend-wasm"))}/`);
    wasmReady = true;
  }
  return library;
};

/** B1: runs the work with that backend current, after whatever was asked for before. The work must be synchronous. */
export const withBackend = <T>(backend: TensorflowBackend, work: (tf: TensorflowLibrary) => T): Promise<T> => {
  const turn = lastTurn.then(async () => {
    const tf = await makeCurrent(backend);
    return work(tf);
  });
  lastTurn = turn.catch(() => undefined);
  return turn;
};

const makeCurrent = async (backend: TensorflowBackend): Promise<TensorflowLibrary> => {
  try {
    const tf = loadLibrary(backend);
    if (tf.getBackend() === backend || (await tf.setBackend(backend))) return tf;
  } catch (error) {
    throw new ServiceError(
      `tensorflow.js: expected the ${backend} backend to start, found: ${describeError(error)}`,
      {},
      { cause: error },
    );
  }
  throw new ServiceError(
    `tensorflow.js: expected the ${backend} backend to start, found that it refuses; see its own message above`,
  );
};
