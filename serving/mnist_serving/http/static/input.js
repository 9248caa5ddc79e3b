// How marks get onto the sheet: mouse, pen and finger, the keyboard, picture files.

import { UNITS, makeCanvas } from "./sheet.js";

const STEP = 4; // units that an arrow key moves the pen; with Shift, one

/** Draw with any pointer: the one that touched the sheet first, until it is lifted. */
export function drawWithPointer(sheet) {
  const { canvas } = sheet;
  let pointer = null;
  let stroke = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * UNITS, ((event.clientY - box.top) / box.height) * UNITS];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (pointer !== null || event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    stroke = sheet.begin(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    const passed = event.getCoalescedEvents?.() ?? []; // where the pointer was since the last event
    sheet.extend(stroke, (passed.length > 0 ? passed : [event]).map(place));
  });
  canvas.addEventListener("lostpointercapture", (event) => {
    if (event.pointerId !== pointer) return;
    pointer = null;
    sheet.end(stroke);
  });
}

/** Draw with the arrow keys: they move a pen, which the space bar lowers and lifts. */
export function drawWithKeys(sheet, pen) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  let place = [UNITS / 2, UNITS / 4];
  let stroke = null;
  const turn = () => {
    if (sheet.penDown) sheet.end(stroke);
    else stroke = sheet.begin(place);
  };
  const putAway = () => {
    sheet.end(stroke);
    pen.hidden = true;
  };
  sheet.canvas.addEventListener("pointerdown", putAway);
  sheet.canvas.addEventListener("blur", putAway);
  sheet.canvas.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own
    const move = moves[event.key];
    if (move || event.key === " ") sheet.removeExample();
    if (event.key === " ") {
      if (!event.repeat) turn();
    } else if (move) {
      place = place.map((at, axis) => Math.min(UNITS, Math.max(0, at + move[axis] * (event.shiftKey ? 1 : STEP))));
      sheet.extend(stroke, [place]);
    } else return;
    event.preventDefault();
    pen.hidden = false;
    pen.style.left = `${place[0]}%`;
    pen.style.top = `${place[1]}%`;
  });
}

/** Take picture files that are chosen, dropped or pasted; `refuse` is called with a file that cannot be read. */
export function takePictures(sheet, input, refuse) {
  const show = async (file) => {
    try {
      sheet.add({ fresh: true, ...(await readPicture(file, sheet.canvas.width)) });
    } catch {
      refuse(file);
    }
  };
  let shown = Promise.resolve();
  const take = ([file]) => {
    if (!file) return shown;
    sheet.removeExample();
    shown = shown.then(() => show(file)); // the last one is on top, however long each takes
    return shown;
  };
  input.addEventListener("change", async () => {
    await take(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
}

/** Return a picture file as a canvas, its longer side that of the sheet, and the ground on which its ink is seen. */
async function readPicture(file, side) {
  const bitmap = await createImageBitmap(file);
  const scale = side / Math.max(bitmap.width, bitmap.height);
  const sides = [bitmap.width, bitmap.height].map((length) => Math.min(side, Math.ceil(length * scale)));
  const picture = makeCanvas(...sides);
  const context = picture.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, picture.width, picture.height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, ...sides);
  let [light, seen] = [0, 0];
  for (let place = 0; place < data.length; place += 4) {
    if (data[place + 3] < 128) continue;
    light += 0.3 * data[place] + 0.6 * data[place + 1] + 0.1 * data[place + 2] - 127;
    seen += 4;
  }
  return { picture, ground: light > 0 && 2 * seen < data.length ? "black" : "white" };
}
