/**
 * Reads an image into a batch: as it is, or with a random crop out of a frame of zeros and a random mirror (He et al., 2016, section 4.2).
 * Zeros of the frame are zeros of the normalised image, so the mean colour.
 */
import type { Augmentation } from "../contracts/dataset.ts";
import type { RandomSource } from "../contracts/ports.ts";

export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Offset of the crop's corner from the image's, and whether it is mirrored from left to right. */
interface View {
  readonly down: number;
  readonly right: number;
  readonly mirrored: boolean;
}

const drawView = ({ random, cropPixels, flip }: Augmentation & { readonly random: RandomSource }): View => ({
  down: cropPixels > 0 ? random.integer(2 * cropPixels + 1) - cropPixels : 0,
  right: cropPixels > 0 ? random.integer(2 * cropPixels + 1) - cropPixels : 0,
  mirrored: flip && random.uniform() < 0.5,
});

/**
 * @param pixels Bytes of one image, [channels, height, width]. @param levels The value of each byte, for each channel.
 * @param into Float32 of the same shape.
 */
export const readImage = (
  pixels: Uint8Array,
  { channels, height, width }: ImageShape,
  levels: readonly Float32Array[],
  into: Float32Array,
  augmentation?: Augmentation & { readonly random: RandomSource },
): void => {
  const view = augmentation === undefined ? undefined : drawView(augmentation);
  const area = height * width;
  for (let channel = 0; channel < channels; channel++) {
    const values = levels[channel]!;
    const start = channel * area;
    if (view === undefined) {
      for (let at = start; at < start + area; at++) into[at] = values[pixels[at]!]!;
      continue;
    }
    for (let row = 0; row < height; row++) {
      const fromRow = row + view.down;
      const inside = fromRow >= 0 && fromRow < height;
      for (let column = 0; column < width; column++) {
        const fromColumn = (view.mirrored ? width - 1 - column : column) + view.right;
        const visible = inside && fromColumn >= 0 && fromColumn < width;
        into[start + row * width + column] = visible ? values[pixels[start + fromRow * width + fromColumn]!]! : 0;
      }
    }
  }
};
