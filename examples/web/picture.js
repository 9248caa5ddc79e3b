// Pixels into grey levels: those that `images.py` of `serving/mnist_serving` gets from the same picture as a PNG.

/**
 * Grey levels of a canvas's pixels, what is transparent on white; mixed and weighed as Pillow does, to the last bit.
 *
 * @param {ImageData} pixels
 * @returns {Uint8Array} `width * height` levels
 */
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
