/**
 * A folder of images for each class: PNG and JPEG files, cropped to a square and scaled to one size. The classes are the folders' names in
 * order. Where the data folder holds just the folders `train` and `test`, each of them holds the class folders.
 */
import { extname, join } from "node:path";
import type { DatasetConfig } from "../contracts/config.ts";
import { DataError, InputError } from "../contracts/errors.ts";
import { checkBounds, checkClasses } from "./bounds.ts";
import { ownImages } from "./own-images.ts";
import { decodePicture, squareOf } from "./picture.ts";
import type { DataFiles, DatasetLoader } from "./ports.ts";
import { readBounded, required } from "./read.ts";

const extensions = new Set([".png", ".jpg", ".jpeg"]);
const channels = 3;

interface ImageFile {
  readonly path: string;
  readonly className: string;
}

const foldersIn = async (files: DataFiles, folder: string): Promise<string[]> => {
  const folders: string[] = [];
  for (const name of await files.list(folder)) {
    if (!name.startsWith(".") && (await files.stat(join(folder, name)))?.kind === "folder") folders.push(name);
  }
  return folders;
};

/** The images of each class folder, in the order of their names. Throws DataError when a class has none. */
const imagesIn = async (files: DataFiles, folder: string, classNames: readonly string[]): Promise<ImageFile[]> => {
  const images: ImageFile[] = [];
  for (const className of classNames) {
    const names = (await files.list(join(folder, className))).filter((name) => extensions.has(extname(name).toLowerCase()));
    if (names.length === 0) {
      throw new DataError(
        `data folder ${join(folder, className)}: expected PNG or JPEG files of the class ${className}, found none; put images there or take the folder away`,
        { file: join(folder, className) },
      );
    }
    for (const name of names) images.push({ path: join(folder, className, name), className });
  }
  return images;
};

const isSplit = (names: readonly string[]): boolean => names.join() === "test,train";

/** All images, test images that the data bring at the end. */
const findImages = async (files: DataFiles, folder: string) => {
  const names = await foldersIn(files, folder);
  if (!isSplit(names)) return { classNames: names, images: await imagesIn(files, folder, names), testRows: 0 };
  const [train, test] = [join(folder, "train"), join(folder, "test")];
  const classNames = await foldersIn(files, train);
  const unknown = (await foldersIn(files, test)).find((name) => !classNames.includes(name));
  if (unknown !== undefined) {
    throw new DataError(
      `data folder ${join(test, unknown)}: expected one of the classes of ${train}, found ${unknown}; give the class training images or take it away`,
      { file: join(test, unknown) },
    );
  }
  const testImages = await imagesIn(files, test, await foldersIn(files, test));
  return { classNames, images: [...(await imagesIn(files, train, classNames)), ...testImages], testRows: testImages.length };
};

const checkFolder = (config: DatasetConfig, folder: string, classNames: readonly string[], images: number): void => {
  if (images === 0) {
    throw new InputError(
      `dataset.dataDir: expected a folder with a folder of images for each class, found none in ${folder}; make them or name another folder`,
      { path: "dataset.dataDir", file: folder },
    );
  }
  checkClasses(config, folder, "its folders", classNames.length);
  checkBounds(config, images, channels * config.imageSize ** 2);
};

export const loadImageFolder: DatasetLoader = async (config, ports) => {
  const folder = required(config.dataDir, "dataset.dataDir", "the folder that holds a folder of images for each class");
  const { classNames, images, testRows } = await findImages(ports.files, folder);
  checkFolder(config, folder, classNames, images.length);
  const { imageSize, fileBytesMax, imagePixelsMax } = config;
  const stride = channels * imageSize ** 2;
  const pixels = new Uint8Array(images.length * stride);
  for (const [sample, { path }] of images.entries()) {
    const picture = decodePicture(await readBounded(ports.files, path, fileBytesMax), path, imagePixelsMax);
    squareOf(picture, imageSize, pixels.subarray(sample * stride, (sample + 1) * stride));
  }
  const places = new Map(classNames.map((name, place) => [name, place]));
  const labels = images.map(({ className }) => places.get(className)!);
  const inputShape = [channels, imageSize, imageSize] as const;
  const classes = classNames.length;
  return {
    source: folder,
    notes: [`${classes} classes, images scaled to ${imageSize} × ${imageSize}`],
    buffers: ownImages(config, { pixels, labels, inputShape, classes, classNames, testRows }),
  };
};
