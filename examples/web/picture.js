// Pixels into grey levels: those that `decode.py` of `serving/mnist_serving` gets from the same picture as a PNG.

const [OPAQUE, MIDDLE] = [128, 127]; // the level of alpha from which a pixel is seen; what divides dark from light
const TONES = 40; // levels between the lightest and the darkest of what has more than one tone
const CLEARER = 4; // times the variance of the usual grey: a colour that tells ink from page where the grey does not

/**
 * Grey levels of a canvas's pixels; mixed and weighed as Pillow does, to the last bit.
 *
 * What is seen, fills its box and is not of one tone is a page of its own: it is cut out. Otherwise light ink lies on
 * black, and any other picture on white. The grey is the usual one, or the colour that varies far more.
 *
 * @param {ImageData} pixels
 * @returns {{grey: Uint8Array, width: number, height: number}} `width * height` levels
 */
export function toGrey(pixels) {
  const { data, width, height } = cutOut(pixels);
  const light = isLightInk(data);
  const greys = Array.from({ length: 4 }, () => new Uint8Array(width * height));
  for (let place = 0, from = 0; place < width * height; place++, from += 4) {
    const alpha = data[from + 3];
    const [red, green, blue] = [0, 1, 2].map((colour) => onPage(data[from + colour], alpha, light ? 0 : 255));
    greys[1][place] = red;
    greys[2][place] = green;
    greys[3][place] = blue;
    greys[0][place] = luma(red, green, blue);
  }
  const variances = greys.map(variance);
  const most = variances.indexOf(Math.max(...variances));
  return { grey: greys[variances[most] > CLEARER * variances[0] ? most : 0], width, height };
}

const luma = (red, green, blue) => (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;

const onPage = (level, alpha, page) =>
  alpha === 255 ? level : Math.floor((level * alpha + page * (255 - alpha)) / 255 + 0.5);

/** The part that is a page of its own, or the whole. */
function cutOut(pixels) {
  const { data, width, height } = pixels;
  let [top, bottom, left, right, count, low, high] = [height, 0, width, 0, 0, 255, 0];
  for (let place = 0, from = 0; place < width * height; place++, from += 4) {
    if (data[from + 3] < OPAQUE) continue;
    const [y, x, level] = [Math.floor(place / width), place % width, luma(data[from], data[from + 1], data[from + 2])];
    [top, bottom, left, right] = [Math.min(top, y), y + 1, Math.min(left, x), Math.max(right, x + 1)];
    [count, low, high] = [count + 1, Math.min(low, level), Math.max(high, level)];
  }
  const area = (bottom - top) * (right - left);
  const isPage = count && 20 * area <= 21 * count && count < width * height && high - low > TONES;
  if (!isPage) return pixels;
  const part = new Uint8ClampedArray(4 * area);
  for (let y = top; y < bottom; y++) {
    part.set(data.subarray(4 * (y * width + left), 4 * (y * width + right)), 4 * (y - top) * (right - left));
  }
  return { data: part, width: right - left, height: bottom - top };
}

/** Whether what is seen is light and covers less than half. */
function isLightInk(data) {
  let [sum, count] = [0, 0];
  for (let from = 0; from < data.length; from += 4) {
    if (data[from + 3] < OPAQUE) continue;
    [sum, count] = [sum + luma(data[from], data[from + 1], data[from + 2]), count + 1];
  }
  return sum > MIDDLE * count && 8 * count < data.length;
}

/** The sum of the squared differences from the mean. */
function variance(grey) {
  let [sum, squares] = [0, 0];
  for (const level of grey) [sum, squares] = [sum + level, squares + level * level];
  return squares - (sum * sum) / grey.length;
}
