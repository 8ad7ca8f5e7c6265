/** Decodes a PNG or JPEG file to RGB, and scales a picture to a square of bytes. */
import { convertIndexedToRgb, type DecodedPng, decode as decodePng } from "fast-png";
import jpeg from "jpeg-js";
import { DataError, describeError } from "../contracts/errors.ts";

/** Three bytes for each pixel, row by row. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

const isPng = (bytes: Uint8Array): boolean => Buffer.from(bytes.subarray(0, 8)).toString("hex") === "89504e470d0a1a0a";
const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;

/** Width × height as the file's header says (PNG, section 11.2.2), known before anything is unpacked. */
const pngPixels = (bytes: Uint8Array): number => {
  if (bytes.length < 24) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(16) * view.getUint32(20);
};

/** Grey becomes three equal channels; transparent pixels lie on black. */
const toRgb = (data: ArrayLike<number>, channels: number, pixels: number, valueMax: number): Uint8Array => {
  const rgb = new Uint8Array(3 * pixels);
  const colours = channels > 2 ? 3 : 1;
  const hasAlpha = channels % 2 === 0;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const from = pixel * channels;
    const opacity = hasAlpha ? data[from + channels - 1]! / valueMax : 1;
    for (let channel = 0; channel < 3; channel++) {
      const value = data[from + (colours === 3 ? channel : 0)]!;
      rgb[3 * pixel + channel] = Math.round((255 * opacity * value) / valueMax);
    }
  }
  return rgb;
};

const fromPng = (png: DecodedPng): Picture => {
  const { width, height, depth, channels, data, palette } = png;
  const pixels = width * height;
  if (palette !== undefined) {
    return { width, height, rgb: toRgb(convertIndexedToRgb(png), palette[0]!.length, pixels, 255) };
  }
  if (depth < 8) throw new Error(`${depth} bits for each grey value; 8 or 16 are read`);
  return { width, height, rgb: toRgb(data, channels, pixels, depth === 16 ? 65_535 : 255) };
};

const fromJpeg = (bytes: Uint8Array, pixelsMax: number): Picture => {
  const { width, height, data } = jpeg.decode(bytes, {
    useTArray: true,
    formatAsRGBA: false,
    tolerantDecoding: false,
    maxResolutionInMP: pixelsMax / 1e6,
  });
  return { width, height, rgb: data };
};

/** Throws DataError that names the file when it is none of the two formats, damaged, or larger than `pixelsMax`. */
export const decodePicture = (bytes: Uint8Array, file: string, pixelsMax: number): Picture => {
  if (!isPng(bytes) && !isJpeg(bytes)) {
    throw new DataError(
      `data file ${file}: expected a PNG or JPEG image, found bytes that begin with ${Buffer.from(bytes.subarray(0, 4)).toString("hex") || "nothing"}; take it out of the folder or convert it`,
      { file },
    );
  }
  if (isPng(bytes) && pngPixels(bytes) > pixelsMax) {
    throw new DataError(
      `data file ${file}: expected at most ${pixelsMax} pixels, found ${pngPixels(bytes)}; raise dataset.imagePixelsMax`,
      {
        file,
      },
    );
  }
  try {
    return isPng(bytes) ? fromPng(decodePng(bytes, { checkCrc: true })) : fromJpeg(bytes, pixelsMax);
  } catch (error) {
    throw new DataError(
      `data file ${file}: expected an image that can be read, found: ${describeError(error)}; take it out of the folder or save it again`,
      { file },
      { cause: error },
    );
  }
};

/** Where a target pixel begins and ends in the source, and how much each source pixel counts. */
interface Cover {
  readonly first: number;
  readonly weights: readonly number[];
}

/** A side of `from` pixels cut into `to` equal parts, which may begin and end within a pixel. */
const covers = (from: number, to: number): Cover[] =>
  Array.from({ length: to }, (_, place) => {
    const [start, end] = [(place * from) / to, ((place + 1) * from) / to];
    const first = Math.floor(start);
    const last = Math.min(from, Math.ceil(end)) - 1;
    const weights = Array.from(
      { length: last - first + 1 },
      (_, at) => (Math.min(end, first + at + 1) - Math.max(start, first + at)) / (end - start),
    );
    return { first, weights };
  });

/**
 * The largest square in the middle, scaled to `size` × `size`: each pixel is the mean of the area it covers. Into [3, size, size] of `into`.
 */
export const squareOf = ({ width, height, rgb }: Picture, size: number, into: Uint8Array): void => {
  const side = Math.min(width, height);
  const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
  const parts = covers(side, size);
  for (const [row, down] of parts.entries()) {
    for (const [column, across] of parts.entries()) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (const [y, vertical] of down.weights.entries()) {
          const start = (top + down.first + y) * width + left + across.first;
          for (const [x, horizontal] of across.weights.entries()) sum += vertical * horizontal * rgb[3 * (start + x) + channel]!;
        }
        into[(channel * size + row) * size + column] = Math.round(sum);
      }
    }
  }
};
