// Pictures into grey levels: the numbers that `images.py` of `serving/mnist_serving` gets from the same pixels.

/**
 * The pixels of a canvas, or of a picture file as the browser reads it.
 *
 * @param {HTMLCanvasElement | Blob} picture
 * @returns {Promise<ImageData>}
 * @throws {Error} the file is none that the browser can read
 */
export async function readPixels(picture) {
  if (!(picture instanceof Blob)) return pixelsOf(picture);
  const bitmap = await createImageBitmap(picture, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error("this is no picture that the browser can read");
  });
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  return pixelsOf(canvas);
}

const pixelsOf = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);

/** Grey levels of pixels, what is transparent on white, as Pillow mixes and weighs colours: to the last bit. */
export function toGrey({ data }) {
  const grey = new Uint8Array(data.length / 4);
  for (let place = 0, from = 0; place < grey.length; place++, from += 4) {
    const alpha = data[from + 3];
    const red = onWhite(data[from], alpha);
    const green = onWhite(data[from + 1], alpha);
    const blue = onWhite(data[from + 2], alpha);
    grey[place] = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
  }
  return grey;
}

const onWhite = (level, alpha) =>
  alpha === 255 ? level : Math.floor((level * alpha + 255 * (255 - alpha)) / 255 + 0.5);
