// Short names for what every part of the page does with its elements.

export const MNIST = [1, 28, 28]; // the shape of an image, if the guesser does not give it

export const find = (id) => document.getElementById(id);

/** Return a new element with a text and some properties. */
export function make(tag, textContent, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent, ...properties });
}

const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 }); // slow to make, so once

export const percent = (share) => PERCENT.format(share);
